//! Who leads, as this replica sees it; and the genesis, if nobody has written it.

use super::handle::{Core, Inner};
use super::phase::Phase;
use openraft::RaftMetrics;
use openraft::error::Fatal;
use runtime::clock;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::timeout;
use wire::{Act, Digest, NodeId, ProposalId, Record};

/// Who leads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The leader; `None` during elections, and on a leader that has not heard a quorum for its
    /// lease and the shortest election timeout: from then on there may be another one.
    pub leader: Option<NodeId>,
    /// Raft's term.
    pub term: u64,
}

type Metrics = RaftMetrics<u64, openraft::BasicNode>;

/// The first leaf. Its proposal id follows from the cluster's name, so that a second leader's
/// genesis counts as the same proposal.
fn genesis(inner: &Inner) -> Record {
    let digest = Digest::of(format!("genesis of {}", inner.cluster).as_bytes()).0;
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    let mut roster = inner.founders.clone();
    roster.sort();
    Record {
        id: ProposalId(id),
        proposer: inner.me.clone(),
        time: clock::unix_now(),
        act: Act::Genesis {
            cluster: inner.cluster.clone(),
            roster,
        },
    }
}

/// Waits until it is known which replica this is. Never ends if it cannot take part.
pub(super) async fn opened(inner: &Inner) -> &Core {
    let mut phase = inner.phase.subscribe();
    loop {
        // Looked at before each wait, so that nothing is missed.
        phase.borrow_and_update();
        if let Some(core) = inner.core.get() {
            return core;
        }
        if phase.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Keeps `leadership` true, and writes the genesis.
pub(super) async fn watch(inner: Arc<Inner>) {
    let core = opened(&inner).await;
    // These change with leaders and members; the other metrics do with every entry.
    let mut server = core.raft.server_metrics();
    let metrics = core.raft.metrics();
    loop {
        server.borrow_and_update();
        if let Err(error) = core.log.expect_intact() {
            // Without consensus there are no heartbeats: the peers elect another leader.
            refuse(&inner, &error.to_string());
            let _ = core.raft.shutdown().await;
            return;
        }
        let (seen, voting, ended) = {
            let metrics = metrics.borrow();
            let ended = metrics.running_state.as_ref().err().cloned();
            (
                seen(&inner, core, &metrics),
                voting(&inner, core, &metrics),
                ended,
            )
        };
        inner.voting.send_if_modified(|old| {
            let changed = *old != voting;
            *old = voting;
            changed
        });
        let leads = seen.leader.as_ref() == Some(&inner.me);
        inner.leadership.send_if_modified(|old| {
            let changed = *old != seen;
            *old = seen;
            changed
        });
        match ended {
            None => {}
            Some(Fatal::Stopped) => return,
            Some(fatal @ (Fatal::StorageError(_) | Fatal::Panicked)) => {
                refuse(&inner, &fatal.to_string());
                return;
            }
        }
        if leads && inner.store.now().state.size == 0 {
            // Lost leadership or time: whoever leads then does it.
            let write = core.batcher.write(wire::encode(&genesis(&inner)));
            let _ = timeout(inner.timings.attempt_limit, write).await;
        }
        // Between the changes the clock tells whether a leader is still heard.
        tokio::select! {
            _ = timeout(inner.timings.heartbeat, server.changed()) => {}
            () = core.log.refused() => {}
        }
        if server.has_changed().is_err() && metrics.borrow().running_state.is_ok() {
            return;
        }
    }
}

/// This replica takes no part any more, and does not lead.
pub(super) fn refuse(inner: &Inner, why: &str) {
    inner.leadership.send_if_modified(|known| {
        let led = known.leader.as_ref() == Some(&inner.me);
        if led {
            known.leader = None;
        }
        led
    });
    let why = format!("the ledger has stopped: {why}");
    tracing::error!("{why}");
    inner.phase.send_replace(Phase::Refused(why));
}

/// Whose votes count. While half of a change is done a majority of the old voters is needed, too. And a
/// leader that has written its own vote off is needed until the others have that entry: then it leads
/// no more.
fn voting(inner: &Inner, core: &Core, metrics: &Metrics) -> BTreeSet<NodeId> {
    let membership = metrics.membership_config.membership();
    let node = |id| membership.get_node(&id);
    let voters = membership.voter_ids().filter_map(node);
    let leads = metrics.current_leader == Some(core.id);
    let me = leads.then(|| inner.me.clone());
    voters
        .map(|node| NodeId::new(node.addr.clone()))
        .chain(me)
        .collect()
}

fn seen(inner: &Inner, core: &Core, metrics: &Metrics) -> Leadership {
    let membership = metrics.membership_config.membership();
    let stale = metrics.current_leader == Some(core.id)
        && membership.voter_ids().count() > 1
        && metrics
            .millis_since_quorum_ack
            .is_none_or(|ms| u128::from(ms) >= inner.timings.fence().as_millis());
    let leader = metrics
        .current_leader
        .filter(|_| !stale && metrics.running_state.is_ok());
    let name = |id| {
        let node = membership.get_node(&id)?;
        // A former replica of this node does not lead through this one.
        (id == core.id || node.addr != inner.me.as_str()).then(|| NodeId::new(node.addr.clone()))
    };
    Leadership {
        leader: leader.and_then(name),
        term: metrics.current_term,
    }
}
