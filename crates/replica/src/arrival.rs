//! How a replica comes up: it goes on where it was, founds a cluster with the others, or comes back
//! under a new store and lets its peers bring everything.

use super::StoreError;
use super::batcher::Batcher;
use super::config::{OpenError, raft_config};
use super::founding::{Heard, Verdict, judge};
use super::handle::{Core, Inner, open_notes};
use super::log::RaftLog;
use super::machine::LeafMachine;
use super::net::{NetError, PeerClients};
use super::phase::Phase;
use super::types::{Raft, raft_id};
use futures::future::join_all;
use ledger::State;
use openraft::BasicNode;
use openraft::error::{InitializeError, RaftError};
use runtime::blocking::in_place;
use runtime::entropy;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};
use wire::{Call, Level, NodeId, Reply, StoreId};

/// Between two rounds of asking: links come up one by one.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Least time between two rounds when others ask back.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// A linked peer answers within this or is asked again.
const ASK_LIMIT: Duration = Duration::from_secs(1);
/// How long a majority of founders waits for the rest. Those who come later come as new replicas,
/// which costs a change of Raft's membership each.
const FOUNDING_PATIENCE: Duration = Duration::from_secs(3);
/// How long a sole founder waits: long enough for the links of members that were admitted since,
/// should this not be its first start, and short for whoever tries the thing out.
const SOLE_PATIENCE: Duration = Duration::from_millis(500);
/// How long a damaged node looks for a majority. Their links take seconds; an operator who reads
/// the refusal knows that more is wrong than one disk.
const REPAIR_LIMIT: Duration = Duration::from_secs(60);

/// What is to be done with the directory.
pub(super) enum Plan {
    /// It holds a replica.
    GoOn(RaftLog),
    /// It is empty.
    Ask,
    /// It is what is left after a damaged one was set aside.
    Return,
    /// It is damaged; the other members.
    Repair(StoreError, Vec<NodeId>),
}

impl Plan {
    pub(super) fn phase(&self) -> Phase {
        let waiting_for = Vec::new();
        match self {
            Self::GoOn(_) | Self::Return => Phase::CatchingUp,
            Self::Ask => Phase::Founding { waiting_for },
            Self::Repair(error, others) => Phase::Repairing {
                damage: error.to_string(),
                waiting_for: others.clone(),
            },
        }
    }
}

/// The members besides `me`, as far as the ledger or the configuration says.
pub(super) fn others(state: &State, founders: &[(NodeId, [u8; 32])], me: &NodeId) -> Vec<NodeId> {
    let members: BTreeSet<&NodeId> = if state.members.is_empty() {
        founders.iter().map(|(node, _)| node).collect()
    } else {
        state.members.keys().collect()
    };
    members
        .into_iter()
        .filter(|node| *node != me)
        .cloned()
        .collect()
}

/// Comes up in the background; what goes wrong is told by the phase.
pub(super) async fn arrive(inner: Arc<Inner>, plan: Plan) {
    let arrived = match plan {
        Plan::GoOn(log) => go_on(&inner, log).await,
        Plan::Ask => ask(&inner).await,
        Plan::Return => come_back(&inner).await,
        Plan::Repair(error, others) => repair(&inner, error, &others).await,
    };
    if let Err(error) = arrived {
        tracing::error!("{error}");
        inner.phase.send_replace(Phase::Refused(error.to_string()));
    }
}

/// Starts consensus on the log in the directory; the store is loaded.
pub(super) async fn go_on(inner: &Inner, log: RaftLog) -> Result<(), OpenError> {
    open_notes(inner)?;
    let store_id = log.store();
    let id = raft_id(&inner.me, store_id);
    let config = raft_config(&inner.cluster, inner.timings, inner.compaction)?;
    let machine = LeafMachine::new(inner.store.clone(), log.clone());
    log.take_part(id);
    let heard = Arc::default();
    let clients = PeerClients {
        net: inner.net.clone(),
        log: log.clone(),
        acknowledged: Arc::default(),
        heard: Arc::clone(&heard),
    };
    let raft = Raft::new(id, Arc::new(config), clients, log.clone(), machine).await;
    let raft = raft.map_err(|error| OpenError::Raft(error.to_string()))?;
    let batcher = Batcher::start(raft.clone(), inner.store.clone());
    let core = Core {
        id,
        store_id,
        raft,
        log,
        batcher,
        heard,
    };
    if inner.core.set(core).is_err() {
        return Err(OpenError::Raft("it runs already".to_owned()));
    }
    inner.phase.send_replace(Phase::CatchingUp);
    Ok(())
}

