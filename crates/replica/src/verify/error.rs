//! Why a directory does not verify.

use super::super::StoreError;
use ledger::invariants::Broken;
use std::path::PathBuf;
use tlog::{CheckpointError, ProofError, TreeError};

/// Why a directory does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file is unreadable or altered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Nothing is signed.
    #[error("{0} holds no signed checkpoint; is it the ledger directory of a node that has run?")]
    NoCheckpoint(PathBuf),
    /// A leaf cannot be read as an act.
    #[error("leaf {leaf} is not an act this build can read: {error}")]
    Leaf {
        /// The leaf.
        leaf: u64,
        /// Why.
        error: wire::DecodeError,
    },
    /// Too few members stand for the checkpoint.
    #[error(
        "the checkpoint over {size} leaves is signed by {signed} of {members} members; a majority is \
         {majority}. Missing: {missing}. {remedy}"
    )]
    NoMajority {
        /// Its leaves.
        size: u64,
        /// Members that signed.
        signed: usize,
        /// Members at that size.
        members: usize,
        /// What it takes.
        majority: usize,
        /// Those that did not sign.
        missing: String,
        /// Why that may be, and what to do.
        remedy: &'static str,
    },
    /// A signature is wrong, nobody trusted signed, or it is another log's.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Leaves are missing, or one was altered.
    #[error("leaf {leaf} is not what was signed: {error}")]
    Inclusion {
        /// The leaf.
        leaf: u64,
        /// Where the proof led.
        error: ProofError,
    },
    /// An earlier checkpoint is no prefix of the log.
    #[error(
        "the log is not a continuation of checkpoint {number} in checkpoint.history ({size} leaves): {error}"
    )]
    Consistency {
        /// Place in the history, from 0.
        number: usize,
        /// Its size.
        size: u64,
        /// Where the proof led.
        error: ProofError,
    },
    /// The tree cannot answer.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The fold broke its own rules.
    #[error(transparent)]
    Invariant(#[from] Broken),
}
