//! What came of a lockstep run.

use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// A run's result. Two runs of one plan have equal outcomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What ran.
    pub plan: Plan,
    /// SHA-256 over everything observed, hex.
    pub trace: String,
    /// SHA-256 over every byte between processes, hex.
    pub wire: String,
    /// Events: messages delivered, faults, observations.
    pub events: u64,
    /// Virtual milliseconds that passed.
    pub virtual_ms: u64,
    /// Broken invariants, in order of time; a run ends soon after the first.
    pub violations: Vec<Violation>,
    /// What the run reached: hashes of (kind of event, change of state). Fuzzing keeps plans that
    /// reach new ones.
    pub coverage: BTreeSet<u64>,
    /// The story, in order of time; complete or, for a run that was not asked to tell, empty.
    pub story: Vec<Happening>,
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Stable id.
    pub id: String,
    /// What it says.
    pub says: String,
    /// When.
    pub at_ms: u64,
    /// Where and how.
    pub detail: String,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happening {
    /// When.
    pub at_ms: u64,
    /// In whose lane: `node-1`, `broker`, `gear`; empty for the world (splits, the end of faults).
    pub lane: String,
    /// What.
    pub what: Kind,
}

/// Kinds of happenings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// Bytes went off to another lane; `arrives_ms` is when they get there, none if they do not.
    Sent {
        /// To whom.
        to: String,
        /// How many.
        bytes: u64,
        /// When they arrive.
        arrives_ms: Option<u64>,
    },
    /// A fault began or ended.
    Fault(String),
    /// The process started or ended.
    Process(String),
    /// Who leads, as this node sees it.
    Leader {
        /// Its name; none during elections.
        leader: Option<String>,
        /// Raft's term.
        term: u64,
    },
    /// The ledger grew here.
    Ledger {
        /// Leaves.
        size: u64,
        /// Merkle root, hex.
        root: String,
    },
    /// A round was opened, closed or abandoned.
    Round(String),
    /// The node holds this key epoch.
    KeyEpoch(u64),
    /// Something acknowledged to or by the outside: a mail, an offset.
    Edge(String),
    /// A line of the node's log.
    Log(String),
}

impl fmt::Display for Outcome {
    /// The broken rules, then the line that scripts read.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for violation in &self.violations {
            writeln!(
                f,
                "{} broken at {} ms: {} ({})",
                violation.id, violation.at_ms, violation.says, violation.detail
            )?;
        }
        write!(
            f,
            "seed={} trace={} wire={} violations={}",
            self.plan.seed,
            self.trace,
            self.wire,
            self.violations.len()
        )
    }
}
