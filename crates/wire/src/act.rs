//! Acts: the leaves of the ledger. Whatever the cluster must agree on or answer for is one.

use crate::{
    DeviceId, Digest, KeyEpoch, Level, NodeId, ProposalId, Removal, RoomId, Round, StoreId,
    UnixMillis,
};
use serde::{Deserialize, Serialize};

/// An update may start from a model so many models ago, at most: `learning.buffer.max_staleness` allows no more.
pub const MAX_AGE: u32 = 100;

/// One leaf: an act with its circumstances. Its encoding by [`crate::encode`] is the leaf's bytes.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Makes a retried proposal count once.
    pub id: ProposalId,
    /// Who proposed it.
    pub proposer: NodeId,
    /// The proposer's wall clock; for people, never for ordering.
    pub time: UnixMillis,
    /// What was done.
    pub act: Act,
}

/// A consequential act.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Act {
    /// The first leaf.
    Genesis {
        /// Name of the cluster.
        cluster: String,
        /// Members with their ed25519 identity keys.
        roster: Vec<(NodeId, [u8; 32])>,
    },
    /// A member came up (again).
    NodeUp {
        /// The member.
        node: NodeId,
        /// Grows with each start of the process.
        incarnation: u64,
    },
    /// A member stopped answering or left.
    NodeDown {
        /// The member.
        node: NodeId,
        /// Why it is held for down.
        reason: String,
    },
    /// A role is given to a node; the former holder loses it.
    RoleAssigned {
        /// The role.
        role: Role,
        /// Its new holder.
        node: NodeId,
    },
    /// A round of learning begins.
    RoundOpened {
        /// Its number: one more than the last one closed or abandoned.
        round: Round,
        /// The model the round starts from.
        model: Digest,
        /// Who is asked.
        cohort: Vec<NodeId>,
    },
    /// A round ended with a new model.
    RoundClosed {
        /// Its number.
        round: Round,
        /// The model it made.
        model: Digest,
        /// Whose updates are in it.
        participants: Vec<NodeId>,
        /// Training examples behind it.
        examples: u64,
        /// Mean training loss, weighted by examples, before the round's training.
        loss: f64,
    },
    /// A round ended without a model.
    RoundAbandoned {
        /// Its number.
        round: Round,
        /// Why.
        reason: String,
    },
    /// A commit of the key group (MLS, RFC 9420). It wins only if `epoch` is one more than the
    /// current key epoch; the first one in ledger order does.
    GroupCommit {
        /// The epoch it opens.
        epoch: KeyEpoch,
        /// Who committed.
        committer: NodeId,
        /// Why.
        kind: GroupCommitKind,
        /// The MLS message; empty for `Created`.
        commit: Vec<u8>,
    },
    /// What a node accepted from outside since its last such act.
    Ingested {
        /// The node.
        node: NodeId,
        /// Through which door.
        source: Source,
        /// First sequence number or offset covered.
        first: u64,
        /// Last one covered.
        last: u64,
        /// How many messages or records.
        count: u64,
        /// SHA-256 over the concatenated SHA-256 digests of the messages, in order.
        digest: Digest,
    },
    /// An alert was raised.
    AlertRaised(Alert),
    /// An alert was cleared; same id as when raised.
    AlertCleared {
        /// The alert's id.
        id: String,
        /// When.
        at: UnixMillis,
    },
    /// Every member speaks this level: acts of it may follow.
    LevelRaised {
        /// One more than before.
        level: Level,
    },
    /// Somebody may join, once.
    Invited {
        /// [`Invitation::digest`](crate::Invitation::digest).
        invitation: Digest,
        /// The only name that may use it, if restricted.
        node: Option<NodeId>,
        /// Not after this, by the clock of the member that admits.
        expires: UnixMillis,
    },
    /// A node has become a member.
    Admitted {
        /// Its name.
        node: NodeId,
        /// Its ed25519 identity key.
        identity: [u8; 32],
        /// `host:port` where its links arrive.
        address: String,
        /// The invitation it used, which is thereby used up.
        invitation: Digest,
    },
    /// A member is none any more.
    Removed {
        /// The node.
        node: NodeId,
        /// How.
        cause: Removal,
    },
    /// What a member says of itself when it starts and something of it is new.
    Introduced {
        /// The member; only itself may say so.
        node: NodeId,
        /// `host:port` where its links arrive.
        address: String,
        /// The replica it takes part in consensus with.
        store: StoreId,
    },
    /// A function is to be run in this version from now on.
    FunctionDeployed {
        /// Its name.
        name: String,
        /// One more than the version before; the first is 1.
        version: u64,
        /// SHA-256 of its module.
        module: Digest,
    },
    /// Partitions of a Kafka topic were read further, and what their records report is on the data
    /// space. All of it takes effect, or nothing.
    FeedAdvanced {
        /// The reader; it must hold the shares that the partitions belong to.
        node: NodeId,
        /// Kafka topic.
        topic: String,
        /// By partition, each once.
        advances: Vec<FeedAdvance>,
    },
    /// Keys that open one topic's samples in one partition are handed to a program outside.
    ReaderKeyGranted {
        /// The node that hands them out; only itself may say so.
        node: NodeId,
        /// For whom, in the words of who asked.
        reader: String,
        /// DDS topic.
        topic: String,
        /// DDS partition.
        partition: String,
        /// The node gives no keys of later epochs after this, by its clock.
        until: UnixMillis,
    },
    /// Rows are scored by this model, whatever rounds make, until [`ModelUnpinned`](Self::ModelUnpinned).
    ModelPinned {
        /// A model that a round made.
        model: Digest,
        /// Why, in the words of who asked.
        reason: String,
    },
    /// Rows are scored by the newest model again.
    ModelUnpinned {
        /// Why, in the words of who asked.
        reason: String,
    },
    /// What was learned after this model is dropped: the next round starts from it, rows are scored by
    /// it. A round that is open ends without a model.
    ModelRolledBack {
        /// A model that a round made.
        model: Digest,
        /// Why, in the words of who asked.
        reason: String,
    },
    /// The open round has a model, and this is what it tells of each participant at most (differential
    /// privacy of a participant's whole update). It stands before the model's `RoundClosed` and counts
    /// also when that never comes.
    PrivacySpent {
        /// The round.
        round: Round,
        /// Whose updates are in the model.
        participants: Vec<NodeId>,
        /// Standard deviation of the Gaussian noise over the norm that updates were clipped to, in
        /// thousandths.
        noise_milli: u32,
        /// That norm.
        bound: f64,
        /// δ that `epsilon` goes with.
        delta: f64,
        /// The largest ε that one of the participants, or a tenant of one, has spent with this round. Follows from
        /// the acts up to this one; for people.
        epsilon: f64,
    },
    /// The control variates of all members are zero from the next round on (SCAFFOLD): somebody's is lost, so the
    /// server's is the mean of theirs no more.
    VariatesReset {
        /// The round in which that turned out.
        round: Round,
        /// Whose, and how.
        reason: String,
    },
    /// What private rounds may tell of a node's data in all, and whose they are. Holds from here on; what was
    /// told before stays on the accounts.
    BudgetDeclared {
        /// The node; only itself may say so.
        node: NodeId,
        /// Owner of the node's data. Nodes with the same one have one account and one budget, the smallest that
        /// one of them declares. `None`: the node is its own.
        tenant: Option<String>,
        /// ε that may be spent.
        epsilon: f64,
        /// δ that it goes with.
        delta: f64,
    },
    /// A round of updates that are taken as they come ended with a new model. What
    /// [`RoundClosed`](Self::RoundClosed) says, and how old the updates are.
    BufferedRoundClosed {
        /// Its number.
        round: Round,
        /// The model it made.
        model: Digest,
        /// Whose updates are in it.
        participants: Vec<NodeId>,
        /// For each of them, how many models were made between the one that its update started from and the one that
        /// this round did: τ, at most [`MAX_AGE`].
        ages: Vec<u32>,
        /// Training examples behind it.
        examples: u64,
        /// Mean training loss, weighted by examples, of the models that the updates started from.
        loss: f64,
    },
}

