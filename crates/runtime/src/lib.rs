//! What stands around the pure machines and acts for them: actors and their supervisors, clock,
//! entropy, the journal, links between nodes, the replicated ledger.

pub mod clock;
pub mod cluster;
pub mod entropy;
pub mod idle;
pub mod journal;
pub mod ledger;
pub mod mailbox;
pub mod noise;
pub mod service;
pub mod shell;
pub mod supervisor;

/// An error that crashes an actor; its supervisor handles it.
pub use ractor::ActorProcessingErr;
