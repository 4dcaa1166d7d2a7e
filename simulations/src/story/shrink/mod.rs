//! Makes a failure small: the least that still breaks the same invariant.
//!
//! Passes, each repeated until none of them helps any more:
//! fewer faults (delta debugging, Zeller and Hildebrandt 2002), fewer nodes, simpler faults (crash at
//! once, no disk fault, both ways), shorter ones, earlier ones, a shorter phase of faults. The calm
//! stays as it is: a cluster that is given no time to heal breaks the liveness invariants rightly.
//! A result is minimal in the sense that no single step of these makes it smaller.

mod ddmin;
mod simpler;
#[cfg(test)]
mod tests;

use super::{Failure, RunError, Runner, plans};
use crate::plan::{Fault, Plan};
use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// A plan that is to break what another breaks may do so later by this, virtual milliseconds: elections and
/// timeouts shift by seconds. Longer only makes each run that breaks nothing dearer.
const PATIENCE_MS: u64 = 5_000;

/// What shrinking may cost.
#[derive(Clone, Copy, Debug)]
pub struct Budget<'a> {
    /// Runs.
    pub runs: u32,
    /// Until when.
    pub until: Option<Instant>,
    /// Ends it from outside.
    pub stop: &'a AtomicBool,
}

/// A failure made small.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shrunk {
    /// The smallest found; its hashes are those of its own run.
    pub failure: Failure,
    /// Runs that it took.
    pub runs: u32,
    /// No single step makes it smaller; otherwise the budget ended it.
    pub minimal: bool,
    /// Faults before.
    pub faults_before: usize,
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.failure.plan;
        writeln!(
            f,
            "{} breaks with {} of {} faults, {} nodes, {} ms of faults; {} runs, {}",
            self.failure.violation.id,
            plan.faults.len(),
            self.faults_before,
            plan.nodes,
            plan.faults_ms,
            self.runs,
            if self.minimal {
                "nothing smaller does"
            } else {
                "ended by the budget, there may be a smaller one"
            }
        )?;
        for fault in &plan.faults {
            writeln!(
                f,
                "{:>10.3} s  {}",
                fault.at_ms as f64 / 1e3,
                plans::describe(&fault.what)
            )?;
        }
        Ok(())
    }
}

/// Why nothing could be shrunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShrinkError {
    /// The first run did not fail.
    #[error(
        "the plan does not break {0} any more: it was found by another program, or fixed since"
    )]
    Holds(String),
    /// Outside of the simulated world.
    #[error("a run could not be run: {0}")]
    Runner(#[from] RunError),
}

/// Shrinks; after each run `tell` gets the smallest failure so far and the number of runs.
///
/// # Errors
/// [`ShrinkError`]. Runs that could not be run later on only count as not failing.
pub fn shrink(
    runner: &dyn Runner,
    failure: &Failure,
    budget: &Budget<'_>,
    tell: &mut dyn FnMut(&Failure, u32),
) -> Result<Shrunk, ShrinkError> {
    let id = failure.violation.id.clone();
    let outcome = runner.run(&failure.plan, false)?;
    let Some(best) = Failure::of(&outcome).filter(|found| found.violation.id == id) else {
        return Err(ShrinkError::Holds(id));
    };
    let mut shrinking = Shrinking {
        runner,
        budget,
        runs: 1,
        refused: HashSet::new(),
        best,
        tell,
    };
    let minimal = shrinking.exhaust();
    Ok(Shrunk {
        failure: shrinking.best,
        runs: shrinking.runs,
        minimal,
        faults_before: failure.plan.faults.len(),
    })
}

/// The budget is used up.
struct Spent;

struct Shrinking<'a> {
    runner: &'a dyn Runner,
    budget: &'a Budget<'a>,
    runs: u32,
    /// Plans that were run and did not break the invariant: passes come back to the same ones.
    refused: HashSet<String>,
    best: Failure,
    tell: &'a mut dyn FnMut(&Failure, u32),
}

impl Shrinking<'_> {
    /// Whether nothing helps any more.
    fn exhaust(&mut self) -> bool {
        loop {
            let before = self.best.plan.clone();
            if self.pass().is_err() {
                return false;
            }
            if self.best.plan == before {
                return true;
            }
        }
    }

    fn pass(&mut self) -> Result<(), Spent> {
        // What comes after the end has no part in it.
        let mut plan = self.best.plan.clone();
        let broken_ms = self.best.violation.at_ms;
        plan.faults.retain(|fault| fault.at_ms <= broken_ms);
        if plan != self.best.plan {
            self.accepts(plan)?;
        }
        let faults = self.best.plan.faults.clone();
        ddmin::minimize(faults, &mut |faults| {
            let mut plan = self.best.plan.clone();
            plan.faults = faults.to_vec();
            self.accepts(plan)
        })?;
        self.all(simpler::nodes)?;
        self.each(simpler::kinds)?;
        self.each(simpler::durations)?;
        self.each(simpler::amounts)?;
        self.all(simpler::earlier)?;
        self.all(simpler::phase)
    }

    /// Takes the first of the proposals that still breaks the invariant, until none does.
    fn all(&mut self, propose: fn(&Plan) -> Vec<Plan>) -> Result<(), Spent> {
        'again: loop {
            for plan in propose(&self.best.plan) {
                if self.accepts(plan)? {
                    continue 'again;
                }
            }
            return Ok(());
        }
    }

    /// The same for one fault after the other.
    fn each(&mut self, propose: fn(&Fault) -> Vec<Fault>) -> Result<(), Spent> {
        for index in 0..self.best.plan.faults.len() {
            'again: loop {
                for fault in propose(&self.best.plan.faults[index]) {
                    let mut plan = self.best.plan.clone();
                    plan.faults[index] = fault;
                    if self.accepts(plan)? {
                        continue 'again;
                    }
                }
                break;
            }
        }
        Ok(())
    }

    /// Does the plan break the same invariant? Then it is the best one.
    fn accepts(&mut self, plan: Plan) -> Result<bool, Spent> {
        if plans::check(&plan).is_err() || !self.runner.lawful(&plan) {
            return Ok(false);
        }
        let key = format!("{plan:?}");
        if self.refused.contains(&key) {
            return Ok(false);
        }
        let late = self
            .budget
            .until
            .is_some_and(|until| Instant::now() >= until);
        if self.runs >= self.budget.runs || late || self.budget.stop.load(Ordering::Relaxed) {
            return Err(Spent);
        }
        self.runs += 1;
        let outcome = match self.patience() {
            Some(until_ms) => self.runner.run_until(&plan, until_ms),
            None => self.runner.run(&plan, false),
        };
        let failure = outcome.ok().and_then(|outcome| Failure::of(&outcome));
        match failure.filter(|found| found.violation.id == self.best.violation.id) {
            Some(failure) => {
                self.best = failure;
                (self.tell)(&self.best, self.runs);
                Ok(true)
            }
            None => {
                self.refused.insert(key);
                (self.tell)(&self.best, self.runs);
                Ok(false)
            }
        }
    }

    /// How long a run may take to break what the best one breaks, virtual milliseconds. `None`: to its
    /// end, since it is there that it is asked for.
    fn patience(&self) -> Option<u64> {
        let plan = &self.best.plan;
        let broken_ms = self.best.violation.at_ms;
        (broken_ms < plan.faults_ms + plan.calm_ms).then_some(broken_ms + PATIENCE_MS)
    }
}
