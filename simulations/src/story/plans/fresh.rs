//! Plans from a seed alone.

use super::{PHASE_MOST_MS, tidy};
use crate::machines::rng::Dice;
use crate::plan::{CrashPoint, DiskFault, Fault, Node, Plan, What};
use wire::Level;

/// Faults of a fresh plan, at most; mutations add more. Few faults far apart reach states that a
/// storm does not, so the number is drawn from 1 on.
const FAULTS_FRESH: u64 = 12;
/// The longest that a drawn fault lasts: some election timeouts and link timeouts.
const LASTS_MOST_MS: u64 = 20_000;
/// And the shortest.
const LASTS_LEAST_MS: u64 = 10;
/// Operations ahead at which a crash strikes: a group commit takes fewer.
const POINTS: u64 = 40;
/// Rooms of a full disk, bytes.
const ROOM_MOST: u64 = 256 << 10;
/// Clocks of computers drift less than 200 ppm; the rest is malice, and welcome.
const DRIFT_PPM: u64 = 1_000;
/// Wall clocks jump by up to an hour, as after a wrong summer time.
const JUMP_MOST_MS: u64 = 3_600_000;

/// What fresh plans look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// The scenario's name.
    pub scenario: String,
    /// Nodes.
    pub nodes: u8,
    /// Virtual minutes of the faults' phase.
    pub minutes: u64,
    /// Known mistakes that are switched on.
    pub bugs: Vec<String>,
}

/// Calm at the end, milliseconds: at least the two minutes in which elections, repairs and a round
/// must succeed.
const CALM_MS: u64 = 120_000;

/// The plan that a seed stands for, without a scenario's own habits.
pub fn fresh(outline: &Outline, seed: u64) -> Plan {
    let mut dice = Dice::new(seed);
    let mut plan = Plan {
        seed,
        scenario: outline.scenario.clone(),
        nodes: outline.nodes,
        faults_ms: outline
            .minutes
            .saturating_mul(60_000)
            .clamp(1, PHASE_MOST_MS),
        calm_ms: CALM_MS,
        faults: Vec::new(),
        bugs: outline.bugs.clone(),
    };
    for _ in 0..=dice.below(FAULTS_FRESH) {
        let fault = fault(&mut dice, &plan);
        plan.faults.push(fault);
    }
    tidy(&mut plan);
    plan
}

/// A fault for a plan.
pub(super) fn fault(dice: &mut Dice, plan: &Plan) -> Fault {
    Fault {
        at_ms: dice.below(plan.faults_ms.max(1)),
        what: what(dice, plan.nodes),
    }
}

/// How long a fault lasts: as likely between 10 and 100 ms as between 1 and 10 s.
pub(super) fn lasts(dice: &mut Dice) -> u64 {
    let octaves = u64::from((LASTS_MOST_MS / LASTS_LEAST_MS).ilog2());
    let base = LASTS_LEAST_MS << dice.below(octaves + 1);
    (base + dice.below(base)).min(LASTS_MOST_MS)
}

fn what(dice: &mut Dice, nodes: u8) -> What {
    let node = dice.below(nodes.into()) as Node;
    // Weights: power, processes and the network break more often than an operator evicts.
    match dice.below(100) {
        0..=19 => What::Crash {
            node,
            point: point(dice),
            down_ms: lasts(dice),
            disk: disk(dice),
        },
        20..=29 => What::Kill {
            node,
            down_ms: lasts(dice),
        },
        30..=39 => What::Pause {
            node,
            for_ms: lasts(dice),
        },
        40..=59 if nodes > 1 => split(dice, nodes),
        40..=67 => What::Slow {
            node,
            delay_ms: dice.below(500),
            jitter_ms: dice.below(200),
            loss_percent: dice.below(30) as u8,
            for_ms: lasts(dice),
        },
        68..=72 => What::Disconnect {
            node,
            half_open: dice.percent(50),
        },
        73..=74 => What::Move {
            node,
            for_ms: lasts(dice),
        },
        75..=79 => What::ClockJump {
            node,
            by_ms: dice.below(2 * JUMP_MOST_MS) as i64 - JUMP_MOST_MS as i64,
        },
        80..=82 => What::ClockDrift {
            node,
            ppm: dice.below(2 * DRIFT_PPM) as i32 - DRIFT_PPM as i32,
        },
        83..=86 => What::DiskFull {
            node,
            room: dice.below(ROOM_MOST),
            for_ms: lasts(dice),
        },
        87..=90 => What::DiskSlow {
            node,
            sync_ms: 1 + dice.below(500),
            for_ms: lasts(dice),
        },
        91..=95 => What::BrokerCrash {
            down_ms: lasts(dice),
        },
        96 => What::Evict { node },
        97 => What::Choose {
            node,
            back: dice.percent(50),
        },
        98 => What::Poison { node },
        _ => What::Upgrade {
            node,
            from: dice.below(Level::NEWEST.0.into()) as u16,
            down_ms: lasts(dice),
        },
    }
}

fn point(dice: &mut Dice) -> CrashPoint {
    match dice.below(3) {
        0 => CrashPoint::Now,
        1 => CrashPoint::DiskOperation(dice.below(POINTS) as u32),
        _ => CrashPoint::Send(dice.below(POINTS) as u32),
    }
}

/// Mostly none: a disk that also lies is the rarer event.
fn disk(dice: &mut Dice) -> Option<DiskFault> {
    match dice.below(20) {
        0 => Some(DiskFault::BitRot),
        1 => Some(DiskFault::Misdirected),
        2 => Some(DiskFault::Truncated),
        3 => Some(DiskFault::Lost),
        _ => None,
    }
}

/// Both sides have someone; with more than two nodes some may be on neither.
fn split(dice: &mut Dice, nodes: u8) -> What {
    let first = dice.below(nodes.into()) as Node;
    let other = (first + 1 + dice.below(u64::from(nodes) - 1) as Node) % nodes;
    let (mut from, mut to) = (vec![first], vec![other]);
    for node in (0..nodes).filter(|&node| node != first && node != other) {
        match dice.below(5) {
            0 | 1 => from.push(node),
            2 | 3 => to.push(node),
            _ => {}
        }
    }
    from.sort_unstable();
    to.sort_unstable();
    What::Split {
        from,
        to,
        both: dice.percent(70),
        for_ms: lasts(dice),
    }
}
