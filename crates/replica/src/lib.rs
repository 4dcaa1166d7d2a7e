//! The replicated ledger: openraft's committed entries are the leaves of the transparency log.
//!
//! One directory per node, one process at a time (`lock`):
//!
//! | file | what | written |
//! |---|---|---|
//! | `raft.log` | Raft's log, checksummed frames; its head names the replica | fsync before anything counts it |
//! | `vote` | Raft's vote | replaced atomically, fsync |
//! | `closed` | how long `raft.log` is | when the node stops in order; removed at start |
//! | `leaves` | committed acts, one frame each; the transparency log | appended when applied, fsync before anything is signed |
//! | `applied` | up to where leaves are complete, and Raft's membership | replaced atomically |
//! | `signed` | the newest checkpoint this replica signed or cosigned | before the signature leaves the node |
//! | `checkpoint` | the newest checkpoint that a majority of the members signed | replaced atomically, at most 4 a second |
//! | `checkpoint.history` | earlier checkpoints, for consistency proofs | appended |
//! | `awaited` | what this node signed before it lost its replica | removed once the fetched log agrees |
//! | `vkey` | this node's verifier key | at start |
//!
//! Order of trust: `raft.log` first, leaves follow from it. Leaves behind the last signature that a
//! crash tore off are applied again. Any other damage is found at start; then the directory is set
//! aside (`<directory>.damaged-<time>`) and the node comes back as *another replica*, provided that
//! a majority of the other members holds the log ([`Phase::Repairing`]); otherwise it refuses with
//! a sentence. A replica that has lost its votes must never vote under its old number again.
//!
//! Raft's membership follows the ledger's (`State::members`), one change at a time. Proposals that
//! arrive while a write is under way share the next entry, once the ledger's level lets them.
//!
//! Where to look: `arrival` and `founding` (coming up), `held` (damage), `reconcile` and
//! `introduce` (membership), `log::durable` (what waits for the disk), `batcher` (group commit),
//! `notary` (checkpoints), `read` (linearizable reads), [`verify()`] (proof from the outside).
//!
//! Deliberately absent: transfer of leadership (openraft 0.9 has none: a leader that leaves costs an
//! election), snapshots smaller than the log (proofs need every leaf).

mod acknowledged;
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
mod heard;
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
pub use verify::{
    InclusionReport, VerifyError, VerifyOptions, VerifyReport, acts, inclusion, verify,
};
