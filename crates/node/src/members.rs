//! From the ledger's members to whoever must know them: the links and the key group.

use cluster::{Cluster, Former, LinkEvent, MemberTable, Members};
use federation::secagg::{SecureRound, Terms};
use ledger::State;
use replica::{Committed, Ledger};
use runtime::service::{ServiceError, StopSignal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use wire::{Digest, Level, MemberEntry, NodeId, Removal};

/// This node is a member no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gone {
    /// It asked for it: a good end.
    Left(String),
    /// Others decided so: nothing it does counts any more.
    Evicted(String),
}

/// Keeps the links' table of members as the ledger has it.
#[derive(Clone)]
pub struct MembersFeed {
    /// This node.
    pub me: NodeId,
    /// Leaf that admitted it; removals before that one concern its former life.
    pub admitted: Option<u64>,
    /// This node has asked to leave: then being turned away is what it wanted.
    pub leaving: Arc<AtomicBool>,
    /// Told when the ledger here says that this node is removed. Its vote may still be needed.
    pub removed: watch::Sender<bool>,
    /// Told when this node is removed and its vote does not count any more.
    pub gone: watch::Sender<Option<Gone>>,
    /// The ledger.
    pub ledger: Ledger,
    /// The links' table.
    pub members: Members,
    /// Peers that say this node is none.
    pub cluster: Cluster,
    /// Where the configuration says the founders are.
    pub configured: BTreeMap<NodeId, MemberEntry>,
}

impl MembersFeed {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let mut view = self.ledger.watch();
        view.mark_changed();
        let mut voting = self.ledger.voting();
        let mut events = self.cluster.events();
        let mut dismissed = BTreeSet::new();
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                event = events.recv() => {
                    self.hear(event, &mut dismissed);
                    continue;
                }
                changed = view.changed() => changed?,
                changed = voting.changed() => changed?,
            }
            let state = view.borrow_and_update().state.clone();
            let votes = voting.borrow_and_update().clone();
            // Before the genesis the configured founders stand; and until it is known whose votes count,
            // nobody is turned away who may be needed.
            if state.cluster.is_some() && !votes.is_empty() {
                self.members.set(table(&state, &votes, &self.configured));
                self.look_for_myself(&state, &votes);
            }
        }
    }
}

impl MembersFeed {
    /// Links end faster than the leaf that says why arrives. One peer's word that this node is no
    /// member is not enough, it may be behind or lie; that of a majority of the others is.
    fn hear(&self, event: Result<LinkEvent, RecvError>, dismissed: &mut BTreeSet<NodeId>) {
        let reason = match event {
            Ok(LinkEvent::Dismissed { node, reason }) => {
                dismissed.insert(node);
                reason
            }
            Ok(LinkEvent::Up { node, .. }) => {
                dismissed.remove(&node);
                return;
            }
            // Those missed are said again at the next attempt to link.
            Ok(LinkEvent::Down { .. }) | Err(_) => return,
        };
        let table = self.members.current();
        let others = table.members.keys().filter(|node| **node != self.me);
        let (all, against) = others.fold((0, 0), |(all, against), node| {
            (all + 1, against + usize::from(dismissed.contains(node)))
        });
        if against * 2 > all {
            let leaving = self.leaving.load(Ordering::Relaxed);
            let gone = if leaving { Gone::Left } else { Gone::Evicted };
            self.gone.send_replace(Some(gone(reason)));
        }
    }

    /// A removed node goes when its vote has gone: until then consensus may need it, were it only to
    /// decide that it does not. Whoever has changed the votes tells it no more, but dismisses it.
    fn look_for_myself(&self, state: &State, voting: &BTreeSet<NodeId>) {
        let Some(removed) = state.removed.get(&self.me) else {
            return;
        };
        if self.admitted.is_some_and(|leaf| leaf > removed.leaf) {
            return;
        }
        self.removed.send_replace(true);
        if voting.contains(&self.me) {
            return;
        }
        let sentence = why(&self.me, removed);
        self.gone.send_replace(Some(match removed.cause {
            Removal::Left => Gone::Left(sentence),
            Removal::Evicted { .. } => Gone::Evicted(sentence),
        }));
    }
}

