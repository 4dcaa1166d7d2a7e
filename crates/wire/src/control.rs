//! What an operator's tool asks a node over its control socket: one JSON value a line each way.
//! The socket's file mode (owner only) is the login.

use crate::status::Status;
use crate::{DeviceId, Digest, NodeId, Round, Source, UnixMillis};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest request or answer in bytes. A status with hundreds of devices is some 100 KiB.
pub const MAX_LINE: usize = 8 << 20;

/// A request.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Ask {
    /// The node's own view.
    Status {
        /// Confirm with a majority first, so that the view is not older than the question.
        #[serde(default)]
        linearizable: bool,
    },
    /// Invite somebody to join.
    Invite {
        /// The only name that may use the invitation.
        node: Option<NodeId>,
        /// Seconds it is good for.
        for_s: u64,
    },
    /// Remove a member.
    Evict {
        /// It.
        node: NodeId,
        /// Why; stays on the ledger.
        reason: String,
    },
    /// Leave the cluster for good.
    Leave,
    /// Deploy a version of a function.
    Deploy {
        /// Its name.
        name: String,
        /// SHA-256 of its module, hex.
        module: String,
    },
    /// Look at what was accepted but not understood, or do something about it.
    Quarantine {
        /// What.
        job: QuarantineJob,
    },
    /// Hand out the keys of one topic in one partition, after the ledger has an entry of it.
    ReaderKey {
        /// For whom; stays on the ledger.
        reader: String,
        /// DDS topic.
        topic: String,
        /// DDS partition.
        partition: String,
        /// Seconds that keys of later epochs are given for.
        for_s: u64,
    },
    /// The keys of a grant as they are now.
    ReaderKeyAgain {
        /// The grant.
        grant: String,
    },
    /// The course of learning, by the ledger.
    Rounds {
        /// How many of the rounds that ended, the latest.
        last: usize,
    },
    /// Choose a model, or go back to the newest.
    Model {
        /// What to do.
        job: ModelJob,
        /// Why; stays on the ledger.
        reason: String,
    },
    /// Put readings onto the data space in a device's name, through the mailbox's journal.
    Publish {
        /// The device.
        device: DeviceId,
        /// Its readings: a SenML pack (RFC 8428) in JSON.
        senml: String,
        /// Why; stands in the message that the ledger has the digest of.
        reason: String,
    },
    /// Cut this node's links to these peers, at the transport. For trials only; refused unless the
    /// configuration allows faults.
    Split {
        /// The peers; empty: heal.
        peers: Vec<NodeId>,
    },
}

/// What to do about the cluster's models.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "job")]
pub enum ModelJob {
    /// Score rows by it until unpinned, whatever rounds make.
    Pin {
        /// A round, or the first digits of a digest.
        model: String,
    },
    /// Score rows by the newest again.
    Unpin,
    /// Drop what was learned after it.
    RollBack {
        /// A round, or the first digits of a digest.
        model: String,
    },
}

/// The course of learning.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Learning {
    /// The running round.
    pub open: Option<RoundEntry>,
    /// Rounds that ended, oldest first.
    pub ended: Vec<RoundEntry>,
    /// The model rows are scored by, and the round that made it.
    pub scoring: Option<(Round, Digest)>,
    /// Whether it stays when rounds make newer ones.
    pub pinned: bool,
    /// The model the next round starts from.
    pub next_from: Option<Digest>,
    /// Models on this node's disk.
    pub stored: Vec<Digest>,
    /// What private rounds have told of whom; empty where none is or was private.
    #[serde(default)]
    pub accounts: Vec<AccountEntry>,
}

/// What private rounds have told of a node's data, or of all that belong to one tenant.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AccountEntry {
    /// Name of the node or tenant.
    pub holder: String,
    /// It is a tenant's.
    pub tenant: bool,
    /// Whose data these are now, of the members.
    pub nodes: Vec<NodeId>,
    /// ε spent so far.
    pub spent: f64,
    /// ε that may be.
    pub epsilon: f64,
    /// δ that both go with.
    pub delta: f64,
}

impl AccountEntry {
    /// As people read it.
    pub fn name(&self) -> String {
        match self.tenant {
            true => format!("tenant {}", self.holder),
            false => self.holder.clone(),
        }
    }

    /// ε that is left; none where a budget was lowered below what is spent.
    pub fn left(&self) -> f64 {
        (self.epsilon - self.spent).max(0.0)
    }
}

