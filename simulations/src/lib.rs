//! Simulations of Glasshouse under faults, deterministic to the byte.
//!
//! | module | what runs | for |
//! |---|---|---|
//! | [`machines`] | the pure machines around a model of the log, in one process | protocol changes, in milliseconds |
//! | [`lockstep`] | whole node processes in lockstep virtual time: real consensus, links, disks, keys, training | everything between a mail and the ledger |
//!
//! [`plan`] is what a lockstep run does to its nodes, [`outcome`] what came of it; finding,
//! shrinking, replaying and drawing failures work on these two alone.

pub mod lockstep;
pub mod machines;
pub mod outcome;
pub mod plan;
pub mod story;
