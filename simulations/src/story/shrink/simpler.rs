//! Proposals: plans and faults that are simpler than one, the boldest first.

use crate::plan::{CrashPoint, Fault, Node, Plan, What};
use crate::story::plans::what;

/// A duration or distance below this is not worth a run.
const SHORT_MS: u64 = 10;

/// Fewer nodes: those that no fault names go, and the others move up.
pub(super) fn nodes(plan: &Plan) -> Vec<Plan> {
    let mut named: Vec<Node> = plan
        .faults
        .iter()
        .flat_map(|f| what::nodes(&f.what))
        .collect();
    named.sort_unstable();
    named.dedup();
    let least = (named.len() as u8).max(1);
    let fewer = |nodes: u8| {
        let mut plan = plan.clone();
        plan.nodes = nodes;
        // Names stay where they can, so that the story stays the one that was seen.
        if named.last().is_some_and(|&last| last >= nodes) {
            for fault in &mut plan.faults {
                what::rename(&mut fault.what, |node| {
                    named.partition_point(|&other| other < node) as u8
                });
            }
        }
        plan
    };
    (least..plan.nodes).map(fewer).collect()
}

/// Simpler kinds of the same fault.
pub(super) fn kinds(fault: &Fault) -> Vec<Fault> {
    let simpler = match fault.what.clone() {
        What::Crash {
            node,
            point,
            down_ms,
            disk,
        } => {
            let crash = |point, disk| What::Crash {
                node,
                point,
                down_ms,
                disk,
            };
            vec![
                What::Kill { node, down_ms },
                crash(CrashPoint::Now, None),
                crash(CrashPoint::Now, disk),
                crash(point, None),
            ]
        }
        What::Split {
            from, to, for_ms, ..
        } => split(&from, &to, for_ms),
        What::Disconnect { node, .. } => vec![What::Disconnect {
            node,
            half_open: false,
        }],
        // Its peers are told.
        What::Move { node, .. } => vec![What::Disconnect {
            node,
            half_open: false,
        }],
        // Then it is new from the beginning.
        What::Upgrade { node, down_ms, .. } => vec![What::Kill { node, down_ms }],
        What::Kill { .. }
        | What::Pause { .. }
        | What::Slow { .. }
        | What::ClockJump { .. }
        | What::ClockDrift { .. }
        | What::DiskFull { .. }
        | What::DiskSlow { .. }
        | What::BrokerCrash { .. }
        | What::Evict { .. }
        | What::Choose { .. }
        | What::Poison { .. } => Vec::new(),
    };
    proposals(fault, simpler)
}

/// Both ways, and with one node less on either side.
fn split(from: &[Node], to: &[Node], for_ms: u64) -> Vec<What> {
    let without = |side: &[Node], node: Node| -> Vec<Node> {
        side.iter()
            .copied()
            .filter(|&other| other != node)
            .collect()
    };
    let mut sides = vec![(from.to_vec(), to.to_vec())];
    if from.len() > 1 {
        sides.extend(from.iter().map(|&node| (without(from, node), to.to_vec())));
    }
    if to.len() > 1 {
        sides.extend(to.iter().map(|&node| (from.to_vec(), without(to, node))));
    }
    let split = |(from, to)| What::Split {
        from,
        to,
        both: true,
        for_ms,
    };
    sides.into_iter().map(split).collect()
}

/// Half as long, three quarters, or a round number of seconds or tenths.
pub(super) fn durations(fault: &Fault) -> Vec<Fault> {
    let Some(lasts) = what::lasts_mut(&mut fault.what.clone()).copied() else {
        return Vec::new();
    };
    let shorter = shorter(lasts).into_iter().map(|ms| {
        let mut what = fault.what.clone();
        if let Some(lasts) = what::lasts_mut(&mut what) {
            *lasts = ms;
        }
        what
    });
    proposals(fault, shorter.collect())
}

