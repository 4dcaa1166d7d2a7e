//! Opening a ledger and looking at it.

use super::checkpoint::{self, CheckpointWriter};
use super::keeper::{self, Keeper, Leadership};
use super::log::RaftLog;
use super::machine::LeafMachine;
use super::net::{self, ConsensusNet, PeerClients};
use super::store::{Store, View};
use super::types::{Raft, raft_id};
use super::{StoreError, Subscription};
use ed25519_dalek::SigningKey;
use ledger::State;
use openraft::error::{InitializeError, RaftError};
use openraft::{BasicNode, Config, SnapshotPolicy};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tlog::{Hash, NoteSigner};
use tokio::sync::watch;
use wire::NodeId;

const LOCK: &str = "lock";

/// Bytes of a snapshot sent at once; well under `wire::codec::MAX_ENCODED`.
const SNAPSHOT_CHUNK: u64 = 1 << 20;

/// Entries in one replication message. The byte limit (`MAX_READ` in `log.rs`) is the one that
/// counts; this bounds the number of small ones.
const MAX_BATCH: u64 = 1024;

/// Everything that waits. The defaults suit nodes in one house.
///
/// openraft's follower stands for election after a silence of `election_max` (the leader's lease)
/// and a time drawn between `election_min` and `election_max`: 1.0 to 1.3 s by default, seven
/// heartbeats, so that a slow disk or a busy processor does not depose a leader.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// The leader's heartbeats.
    pub heartbeat: Duration,
    /// Least of what a follower waits once the leader's lease is over.
    pub election_min: Duration,
    /// Most of it; each node draws its own in between. Also the leader's lease.
    pub election_max: Duration,
    /// How long [`Ledger::propose`] tries.
    pub propose_limit: Duration,
    /// How long one attempt of it may take.
    pub attempt_limit: Duration,
    /// Shortest time between two signed checkpoints.
    pub checkpoint_every: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(150),
            election_min: Duration::from_millis(350),
            election_max: Duration::from_millis(650),
            propose_limit: Duration::from_secs(10),
            attempt_limit: Duration::from_secs(2),
            checkpoint_every: Duration::from_millis(250),
        }
    }
}

/// When Raft's own log is shortened. The leaves never are: a node that needs older entries than
/// Raft's log still has gets all leaves as a snapshot.
///
/// Limits: snapshots cover whole logs, so such a node receives everything again; and openraft's
/// leader does not shorten its log while it cannot reach a follower, which costs disk only.
#[derive(Clone, Copy, Debug)]
pub struct Compaction {
    /// Entries between two snapshots.
    pub every: u64,
    /// Entries kept although a snapshot holds them, so that a node that was away briefly is fed
    /// from the log.
    pub keep: u64,
}

impl Default for Compaction {
    fn default() -> Self {
        Self {
            every: 20_000,
            keep: 20_000,
        }
    }
}

/// What a replica needs to know.
pub struct LedgerConfig {
    /// Its directory; created if missing.
    pub dir: PathBuf,
    /// Name of the cluster.
    pub cluster: String,
    /// This node; one of the roster.
    pub me: NodeId,
    /// All members with their ed25519 identity keys; the same on every node.
    pub roster: Vec<(NodeId, [u8; 32])>,
    /// Signs this node's checkpoints; must belong to `me`'s key in the roster.
    pub identity: SigningKey,
    /// Waiting times.
    pub timings: Timings,
    /// Log length.
    pub compaction: Compaction,
}

/// Why a ledger could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The configuration contradicts itself.
    #[error("the ledger cannot start with this configuration: {0}")]
    Config(String),
    /// Another process has it open.
    #[error(
        "{0} is in use by another process; only one may open a ledger, stop the other node first"
    )]
    InUse(PathBuf),
    /// A file is unusable.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// openraft refused to start.
    #[error("consensus cannot start: {0}")]
    Raft(String),
}

