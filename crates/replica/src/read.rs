//! Reads that are not older than their question.

use super::handle::{Inner, Ledger};
use super::net::NetError;
use ledger::State;
use openraft::error::{CheckIsLeaderError, RaftError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use wire::{Call, NodeId, Reply};

/// Pause before the question is asked again; a new leader ends it early.
const PAUSE: Duration = Duration::from_millis(50);

/// Why a read could not be shown to be up to date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No majority confirmed a leader in time.
    #[error(
        "what is committed could not be told within {within:?} ({last}); is a majority of the nodes up and linked?"
    )]
    TimedOut {
        /// The time limit.
        within: Duration,
        /// What the last attempt met with.
        last: String,
    },
    /// The leader is of the first release.
    #[error(
        "the leader {0} is of an older release and cannot confirm what is committed; upgrade it"
    )]
    NotSpoken(NodeId),
}

impl Ledger {
    /// The state with everything that was committed when this was called, wherever it is called:
    /// the leader has itself confirmed by a majority, the others ask the leader.
    pub async fn linearizable(&self, limit: Duration) -> Result<Arc<State>, ReadError> {
        index_reached(self.inner(), limit).await
    }
}

/// Serves `wire::Call::ReadIndex`.
pub(super) async fn serve(inner: &Inner) -> Reply {
    match confirm(inner).await {
        Ok(size) => Reply::ReadIndex(size),
        Err(Unconfirmed::Elsewhere) => Reply::NotLeader {
            leader: inner
                .leadership
                .borrow()
                .leader
                .clone()
                .filter(|leader| *leader != inner.me),
        },
        Err(Unconfirmed::Because(why)) => Reply::Refused(why),
        Err(Unconfirmed::NotSpoken(node)) => Reply::Refused(NetError::NotSpoken(node).to_string()),
    }
}

enum Unconfirmed {
    Elsewhere,
    NotSpoken(NodeId),
    Because(String),
}

/// On the leader: the size of the log that a reader must have, after a majority has confirmed that
/// it leads.
async fn confirm(inner: &Inner) -> Result<u64, Unconfirmed> {
    let core = inner.core().map_err(Unconfirmed::Because)?;
    match core.raft.ensure_linearizable().await {
        Ok(_) => Ok(inner.store.now().state.size),
        Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_))) => {
            Err(Unconfirmed::Elsewhere)
        }
        Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(error))) => {
            Err(Unconfirmed::Because(error.to_string()))
        }
        Err(RaftError::Fatal(fatal)) => Err(Unconfirmed::Because(fatal.to_string())),
    }
}

/// Waits until this replica has applied what was committed when it was called.
pub(super) async fn index_reached(
    inner: &Inner,
    within: Duration,
) -> Result<Arc<State>, ReadError> {
    let deadline = Instant::now() + within;
    let mut leadership = inner.leadership.subscribe();
    let mut last = "no leader is known".to_owned();
    loop {
        let leader = leadership.borrow_and_update().leader.clone();
        let attempt = async {
            match &leader {
                None => Err(Unconfirmed::Elsewhere),
                Some(leader) if *leader == inner.me => confirm(inner).await,
                Some(leader) => match inner.net.call(leader, Call::ReadIndex).await {
                    Ok(Reply::ReadIndex(size)) => Ok(size),
                    Ok(Reply::Refused(why)) => Err(Unconfirmed::Because(why)),
                    Ok(_) => Err(Unconfirmed::Elsewhere),
                    Err(NetError::NotSpoken(node)) => Err(Unconfirmed::NotSpoken(node)),
                    Err(error) => Err(Unconfirmed::Because(error.to_string())),
                },
            }
        };
        match timeout_at(deadline, attempt).await {
            Err(_) => return Err(ReadError::TimedOut { within, last }),
            Ok(Ok(size)) => {
                let mut published = inner.store.watch();
                let reached = published.wait_for(|view| view.state.size >= size);
                return match timeout_at(deadline, reached).await {
                    Ok(Ok(view)) => Ok(view.state.clone()),
                    Ok(Err(_)) | Err(_) => {
                        let last = format!("this replica has not yet applied {size} leaves");
                        Err(ReadError::TimedOut { within, last })
                    }
                };
            }
            Ok(Err(Unconfirmed::NotSpoken(node))) => return Err(ReadError::NotSpoken(node)),
            Ok(Err(Unconfirmed::Because(why))) => last = why,
            Ok(Err(Unconfirmed::Elsewhere)) => {
                if let Some(leader) = &leader {
                    last = format!("{leader} does not lead");
                }
            }
        }
        let pause = (Instant::now() + PAUSE).min(deadline);
        let _ = timeout_at(pause, leadership.changed()).await;
        if Instant::now() >= deadline {
            return Err(ReadError::TimedOut { within, last });
        }
    }
}
