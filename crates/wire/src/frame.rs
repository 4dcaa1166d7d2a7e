//! Messages between the nodes' gateways. A `Frame` is cast (at most once, may be lost); a `Call`
//! is answered by a `Reply` within the caller's time limit.

use crate::{Digest, NodeId, Record, Round, SecureMessage, StoreId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// One-way messages.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Frame {
    /// Aggregator → participant: train from this model.
    Train {
        /// The round.
        round: Round,
        /// Digest of `parameters` (SHA-256 over little-endian f32), as on the ledger.
        model: Digest,
        /// The model's parameters.
        #[serde(with = "crate::bulk::shared")]
        parameters: Arc<Vec<f32>>,
    },
    /// Participant → aggregator: the result of local training.
    Update {
        /// The round.
        round: Round,
        /// Who trained.
        node: NodeId,
        /// The model it started from.
        base: Digest,
        /// New parameters minus base parameters.
        #[serde(with = "crate::bulk::shared")]
        delta: Arc<Vec<f32>>,
        /// Local examples used; the weight in the mean.
        examples: u64,
        /// Mean loss of the base model on the local examples.
        loss: f64,
    },
    /// Participant → aggregator: cannot take part, and why.
    Decline {
        /// The round.
        round: Round,
        /// Who declines.
        node: NodeId,
        /// A sentence.
        reason: String,
    },
    /// Aggregator → all: the model that a closed round made.
    Model {
        /// The round that made it (0: the initial model).
        round: Round,
        /// Digest of `parameters`.
        model: Digest,
        /// The parameters.
        #[serde(with = "crate::bulk::shared")]
        parameters: Arc<Vec<f32>>,
    },
    /// Leader → all: a checkpoint of the ledger that a majority has cosigned.
    Checkpoint {
        /// The signed note.
        note: String,
    },
    /// Between aggregator and participant: a step of a secure round.
    Secure(Box<SecureMessage>),
    /// As [`Update`](Self::Update), made smaller.
    Packed {
        /// The round.
        round: Round,
        /// Who trained.
        node: NodeId,
        /// The model it started from.
        base: Digest,
        /// New parameters minus base parameters, encoded (`federation::compression`).
        #[serde(with = "serde_bytes")]
        delta: Vec<u8>,
        /// Local examples used; the weight in the mean.
        examples: u64,
        /// Mean loss of the base model on the local examples.
        loss: f64,
    },
}

/// Requests that are answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Call {
    /// A message of the ledger's consensus; its encoding belongs to the adapter in `runtime`.
    Consensus(#[serde(with = "serde_bytes")] Vec<u8>),
    /// Append this to the ledger (sent to the leader).
    Propose(Box<Record>),
    /// Send the key group's GroupInfo (RFC 9420 §12.4.3), for an external join.
    GroupInfo,
    /// Send the model with this digest.
    Model(Digest),
    /// Leader → member: cosign this checkpoint, if your own log leads to the same root.
    Cosign {
        /// The note with the leader's own signature.
        note: String,
    },
    /// To the leader: up to which leaf must a replica have applied the log, so that what it reads
    /// is not older than this question? Answered after a majority has confirmed the leader.
    ReadIndex,
    /// Which replica are you, and how many leaves does it hold?
    Holdings,
    /// Do you hear this member?
    Opinion(NodeId),
}

/// Answers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To `Call::Consensus`.
    Consensus(#[serde(with = "serde_bytes")] Vec<u8>),
    /// To `Call::Propose`: committed at this leaf index.
    Committed {
        /// Index of the leaf, from 0.
        index: u64,
    },
    /// To `Call::Propose`: not the leader; try this one.
    NotLeader {
        /// The leader, where known.
        leader: Option<NodeId>,
    },
    /// To `Call::GroupInfo`; `None`: this node is not in the group.
    GroupInfo(Option<Vec<u8>>),
    /// To `Call::Model`; `None`: not held here.
    Model(Option<(Round, Vec<f32>)>),
    /// The request could not be served; a sentence.
    Refused(String),
    /// To `Call::Cosign`: the cosignature line (C2SP tlog-cosignature).
    Cosigned(String),
    /// To `Call::ReadIndex`: the size of the log that a reader must have applied.
    ReadIndex(u64),
    /// To `Call::Holdings`.
    Holdings {
        /// The replica.
        store: StoreId,
        /// Leaves applied; 0: an empty one.
        leaves: u64,
        /// Consensus has been started on it: it has voted or holds entries.
        begun: bool,
    },
    /// To `Call::Opinion`.
    Opinion {
        /// Suspicion level φ; `None`: not heard, be it that there is no link or that φ is too high.
        phi: Option<f64>,
    },
}