pub(super) struct Inner {
    pub(super) me: NodeId,
    pub(super) roster: Vec<(NodeId, [u8; 32])>,
    pub(super) raft: Raft,
    pub(super) store: Arc<Store>,
    pub(super) net: Arc<dyn ConsensusNet>,
    pub(super) names: BTreeMap<u64, NodeId>,
    pub(super) timings: Timings,
    pub(super) leadership: watch::Receiver<Leadership>,
    keeper: Keeper,
    lock: Mutex<Option<File>>,
}

/// A replica of the ledger. Clones are handles on the same one.
#[derive(Clone)]
pub struct Ledger(pub(super) Arc<Inner>);

impl Ledger {
    /// Opens or creates the replica in `config.dir` and starts to take part in consensus.
    ///
    /// Recovers from whatever a crash left; refuses, with the file and the remedy, what a crash
    /// cannot have left. On the first start every node initialises Raft with the whole roster,
    /// and the first leader writes the genesis.
    pub async fn open(config: LedgerConfig, net: Arc<dyn ConsensusNet>) -> Result<Self, OpenError> {
        let LedgerConfig {
            dir,
            cluster,
            me,
            roster,
            identity,
            timings,
            compaction,
        } = config;
        let names = names(&me, &roster, &identity)?;
        let origin =
            checkpoint::origin(&cluster).map_err(|error| OpenError::Config(error.to_string()))?;
        fs::create_dir_all(&dir).map_err(StoreError::io("create", &dir))?;
        let lock = lock(&dir)?;

        let verifier = NoteSigner::new(&origin, &identity).verifier();
        let signed = checkpoint::read(&dir, &[verifier])?;
        let store = Arc::new(Store::open(&dir, &cluster, signed.as_ref())?);
        let log = RaftLog::open(&dir)?;
        let size = signed.map(|file| file.checkpoint.size);
        let writer = CheckpointWriter::open(&dir, &origin, &identity, size)?;

        let raft_config = raft_config(&cluster, timings, compaction)?;
        let members: Vec<NodeId> = roster.iter().map(|(node, _)| node.clone()).collect();
        let clients = PeerClients::new(net.clone(), &members);
        let machine = LeafMachine::new(store.clone());
        let raft = Raft::new(raft_id(&me), Arc::new(raft_config), clients, log, machine).await;
        let raft = raft.map_err(|error| OpenError::Raft(error.to_string()))?;
        initialize(&raft, &members).await?;

        let genesis = keeper::genesis(&cluster, &me, &roster);
        let (keeper, leadership) = Keeper::start(
            raft.clone(),
            store.clone(),
            me.clone(),
            names.clone(),
            timings,
            genesis,
            writer,
            identity,
        );
        let lock = Mutex::new(Some(lock));
        Ok(Self(Arc::new(Inner {
            me,
            roster,
            raft,
            store,
            net,
            names,
            timings,
            leadership,
            keeper,
            lock,
        })))
    }

    /// Serves a peer's consensus message (`wire::Call::Consensus`); always answers.
    pub async fn consensus(&self, bytes: &[u8]) -> Vec<u8> {
        net::serve(&self.0.raft, bytes).await
    }

    /// The fold of all leaves applied here.
    pub fn state(&self) -> Arc<State> {
        self.0.store.now().state
    }

    /// State and root, with notice of every change.
    pub fn watch(&self) -> watch::Receiver<View> {
        self.0.store.watch()
    }

    /// Leaves applied here and the Merkle root over them.
    pub fn size_and_root(&self) -> (u64, Hash) {
        let View { state, root } = self.0.store.now();
        (state.size, root)
    }

    /// Who leads, as far as this node knows, with notice of every change.
    pub fn leader(&self) -> watch::Receiver<Leadership> {
        self.0.leadership.clone()
    }

    /// Is this node the leader, with a quorum that answered lately?
    pub fn leads(&self) -> bool {
        self.0.leadership.borrow().leader.as_ref() == Some(&self.0.me)
    }

