//! Getting an act onto the log, from any node.

use super::handle::{Inner, Ledger};
use super::phase::{self, Phase};
use super::reconcile;
use runtime::{clock, entropy};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use wire::{Act, Call, Level, NodeId, ProposalId, Record, Reply};

/// Largest encoded record. An MLS commit of a hundred members is some 20 KiB; sixteen times that
/// keeps a replication batch far under the limit of a message.
pub const MAX_LEAF: usize = 1 << 20;

/// First pause after a failed attempt; doubles up to [`LONGEST_PAUSE`]. A new leader ends it early.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Why an act is not known to be on the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Over [`MAX_LEAF`].
    #[error("an act of {len} bytes is over the limit of {MAX_LEAF}")]
    TooLarge {
        /// Its encoded length.
        len: usize,
    },
    /// No answer in time. The act may still be committed later.
    #[error(
        "the act was not committed within {within:?} ({last}); it may still be. Is a majority of the nodes up and linked?"
    )]
    TimedOut {
        /// The time limit.
        within: Duration,
        /// What the last attempt met with.
        last: String,
    },
    /// The ledger does not take such acts yet.
    #[error(
        "the act is of level {act}, the ledger takes acts up to level {ledger} until every member is \
         upgraded; upgrade the remaining nodes and try again"
    )]
    Level {
        /// The act's.
        act: Level,
        /// The ledger's.
        ledger: Level,
    },
    /// This replica has stopped.
    #[error("this node's ledger has stopped: {0}")]
    Stopped(String),
}

/// How one attempt went.
#[derive(Debug, Clone)]
pub(super) enum Attempt {
    Committed(u64),
    Elsewhere(Option<NodeId>),
    Failed(String),
    /// The leader knows better than to try.
    Refused(ProposeError),
    Stopped(String),
}

impl Ledger {
    /// Puts an act on the log and waits until this replica has applied it; gives its leaf.
    ///
    /// Finds the leader, tries again through elections and lost links under the same proposal id,
    /// so that the act takes effect once. What it did is told by [`subscribe`](Self::subscribe): an
    /// act that breaks a rule is committed, too, without effect.
    ///
    /// Gives up after `Timings::propose_limit`.
    pub async fn propose(&self, act: Act) -> Result<u64, ProposeError> {
        propose(self.inner(), act).await
    }

    /// As [`propose`](Self::propose), for a caller that keeps the proposal id across its own
    /// restarts.
    pub async fn propose_record(&self, record: Record) -> Result<u64, ProposeError> {
        propose_record(self.inner(), record).await
    }
}

pub(super) async fn propose(inner: &Inner, act: Act) -> Result<u64, ProposeError> {
    let record = Record {
        id: ProposalId(entropy::bytes()),
        proposer: inner.me.clone(),
        time: clock::unix_now(),
        act,
    };
    propose_record(inner, record).await
}

