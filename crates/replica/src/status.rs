//! Who takes part in consensus, for status pages.

use super::handle::Ledger;
use std::collections::BTreeSet;
use wire::NodeId;

/// The nodes whose replicas take part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsensusMembers {
    /// With a vote.
    pub voters: BTreeSet<NodeId>,
    /// Fed, but without a vote yet.
    pub learners: BTreeSet<NodeId>,
}

impl Ledger {
    /// Raft's membership, as far as this replica has heard. It follows the ledger's.
    pub fn consensus_members(&self) -> ConsensusMembers {
        let Some(core) = self.inner().core.get() else {
            return ConsensusMembers::default();
        };
        let metrics = core.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        let voters: BTreeSet<u64> = membership.voter_ids().collect();
        let mut members = ConsensusMembers::default();
        for (id, node) in membership.nodes() {
            let node = NodeId::new(node.addr.clone());
            if voters.contains(id) {
                members.voters.insert(node);
            } else {
                members.learners.insert(node);
            }
        }
        // A lost replica may still have the vote that the new one is about to take over.
        members
            .learners
            .retain(|node| !members.voters.contains(node));
        members
    }
}
