//! What an operator's tool asks a node over its control socket: one JSON value a line each way.
//! The socket's file mode (owner only) is the login.

use crate::status::Status;
use crate::{NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

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
    /// Cut this node's links to these peers, at the transport. For trials only; refused unless the
    /// configuration allows faults.
    Split {
        /// The peers; empty: heal.
        peers: Vec<NodeId>,
    },
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
