//! Which proposals are on the log already, as far back as a retry can reach.

use std::collections::BTreeMap;
use std::sync::Arc;
use wire::ProposalId;

/// A repeated proposal is recognised for at least this many leaves after the first one.
///
/// A proposer retries for some ten seconds; the cluster commits far fewer than a hundred acts a
/// second. A repetition after that would count twice, which every act but `Ingested` survives
/// by its own rule.
pub const SEEN_WINDOW: usize = 1024;

/// Two generations of ids: the young one becomes the old one when it is full. So between one and
/// two windows are remembered, and a copy of the state shares the old generation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    old: Arc<BTreeMap<ProposalId, u64>>,
    young: BTreeMap<ProposalId, u64>,
}

impl Seen {
    /// Index of the leaf that first carried `id`.
    pub(crate) fn first(&self, id: &ProposalId) -> Option<u64> {
        self.young.get(id).or_else(|| self.old.get(id)).copied()
    }

    pub(crate) fn remember(&mut self, id: ProposalId, index: u64) {
        if self.young.len() == SEEN_WINDOW {
            self.old = Arc::new(std::mem::take(&mut self.young));
        }
        self.young.insert(id, index);
    }

    pub(crate) fn len(&self) -> usize {
        self.old.len() + self.young.len()
    }
}
