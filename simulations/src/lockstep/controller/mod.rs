//! The controller: time, network, faults, and the starts and ends of processes.

mod agenda;
mod damage;
mod deliver;
mod faults;
mod models;
mod network;
mod observe;
mod older;
mod place;
mod process;
mod record;
mod stock;
mod verdict;
mod world;

use crate::lockstep::draw;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::story::plans::Outline;
use crate::story::{self, Runner};
use std::io;
use std::path::PathBuf;

pub use stock::Stocks;

/// Runs plans in lockstep.
#[derive(Clone, Debug)]
pub struct Lockstep {
    /// The `simulations` binary: each process is a fork of a second start of it.
    pub program: PathBuf,
    /// A group of overrides left out, to show that it matters: `entropy`, `clock` or `disk`.
    pub without: Option<String>,
    /// Where a run's files stay; without it they lie in memory and are removed.
    pub keep: Option<PathBuf>,
    /// What processes are forked from.
    pub stocks: Stocks,
}

/// Why a run could not be carried out. Says nothing about the product.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No process.
    #[error("cannot start {}: {error}", program.display())]
    Start {
        /// The binary.
        program: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A process does not come to an end within one moment.
    #[error(
        "{process} (pid {pid}) has not answered for a minute of real time: it goes round in circles"
    )]
    NoAnswer {
        /// Which.
        process: String,
        /// To look at it, as long as it runs.
        pid: u32,
    },
    /// No place for the nodes' disks.
    #[error("cannot use {} for the nodes' disks: {error}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The plan names what there is not.
    #[error("the plan cannot be run: {0}")]
    Plan(String),
}

impl Lockstep {
    /// A controller that starts `program`.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            without: None,
            keep: None,
            stocks: Stocks::default(),
        }
    }
}

impl Runner for Lockstep {
    fn run(&self, plan: &Plan, tell: bool) -> Result<Outcome, story::RunError> {
        can_make(&plan.bugs).map_err(|error| story::RunError(error.to_string()))?;
        let world = world::World::new(self, plan, tell);
        let outcome = world.and_then(|world| world.run(u64::MAX));
        outcome.map_err(|error| story::RunError(error.to_string()))
    }

    fn run_until(&self, plan: &Plan, until_ms: u64) -> Result<Outcome, story::RunError> {
        can_make(&plan.bugs).map_err(|error| story::RunError(error.to_string()))?;
        let world = world::World::new(self, plan, false);
        let outcome = world.and_then(|world| world.run(until_ms));
        outcome.map_err(|error| story::RunError(error.to_string()))
    }

    fn lawful(&self, plan: &Plan) -> bool {
        draw::lawful(plan)
    }

    fn fresh(&self, outline: &Outline, seed: u64) -> Plan {
        let drawn = Plan::draw(seed, &outline.scenario, outline.nodes, outline.minutes);
        let mut plan = drawn.unwrap_or_else(|| story::plans::fresh(outline, seed));
        plan.bugs.clone_from(&outline.bugs);
        plan
    }
}

/// A plan with mistakes that this build does not make would be another run.
fn can_make(bugs: &[String]) -> Result<(), RunError> {
    if bugs.is_empty() || cfg!(feature = "mistakes") {
        return Ok(());
    }
    let bugs = bugs.join(", ");
    Err(RunError::Plan(format!(
        "it asks for {bugs}, and this build makes no mistakes: build with `--features mistakes`"
    )))
}
