//! The threads around Cyclone, ended within a limit.

use crate::lane::lock;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// A named thread whose end can be awaited with a limit.
pub(super) struct Worker {
    name: String,
    handle: JoinHandle<()>,
    /// Disconnects when the thread ends, panicking or not.
    ended: Mutex<Receiver<()>>,
}

impl Worker {
    pub(super) fn spawn(
        name: String,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Self> {
        let (alive, ended): (SyncSender<()>, _) = sync_channel(0);
        // The kernel keeps 15 bytes of a thread's name.
        let short: String = name.chars().take(15).collect();
        let handle = Builder::new().name(short).spawn(move || {
            let _alive = alive;
            body();
        })?;
        Ok(Self {
            name,
            handle,
            ended: Mutex::new(ended),
        })
    }

    /// Waits for the end until `deadline`; whether it came.
    pub(super) fn ended_by(&self, deadline: Instant) -> bool {
        let left = deadline
            .checked_duration_since(now())
            .unwrap_or(Duration::ZERO);
        !matches!(
            lock(&self.ended).recv_timeout(left),
            Err(RecvTimeoutError::Timeout)
        )
    }

    /// Joins by `deadline`, or leaves the thread behind with a warning.
    pub(super) fn join_by(self, deadline: Instant) {
        if !self.ended_by(deadline) {
            tracing::warn!(
                thread = self.name,
                "a data space thread did not end in time and is left behind"
            );
        } else if self.handle.join().is_err() {
            tracing::error!(thread = self.name, "a data space thread panicked");
        }
    }
}

/// The one clock reading of this crate: limits on closing are real time.
pub(super) fn now() -> Instant {
    Instant::now()
}
