//! What peers ask of this replica.

use super::handle::{Inner, Ledger};
use super::{net, notary, propose, read};
use wire::{Call, NodeId, Reply, StoreId};

impl Ledger {
    /// Serves a peer's call; `None` for calls that are not the ledger's. `from` is whom the link
    /// has proved.
    pub async fn serve(&self, from: &NodeId, call: Call) -> Option<Reply> {
        let inner = self.inner();
        Some(match call {
            Call::Consensus(bytes) => match inner.core() {
                Ok(core) => Reply::Consensus(net::serve(core, &bytes).await),
                Err(why) => Reply::Refused(why),
            },
            Call::Propose(record) => propose::serve(inner, from, *record).await,
            Call::Cosign { note } => notary::cosign(inner, from, &note).await,
            Call::ReadIndex => read::serve(inner).await,
            Call::Holdings => {
                inner.asked.notify_one();
                holdings(inner)
            }
            Call::GroupInfo | Call::Model(_) | Call::Opinion(_) => return None,
        })
    }

    /// Takes a checkpoint that the leader has sent (`wire::Frame::Checkpoint`).
    pub async fn checkpoint(&self, from: &NodeId, note: String) {
        notary::take(self.inner(), from, &note).await;
    }
}

/// A damaged replica holds leaves on which consensus does not run.
fn holdings(inner: &Inner) -> Reply {
    match inner.core.get() {
        None => Reply::Holdings {
            store: StoreId::FOUNDING,
            leaves: u64::from(inner.in_doubt),
            begun: false,
        },
        Some(core) => Reply::Holdings {
            store: core.store_id,
            leaves: inner.store.now().state.size,
            begun: core.log.begun(),
        },
    }
}
