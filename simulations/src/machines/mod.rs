//! Deterministic simulation of the pure machines: aggregators, participants, custodians, the
//! ledger's fold, sealing and opening, all of them the code that ships, in one process under
//! virtual time. Same seed, same run, down to the bytes on the wire.
//!
//! What it is not: the whole node. The replicated log is a model (one total order, committed by a
//! leader that reaches a majority, heard of late by the others), and so are the network, the
//! elections and the learner. It is the fastest of the simulations, for protocol changes; the
//! lockstep simulation runs whole node processes, with the real consensus, transport and disks.
//!
//! A run has two phases. In the first one nodes crash and come back, get cut off, leaders change,
//! frames are lost, doubled and overtaken; the safety invariants must hold at every step. Then the
//! faults stop, and the liveness invariants say what must be reached. [`invariants`] lists both.

mod buffered;
mod decided;
pub mod invariants;
mod network;
mod node;
mod outputs;
mod replication;
mod report;
pub(crate) mod rng;
mod rounds;
mod settings;
mod trace;
mod variates;
mod verdict;
mod world;

pub use invariants::Violation;
pub use report::Report;
pub use rounds::Rounds;
pub use world::{Scenario, run};
