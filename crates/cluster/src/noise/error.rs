use std::time::Duration;
use wire::{DecodeError, KeyEpoch, NodeId};

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
    /// A name that the roster lacks.
    #[error(
        "node {node} is not in the roster; add it to [peers] of the configuration if it belongs here"
    )]
    UnknownNode {
        /// The name claimed.
        node: NodeId,
    },
    /// A name of the roster with another identity key.
    #[error(
        "node {node} shows an identity key that differs from the roster's; an impostor, or its key was replaced"
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
    /// Somebody of the roster, yet not the one that was dialed.
    #[error("dialed {expected}, answered by {found}; check the addresses in [peers]")]
    WrongPeer {
        /// Who was dialed.
        expected: NodeId,
        /// Who answered.
        found: NodeId,
    },
    /// A link to ourselves.
    #[error("node {node} reached itself; check the addresses in [peers]")]
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
    /// 2^64 − 1 records under one key.
    #[error("the record counter is used up; a new link starts from zero")]
    Exhausted,
}
