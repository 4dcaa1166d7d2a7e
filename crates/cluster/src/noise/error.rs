use crate::admission::AdmissionError;
use std::time::Duration;
use wire::{DecodeError, KeyEpoch, Level, NodeId};

/// Why a handshake ended without a link. Whoever was at the other end learns nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Too slow, or silent.
    #[error("no handshake within {limit:?}")]
    TimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The connection broke.
    #[error("connection lost in the handshake: {0}")]
    Io(#[from] std::io::Error),
    /// Longer than any handshake message of ours.
    #[error(
        "a handshake message of {len} bytes is over the limit of {limit}: not a node of this cluster"
    )]
    TooLong {
        /// What the length field said.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Not Noise, another cluster's prologue, an invalid key, or tampering.
    #[error(
        "not the handshake of this cluster ({0}); another cluster, another version, or not a node at all"
    )]
    Noise(#[from] snow::Error),
    /// The payload is none of ours.
    #[error("unreadable certificate: {0}")]
    Malformed(#[from] DecodeError),
    /// A certificate of another cluster.
    #[error("certificate is for cluster {found:?}, this is {expected:?}")]
    ForeignCluster {
        /// In the certificate.
        found: String,
        /// Ours.
        expected: String,
    },
    /// The second or third message's payload is no answer to the first one's.
    #[error("a greeting of level {level} by a node that then introduces itself as level {found}")]
    OtherLevel {
        /// In the greeting.
        level: Level,
        /// In the introduction.
        found: Level,
    },
    /// A name that the members' table lacks.
    #[error(
        "node {node} is not a member as far as this node knows and has no proof of admission; if it \
         belongs here, let it join with an invitation"
    )]
    UnknownNode {
        /// The name claimed.
        node: NodeId,
    },
    /// A former member.
    #[error("node {node} is not a member any more: {why}")]
    Removed {
        /// The node.
        node: NodeId,
        /// Why, a sentence.
        why: String,
    },
    /// An admission that does not hold.
    #[error("node {node} is not a member as far as this node knows, and of its admission {error}")]
    Admission {
        /// The node.
        node: NodeId,
        /// What is wrong with it.
        #[source]
        error: AdmissionError,
    },
    /// An admission by a leaf that is known here, while its node is no member: it was removed
    /// since.
    #[error(
        "node {node} was admitted by leaf {leaf}, but by leaf {leaves} it was not a member any more"
    )]
    StaleAdmission {
        /// The node.
        node: NodeId,
        /// Leaf of the admission.
        leaf: u64,
        /// Leaves known here.
        leaves: u64,
    },
    /// Too many applications.
    #[error("more applications to join than this node takes at a time; try again in a second")]
    TooManyApplicants,
    /// The member that was asked to admit a node speaks as the first release does.
    #[error(
        "node {node} runs a release that admits nobody, or is held at its level; ask another member"
    )]
    AdmitsNobody {
        /// The member.
        node: NodeId,
    },
    /// A name of the table with another identity key.
    #[error(
        "node {node} shows an identity key that differs from the member's; an impostor, or its key was replaced"
    )]
    WrongIdentity {
        /// The name claimed.
        node: NodeId,
    },
    /// The identity did not sign this.
    #[error("the certificate of node {node} is not signed by its identity key")]
    BadSignature {
        /// The name claimed.
        node: NodeId,
    },
    /// A certificate for another static key than the handshake's: stolen and replayed.
    #[error(
        "the certificate of node {node} is for another static key than the one in use; a stolen certificate"
    )]
    WrongStaticKey {
        /// The name claimed.
        node: NodeId,
    },
    /// A member, yet not the one that was dialed.
    #[error("dialed {expected}, answered by {found}; check the addresses of both")]
    WrongPeer {
        /// Who was dialed.
        expected: NodeId,
        /// Who answered.
        found: NodeId,
    },
    /// A link to ourselves.
    #[error("node {node} reached itself; check the addresses of both")]
    Myself {
        /// This node.
        node: NodeId,
    },
}

/// Why a link broke.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection broke.
    #[error("connection lost: {0}")]
    Io(#[from] std::io::Error),
    /// The peer does not take what we send.
    #[error("the peer took nothing for {limit:?}")]
    Stalled {
        /// The limit.
        limit: Duration,
    },
    /// Tampered with, replayed, reordered, or out of step.
    #[error(
        "record {number} under epoch {epoch} does not decrypt: altered, repeated or out of order"
    )]
    Decrypt {
        /// Its number under the current key.
        number: u64,
        /// The epoch of the current key.
        epoch: KeyEpoch,
    },
    /// Shorter than kind and tag.
    #[error("a record of {len} bytes is shorter than any record")]
    Short {
        /// Its length.
        len: usize,
    },
    /// A kind this build does not know.
    #[error("record kind {kind} is unknown to this build")]
    UnknownKind {
        /// The byte.
        kind: u8,
    },
    /// A control record with a body of the wrong length.
    #[error("a control record of kind {kind} has {len} bytes of body")]
    BadBody {
        /// The kind.
        kind: u8,
        /// Bytes found.
        len: usize,
    },
    /// The peer wants back to an older key or stays on the same.
    #[error("the peer moves from epoch {current} to {to}; epochs only grow")]
    Backwards {
        /// The direction's present epoch.
        current: KeyEpoch,
        /// The one named.
        to: KeyEpoch,
    },
    /// The peer moves to an epoch that we did not say we hold.
    #[error("the peer moves to epoch {to}, which this node did not announce")]
    NotAnnounced {
        /// The one named.
        to: KeyEpoch,
    },
    /// The peer says that this node is no member.
    #[error("the peer says: {why}")]
    Dismissed {
        /// What it says.
        why: String,
    },
    /// A single message over its limit.
    #[error("a message of {len} bytes is over the limit of {limit}")]
    TooLong {
        /// Its length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A single message that is none of ours.
    #[error("unreadable message: {0}")]
    Malformed(#[from] DecodeError),
    /// A control record where a single message was expected.
    #[error("a control record where a message was expected")]
    OutOfPlace,
    /// 2^64 − 1 records under one key.
    #[error("the record counter is used up; a new link starts from zero")]
    Exhausted,
}