/// One round.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RoundEntry {
    /// Its number.
    pub round: Round,
    /// The model it started from.
    pub base: Digest,
    /// How many nodes were asked.
    pub cohort: usize,
    /// Ledger leaf that opened it.
    pub opened: u64,
    /// When it ended, or was opened if it has not.
    pub at: UnixMillis,
    /// How it ended.
    pub end: Option<RoundEnd>,
}

/// How a round ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct RoundEnd {
    /// Ledger leaf.
    pub leaf: u64,
    /// By the clocks of those who opened and ended it.
    pub took_ms: u64,
    /// What came of it; else why nothing did.
    pub made: Result<ModelEntry, String>,
}

/// A model that a round made.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelEntry {
    /// It.
    pub model: Digest,
    /// How many updates are in it.
    pub participants: usize,
    /// Training examples behind it.
    pub examples: u64,
    /// Mean loss of the base model on them.
    pub loss: f64,
    /// What it tells of its participants, if the round was private.
    #[serde(default)]
    pub privacy: Option<PrivacyEntry>,
    /// Where updates are taken as they come: by participant, how many models were made between the one that its update
    /// started from and this one; empty elsewhere.
    #[serde(default)]
    pub ages: BTreeMap<NodeId, u32>,
}

/// What a private round tells of its participants.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PrivacyEntry {
    /// The largest ε that one of them has spent with this round.
    pub epsilon: f64,
    /// δ that it goes with.
    pub delta: f64,
    /// Standard deviation of the noise over the norm that updates were clipped to.
    pub noise_multiplier: f64,
    /// That norm.
    pub clip: f64,
}

/// What to do with a node's quarantine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "job")]
pub enum QuarantineJob {
    /// The next items behind the one numbered `after`, without their messages; as many as the node
    /// gives at a time, none at the end.
    List {
        /// 0: from the oldest on.
        after: u64,
    },
    /// One item with its message.
    Show {
        /// Its number.
        id: u64,
    },
    /// Read the pattern files anew, decode items again, and take what is understood now.
    Retry {
        /// Its number; absent: all mails.
        id: Option<u64>,
    },
    /// Remove items for good.
    Discard {
        /// Its number; absent: all.
        id: Option<u64>,
    },
}

/// An item of a node's quarantine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuarantineItem {
    /// Its number.
    pub id: u64,
    /// When the message was accepted.
    pub at: UnixMillis,
    /// Through which door it came.
    pub source: Source,
    /// Where: journal sequence of a mail, `topic/partition/offset` of a record.
    pub position: String,
    /// Who sent it, as far as known.
    pub sender: String,
    /// Why it is here: a sentence.
    pub reason: String,
    /// Length of the message in bytes.
    pub bytes: u64,
    /// The message in base64, where it was asked for.
    #[serde(default)]
    pub raw: Option<String>,
}

/// What opens the samples of one topic in one partition.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReaderKey {
    /// Asks for later epochs' keys, of the node that gave it.
    pub grant: String,
    /// DDS topic.
    pub topic: String,
    /// DDS partition.
    pub partition: String,
    /// No keys of later epochs are given after this.
    pub until: UnixMillis,
    /// Key epoch, in decimal digits as JSON's objects want it → key, hexadecimal; of the epochs that can be
    /// read now.
    pub keys: BTreeMap<String, String>,
}

/// An answer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum Answer {
    /// To `Status`.
    Status {
        /// The view.
        status: Box<Status>,
    },
    /// To `Invite`.
    Invitation {
        /// The token to hand over.
        token: String,
        /// Good until then.
        expires: UnixMillis,
    },
    /// To `Quarantine` when something was to be seen.
    Quarantine {
        /// The items.
        items: Vec<QuarantineItem>,
    },
    /// To `ReaderKey` and `ReaderKeyAgain`.
    ReaderKey {
        /// The keys.
        key: ReaderKey,
    },
    /// To `Rounds`.
    Rounds {
        /// The course of learning.
        learning: Box<Learning>,
    },
    /// Done; a sentence.
    Done {
        /// It.
        text: String,
    },
    /// Not done; a sentence.
    Refused {
        /// It.
        text: String,
    },
}

impl Answer {
    /// What to tell the user instead of the answer that was hoped for: why the node refused, or that it spoke
    /// of something else.
    pub fn unexpected(self) -> String {
        match self {
            Self::Refused { text } => text,
            Self::Status { .. }
            | Self::Invitation { .. }
            | Self::Quarantine { .. }
            | Self::ReaderKey { .. }
            | Self::Rounds { .. }
            | Self::Done { .. } => {
                "the node answered another question; is it of another version?".to_owned()
            }
        }
    }
}