    /// This node.
    pub fn me(&self) -> &NodeId {
        &self.0.me
    }

    /// All members with their identity keys, as configured.
    pub fn roster(&self) -> &[(NodeId, [u8; 32])] {
        &self.0.roster
    }

    /// Committed acts from leaf `from` on, in order and without gaps.
    pub fn subscribe(&self, from: u64) -> Subscription {
        Subscription::new(self.0.store.clone(), from)
    }

    /// Waits until this replica can no longer take part (a full or broken disk) and says why.
    /// Ends without a fault only by [`shutdown`](Self::shutdown).
    pub async fn stopped(&self) -> String {
        let mut metrics = self.0.raft.metrics();
        loop {
            if let Err(fatal) = &metrics.borrow_and_update().running_state {
                return fatal.to_string();
            }
            if metrics.changed().await.is_err() {
                return "consensus has ended".to_owned();
            }
        }
    }

    /// Leaves consensus, signs a last checkpoint and frees the directory.
    pub async fn shutdown(&self) -> Result<(), StoreError> {
        // An error here says that the task had ended already, which is what was asked for.
        let _ = self.0.raft.shutdown().await;
        let signed = self.0.keeper.stop().await;
        self.free();
        signed
    }

    /// Stops at once and signs nothing, as a killed process would.
    #[cfg(test)]
    pub(super) async fn kill(&self) {
        self.0.keeper.abort();
        let _ = self.0.raft.shutdown().await;
        self.free();
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

fn names(
    me: &NodeId,
    roster: &[(NodeId, [u8; 32])],
    identity: &SigningKey,
) -> Result<BTreeMap<u64, NodeId>, OpenError> {
    let names: BTreeMap<u64, NodeId> = roster
        .iter()
        .map(|(node, _)| (raft_id(node), node.clone()))
        .collect();
    if names.len() != roster.len() {
        let what = "the roster names a member twice, or two names share a consensus id; rename one of them";
        return Err(OpenError::Config(what.to_owned()));
    }
    match roster.iter().find(|(node, _)| node == me) {
        None => Err(OpenError::Config(format!("{me} is not in the roster"))),
        Some((_, key)) if *key != identity.verifying_key().to_bytes() => {
            Err(OpenError::Config(format!(
                "the roster has another identity key for {me} than this node's; copy the key of this node into the roster"
            )))
        }
        Some(_) => Ok(names),
    }
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

fn raft_config(
    cluster: &str,
    timings: Timings,
    compaction: Compaction,
) -> Result<Config, OpenError> {
    let millis = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let config = Config {
        cluster_name: cluster.to_owned(),
        heartbeat_interval: millis(timings.heartbeat),
        election_timeout_min: millis(timings.election_min),
        election_timeout_max: millis(timings.election_max),
        install_snapshot_timeout: millis(timings.attempt_limit),
        max_payload_entries: MAX_BATCH,
        snapshot_max_chunk_size: SNAPSHOT_CHUNK,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(compaction.every),
        max_in_snapshot_log_to_keep: compaction.keep,
        // A follower is fed from the log as long as the log reaches back to it.
        replication_lag_threshold: compaction.every.saturating_add(compaction.keep),
        // The log is rewritten when its head goes: not for every entry.
        purge_batch_size: compaction.every,
        ..Config::default()
    };
    config
        .validate()
        .map_err(|error| OpenError::Config(error.to_string()))
}

/// The same call with the same members on every node: Raft sees one identical first entry.
async fn initialize(raft: &Raft, members: &[NodeId]) -> Result<(), OpenError> {
    let members: BTreeMap<u64, BasicNode> = members
        .iter()
        .map(|node| (raft_id(node), BasicNode::new(node)))
        .collect();
    match raft.initialize(members).await {
        Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
        Err(error) => Err(OpenError::Raft(error.to_string())),
    }
}
