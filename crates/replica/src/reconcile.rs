//! Raft's membership follows the ledger's: the leader brings in the replicas that members have
//! introduced, and takes out those of former members and lost disks. One change at a time.

use super::handle::{Core, Inner};
use super::lead;
use super::types::raft_id;
use ledger::State;
use openraft::{BasicNode, ChangeMembers};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use wire::NodeId;

/// A replica gets a vote once it lacks no more entries than this: what a busy leader writes in a
/// second, and far less than what makes a snapshot necessary.
const CLOSE: u64 = 1_000;

/// Between two looks while something remains to be changed: a replica that is being fed.
const LOOK: Duration = Duration::from_millis(100);

/// A change is committed within this, or looked at again. Its entry stays in the log either way.
const CHANGE_LIMIT: Duration = Duration::from_secs(5);

/// Replicas by Raft's number, with their nodes.
pub(super) type Replicas = BTreeMap<u64, NodeId>;

/// Raft's membership as the leader sees it.
#[derive(Clone, Debug, Default)]
pub(super) struct Present {
    /// Half of a change is done: the new voters that the other half would leave.
    pub(super) joint: Option<BTreeSet<u64>>,
    pub(super) voters: BTreeSet<u64>,
    pub(super) nodes: Replicas,
    /// Entries each replica is known to hold.
    pub(super) matching: BTreeMap<u64, u64>,
    pub(super) last: u64,
    /// Replicas that are there: this one, and those that answered it of late.
    pub(super) heard: BTreeSet<u64>,
}

impl Present {
    /// Are these a majority by those that are there? If not, they could decide nothing, not even who
    /// shall replace the missing.
    fn reaches(&self, voters: &BTreeSet<u64>) -> bool {
        voters.intersection(&self.heard).count() * 2 > voters.len()
    }

    /// The voters whose nodes are these.
    fn voters_of(&self, member: impl Fn(&NodeId) -> bool) -> BTreeSet<u64> {
        let is_member = |id: &&u64| self.nodes.get(id).is_some_and(&member);
        self.voters.iter().filter(is_member).copied().collect()
    }
}

/// One change of Raft's membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Feed this replica.
    AddLearner(u64, NodeId),
    /// Stop feeding these.
    RemoveLearners(BTreeSet<u64>),
    /// These vote from now on.
    Voters(BTreeSet<u64>),
}

/// The replicas that should take part.
pub(super) fn wanted(state: &State) -> Replicas {
    let replica = |(node, member): (&NodeId, &ledger::Member)| {
        Some((raft_id(node, member.store?), node.clone()))
    };
    state.members.iter().filter_map(replica).collect()
}

/// Whom the others would miss if `node` went now: those who are not there, if without them the rest is
/// no majority.
pub(super) fn missed_without(node: &NodeId, state: &State, present: &Present) -> BTreeSet<NodeId> {
    let rest = present.voters_of(|voter| voter != node && state.members.contains_key(voter));
    // The last one stays by a rule of the ledger's.
    if rest.is_empty() || present.reaches(&rest) {
        return BTreeSet::new();
    }
    let missing = rest.difference(&present.heard);
    missing
        .filter_map(|id| present.nodes.get(id))
        .cloned()
        .collect()
}

/// The next change, if any. A member that is down keeps its vote: majorities must not shrink by
/// themselves. A lost replica keeps its vote, too, until the one that replaces it can take over; and
/// so does a former member while the others are no majority by those who are there. Half a change is
/// finished in any case: nothing else can be committed before.
pub(super) fn next(wanted: &Replicas, present: &Present) -> Option<Change> {
    let Present {
        joint,
        voters,
        nodes,
        matching,
        last,
        heard,
    } = present;
    if let Some(target) = joint {
        return Some(Change::Voters(target.clone()));
    }
    // Whoever is no member any more first: it must not decide about the rest.
    let members: BTreeSet<&NodeId> = wanted.values().collect();
    let stay = present.voters_of(|node| members.contains(node));
    if stay != *voters && present.reaches(&stay) {
        return Some(Change::Voters(stay));
    }
    let stale = |id: &&u64| !voters.contains(*id) && !wanted.contains_key(*id);
    let stale: BTreeSet<u64> = nodes.keys().filter(stale).copied().collect();
    if !stale.is_empty() {
        return Some(Change::RemoveLearners(stale));
    }
    let close = |id: &u64| {
        matching
            .get(id)
            .is_some_and(|index| index.saturating_add(CLOSE) >= *last)
    };
    let ready = nodes.keys().filter(|id| {
        wanted.contains_key(*id) && !voters.contains(*id) && heard.contains(*id) && close(id)
    });
    let mut with_one_more = ready.map(|id| {
        let mut new = voters.clone();
        new.retain(|old| nodes.get(old) != wanted.get(id));
        new.insert(*id);
        new
    });
    if let Some(new) = with_one_more.find(|new| present.reaches(new)) {
        return Some(Change::Voters(new));
    }
    let missing = wanted.iter().find(|(id, _)| !nodes.contains_key(*id));
    missing.map(|(id, node)| Change::AddLearner(*id, node.clone()))
}

