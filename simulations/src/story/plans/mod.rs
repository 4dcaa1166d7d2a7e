//! Plans as data: bounds, fresh ones from a seed, mutations of old ones, and what a fault names.

mod fresh;
mod mutate;
pub(crate) mod what;

pub use fresh::{Outline, fresh};
pub(crate) use mutate::mutate;
pub use what::{describe, lane};

use crate::plan::Plan;

/// Nodes of a run. More than nine make runs slow without making new majorities.
pub const NODES_MOST: u8 = 9;
/// Faults of a plan. Nobody reads more, and shrinking needs runs in proportion.
pub const FAULTS_MOST: usize = 64;
/// Virtual time of a phase, milliseconds: an hour. Longer runs find less per second than more runs.
pub const PHASE_MOST_MS: u64 = 3_600_000;

/// Why something is not a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nodes.
    #[error("a plan has 1 to {NODES_MOST} nodes, this one {0}")]
    Nodes(u8),
    /// Faults.
    #[error("a plan has at most {FAULTS_MOST} faults, this one {0}")]
    Faults(usize),
    /// Phases.
    #[error("a phase lasts at most {PHASE_MOST_MS} ms, this one {0} ms")]
    Phase(u64),
    /// Order.
    #[error("fault {0} (counted from 1) stands after one that strikes later; sort them by `at_ms`")]
    Order(usize),
    /// A node that is not there.
    #[error("fault {fault} (counted from 1) names node {node}, and there are {nodes}, from 0")]
    Stranger {
        /// Which fault.
        fault: usize,
        /// Whom it names.
        node: u8,
        /// How many there are.
        nodes: u8,
    },
    /// After the fault phase.
    #[error(
        "fault {fault} (counted from 1) strikes at {at_ms} ms, after the faults' phase of {phase_ms} ms"
    )]
    Late {
        /// Which fault.
        fault: usize,
        /// When it would strike.
        at_ms: u64,
        /// When the phase ends.
        phase_ms: u64,
    },
}

/// Is this a plan that a runner can take?
///
/// # Errors
/// The first bound that it breaks.
pub fn check(plan: &Plan) -> Result<(), PlanError> {
    if plan.nodes == 0 || plan.nodes > NODES_MOST {
        return Err(PlanError::Nodes(plan.nodes));
    }
    if plan.faults.len() > FAULTS_MOST {
        return Err(PlanError::Faults(plan.faults.len()));
    }
    for phase in [plan.faults_ms, plan.calm_ms] {
        if phase > PHASE_MOST_MS {
            return Err(PlanError::Phase(phase));
        }
    }
    let mut before = 0;
    for (index, fault) in plan.faults.iter().enumerate() {
        let number = index + 1;
        if fault.at_ms < before {
            return Err(PlanError::Order(number));
        }
        before = fault.at_ms;
        if fault.at_ms > plan.faults_ms {
            return Err(PlanError::Late {
                fault: number,
                at_ms: fault.at_ms,
                phase_ms: plan.faults_ms,
            });
        }
        if let Some(&node) = what::nodes(&fault.what).iter().find(|&&n| n >= plan.nodes) {
            return Err(PlanError::Stranger {
                fault: number,
                node,
                nodes: plan.nodes,
            });
        }
    }
    Ok(())
}

/// Puts faults in order and cuts what is beyond the bounds, so that every edit gives a plan.
pub(crate) fn tidy(plan: &mut Plan) {
    for fault in &mut plan.faults {
        fault.at_ms = fault.at_ms.min(plan.faults_ms);
    }
    plan.faults.sort_by_key(|fault| fault.at_ms);
    plan.faults.truncate(FAULTS_MOST);
}

#[cfg(test)]
mod tests;
