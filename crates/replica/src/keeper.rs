//! What a replica does by itself: it watches who leads, writes the genesis if nobody has, and
//! signs checkpoints.

use super::checkpoint::CheckpointWriter;
use super::handle::Timings;
use super::store::Store;
use super::types::{Leaf, Raft, raft_id};
use super::{StoreError, disk};
use ed25519_dalek::SigningKey;
use runtime::clock;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, JoinHandle};
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

/// The tasks of one replica.
pub(super) struct Keeper {
    stop: watch::Sender<bool>,
    lead: AbortHandle,
    sign: AbortHandle,
    signed: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

/// The first leaf. Its proposal id follows from the cluster's name, so that a second leader's
/// genesis counts as the same proposal.
pub(super) fn genesis(cluster: &str, me: &NodeId, roster: &[(NodeId, [u8; 32])]) -> Record {
    let digest = Digest::of(format!("genesis of {cluster}").as_bytes()).0;
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    let mut roster = roster.to_vec();
    roster.sort();
    let act = Act::Genesis {
        cluster: cluster.to_owned(),
        roster,
    };
    Record {
        id: ProposalId(id),
        proposer: me.clone(),
        time: clock::unix_now(),
        act,
    }
}

impl Keeper {
    #[expect(
        clippy::too_many_arguments,
        reason = "called once, from `Ledger::open`, which takes the parts together"
    )]
    pub(super) fn start(
        raft: Raft,
        store: Arc<Store>,
        me: NodeId,
        names: BTreeMap<u64, NodeId>,
        timings: Timings,
        genesis: Record,
        writer: CheckpointWriter,
        identity: SigningKey,
    ) -> (Self, watch::Receiver<Leadership>) {
        let (stop, stopping) = watch::channel(false);
        let (sender, leadership) = watch::channel(Leadership::default());
        let lead = Lead {
            raft,
            store: store.clone(),
            me,
            names,
            timings,
            genesis,
            sender,
        };
        let lead = tokio::spawn(lead.run()).abort_handle();
        let sign = tokio::spawn(sign(
            store,
            writer,
            identity,
            timings.checkpoint_every,
            stopping,
        ));
        let keeper = Self {
            stop,
            lead,
            sign: sign.abort_handle(),
            signed: Mutex::new(Some(sign)),
        };
        (keeper, leadership)
    }

    /// Ends the tasks after a last checkpoint.
    pub(super) async fn stop(&self) -> Result<(), StoreError> {
        self.lead.abort();
        self.stop.send_replace(true);
        match self.signed.lock().await.take() {
            // A task that was aborted or panicked has nothing to report; the caller has stopped.
            Some(task) => task.await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    pub(super) fn abort(&self) {
        self.lead.abort();
        self.sign.abort();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.abort();
    }
}

struct Lead {
    raft: Raft,
    store: Arc<Store>,
    me: NodeId,
    names: BTreeMap<u64, NodeId>,
    timings: Timings,
    genesis: Record,
    sender: watch::Sender<Leadership>,
}

impl Lead {
    async fn run(self) {
        let mut metrics = self.raft.metrics();
        loop {
            let fence = self.timings.election_max + self.timings.election_min;
            let seen = {
                let metrics = metrics.borrow_and_update();
                let stale = metrics.current_leader == Some(raft_id(&self.me))
                    && self.names.len() > 1
                    && metrics
                        .millis_since_quorum_ack
                        .is_none_or(|ms| u128::from(ms) >= fence.as_millis());
                let leader = metrics
                    .current_leader
                    .filter(|_| !stale && metrics.running_state.is_ok());
                Leadership {
                    leader: leader.and_then(|id| self.names.get(&id).cloned()),
                    term: metrics.current_term,
                }
            };
            let leads = seen.leader.as_ref() == Some(&self.me);
            self.sender.send_if_modified(|old| {
                let changed = *old != seen;
                *old = seen;
                changed
            });
            if leads && self.store.now().state.size == 0 {
                let leaf = Leaf(wire::encode(&self.genesis));
                // Lost leadership or time: whoever leads then does it.
                let _ =
                    tokio::time::timeout(self.timings.attempt_limit, self.raft.client_write(leaf))
                        .await;
            }
            if metrics.changed().await.is_err() {
                self.sender
                    .send_modify(|leadership| leadership.leader = None);
                return;
            }
        }
    }
}

/// Signs a checkpoint after commits, at most once per `every`, and a last one at the end.
async fn sign(
    store: Arc<Store>,
    mut writer: CheckpointWriter,
    identity: SigningKey,
    every: Duration,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let mut published = store.watch();
    loop {
        let stop = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => true,
            changed = published.wait_for(|view| Some(view.state.size) != writer.signed && view.state.size > 0) => changed.is_err(),
        };
        let sign = || {
            let (size, root) = store.durable()?;
            if size == 0 || writer.signed == Some(size) {
                Ok(())
            } else {
                writer.write(&identity, size, root)
            }
        };
        let signed = disk::blocking(sign);
        if let Err(error) = &signed {
            // Consensus goes on without: the next commit tries again.
            tracing::error!(%error, "no checkpoint could be signed");
        }
        if stop {
            return signed;
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(every) => {}
        }
    }
}