fn why(node: &NodeId, removed: &ledger::Removed) -> String {
    let leaf = removed.leaf;
    match &removed.cause {
        Removal::Left => format!("{node} has left the cluster (ledger leaf {leaf})"),
        Removal::Evicted { reason } => {
            format!("{node} was evicted from the cluster (ledger leaf {leaf}): {reason}")
        }
    }
}

/// The links' table for a state of the ledger, where `voting` have a vote. A founder that has not told
/// its address yet is where the configuration says.
pub fn table(
    state: &State,
    voting: &BTreeSet<NodeId>,
    configured: &BTreeMap<NodeId, MemberEntry>,
) -> MemberTable {
    let entry = |(node, member): (&NodeId, &ledger::Member)| {
        let known = || configured.get(node).map(|entry| entry.address.clone());
        let entry = MemberEntry {
            node: node.clone(),
            identity: member.identity,
            address: member.address.clone().or_else(known).unwrap_or_default(),
        };
        (node.clone(), entry)
    };
    let gone = state.removed.iter().map(|(node, removed)| {
        let former = Former {
            identity: removed.identity,
            why: why(node, removed),
        };
        (node.clone(), former)
    });
    let leaving = voting
        .iter()
        .filter(|node| state.removed.contains_key(*node));
    MemberTable {
        members: state.members.iter().map(entry).collect(),
        removed: gone.collect(),
        leaving: leaving.cloned().collect(),
        leaves: state.size,
    }
}

/// What the key group needs of the roster, leaf by leaf: a group commit is judged by the members
/// of its own place on the ledger, not by today's.
#[derive(Clone, Debug)]
pub struct Roll(State);

impl Default for Roll {
    /// Before the first leaf.
    fn default() -> Self {
        Self(State::new())
    }
}

impl Roll {
    /// Follows one leaf; true if something changed.
    pub fn follow(&mut self, committed: &Committed) -> bool {
        // No leaf has one enter and another go, or a name change its key.
        let counts = |state: &State| (state.members.len(), state.keys.to_remove.len());
        let before = counts(&self.0);
        self.0.apply(committed.index, &committed.record);
        counts(&self.0) != before
    }

    /// After the leaf that it followed last.
    pub fn state(&self) -> &State {
        &self.0
    }

    /// What a secure round with this cohort goes by, after the entry `opened` it, on the usual terms; `None`: not
    /// all members can take part in one yet.
    pub fn secure_round(
        &self,
        opened: &Committed,
        cohort: &[NodeId],
        missed: bool,
    ) -> Option<SecureRound> {
        let state = &self.0;
        if state.level < Level::LEARNING {
            return None;
        }
        // Whoever is in the cohort of a round that took effect is a member.
        let member = |node: &NodeId| {
            let identity = state.members.get(node)?.identity;
            let node = node.clone();
            Some(federation::secagg::Member { node, identity })
        };
        Some(SecureRound {
            cluster: state.cluster.clone()?,
            aggregator: opened.record.proposer.clone(),
            entry: Digest::of(&wire::encode(&*opened.record)),
            members: cohort.iter().map(member).collect::<Option<_>>()?,
            missed,
            terms: Terms::default(),
            objection: None,
        })
    }

    /// As the custodian wants it.
    pub fn input(&self) -> custody::Input {
        let members = self.0.members.iter();
        let keys = members.map(|(node, member)| (node.clone(), member.identity));
        custody::Input::Roster {
            roster: custody::Roster::new(keys),
            to_remove: self.0.keys.to_remove.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_a_former_member_stand_while_it_votes() {
        let gone = NodeId::from("d");
        let mut state = State::new();
        let removed = ledger::Removed {
            identity: [4; 32],
            cause: Removal::Evicted {
                reason: "sold".to_owned(),
            },
            leaf: 7,
        };
        state.removed.insert(gone.clone(), removed);
        let table = |voting: &[&str]| {
            let voting = voting.iter().map(|node| NodeId::from(*node)).collect();
            table(&state, &voting, &BTreeMap::new())
        };
        let votes = table(&["a", "b", "d"]);
        assert!(votes.leaving.iter().eq([&gone]), "{votes:?}");
        assert!(votes.removed[&gone].why.contains("leaf 7"), "{votes:?}");
        assert!(table(&["a", "b"]).leaving.is_empty());
    }
}
