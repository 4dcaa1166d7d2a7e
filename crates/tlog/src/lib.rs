//! The transparency log as pure data: RFC 6962 Merkle trees, their inclusion and consistency
//! proofs (verification after RFC 9162 §2.1.3 and §2.1.4), and checkpoints in the C2SP
//! tlog-checkpoint format, signed as C2SP signed notes with ed25519 keys and cosigned after C2SP
//! tlog-cosignature.
//!
//! Nothing here stores anything. [`Frontier`] is what an appender needs (O(log n) memory),
//! [`Tree`] is what a prover needs (two hashes a leaf).

mod checkpoint;
mod frontier;
mod hash;
mod note;
mod proof;
mod tree;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use frontier::Frontier;
pub use hash::{Hash, empty_root, leaf_hash, node_hash};
pub use note::{
    KeyName, KeyNameError, MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, NoteSigner, NoteVerifier,
    SignedNote, VerifierKeyError,
};
pub use proof::{ConsistencyProof, InclusionProof, MAX_PROOF_HASHES, ProofError};
pub use tree::{Tree, TreeError};