impl Act {
    /// The round it is about.
    pub fn round(&self) -> Option<Round> {
        match self {
            Self::RoundOpened { round, .. }
            | Self::RoundClosed { round, .. }
            | Self::BufferedRoundClosed { round, .. }
            | Self::RoundAbandoned { round, .. }
            | Self::PrivacySpent { round, .. }
            | Self::VariatesReset { round, .. } => Some(*round),
            Self::Genesis { .. }
            | Self::NodeUp { .. }
            | Self::NodeDown { .. }
            | Self::RoleAssigned { .. }
            | Self::GroupCommit { .. }
            | Self::Ingested { .. }
            | Self::AlertRaised(_)
            | Self::AlertCleared { .. }
            | Self::LevelRaised { .. }
            | Self::Invited { .. }
            | Self::Admitted { .. }
            | Self::Removed { .. }
            | Self::Introduced { .. }
            | Self::FunctionDeployed { .. }
            | Self::FeedAdvanced { .. }
            | Self::ReaderKeyGranted { .. }
            | Self::ModelPinned { .. }
            | Self::ModelUnpinned { .. }
            | Self::ModelRolledBack { .. }
            | Self::BudgetDeclared { .. } => None,
        }
    }

    /// The key epoch it opens if it wins.
    pub fn key_epoch(&self) -> Option<KeyEpoch> {
        match self {
            Self::GroupCommit { epoch, .. } => Some(*epoch),
            Self::Genesis { .. }
            | Self::NodeUp { .. }
            | Self::NodeDown { .. }
            | Self::RoleAssigned { .. }
            | Self::RoundOpened { .. }
            | Self::RoundClosed { .. }
            | Self::BufferedRoundClosed { .. }
            | Self::RoundAbandoned { .. }
            | Self::Ingested { .. }
            | Self::AlertRaised(_)
            | Self::AlertCleared { .. }
            | Self::LevelRaised { .. }
            | Self::Invited { .. }
            | Self::Admitted { .. }
            | Self::Removed { .. }
            | Self::Introduced { .. }
            | Self::FunctionDeployed { .. }
            | Self::FeedAdvanced { .. }
            | Self::ReaderKeyGranted { .. }
            | Self::ModelPinned { .. }
            | Self::ModelUnpinned { .. }
            | Self::ModelRolledBack { .. }
            | Self::PrivacySpent { .. }
            | Self::VariatesReset { .. }
            | Self::BudgetDeclared { .. } => None,
        }
    }
}

