use super::MAX_MESSAGE;
use wire::NodeId;

/// Why a group message was refused or a group operation failed. The group has not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Over [`MAX_MESSAGE`].
    #[error("group message of {len} bytes is over the limit of {MAX_MESSAGE}; refused unread")]
    TooLarge {
        /// Its length.
        len: usize,
    },
    /// Not what it should be.
    #[error("{what} is malformed: {reason}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The MLS library refused.
    #[error("{doing} was refused by the group's rules (RFC 9420): {reason}")]
    Mls {
        /// What was being done.
        doing: &'static str,
        /// The library's words.
        reason: String,
    },
    /// A member or committer that the roster does not know under that key.
    #[error(
        "{who} is not in the roster under the key it uses; add it to the roster of every node, or evict it"
    )]
    NotInRoster {
        /// The name it claims.
        who: String,
    },
    /// The message was signed by somebody else than the ledger says.
    #[error("the commit was proposed for {expected} but signed by {found}; refused")]
    WrongCommitter {
        /// By the ledger.
        expected: NodeId,
        /// By the signature.
        found: String,
    },
    /// The message is of another kind than the ledger says.
    #[error(
        "the commit of {committer} stands on the ledger as a {expected} but is a {found}; refused"
    )]
    WrongKind {
        /// Who committed.
        committer: NodeId,
        /// By the ledger.
        expected: &'static str,
        /// By the message.
        found: &'static str,
    },
    /// A removal that leaves somebody in the group who has to go.
    #[error("the commit of {committer} leaves {left} in the group, who has to be removed; refused")]
    Underreach {
        /// Who committed.
        committer: NodeId,
        /// Who would stay.
        left: NodeId,
    },
    /// More than a self-update, a join, or the removal of those that have to go.
    #[error("the commit of {committer} would change more than it may ({what}); refused")]
    Overreach {
        /// Who committed.
        committer: NodeId,
        /// What it would do.
        what: String,
    },
    /// This node's leaf was removed.
    #[error("the commit of {committer} removed this node's leaf; join again")]
    Removed {
        /// Who committed.
        committer: NodeId,
    },
}

impl GroupError {
    pub(super) fn refused(doing: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Mls {
            doing,
            reason: error.to_string(),
        }
    }
}
