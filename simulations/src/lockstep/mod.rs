//! The lockstep simulation: real processes in lockstep virtual time.
//!
//! Each process is a fork of this program, started again, running the code that production runs. Below it
//! the binary replaces a few functions of the C library (`guest`), so that clocks, entropy, disk
//! and network are the controller's. A process runs until it has nothing left to do and says when
//! its next timer is due; the controller goes on to the next moment at which anything happens,
//! hands out what reaches whom, and merges what they sent in the order of their names. What is
//! sent takes a millisecond at least, so processes of one moment can run beside each other.
//!
//! | module | what |
//! |---|---|
//! | [`controller`] | time, network, faults, starts and ends of processes |
//! | [`guest`] | what stands in for the operating system inside a process |
//! | [`programs`] | what processes run |
//! | [`protocol`], [`seen`] | what the two say to each other |
//! | [`learning`] | what is drawn of how a run's rounds go |
//! | [`invariants`] | what must hold |
//! | [`draw`] | a plan from a seed |
//! | [`prove`] | plans that bring known mistakes out |

pub mod controller;
pub mod draw;
pub mod guest;
pub mod invariants;
pub mod learning;
pub mod programs;
pub mod protocol;
pub mod prove;
pub mod seen;

pub use controller::{Lockstep, RunError, Stocks};
pub use draw::SCENARIOS;
