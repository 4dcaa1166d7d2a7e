//! Committed acts in order, without gaps, for whoever has to follow them.

use super::StoreError;
use super::store::{Store, View};
use ledger::{Applied, State};
use std::sync::Arc;
use tokio::sync::watch;
use wire::Record;

/// An act on the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its leaf, from 0.
    pub index: u64,
    /// The act.
    pub record: Arc<Record>,
    /// What it did.
    pub applied: Applied,
}

/// Hands out committed acts one by one. It holds no queue: what is no longer in memory when a slow
/// subscriber comes for it is read from the disk and folded again.
pub struct Subscription {
    store: Arc<Store>,
    published: watch::Receiver<View>,
    next: u64,
    /// The state before `next`, while reading from the disk.
    replay: Option<State>,
}

impl Subscription {
    pub(super) fn new(store: Arc<Store>, from: u64) -> Self {
        let published = store.watch();
        Self {
            store,
            published,
            next: from,
            replay: None,
        }
    }

    /// The index that [`next`](Self::next) will give.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// The next committed act; waits for it. Cancel-safe.
    pub async fn next(&mut self) -> Result<Committed, StoreError> {
        loop {
            if let Some(committed) = self.ready()? {
                return Ok(committed);
            }
            if self.published.changed().await.is_err() {
                // The store we hold owns the sender, so this cannot happen; waiting for ever is
                // what "no further act" means.
                std::future::pending::<()>().await;
            }
        }
    }

    /// The next committed act, if it is there already.
    pub fn ready(&mut self) -> Result<Option<Committed>, StoreError> {
        let size = self.published.borrow_and_update().state.size;
        if self.next >= size {
            return Ok(None);
        }
        let committed = match self.store.recent(self.next) {
            Some(committed) => {
                self.replay = None;
                Committed::clone(&committed)
            }
            None => runtime::blocking::in_place(|| self.read_disk())?,
        };
        self.next += 1;
        Ok(Some(committed))
    }

    fn read_disk(&mut self) -> Result<Committed, StoreError> {
        let state = self.replay.get_or_insert_default();
        while state.size < self.next {
            self.store.replay(state.size, state)?;
        }
        self.store.replay(self.next, state)
    }
}
