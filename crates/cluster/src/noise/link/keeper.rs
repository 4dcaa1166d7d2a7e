//! The task beside a link: signs of life, keys, the peer's dismissal.

use super::outbound::{Outbound, Party};
use super::{Pace, Shared};
use crate::noise::LinkError;
use crate::noise::epochs::EpochTable;
use crate::noise::record::Record;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWrite;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// A peer that takes nothing for so long is of no use, however alive.
pub const WRITE_LIMIT: Duration = Duration::from_secs(10);

pub(super) struct Keeper<S> {
    shared: Arc<Shared>,
    outbound: Arc<Mutex<Outbound<S>>>,
    pace: Pace,
}

impl<S: AsyncWrite> Keeper<S> {
    pub(super) fn new(shared: Arc<Shared>, outbound: Arc<Mutex<Outbound<S>>>, pace: Pace) -> Self {
        Self {
            shared,
            outbound,
            pace,
        }
    }

    fn outbound(&self) -> MutexGuard<'_, Outbound<S>> {
        self.outbound.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until the link ends, or it ends the link.
    pub(super) async fn run(self, table: EpochTable) {
        let mut end = self.shared.end.subscribe();
        let result = tokio::select! {
            _ = end.wait_for(Option::is_some) => Ok(()),
            result = self.keep(table) => result,
        };
        if let Err(error) = result {
            self.shared.end(error.to_string());
        }
        self.outbound().shut();
    }

    async fn keep(&self, table: EpochTable) -> Result<(), LinkError> {
        let mut table = table.subscribe();
        let mut dismissal = self.shared.dismissal.subscribe();
        let mut heartbeat = tokio::time::interval(self.pace.heartbeat);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                why = wait_for_dismissal(&mut dismissal) => return self.dismiss(why).await,
                () = self.shared.offered.notified() => {}
                changed = table.changed() => {
                    // The sender lives in the table that `run` was given.
                    if changed.is_ok() {
                        // From the announcement on records under these epochs can arrive, so
                        // their secrets are kept first.
                        let held = table.borrow_and_update().clone();
                        let mut outbound = self.outbound();
                        for epoch in self.shared.offers().announce(held) {
                            outbound.seal(Record::Have(epoch))?;
                        }
                    }
                }
                _ = heartbeat.tick() => self.outbound().seal(Record::Heartbeat)?,
            }
            self.advance()?;
            self.flush().await?;
        }
    }

    /// Moves our direction to the newest epoch that both ends hold.
    fn advance(&self) -> Result<(), LinkError> {
        let mut outbound = self.outbound();
        let mut offers = self.shared.offers();
        if let Some((epoch, secret)) = offers.next() {
            outbound.advance(epoch, &secret)?;
            offers.sending(epoch);
        }
        Ok(())
    }

    /// Until all that is said by now has been taken, the session's share included.
    async fn flush(&self) -> Result<(), LinkError> {
        let limit = WRITE_LIMIT;
        let all = self.outbound().sealed();
        let flushing = poll_fn(|cx| self.outbound().poll_left(cx, Party::Keeper, all));
        tokio::time::timeout(limit, flushing)
            .await
            .map_err(|_| LinkError::Stalled { limit })??;
        Ok(())
    }

    /// The last record, if the peer can read it.
    async fn dismiss(&self, why: String) -> Result<(), LinkError> {
        if self.pace.dismisses {
            self.outbound().seal(Record::Dismissed(&why))?;
            self.flush().await?;
        }
        self.shared.end(why);
        Ok(())
    }
}

async fn wait_for_dismissal(dismissal: &mut watch::Receiver<Option<String>>) -> String {
    let why = dismissal.wait_for(Option::is_some).await;
    // The sender lives as long as the link's task does.
    why.ok().and_then(|why| why.clone()).unwrap_or_default()
}
