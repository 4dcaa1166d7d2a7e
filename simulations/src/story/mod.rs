//! What one does with runs of the simulator: find failures, make them small, read them, draw them.
//! All of it works on [`Plan`]s and [`Outcome`]s alone; what runs them is a [`Runner`].
//!
//! | module | in | out |
//! |---|---|---|
//! | [`plans`] | a seed, or a plan | fresh plans, mutations, "is this a plan at all" |
//! | [`fuzz()`] | a runner, a time | a corpus of plans that reach different things; failures |
//! | [`failure`] | a plan that broke an invariant | the file that says so, and back |
//! | [`shrink()`] | a failure | a smaller plan that breaks the same invariant |
//! | [`replay()`] | an outcome with its story | a timeline in the terminal |
//! | [`draw()`] | an outcome with its story | a timeline as one HTML file |
//!
//! How to use them: docs/simulation-tools.md.

pub mod draw;
pub mod failure;
pub mod fuzz;
pub mod plans;
pub mod replay;
pub mod shrink;
#[cfg(test)]
mod toy;
mod write;

pub use draw::draw;
pub use failure::Failure;
pub use fuzz::fuzz;
pub use replay::replay;
pub use shrink::shrink;

use crate::outcome::Outcome;
use crate::plan::Plan;

/// Runs plans.
pub trait Runner: Sync {
    /// Runs one, to its end or soon after its first violation. The same plan has the same outcome.
    /// `tell` fills [`Outcome::story`], which costs memory and time.
    ///
    /// # Errors
    /// What went wrong outside of the simulated world.
    fn run(&self, plan: &Plan, tell: bool) -> Result<Outcome, RunError>;

    /// Runs one, without its story, up to `until_ms` of virtual time: for who only asks whether it breaks
    /// before. What happens until then is what happens in [`run`](Self::run), and what is owed at the end
    /// is not asked for. Who cannot stop early runs it to its end.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn run_until(&self, plan: &Plan, until_ms: u64) -> Result<Outcome, RunError> {
        let _ = until_ms;
        self.run(plan, false)
    }

    /// Does the plan keep to what the system promises to survive? A mutation that takes the disks of
    /// a majority breaks invariants rightly; such plans are neither run nor accepted as smaller ones.
    fn lawful(&self, plan: &Plan) -> bool {
        let _ = plan;
        true
    }

    /// The plan that a seed stands for: a runner that knows scenarios draws it in their manner.
    fn fresh(&self, outline: &plans::Outline, seed: u64) -> Plan {
        plans::fresh(outline, seed)
    }
}

/// What kept a run from running: a program that does not start, a full disk, a child that hangs.
/// It says nothing about the simulated world.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RunError(pub String);
