//! The replicated ledger: openraft's committed entries are the leaves of the transparency log.
//!
//! One directory per node, one process at a time (`lock`):
//!
//! | file | what | written |
//! |---|---|---|
//! | `raft.log` | Raft's log, checksummed frames | fsync before acknowledging |
//! | `vote` | Raft's vote | replaced atomically, fsync |
//! | `leaves` | committed acts, one frame each; the transparency log | appended when applied, fsync before a checkpoint covers them |
//! | `applied` | up to where leaves are complete, and the membership | replaced atomically |
//! | `checkpoint` | signed note over size and root | replaced atomically after commits, at most 4 a second |
//! | `checkpoint.history` | earlier checkpoints, for consistency proofs | appended |
//! | `vkey` | this node's verifier key | at start |
//!
//! Order of trust: `raft.log` first, leaves follow from it. Leaves behind the checkpoint that a
//! crash tore off are applied again; a leaf that a checkpoint covers and that is gone or altered is
//! an error with a sentence, never repaired silently.
//!
//! Deliberately absent: change of the raft membership at run time (the roster is the genesis'),
//! linearizable reads, cosignatures by other nodes, repair of damaged files from peers.

mod admission;
mod arrival;
mod batch;
mod batcher;
mod config;
mod disk;
mod error;
mod founding;
mod frames;
mod handle;
mod held;
mod introduce;
mod lead;
mod leaves;
mod log;
mod machine;
mod net;
mod notary;
mod notes;
mod phase;
mod propose;
mod read;
mod reconcile;
mod serve;
mod snapshot;
mod status;
mod store;
mod subscribe;
mod types;
mod verify;

#[cfg(test)]
mod tests;

pub use admission::AdmissionError;
pub use config::{Compaction, LedgerConfig, OpenError, Timings};
pub use error::StoreError;
pub use handle::Ledger;
pub use lead::Leadership;
pub use net::{ConsensusNet, NetError};
pub use notes::origin;
pub use phase::Phase;
pub use propose::{MAX_LEAF, ProposeError};
pub use read::ReadError;
pub use status::ConsensusMembers;
pub use store::View;
pub use subscribe::{Committed, Subscription};
pub use verify::{InclusionReport, VerifyError, VerifyOptions, VerifyReport, inclusion, verify};
