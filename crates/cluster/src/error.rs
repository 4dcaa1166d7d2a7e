use std::time::Duration;
use wire::{DecodeError, Level, NodeId};

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Its actors did not come up.
    #[error("the cluster's actors did not start: {0}")]
    Start(#[source] ractor::SpawnErr),
    /// The own entry of the members' table has another key.
    #[error(
        "the members' table has another identity key for this node, {node}, than the one it holds; fix the \
         key file or [peers]"
    )]
    OtherKey {
        /// This node.
        node: NodeId,
    },
    /// The TLS library refused its own defaults.
    #[error("no usable TLS configuration: {0}")]
    Tls(#[from] rustls::Error),
}

/// Why a frame was not sent. It was not sent in part either.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CastError {
    /// No link.
    #[error("no link to node {node} at present")]
    NotLinked {
        /// The peer.
        node: NodeId,
    },
    /// The peer is slower than we are; the frame was shed and counted.
    #[error("node {node} has {frames} frames ({bytes} bytes) to work off; this one was shed")]
    Congested {
        /// The peer.
        node: NodeId,
        /// Frames in flight.
        frames: usize,
        /// Bytes in flight.
        bytes: usize,
    },
    /// The link's level does not have it.
    #[error(
        "node {node} is linked at level {level}, this needs level {needed}; upgrade the older node"
    )]
    NotSpoken {
        /// The peer.
        node: NodeId,
        /// Spoken on the link.
        level: Level,
        /// Needed.
        needed: Level,
    },
    /// Over the limit of an encoded value.
    #[error("a frame of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its encoded length.
        len: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why a call has no answer. Except for `NotLinked`, `NotSpoken`, `Congested` and `TooLarge`,
/// the peer may have carried it out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No link.
    #[error("no link to node {node} at present")]
    NotLinked {
        /// The peer.
        node: NodeId,
    },
    /// The link went away while the answer was awaited.
    #[error("the link to node {node} was lost during the call")]
    Lost {
        /// The peer.
        node: NodeId,
    },
    /// No answer in time.
    #[error("node {node} did not answer within {limit:?}")]
    TimedOut {
        /// The peer.
        node: NodeId,
        /// The caller's limit.
        limit: Duration,
    },
    /// The link's level does not have it.
    #[error(
        "node {node} is linked at level {level}, this needs level {needed}; upgrade the older node"
    )]
    NotSpoken {
        /// The peer.
        node: NodeId,
        /// Spoken on the link.
        level: Level,
        /// Needed.
        needed: Level,
    },
    /// Too many calls to this peer are waiting already; this one was not sent.
    #[error(
        "{calls} calls ({bytes} bytes) to node {node} are waiting already; this one was not sent"
    )]
    Congested {
        /// The peer.
        node: NodeId,
        /// Calls in flight or waiting.
        calls: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// Over the limit of an encoded value.
    #[error("a call of {len} bytes is over the limit of {limit}")]
    TooLarge {
        /// Its encoded length.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The answer is none of ours.
    #[error("unreadable answer: {0}")]
    Malformed(#[from] DecodeError),
}