/// Why the key group moved on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum GroupCommitKind {
    /// A new group, since no member holds the former one (first start, or all were down at once).
    Created {
        /// MLS group id.
        group: Vec<u8>,
    },
    /// A node entered by external commit.
    Joined,
    /// Keys rotated because a round closed.
    Rotated {
        /// That round.
        round: Round,
    },
    /// Members that were removed from the roster lost their leaves.
    Removed {
        /// They.
        nodes: Vec<NodeId>,
    },
}

/// Work that exactly one node does at a time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Role {
    /// Watch and learn from the devices of a room.
    Room(RoomId),
    /// Consume a Kafka topic.
    Feed(String),
    /// Consume part of a Kafka topic.
    FeedShare(FeedShare),
}

/// A part of a Kafka topic's partitions: those whose number leaves `share` when divided by `of`. So
/// partitions that are added later belong to somebody at once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct FeedShare {
    /// Kafka topic.
    pub topic: String,
    /// How many shares the topic has.
    pub of: u16,
    /// Which of them, from 0.
    pub share: u16,
}

impl FeedShare {
    /// The share of a topic in `of` parts that a partition belongs to.
    pub fn holding(topic: &str, of: u16, partition: u32) -> Self {
        Self {
            topic: topic.to_owned(),
            of,
            share: u16::try_from(partition % u32::from(of.max(1))).unwrap_or(0),
        }
    }

    /// True for a share that there is.
    pub const fn is_valid(&self) -> bool {
        self.share < self.of
    }
}

/// How much further one partition was read.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FeedAdvance {
    /// Kafka partition.
    pub partition: u32,
    /// First offset that it accounts for: where the ledger stood, so that nothing is passed over and
    /// nothing counts twice.
    pub from: u64,
    /// The next offset to account for.
    pub to: u64,
    /// The broker had `from` no more, and its reader went on elsewhere by the configured policy: `from`
    /// is where, and need not be where the ledger stood.
    pub moved: bool,
    /// A successor reads again from here: the first record of the oldest window that is still open.
    pub resume: u64,
    /// Windows that end here or before are reported.
    pub watermark: UnixMillis,
    /// How many records lay between; fewer than offsets where control records or gaps did.
    pub count: u64,
    /// SHA-256 over the concatenated SHA-256 digests of their values, in order.
    pub digest: Digest,
}

/// Through which door something came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Source {
    /// SMTP.
    Mail,
    /// Kafka.
    Kafka,
}

/// How bad, after RFC 5424 collapsed to what an operator acts on.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    Info,
    /// Look at it today.
    Warning,
    /// Look at it now.
    Critical,
}

/// Something an operator should know.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Alert {
    /// Unique and stable: `device/condition/opened-at`.
    pub id: String,
    /// The device.
    pub device: DeviceId,
    /// Its room.
    pub room: RoomId,
    /// What kind.
    pub kind: AlertKind,
    /// How bad.
    pub severity: Severity,
    /// When the condition began, by arrival time.
    pub at: UnixMillis,
    /// One sentence for the operator.
    pub summary: String,
}

/// Kinds of alert.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum AlertKind {
    /// The model finds the device's readings unusual.
    Anomaly {
        /// Score in units of the threshold: 1.0 is the limit.
        score: f64,
        /// The metrics that contributed most, with their share of the score.
        because: Vec<(String, f64)>,
    },
    /// The device itself reported a condition.
    Reported {
        /// The device's condition.
        condition: String,
    },
    /// The device stopped reporting.
    Silent {
        /// Milliseconds since its last report.
        for_ms: u64,
    },
}
