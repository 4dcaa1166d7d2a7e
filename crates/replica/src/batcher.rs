//! Group commit: proposals that arrive while a write is under way share the next entry.

use super::batch::{self, MAX_BATCH_ACTS, MAX_BATCH_BYTES};
use super::propose::Attempt;
use super::store::Store;
use super::types::{Leaf, Raft, Types};
use openraft::error::ClientWriteError;
use openraft::raft::ClientWriteResponse;
use openraft::{BasicNode, error::Fatal};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};
use wire::{Level, NodeId};

/// Entries under way at once: one that the followers write while the leader writes the next. More
/// would only make entries smaller.
const UNDER_WAY: usize = 2;

/// Proposals that wait for an entry; further ones wait in their callers.
const WAITING: usize = 4096;

/// An encoded act and who waits for it.
pub(super) struct Job {
    act: Vec<u8>,
    done: oneshot::Sender<Attempt>,
}

/// Hands proposals to the leader's log.
#[derive(Clone)]
pub(super) struct Batcher(mpsc::Sender<Job>);

impl Batcher {
    /// Starts the task, which ends when the last handle is gone.
    pub(super) fn start(raft: Raft, store: Arc<Store>) -> Self {
        let (sender, jobs) = mpsc::channel(WAITING);
        tokio::spawn(run(raft, store, jobs));
        Self(sender)
    }

    /// Proposes one act; the caller bounds the time.
    pub(super) async fn write(&self, act: Vec<u8>) -> Attempt {
        let (done, answer) = oneshot::channel();
        let closed = || Attempt::Stopped("consensus has ended".to_owned());
        if self.0.send(Job { act, done }).await.is_err() {
            return closed();
        }
        answer.await.unwrap_or_else(|_| closed())
    }
}

async fn run(raft: Raft, store: Arc<Store>, mut jobs: mpsc::Receiver<Job>) {
    let slots = Arc::new(Semaphore::new(UNDER_WAY));
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        if store.now().state.level < Level::MEMBERSHIP {
            // Members of the first release read one act an entry.
            tokio::spawn(write(raft.clone(), vec![first]));
            continue;
        }
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let mut bytes = first.act.len();
        let mut entry = vec![first];
        while entry.len() < MAX_BATCH_ACTS {
            let Ok(job) = jobs.try_recv() else { break };
            // Who waits no longer has been told that the act may still come; it need not.
            if job.done.is_closed() {
                continue;
            }
            if bytes + job.act.len() > MAX_BATCH_BYTES {
                next = Some(job);
                break;
            }
            bytes += job.act.len();
            entry.push(job);
        }
        let raft = raft.clone();
        tokio::spawn(async move {
            write(raft, entry).await;
            drop(slot);
        });
    }
}

async fn write(raft: Raft, jobs: Vec<Job>) {
    let (acts, waiting): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.act, job.done)).unzip();
    let answer = match raft.client_write_ff(Leaf(batch::join(acts))).await {
        Ok(answer) => answer.await.map_err(|_| Fatal::Stopped),
        Err(fatal) => Err(fatal),
    };
    for (at, done) in waiting.into_iter().enumerate() {
        // Whoever gave up meanwhile asks again under the same proposal id.
        let _ = done.send(attempt(&answer, at));
    }
}

type Written = Result<ClientWriteResponse<Types>, ClientWriteError<u64, BasicNode>>;

fn attempt(answer: &Result<Written, Fatal<u64>>, at: usize) -> Attempt {
    match answer {
        Ok(Ok(response)) => match response.data.0.get(at) {
            Some(index) => Attempt::Committed(*index),
            None => Attempt::Failed("consensus answered without a leaf".to_owned()),
        },
        Ok(Err(ClientWriteError::ForwardToLeader(to))) => {
            let leader = to.leader_node.as_ref();
            Attempt::Elsewhere(leader.map(|node| NodeId::new(node.addr.clone())))
        }
        Ok(Err(error @ ClientWriteError::ChangeMembershipError(_))) => {
            Attempt::Failed(error.to_string())
        }
        Err(fatal) => Attempt::Stopped(fatal.to_string()),
    }
}
