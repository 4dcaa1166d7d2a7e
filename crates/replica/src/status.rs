//! Who takes part in consensus, for status pages.

use super::handle::Ledger;
use std::collections::BTreeSet;
use tokio::sync::watch;
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
    /// The nodes whose votes count as far as this replica has heard, with notice of every change;
    /// nobody while it is not known yet. Also a former member's, until consensus has changed its
    /// members: whoever cuts it off before that may cost the majority.
    pub fn voting(&self) -> watch::Receiver<BTreeSet<NodeId>> {
        self.inner().voting.subscribe()
    }

    /// Raft's membership, as far as this replica has heard. It follows the ledger's.
    pub fn consensus_members(&self) -> ConsensusMembers {
        let Some(core) = self.inner().core.get() else {
            return ConsensusMembers::default();
        };
        let metrics = core.raft.metrics();
        let metrics = metrics.borrow();
        let membership = metrics.membership_config.membership();
        // While the votes change hands there are two sets of voters, and a majority of each is
        // needed: only who is in both has its vote for sure.
        let sets = membership.get_joint_config();
        let votes = |id: &u64| sets.iter().all(|set| set.contains(id));
        let mut members = ConsensusMembers::default();
        for (id, node) in membership.nodes() {
            let node = NodeId::new(node.addr.clone());
            if votes(id) {
                members.voters.insert(node);
            } else {
                members.learners.insert(node);
            }
        }
        // A lost replica may still have the vote that the new one is about to take over. It cannot
        // cast it: whoever counts on it is mistaken.
        members
            .voters
            .retain(|node| !members.learners.contains(node));
        members
    }
}
