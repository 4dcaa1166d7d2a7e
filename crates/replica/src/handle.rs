//! Opening a ledger and looking at it.

use super::arrival;
use super::batcher::Batcher;
use super::config::{Compaction, LedgerConfig, OpenError, Timings};
use super::heard::Heard;
use super::held::{Held, Reader};
use super::lead::{self, Leadership};
use super::log::RaftLog;
use super::net::ConsensusNet;
use super::notary::{self, Notary};
use super::notes::{self, NoteWriter};
use super::phase::Phase;
use super::store::{Store, View};
use super::types::Raft;
use super::{StoreError, Subscription, introduce, reconcile};
use ed25519_dalek::SigningKey;
use ledger::State;
use runtime::durable;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use tlog::{Hash, KeyName, NoteSigner, NoteVerifier};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use wire::{Level, NodeId, StoreId};

pub(super) const LOCK: &str = "lock";

/// Consensus, once it is known which replica this is.
pub(super) struct Core {
    pub(super) id: u64,
    pub(super) store_id: StoreId,
    pub(super) raft: Raft,
    pub(super) log: RaftLog,
    pub(super) batcher: Batcher,
    pub(super) heard: Arc<Heard>,
}

/// What all tasks of a replica share.
pub(super) struct Inner {
    pub(super) dir: PathBuf,
    pub(super) cluster: String,
    pub(super) me: NodeId,
    pub(super) founders: Vec<(NodeId, [u8; 32])>,
    pub(super) address: String,
    pub(super) level: Level,
    pub(super) identity: SigningKey,
    pub(super) origin: KeyName,
    pub(super) own: NoteVerifier,
    pub(super) timings: Timings,
    pub(super) compaction: Compaction,
    pub(super) store: Arc<Store>,
    pub(super) net: Arc<dyn ConsensusNet>,
    pub(super) notary: Notary,
    pub(super) leadership: watch::Sender<Leadership>,
    pub(super) voting: watch::Sender<BTreeSet<NodeId>>,
    pub(super) phase: watch::Sender<Phase>,
    pub(super) core: OnceLock<Core>,
    /// The directory holds a replica that is not used (yet): it is not one of an empty node.
    pub(super) in_doubt: bool,
    /// Somebody asks about this node's replica: he may be founding, too.
    pub(super) asked: tokio::sync::Notify,
}

impl Inner {
    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            dir: &self.dir,
            cluster: &self.cluster,
            origin: &self.origin,
            own: &self.own,
            level: self.level,
        }
    }

    /// Consensus, or why there is none.
    pub(super) fn core(&self) -> Result<&Core, String> {
        self.core
            .get()
            .ok_or_else(|| self.phase.borrow().to_string())
    }

    pub(super) fn leads(&self) -> bool {
        self.leadership.borrow().leader.as_ref() == Some(&self.me)
    }

    pub(super) fn signer(&self) -> NoteSigner<'_> {
        NoteSigner::new(&self.origin, &self.identity)
    }
}

/// The tasks of one replica; they end with the last handle.
pub(super) struct Replica {
    pub(super) inner: Arc<Inner>,
    tasks: Vec<AbortHandle>,
    arrival: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<File>>,
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.abort();
    }
}