/// What a leader knows.
pub(super) fn present(inner: &Inner, core: &Core) -> Present {
    let mut heard = core.heard.within(inner.timings.fence());
    heard.insert(core.id);
    let metrics = core.raft.metrics();
    let metrics = metrics.borrow();
    let membership = metrics.membership_config.membership();
    let configs = membership.get_joint_config();
    let last_config = configs.last().cloned().unwrap_or_default();
    let matching = metrics.replication.iter().flatten();
    Present {
        joint: (configs.len() > 1).then(|| last_config.clone()),
        voters: last_config,
        nodes: membership
            .nodes()
            .map(|(id, node)| (*id, NodeId::new(node.addr.clone())))
            .collect(),
        matching: matching
            .filter_map(|(id, matching)| Some((*id, (*matching)?.index)))
            .collect(),
        last: metrics.last_log_index.unwrap_or(0),
        heard,
    }
}

/// Changes what has to be changed while this node leads.
pub(super) async fn run(inner: Arc<Inner>) {
    let core = lead::opened(&inner).await;
    let mut leadership = inner.leadership.subscribe();
    let mut published = inner.store.watch();
    loop {
        let me = |leadership: &lead::Leadership| leadership.leader.as_ref() == Some(&inner.me);
        if leadership.wait_for(me).await.is_err() {
            return;
        }
        let replicas = wanted(&inner.store.now().state);
        // Without the genesis there is nothing to follow.
        let change = if replicas.is_empty() {
            None
        } else {
            next(&replicas, &present(&inner, core))
        };
        if let Some(change) = change {
            tracing::info!("raft's membership: {change:?}");
            if let Err(error) = make(core, change).await {
                tracing::info!("raft's membership is not changed yet: {error}");
            }
            sleep(LOOK).await;
            continue;
        }
        // Neither a learner that comes closer nor a voter that is there again changes anything here:
        // while they are waited for, the clock says when to look.
        let waiting = {
            let metrics = core.raft.metrics();
            let metrics = metrics.borrow();
            let membership = metrics.membership_config.membership();
            membership.learner_ids().count() > 0
                || membership.voter_ids().any(|id| !replicas.contains_key(&id))
                || membership.voter_ids().count() < replicas.len()
        };
        let changed = async {
            tokio::select! {
                _ = published.wait_for(|view| wanted(&view.state) != replicas) => {}
                _ = leadership.changed() => {}
            }
        };
        if waiting {
            let _ = timeout(LOOK, changed).await;
        } else {
            changed.await;
        }
    }
}

pub(super) async fn make(core: &Core, change: Change) -> Result<(), String> {
    let change = match change {
        Change::AddLearner(id, node) => {
            ChangeMembers::AddNodes([(id, BasicNode::new(node))].into())
        }
        Change::RemoveLearners(ids) => ChangeMembers::RemoveNodes(ids),
        Change::Voters(ids) => ChangeMembers::ReplaceAllVoters(ids),
    };
    // openraft lets the next change begin when it has counted a majority for the last one. That
    // counts this disk, which may be behind: two changes that a crash takes back together leave
    // replicas with majorities that need not meet.
    match timeout(CHANGE_LIMIT, core.log.settled()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("this node's disk has not confirmed the last one yet".to_owned()),
    }
    match timeout(CHANGE_LIMIT, core.raft.change_membership(change, false)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("no majority has confirmed it yet".to_owned()),
    }
}

#[cfg(test)]
mod tests;
