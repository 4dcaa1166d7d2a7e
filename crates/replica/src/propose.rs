//! Getting an act onto the log, from any node.

use super::handle::{Inner, Ledger};
use super::types::Leaf;
use openraft::error::{ClientWriteError, RaftError};
use runtime::{clock, entropy};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use wire::{Act, NodeId, ProposalId, Record, Reply};

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
    /// This replica has stopped.
    #[error("this node's ledger has stopped: {0}")]
    Stopped(String),
}

enum Attempt {
    Committed(u64),
    Elsewhere(Option<NodeId>),
    Failed(String),
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
        let id = ProposalId(entropy::bytes());
        self.propose_record(Record {
            id,
            proposer: self.me().clone(),
            time: clock::unix_now(),
            act,
        })
        .await
    }

    /// As [`propose`](Self::propose), for a caller that keeps the proposal id across its own
    /// restarts.
    pub async fn propose_record(&self, record: Record) -> Result<u64, ProposeError> {
        let bytes = wire::encode(&record);
        if bytes.len() > MAX_LEAF {
            return Err(ProposeError::TooLarge { len: bytes.len() });
        }
        let inner = &*self.0;
        let within = inner.timings.propose_limit;
        let deadline = Instant::now() + within;
        let mut leadership = inner.leadership.clone();
        let mut last = "no leader is known".to_owned();
        let mut pause = FIRST_PAUSE;
        let mut hint = None;
        while Instant::now() < deadline {
            let leader = hint
                .take()
                .or_else(|| leadership.borrow_and_update().leader.clone());
            let attempt = match &leader {
                None => Attempt::Elsewhere(None),
                Some(leader) if *leader == inner.me => inner.write(&record, bytes.clone()).await,
                Some(leader) => inner.forward(leader, record.clone()).await,
            };
            match attempt {
                Attempt::Committed(index) => {
                    inner.catch_up(index, deadline).await;
                    return Ok(index);
                }
                Attempt::Stopped(why) => return Err(ProposeError::Stopped(why)),
                Attempt::Failed(why) => last = why,
                Attempt::Elsewhere(next) => {
                    if let Some(leader) = &leader {
                        last = format!("{leader} does not lead");
                    }
                    // A hint is followed once without a pause; a wrong one must not become a loop.
                    hint =
                        next.filter(|next| leader.as_ref() != Some(next) && pause == FIRST_PAUSE);
                }
            }
            if hint.is_none() {
                let wait = (Instant::now() + pause).min(deadline);
                let _ = timeout_at(wait, leadership.changed()).await;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
        Err(ProposeError::TimedOut { within, last })
    }

    /// Serves a peer's proposal (`wire::Call::Propose`); always answers.
    pub async fn handle_propose(&self, record: Record) -> Reply {
        let bytes = wire::encode(&record);
        if bytes.len() > MAX_LEAF {
            return Reply::Refused(ProposeError::TooLarge { len: bytes.len() }.to_string());
        }
        match self.0.write(&record, bytes).await {
            Attempt::Committed(index) => Reply::Committed { index },
            Attempt::Elsewhere(leader) => Reply::NotLeader { leader },
            Attempt::Failed(why) | Attempt::Stopped(why) => Reply::Refused(why),
        }
    }
}

impl Inner {
    /// Writes as the leader.
    async fn write(&self, record: &Record, bytes: Vec<u8>) -> Attempt {
        match timeout(self.timings.attempt_limit, self.write_now(record, bytes)).await {
            Ok(attempt) => attempt,
            Err(_) => Attempt::Failed(format!("{} could not commit it in time", self.me)),
        }
    }

    async fn write_now(&self, record: &Record, bytes: Vec<u8>) -> Attempt {
        if self.leadership.borrow().leader.as_ref() == Some(&self.me) {
            // The genesis comes first, and this leader is about to write it.
            let mut published = self.store.watch();
            if published
                .wait_for(|view| view.state.size > 0)
                .await
                .is_err()
            {
                return Attempt::Stopped("its store is closed".to_owned());
            }
            if let Some(index) = self.store.now().state.leaf_of(&record.id) {
                return Attempt::Committed(index);
            }
        }
        match self.raft.client_write(Leaf(bytes)).await {
            Ok(response) => match response.data.0 {
                Some(index) => Attempt::Committed(index),
                None => Attempt::Failed("consensus answered without a leaf".to_owned()),
            },
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to))) => {
                Attempt::Elsewhere(to.leader_id.and_then(|id| self.names.get(&id).cloned()))
            }
            Err(RaftError::APIError(error @ ClientWriteError::ChangeMembershipError(_))) => {
                Attempt::Failed(error.to_string())
            }
            Err(RaftError::Fatal(fatal)) => Attempt::Stopped(fatal.to_string()),
        }
    }

    async fn forward(&self, leader: &NodeId, record: Record) -> Attempt {
        match timeout(self.timings.attempt_limit, self.net.propose(leader, record)).await {
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

    /// Waits until this replica has the leaf, so that the proposer reads what it wrote.
    async fn catch_up(&self, index: u64, deadline: Instant) {
        let mut published = self.store.watch();
        // Past the deadline the act is committed all the same; this replica is just behind.
        let _ = timeout_at(deadline, published.wait_for(|view| view.state.size > index)).await;
    }
}
