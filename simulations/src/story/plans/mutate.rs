//! Small changes of plans, as fuzzing makes them.

use super::fresh::{fault, lasts};
use super::{FAULTS_MOST, tidy, what};
use crate::machines::rng::Dice;
use crate::plan::{CrashPoint, Node, Plan, What};

/// Changes at once, at most. One finds the neighbour; several leave a valley.
const CHANGES: u64 = 4;
/// How far a fault moves at most, when it moves a little.
const NUDGE_MS: u64 = 500;
/// Seeds of mutations stay short enough to be typed.
const SEEDS: u64 = 1 << 32;

/// A plan near `plan`; `other` lends faults for splicing.
pub(crate) fn mutate(dice: &mut Dice, plan: &Plan, other: &Plan) -> Plan {
    let mut plan = plan.clone();
    for _ in 0..=dice.below(CHANGES) {
        change(dice, &mut plan, other);
    }
    tidy(&mut plan);
    plan
}

fn change(dice: &mut Dice, plan: &mut Plan, other: &Plan) {
    let some = !plan.faults.is_empty();
    let room = plan.faults.len() < FAULTS_MOST;
    match dice.below(10) {
        0 | 1 if room => {
            let fault = fault(dice, plan);
            plan.faults.push(fault);
        }
        2 if some => {
            let index = dice.index(plan.faults.len());
            plan.faults.remove(index);
        }
        3 | 4 if some => move_one(dice, plan),
        5 if some => stretch(dice, plan),
        6 if some => other_node(dice, plan),
        7 if some => detail(dice, plan),
        8 => splice(dice, plan, other),
        _ => plan.seed = dice.below(SEEDS),
    }
}

/// Anywhere, or close to where it was, or close to another fault: races need company.
fn move_one(dice: &mut Dice, plan: &mut Plan) {
    let index = dice.index(plan.faults.len());
    let near = match dice.below(3) {
        0 => dice.below(plan.faults_ms.max(1)),
        1 => plan.faults[index].at_ms,
        _ => plan.faults[dice.index(plan.faults.len())].at_ms,
    };
    plan.faults[index].at_ms = (near + dice.below(2 * NUDGE_MS)).saturating_sub(NUDGE_MS);
}

fn stretch(dice: &mut Dice, plan: &mut Plan) {
    let index = dice.index(plan.faults.len());
    if let Some(ms) = what::lasts_mut(&mut plan.faults[index].what) {
        *ms = match dice.below(3) {
            0 => lasts(dice),
            1 => (*ms / 2).max(1),
            _ => (*ms * 2).min(plan.faults_ms.max(1)),
        };
    }
}

/// Turns the ring of nodes, so that the sides of a split stay apart.
fn other_node(dice: &mut Dice, plan: &mut Plan) {
    let index = dice.index(plan.faults.len());
    let nodes = u64::from(plan.nodes);
    let by = 1 + dice.below(nodes.saturating_sub(1).max(1));
    what::rename(&mut plan.faults[index].what, |node| {
        ((u64::from(node) + by) % nodes) as Node
    });
}

/// The next operation instead of this one; one way instead of both.
fn detail(dice: &mut Dice, plan: &mut Plan) {
    let index = dice.index(plan.faults.len());
    match &mut plan.faults[index].what {
        What::Crash { point, .. } => {
            *point = match *point {
                CrashPoint::Now => CrashPoint::DiskOperation(0),
                CrashPoint::DiskOperation(n) if dice.percent(50) => {
                    CrashPoint::DiskOperation(n + 1)
                }
                CrashPoint::DiskOperation(n) => CrashPoint::Send(n),
                CrashPoint::Send(n) if dice.percent(50) => CrashPoint::Send(n + 1),
                CrashPoint::Send(_) => CrashPoint::Now,
            }
        }
        What::Split { both, from, to, .. } => {
            if dice.percent(50) {
                *both = !*both;
            } else {
                std::mem::swap(from, to);
            }
        }
        What::Disconnect { half_open, .. } => *half_open = !*half_open,
        What::ClockJump { by_ms, .. } => *by_ms = -*by_ms,
        What::ClockDrift { ppm, .. } => *ppm = -*ppm,
        What::DiskFull { room, .. } => *room /= 2,
        What::DiskSlow { sync_ms, .. } => *sync_ms = (*sync_ms * 2).min(60_000),
        What::Choose { back, .. } => *back = !*back,
        What::Slow { loss_percent, .. } => *loss_percent = dice.below(50) as u8,
        What::Kill { .. }
        | What::Pause { .. }
        | What::Move { .. }
        | What::BrokerCrash { .. }
        | What::Evict { .. }
        | What::Poison { .. }
        | What::Upgrade { .. } => {}
    }
}

/// This plan's beginning and the other's end, or the other way round.
fn splice(dice: &mut Dice, plan: &mut Plan, other: &Plan) {
    let cut = dice.below(plan.faults_ms.max(1));
    let first = dice.percent(50);
    plan.faults.retain(|fault| (fault.at_ms < cut) == first);
    let rest = other.faults.iter().filter(|fault| {
        (fault.at_ms < cut) != first
            && fault.at_ms <= plan.faults_ms
            && what::nodes(&fault.what).iter().all(|&n| n < plan.nodes)
    });
    let room = FAULTS_MOST - plan.faults.len().min(FAULTS_MOST);
    plan.faults.extend(rest.take(room).cloned());
}