/// Smaller amounts of what is not time.
pub(super) fn amounts(fault: &Fault) -> Vec<Fault> {
    let smaller = match fault.what.clone() {
        What::Slow {
            node,
            delay_ms,
            jitter_ms,
            loss_percent,
            for_ms,
        } => {
            let slow = |delay_ms, jitter_ms, loss_percent| What::Slow {
                node,
                delay_ms,
                jitter_ms,
                loss_percent,
                for_ms,
            };
            vec![
                slow(delay_ms, 0, 0),
                slow(delay_ms, jitter_ms, 0),
                slow(delay_ms, 0, loss_percent),
                slow(delay_ms / 2, jitter_ms, loss_percent),
            ]
        }
        What::ClockJump { node, by_ms } => vec![What::ClockJump {
            node,
            by_ms: by_ms / 2,
        }],
        What::ClockDrift { node, ppm } => vec![What::ClockDrift { node, ppm: ppm / 2 }],
        What::DiskFull { node, for_ms, .. } => vec![What::DiskFull {
            node,
            room: 0,
            for_ms,
        }],
        What::DiskSlow {
            node,
            sync_ms,
            for_ms,
        } => vec![What::DiskSlow {
            node,
            sync_ms: sync_ms / 2,
            for_ms,
        }],
        What::Crash {
            node,
            point,
            down_ms,
            disk,
        } => {
            let point = match point {
                CrashPoint::Now => CrashPoint::Now,
                CrashPoint::DiskOperation(n) => CrashPoint::DiskOperation(n / 2),
                CrashPoint::Send(n) => CrashPoint::Send(n / 2),
            };
            vec![What::Crash {
                node,
                point,
                down_ms,
                disk,
            }]
        }
        What::Kill { .. }
        | What::Pause { .. }
        | What::Split { .. }
        | What::Disconnect { .. }
        | What::Move { .. }
        | What::BrokerCrash { .. }
        | What::Evict { .. }
        | What::Choose { .. }
        | What::Poison { .. }
        | What::Upgrade { .. } => Vec::new(),
    };
    proposals(fault, smaller)
}

/// Time is cut out before a fault: all that follows moves, so the races between the later ones stay
/// as they were; what lasts over the cut gets shorter by it, or not.
pub(super) fn earlier(plan: &Plan) -> Vec<Plan> {
    let mut before = 0;
    let mut plans = Vec::new();
    for (index, fault) in plan.faults.iter().enumerate() {
        let gap = fault.at_ms - before;
        before = fault.at_ms;
        for less in shorter(gap) {
            for shorten in [true, false] {
                plans.push(cut(plan, index, gap - less, shorten));
            }
        }
    }
    plans.dedup();
    plans
}

/// Without the `ms` before fault `index`.
fn cut(plan: &Plan, index: usize, ms: u64, shorten: bool) -> Plan {
    let mut plan = plan.clone();
    let at_ms = plan.faults[index].at_ms;
    for fault in &mut plan.faults[..index] {
        let start = fault.at_ms;
        if let Some(lasts) = what::lasts_mut(&mut fault.what)
            && shorten
            && start.saturating_add(*lasts) > at_ms
        {
            *lasts -= ms;
        }
    }
    for fault in &mut plan.faults[index..] {
        fault.at_ms -= ms;
    }
    plan
}

/// The phase of faults ends with the last of them, or somewhere between.
pub(super) fn phase(plan: &Plan) -> Vec<Plan> {
    let last = plan.faults.iter().map(|fault| {
        let lasts = match what::lasts(&fault.what) {
            None | Some(u64::MAX) => 0,
            Some(ms) => ms,
        };
        fault.at_ms.saturating_add(lasts)
    });
    let least = last.max().unwrap_or(0).max(1);
    if plan.faults_ms <= least {
        return Vec::new();
    }
    let mut ends = vec![least];
    ends.extend(
        shorter(plan.faults_ms - least)
            .into_iter()
            .map(|ms| least + ms),
    );
    let ends = ends.into_iter().map(|faults_ms| {
        let mut plan = plan.clone();
        plan.faults_ms = faults_ms;
        plan
    });
    ends.collect()
}

/// Shorter times, the shortest first: a tenth, a fifth, then less by a half, a quarter and so on
/// down to a 32nd, and the next round one, which is easier to think about.
fn shorter(ms: u64) -> Vec<u64> {
    if ms <= SHORT_MS {
        return Vec::new();
    }
    let unit = [1_000, 100, 10]
        .into_iter()
        .find(|unit| ms > *unit && !ms.is_multiple_of(*unit));
    let round = unit.map(|unit| ms / unit * unit);
    let mut times: Vec<u64> = (1..=5)
        .map(|power| ms - (ms >> power))
        .chain(round)
        .collect();
    times.retain(|&time| time < ms);
    times
}

fn proposals(fault: &Fault, kinds: Vec<What>) -> Vec<Fault> {
    let different = kinds.into_iter().filter(|what| *what != fault.what);
    let at_ms = fault.at_ms;
    different.map(|what| Fault { at_ms, what }).collect()
}
