//! Which replicas have answered this one of late, as its followers: they are there, files and all.
//!
//! A link says that a node is there. Its replica may be another one than the voter that is counted on:
//! one whose files were lost answers under another number.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Shared by the clients of all peers.
#[derive(Default)]
pub(super) struct Heard(Mutex<BTreeMap<u64, Instant>>);

impl Heard {
    /// The replica has answered just now.
    pub(super) fn note(&self, replica: u64) {
        self.lock().insert(replica, Instant::now());
    }

    /// Those that answered within the last `span`.
    pub(super) fn within(&self, span: Duration) -> BTreeSet<u64> {
        let mut heard = self.lock();
        heard.retain(|_, at| at.elapsed() <= span);
        heard.keys().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_a_while() {
        let heard = Heard::default();
        let span = Duration::from_secs(1);
        heard.note(7);
        tokio::time::advance(Duration::from_millis(600)).await;
        heard.note(8);
        assert_eq!(heard.within(span), [7, 8].into());
        tokio::time::advance(Duration::from_millis(600)).await;
        assert_eq!(heard.within(span), [8].into());
    }
}
