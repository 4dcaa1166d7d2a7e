//! What stands around the pure machines and acts for them: actors and their supervisors, clock,
//! entropy, the journal.

pub mod blocking;
pub mod clock;
pub mod durable;
pub mod entropy;
pub mod heap;
pub mod journal;
pub mod mailbox;
pub mod place;
pub mod service;
pub mod shell;
pub mod supervisor;

/// An error that crashes an actor; its supervisor handles it.
pub use ractor::ActorProcessingErr;
