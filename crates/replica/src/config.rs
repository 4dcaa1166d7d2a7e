//! What a replica is told when it is opened.

use super::StoreError;
use ed25519_dalek::SigningKey;
use openraft::{Config, SnapshotPolicy};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use wire::{Level, NodeId, StoreId};

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
    /// How long [`Ledger::propose`](crate::Ledger::propose) tries.
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

impl Timings {
    /// A leader that has not heard a majority for so long may have been replaced.
    pub(super) fn fence(&self) -> Duration {
        self.election_max + self.election_min
    }
}

/// What a replica needs to know.
pub struct LedgerConfig {
    /// Its directory; created if missing.
    pub dir: PathBuf,
    /// Name of the cluster.
    pub cluster: String,
    /// This node.
    pub me: NodeId,
    /// The members that found the cluster with their ed25519 identity keys, the same on every
    /// node. They make the genesis; from then on the ledger says who is a member.
    pub founders: Vec<(NodeId, [u8; 32])>,
    /// `host:port` where this node's links arrive, for the ledger.
    pub address: String,
    /// What this node speaks; [`Level::NEWEST`] unless an older release is to be played.
    pub level: Level,
    /// Signs this node's checkpoints; must belong to `me`'s key among the founders, if it is one.
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
    /// A file is damaged, and there is nobody to fetch the log from.
    #[error(
        "{0}. This node is the cluster's only member, so nobody else has the log: restore the ledger \
         directory from a backup, or move it away and found a new cluster"
    )]
    Alone(StoreError),
    /// A file is damaged, and too few peers were there to fetch the log from.
    #[error(
        "{error}. Of the {others} other members too few were there with the log within a minute \
         ({} did not answer), so nothing was touched. Start them, check their links, and start this \
         node again", missing.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
    )]
    NoMajority {
        /// What is wrong.
        error: StoreError,
        /// How many other members there are.
        others: usize,
        /// Those that did not answer, or hold nothing.
        missing: Vec<NodeId>,
    },
    /// openraft refused to start.
    #[error("consensus cannot start: {0}")]
    Raft(String),
}

impl LedgerConfig {
    pub(super) fn check(&self) -> Result<(), OpenError> {
        let (me, identity) = (&self.me, self.identity.verifying_key().to_bytes());
        let ids: BTreeSet<u64> = self
            .founders
            .iter()
            .map(|(node, _)| super::types::raft_id(node, StoreId::FOUNDING))
            .collect();
        if ids.len() != self.founders.len() {
            let what = "the founders name a member twice, or two names share a consensus id; rename one of them";
            return Err(OpenError::Config(what.to_owned()));
        }
        if self.level > Level::NEWEST {
            return Err(OpenError::Config(format!(
                "level {} was asked for, this build speaks up to {}",
                self.level,
                Level::NEWEST
            )));
        }
        match self.founders.iter().find(|(node, _)| node == me) {
            Some((_, key)) if *key != identity => Err(OpenError::Config(format!(
                "the founders have another identity key for {me} than this node's; copy the key of this node there"
            ))),
            Some(_) | None => Ok(()),
        }
    }
}

pub(super) fn raft_config(
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
