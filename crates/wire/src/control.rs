//! What an operator's tool asks a node over its control socket: one JSON value a line each way.
//! The socket's file mode (owner only) is the login.

use crate::status::Status;
use crate::{DeviceId, NodeId, Source, UnixMillis};
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