impl Replica {
    fn abort(&self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// A replica of the ledger. Clones are handles on the same one.
#[derive(Clone)]
pub struct Ledger(pub(super) Arc<Replica>);

impl Ledger {
    /// Opens or creates the replica in `config.dir` and starts to take part in consensus.
    ///
    /// Recovers from whatever a crash left. Where the directory is empty or damaged, what follows
    /// depends on the peers and happens behind the scenes: the handle can be used meanwhile and
    /// shows an empty ledger, [`phase`](Self::phase) tells what it waits for.
    ///
    /// Refuses at once what peers cannot heal: a contradictory configuration, a disk that refuses,
    /// another cluster's directory or one of a newer level, and damage where this node is the only member.
    pub async fn open(config: LedgerConfig, net: Arc<dyn ConsensusNet>) -> Result<Self, OpenError> {
        config.check()?;
        let LedgerConfig {
            dir,
            cluster,
            me,
            founders,
            address,
            level,
            identity,
            timings,
            compaction,
        } = config;
        super::config::raft_config(&cluster, timings, compaction)?;
        let origin =
            notes::origin(&cluster).map_err(|error| OpenError::Config(error.to_string()))?;
        durable::create_dir(&dir).map_err(StoreError::io("create", &dir))?;
        let lock = lock(&dir)?;
        let own = NoteSigner::new(&origin, &identity).verifier();
        let store = Arc::new(Store::empty());
        let reader = Reader {
            dir: &dir,
            cluster: &cluster,
            origin: &origin,
            own: &own,
            level,
        };
        let held = reader.look(&store)?;
        let in_doubt = matches!(held, Held::Damaged(_));
        let plan = match held {
            Held::Replica(log) => arrival::Plan::GoOn(log),
            Held::Nothing => arrival::Plan::Ask,
            Held::Vow => arrival::Plan::Return,
            Held::Damaged(error) => {
                let others = arrival::others(&reader.fold_what_is_intact(), &founders, &me);
                if others.is_empty() {
                    return Err(OpenError::Alone(error));
                }
                arrival::Plan::Repair(error, others)
            }
        };
        let inner = Arc::new(Inner {
            dir,
            cluster,
            me,
            founders,
            address,
            level,
            identity,
            origin,
            own,
            timings,
            compaction,
            store,
            net,
            notary: Notary::default(),
            leadership: watch::Sender::default(),
            voting: watch::Sender::default(),
            phase: watch::Sender::new(plan.phase()),
            core: OnceLock::new(),
            in_doubt,
            asked: tokio::sync::Notify::new(),
        });
        let arrival = match plan {
            arrival::Plan::GoOn(log) => {
                arrival::go_on(&inner, log).await?;
                None
            }
            plan @ (arrival::Plan::Ask | arrival::Plan::Return | arrival::Plan::Repair(..)) => {
                Some(tokio::spawn(arrival::arrive(inner.clone(), plan)))
            }
        };
        let tasks = [
            arrival.as_ref().map(JoinHandle::abort_handle),
            Some(tokio::spawn(lead::watch(inner.clone())).abort_handle()),
            Some(tokio::spawn(reconcile::run(inner.clone())).abort_handle()),
            Some(tokio::spawn(introduce::run(inner.clone())).abort_handle()),
            Some(tokio::spawn(notary::run(inner.clone())).abort_handle()),
        ];
        Ok(Self(Arc::new(Replica {
            inner,
            tasks: tasks.into_iter().flatten().collect(),
            arrival: Mutex::new(arrival),
            lock: Mutex::new(Some(lock)),
        })))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0.inner
    }

    /// The fold of all leaves applied here.
    pub fn state(&self) -> Arc<State> {
        self.inner().store.now().state
    }

    /// State and root, with notice of every change.
    pub fn watch(&self) -> watch::Receiver<View> {
        self.inner().store.watch()
    }

    /// Leaves applied here and the Merkle root over them.
    pub fn size_and_root(&self) -> (u64, Hash) {
        let View { state, root } = self.inner().store.now();
        (state.size, root)
    }

    /// Who leads, as far as this node knows, with notice of every change.
    pub fn leader(&self) -> watch::Receiver<Leadership> {
        self.inner().leadership.subscribe()
    }

    /// Is this node the leader, with a quorum that answered lately?
    pub fn leads(&self) -> bool {
        self.inner().leads()
    }

    /// How far this replica has come with taking part, with notice of every change.
    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.inner().phase.subscribe()
    }

    /// This node.
    pub fn me(&self) -> &NodeId {
        &self.inner().me
    }

    /// Which replica this is; `None` while that is not yet known.
    pub fn store_id(&self) -> Option<StoreId> {
        self.inner().core.get().map(|core| core.store_id)
    }

    /// Committed acts from leaf `from` on, in order and without gaps.
    pub fn subscribe(&self, from: u64) -> Subscription {
        Subscription::new(self.inner().store.clone(), from)
    }

    /// Waits until this replica can no longer take part (a full or broken disk, damage that
    /// cannot be healed) and says why. Ends without a fault only by [`shutdown`](Self::shutdown).
    pub async fn stopped(&self) -> String {
        let mut phase = self.phase();
        let ended = |phase: &Phase| match phase {
            Phase::Refused(why) => Some(why.clone()),
            Phase::Founding { .. } | Phase::Repairing { .. } | Phase::CatchingUp | Phase::Ready => {
                None
            }
        };
        let refused = phase.wait_for(|phase| ended(phase).is_some()).await;
        refused
            .ok()
            .and_then(|phase| ended(&phase))
            .unwrap_or_default()
    }

    /// Leaves consensus, signs for what it holds and frees the directory. The leader first has its
    /// last leaves cosigned, if the others are there.
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        let inner = self.inner();
        notary::last_round(inner).await;
        self.0.abort();
        self.end_arrival().await;
        let mut result = Ok(());
        if let Some(core) = inner.core.get() {
            // An error here says that the task had ended already, which is what was asked for.
            let _ = core.raft.shutdown().await;
            core.log.seal();
            let refused = matches!(*inner.phase.borrow(), Phase::Refused(_));
            // Whatever made it stop before stands for itself; nothing is signed after it.
            if !refused {
                result = notary::sign_alone(inner).and_then(|()| core.log.close());
            }
        }
        self.free();
        result
    }

    /// Stops at once and signs nothing, as a killed process would.
    #[cfg(test)]
    pub(super) async fn kill(&self) {
        self.0.abort();
        self.end_arrival().await;
        if let Some(core) = self.inner().core.get() {
            core.log.seal();
            let _ = core.raft.shutdown().await;
        }
        self.free();
    }

    /// The task that opens consensus must not do so behind our back.
    async fn end_arrival(&self) {
        let arrival = self
            .0
            .arrival
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(arrival) = arrival {
            arrival.abort();
            let _ = arrival.await;
        }
    }

    fn free(&self) {
        drop(
            self.0
                .lock
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
    }
}

/// Opens the notes' files of a replica that is about to start.
pub(super) fn open_notes(inner: &Inner) -> Result<(), StoreError> {
    inner.notary.open(NoteWriter::open(&inner.dir, &inner.own)?);
    Ok(())
}

fn lock(dir: &std::path::Path) -> Result<File, OpenError> {
    let path = dir.join(LOCK);
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path);
    let file = file.map_err(StoreError::io("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error).into()),
    }
}
