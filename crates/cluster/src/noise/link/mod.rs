//! A running link. Its two ends for the session above encrypt and decrypt where they are called:
//! a message takes no task switch between the session and the connection. One task beside them
//! shows life, announces epochs and moves to them.

mod inbound;
mod keeper;
mod offers;
mod outbound;

pub use inbound::LinkReader;
pub use keeper::WRITE_LIMIT;
pub use outbound::LinkWriter;

use super::epochs::EpochTable;
use super::ratchet::{Direction, Ratchet};
use super::record::{Opener, Sealer};
use crate::detect::Pulse;
use keeper::Keeper;
use offers::Offers;
use outbound::{Outbound, Wakers};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Waker;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use wire::KeyEpoch;

/// A peer that is sent away is told so at once, or not at all: the link must be gone well within
/// a second.
pub const DISMISS_LIMIT: Duration = Duration::from_millis(200);

/// The two directions' first keys.
pub struct LinkKeys {
    pub(super) sealer: Sealer,
    pub(super) opener: Opener,
}

impl LinkKeys {
    /// From Noise's `Split()`: `first` is the initiator's sending key, `second` the responder's.
    pub(super) fn new(
        first: &[u8; 32],
        second: &[u8; 32],
        hash: [u8; 32],
        initiator: bool,
    ) -> Self {
        let from_initiator = Ratchet::new(first, hash, Direction::FromInitiator);
        let from_responder = Ratchet::new(second, hash, Direction::FromResponder);
        if initiator {
            Self {
                sealer: Sealer::new(first, from_initiator),
                opener: Opener::new(second, from_responder),
            }
        } else {
            Self {
                sealer: Sealer::new(second, from_responder),
                opener: Opener::new(first, from_initiator),
            }
        }
    }
}

/// What both directions and the outside know of a link.
struct Shared {
    offers: Mutex<Offers>,
    /// The peer's offers have changed.
    offered: Notify,
    /// Why the peer is to be sent away.
    dismissal: watch::Sender<Option<String>>,
    /// Why the peer sent us away.
    dismissed: OnceLock<String>,
    /// Why the link ended.
    end: watch::Sender<Option<String>>,
    /// Bytes of the session that the connection has taken.
    flushed: AtomicU64,
    /// They have become more.
    flush: Notify,
    /// Who reads and waits.
    reading: Mutex<Option<Waker>>,
    /// Who writes and waits.
    writing: Arc<Wakers>,
    since: Instant,
}

impl Shared {
    fn offers(&self) -> MutexGuard<'_, Offers> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, Option<Waker>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> bool {
        self.end.borrow().is_some()
    }

    fn end(&self, reason: impl Into<String>) {
        let first = self.end.send_if_modified(|end| {
            let first = end.is_none();
            if first {
                *end = Some(reason.into());
            }
            first
        });
        if first {
            let reader = self.reading().take();
            reader.into_iter().for_each(Waker::wake);
            self.writing.wake_all();
        }
    }
}

/// Watches and ends a link.
#[derive(Clone)]
pub struct LinkHandle(Arc<Shared>);

impl LinkHandle {
    /// Ends the link. The first reason given stays.
    pub fn close(&self, reason: impl Into<String>) {
        self.0.end(reason);
    }

    /// Ends the link and tells the peer why, if it takes that within [`DISMISS_LIMIT`].
    pub fn dismiss(&self, why: impl Into<String>) {
        let why = why.into();
        self.0.dismissal.send_replace(Some(why.clone()));
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let mut end = shared.end.subscribe();
            let ended = end.wait_for(Option::is_some);
            if tokio::time::timeout(DISMISS_LIMIT, ended).await.is_err() {
                shared.end(why);
            }
        });
    }

    /// What the peer said if it sent us away.
    pub fn dismissed(&self) -> Option<&str> {
        self.0.dismissed.get().map(String::as_str)
    }

    /// Returns when the link has ended, with the reason.
    pub async fn closed(&self) -> String {
        let mut end = self.0.end.subscribe();
        let reason = end
            .wait_for(Option::is_some)
            .await
            .map(|reason| reason.clone());
        reason.ok().flatten().unwrap_or_default()
    }

    /// Bytes of the session above that have left so far.
    pub(crate) fn flushed(&self) -> u64 {
        self.0.flushed.load(Ordering::Acquire)
    }

    /// Returns when so many have. One task at a time may wait for this, and not beyond the link's
    /// end: it may never come true then.
    pub(crate) async fn flushed_through(&self, bytes: u64) {
        while self.flushed() < bytes {
            self.0.flush.notified().await;
        }
    }

    /// Epoch under which we send; 0: the handshake's key.
    pub fn sending_epoch(&self) -> KeyEpoch {
        self.0.offers().sending
    }

    /// Epoch under which the peer sends; 0: the handshake's key.
    pub fn receiving_epoch(&self) -> KeyEpoch {
        self.0.offers().receiving
    }

    /// How many secrets and how many offers of the peer the link keeps.
    #[cfg(test)]
    pub(super) fn kept_epochs(&self) -> (usize, usize) {
        let offers = self.0.offers();
        (offers.announced.len(), offers.offered.len())
    }

    /// Time since the handshake.
    pub fn age(&self) -> Duration {
        self.0.since.elapsed()
    }
}

/// Life signs of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// We show life this often.
    pub(crate) heartbeat: Duration,
    /// The link ends when the peer is silent for so long.
    pub(crate) silence_limit: Duration,
    /// The peer understands [`Record::Dismissed`](super::record::Record::Dismissed).
    pub(crate) dismisses: bool,
}

/// A link: plain bytes for the session above, each way, and a handle.
pub struct Link<S> {
    /// What the peer says. It has to be read all the time: keys move and signs of life are heard
    /// in reading. Ends when the link does.
    pub reader: LinkReader<S>,
    /// What is said to the peer. Ends the link when dropped.
    pub writer: LinkWriter<S>,
    /// The handle.
    pub handle: LinkHandle,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Link<S> {
    /// Runs the record layer over `connection`.
    pub(crate) fn start(
        connection: S,
        keys: LinkKeys,
        table: &EpochTable,
        pace: Pace,
        pulse: Pulse,
    ) -> Self {
        let (incoming, outgoing) = tokio::io::split(connection);
        let writing = Arc::<Wakers>::default();
        let shared = Arc::new(Shared {
            offers: Mutex::default(),
            offered: Notify::new(),
            dismissal: watch::Sender::new(None),
            dismissed: OnceLock::new(),
            end: watch::Sender::new(None),
            flushed: AtomicU64::new(0),
            flush: Notify::new(),
            reading: Mutex::default(),
            writing: Arc::clone(&writing),
            since: Instant::now(),
        });
        let outbound = Arc::new(Mutex::new(Outbound::new(keys.sealer, outgoing, writing)));
        let keeper = Keeper::new(Arc::clone(&shared), Arc::clone(&outbound), pace);
        tokio::spawn(keeper.run(table.clone()));
        Self {
            reader: LinkReader::new(
                Arc::clone(&shared),
                keys.opener,
                incoming,
                pace.silence_limit,
                pulse,
            ),
            writer: LinkWriter::new(Arc::clone(&shared), outbound),
            handle: LinkHandle(shared),
        }
    }
}