async fn propose_record(inner: &Inner, record: Record) -> Result<u64, ProposeError> {
    let bytes = wire::encode(&record);
    if bytes.len() > MAX_LEAF {
        return Err(ProposeError::TooLarge { len: bytes.len() });
    }
    let within = inner.timings.propose_limit;
    let deadline = Instant::now() + within;
    let mut leadership = inner.leadership.subscribe();
    let mut last = "no leader is known".to_owned();
    let mut pause = FIRST_PAUSE;
    let mut hint = None;
    let mut strangers = 0;
    while Instant::now() < deadline {
        let known = leadership.borrow_and_update().leader.clone();
        let leader = hint.take().or(known).or_else(|| {
            // A replica that nobody feeds yet hears of no leader; its peers do.
            let peers = inner.net.peers();
            strangers += 1;
            peers.get(strangers % peers.len().max(1)).cloned()
        });
        let attempt = match &leader {
            None => Attempt::Elsewhere(None),
            Some(leader) if *leader == inner.me => write(inner, &record, bytes.clone()).await,
            Some(leader) => forward(inner, leader, &record).await,
        };
        match attempt {
            Attempt::Committed(index) => {
                catch_up(inner, index, deadline).await;
                return Ok(index);
            }
            Attempt::Stopped(why) => {
                return Err(ProposeError::Stopped(last_words(inner, why).await));
            }
            Attempt::Refused(error) => return Err(error),
            Attempt::Failed(why) => last = why,
            Attempt::Elsewhere(next) => {
                if let Some(leader) = &leader {
                    last = format!("{leader} does not lead");
                }
                // A hint is followed once without a pause; a wrong one must not become a loop.
                hint = next.filter(|next| leader.as_ref() != Some(next) && pause == FIRST_PAUSE);
            }
        }
        if hint.is_none() {
            let wait = (Instant::now() + pause).min(deadline);
            let _ = timeout_at(wait, leadership.changed()).await;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    // A leader's refusal crosses the link as a sentence only; the replica here knows as well.
    let ledger = inner.store.now().state.level;
    match too_new(inner, &record.act) {
        true => Err(ProposeError::Level {
            act: record.act.level(),
            ledger,
        }),
        false => Err(ProposeError::TimedOut { within, last }),
    }
}

/// Why this replica has stopped, if that is known soon.
async fn last_words(inner: &Inner, otherwise: String) -> String {
    let mut phase = inner.phase.subscribe();
    let refused = phase.wait_for(|phase| matches!(phase, Phase::Refused(_)));
    match timeout(LONGEST_PAUSE, refused).await {
        Ok(Ok(phase)) => phase.to_string(),
        Ok(Err(_)) | Err(_) => otherwise,
    }
}

/// Serves a peer's proposal (`wire::Call::Propose`).
pub(super) async fn serve(inner: &Inner, from: &NodeId, record: Record) -> Reply {
    if record.proposer != *from {
        return Reply::Refused(format!(
            "{from} cannot propose in the name of {}",
            record.proposer
        ));
    }
    let bytes = wire::encode(&record);
    if bytes.len() > MAX_LEAF {
        return Reply::Refused(ProposeError::TooLarge { len: bytes.len() }.to_string());
    }
    match write(inner, &record, bytes).await {
        Attempt::Committed(index) => Reply::Committed { index },
        Attempt::Elsewhere(leader) => Reply::NotLeader { leader },
        Attempt::Failed(why) | Attempt::Stopped(why) => Reply::Refused(why),
        Attempt::Refused(error) => Reply::Refused(error.to_string()),
    }
}

/// Writes as the leader.
async fn write(inner: &Inner, record: &Record, bytes: Vec<u8>) -> Attempt {
    match timeout(inner.timings.attempt_limit, write_now(inner, record, bytes)).await {
        Ok(attempt) => attempt,
        Err(_) => Attempt::Failed(format!("{} could not commit it in time", inner.me)),
    }
}

async fn write_now(inner: &Inner, record: &Record, bytes: Vec<u8>) -> Attempt {
    let core = match inner.core() {
        Ok(core) => core,
        Err(why) => return Attempt::Failed(why),
    };
    let leader = inner.leadership.borrow().leader.clone();
    if leader.as_ref() != Some(&inner.me) {
        return Attempt::Elsewhere(leader);
    }
    // The genesis comes first, and this leader is about to write it.
    let mut published = inner.store.watch();
    let state = match published.wait_for(|view| view.state.size > 0).await {
        Ok(view) => view.state.clone(),
        Err(_) => return Attempt::Stopped("its store is closed".to_owned()),
    };
    if let Some(index) = state.leaf_of(&record.id) {
        return Attempt::Committed(index);
    }
    if too_new(inner, &record.act) {
        return Attempt::Refused(ProposeError::Level {
            act: record.act.level(),
            ledger: state.level,
        });
    }
    if !state.members.contains_key(&record.proposer) {
        return Attempt::Failed(format!(
            "{} is not a member of the cluster, by the ledger of {}",
            record.proposer, inner.me
        ));
    }
    if let Act::Removed { node, .. } = &record.act {
        let missing = reconcile::missed_without(node, &state, &reconcile::present(inner, core));
        if !missing.is_empty() {
            // The proposer tries again: it may be a restart.
            return Attempt::Failed(format!(
                "without {node} those who are left would be no majority: {} must have its vote back \
                 first, or be removed first if it never will",
                phase::names(&missing)
            ));
        }
    }
    core.batcher.write(bytes).await
}

/// Must members of an older release not meet this act? Raising the level is what lets them; the
/// leader's steward decides when.
fn too_new(inner: &Inner, act: &Act) -> bool {
    match act {
        Act::LevelRaised { level } => *level > inner.level,
        _ => act.level() > inner.store.now().state.level,
    }
}

async fn forward(inner: &Inner, leader: &NodeId, record: &Record) -> Attempt {
    let call = Call::Propose(Box::new(record.clone()));
    match timeout(inner.timings.attempt_limit, inner.net.call(leader, call)).await {
        Err(_) => Attempt::Failed(format!("no answer from the leader {leader}")),
        Ok(Err(error)) => Attempt::Failed(error.to_string()),
        Ok(Ok(Reply::Committed { index })) => Attempt::Committed(index),
        Ok(Ok(Reply::NotLeader { leader })) => Attempt::Elsewhere(leader),
        Ok(Ok(Reply::Refused(why))) => Attempt::Failed(why),
        Ok(Ok(
            Reply::Consensus(_)
            | Reply::GroupInfo(_)
            | Reply::Model(_)
            | Reply::Cosigned(_)
            | Reply::ReadIndex(_)
            | Reply::Holdings { .. }
            | Reply::Opinion { .. },
        )) => Attempt::Failed(format!("{leader} answered another question")),
    }
}

/// Waits until this replica has the leaf, so that the proposer reads what it wrote. A replica that
/// nobody feeds yet has nothing to wait for.
async fn catch_up(inner: &Inner, index: u64, deadline: Instant) {
    let mut published = inner.store.watch();
    if published.borrow().state.size == 0 {
        return;
    }
    // Past the deadline the act is committed all the same; this replica is just behind.
    let _ = timeout_at(deadline, published.wait_for(|view| view.state.size > index)).await;
}