/// An empty directory.
async fn ask(inner: &Inner) -> Result<(), OpenError> {
    if inner.level < Level::MEMBERSHIP {
        // As the first release, whose peers would not understand the question.
        return found(inner).await;
    }
    let founders: Vec<NodeId> = inner
        .founders
        .iter()
        .map(|(node, _)| node.clone())
        .collect();
    let patience = if founders.len() > 1 {
        FOUNDING_PATIENCE
    } else {
        SOLE_PATIENCE
    };
    let mut enough_since: Option<Instant> = None;
    loop {
        let mut whom: BTreeSet<NodeId> = inner.net.peers().into_iter().collect();
        whom.extend(founders.iter().filter(|node| **node != inner.me).cloned());
        let heard = hear(inner, whom).await;
        let enough = judge(&inner.me, &founders, &heard, false) == Verdict::Found;
        enough_since = enough.then(|| enough_since.unwrap_or_else(Instant::now));
        let patient = enough_since.is_none_or(|since| since.elapsed() < patience);
        match judge(&inner.me, &founders, &heard, patient) {
            Verdict::Found => {
                tracing::info!("nobody holds a log: founding the cluster {}", inner.cluster);
                return found(inner).await;
            }
            Verdict::Return => {
                tracing::info!("there is a cluster already: this replica comes as a new one");
                return come_back(inner).await;
            }
            Verdict::Wait(waiting_for) => {
                let phase = Phase::Founding { waiting_for };
                say(inner, phase);
            }
        }
        sleep(ASK_AGAIN).await;
        let _ = timeout(ASK_EVERY, inner.asked.notified()).await;
    }
}

async fn hear(inner: &Inner, whom: BTreeSet<NodeId>) -> BTreeMap<NodeId, Heard> {
    let asked = whom.into_iter().map(|node| async move {
        let answer = timeout(ASK_LIMIT, inner.net.call(&node, Call::Holdings)).await;
        let heard = match answer {
            Ok(Ok(Reply::Holdings { leaves, begun, .. })) => match (leaves, begun) {
                (0, false) => Heard::Empty,
                (0, true) => Heard::Begun,
                (_, true) => Heard::Holds,
                (_, false) => Heard::Damaged,
            },
            Ok(Err(NetError::NotSpoken(_))) => Heard::Older,
            // A peer that is still starting refuses; it is asked again.
            Ok(Ok(_) | Err(_)) | Err(_) => return None,
        };
        Some((node, heard))
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn say(inner: &Inner, phase: Phase) {
    let changed = inner.phase.send_if_modified(|old| {
        let changed = *old != phase;
        *old = phase.clone();
        changed
    });
    if changed {
        tracing::info!("{phase}");
    }
}

/// The same call with the same members on every founder: Raft sees one identical first entry.
async fn found(inner: &Inner) -> Result<(), OpenError> {
    let log = in_place(|| {
        let log = RaftLog::create(&inner.dir, StoreId::FOUNDING)?;
        inner
            .store
            .load(&inner.dir, &inner.cluster, inner.level, Default::default())?;
        Ok::<_, StoreError>(log)
    })?;
    go_on(inner, log).await?;
    let Ok(core) = inner.core() else {
        return Ok(());
    };
    let members: BTreeMap<u64, BasicNode> = inner
        .founders
        .iter()
        .map(|(node, _)| (raft_id(node, StoreId::FOUNDING), BasicNode::new(node)))
        .collect();
    match core.raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(OpenError::Raft(error.to_string())),
    }
}

/// A new replica, to which the leader will bring everything once it is on the ledger.
async fn come_back(inner: &Inner) -> Result<(), OpenError> {
    let store = StoreId(u64::from_be_bytes(entropy::bytes()).max(1));
    let log = in_place(|| {
        let log = RaftLog::create(&inner.dir, store)?;
        let vows = inner.reader().vows()?;
        inner
            .store
            .load(&inner.dir, &inner.cluster, inner.level, vows)?;
        Ok::<_, StoreError>(log)
    })?;
    go_on(inner, log).await
}

async fn repair(inner: &Inner, error: StoreError, others: &[NodeId]) -> Result<(), OpenError> {
    tracing::error!("{error}");
    let limit = Instant::now() + REPAIR_LIMIT;
    loop {
        let heard = hear(inner, others.iter().cloned().collect()).await;
        let holds = |node: &&NodeId| heard.get(*node) == Some(&Heard::Holds);
        let missing: Vec<NodeId> = others.iter().filter(|node| !holds(node)).cloned().collect();
        if (others.len() - missing.len()) * 2 > others.len() {
            let aside = in_place(|| inner.reader().set_aside())?;
            tracing::warn!(
                "the damaged ledger directory is kept as {} for examination; this node comes back as \
                 a new replica and fetches the log from its peers. What was wrong: {error}",
                aside.display()
            );
            return come_back(inner).await;
        }
        if Instant::now() >= limit {
            return Err(OpenError::NoMajority {
                error,
                others: others.len(),
                missing,
            });
        }
        say(
            inner,
            Phase::Repairing {
                damage: error.to_string(),
                waiting_for: missing,
            },
        );
        sleep(ASK_EVERY).await;
    }
}
