//! A plan from a seed: which faults, when, and how bad.

use super::protocol::{Program, Rounds};
use crate::machines::rng::Dice;
use crate::plan::{CrashPoint, DiskFault, Fault, Plan, What};
use wire::Level;

/// Scenarios, with what they are for.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("storm", "whole nodes under every fault there is"),
    (
        "calm",
        "whole nodes and no fault: what a quiet day looks like",
    ),
    ("crashes", "power losses at any event, kills, pauses"),
    (
        "splits",
        "splits, slow links, ended and half-open connections",
    ),
    ("disks", "power losses, full, slow and damaged disks"),
    (
        "clocks",
        "wall clocks that jump, clocks that run fast and slow",
    ),
    (
        "members",
        "a member is evicted, another one loses its disk, models are pinned and rolled back to, nodes crash",
    ),
    (
        "liars",
        "a member sends poisoned updates and false models, nodes crash and are cut off",
    ),
    (
        "secure",
        "rounds whose aggregator sees sums only, nodes crash and are cut off in them",
    ),
    (
        "private",
        "secure rounds with noise by the participants, a tenant whose budget ends, nodes crash and are cut off",
    ),
    (
        "compressed",
        "rounds of smaller updates, what they leave out comes later, nodes crash and are cut off",
    ),
    (
        "scaffold",
        "rounds with control variates, a member is evicted, a disk is lost, learning is rolled back, nodes crash and are cut off",
    ),
    (
        "buffered",
        "rounds that take updates as they come, one node is slow, learning is rolled back, nodes crash and are cut off",
    ),
    (
        "edges",
        "mail, Kafka and data space: the broker dies and returns, nodes crash and are cut off",
    ),
    (
        "upgrades",
        "nodes of an older level are upgraded one by one, crash and are cut off",
    ),
    (
        "space",
        "the data space alone: samples overtake each other, readers and writers die, are cut off, slow, move to other addresses, and their clocks step",
    ),
    (
        "ledger",
        "links and ledger alone, under every fault there is",
    ),
];

/// Time in which everything must heal after the faults. The longest way back is that of a node whose
/// disk was lost: its peers are asked for a minute at most, then the log is fetched; elections and
/// links take seconds. Five seconds of it are without load.
pub const CALM_MS: u64 = 40_000;
/// A cluster is left alone until it has founded itself.
const FOUNDING_MS: u64 = 6_000;
/// Between two faults, on average.
const PAUSE_MS: u64 = 4_000;
/// After a disk was damaged the next one may break only when the first is a replica again.
const REPAIR_MS: u64 = 75_000;

/// What runs in a scenario.
pub(super) struct Cast {
    /// In its nodes.
    pub(super) node: Program,
    /// Beside them.
    pub(super) peers: &'static [(&'static str, Program)],
}

/// What runs in a scenario.
pub(super) fn cast(scenario: &str) -> Option<Cast> {
    let known = SCENARIOS.iter().any(|(name, _)| *name == scenario);
    known.then_some(match scenario {
        "ledger" => Cast {
            node: Program::Ledger,
            peers: &[],
        },
        "space" => Cast {
            node: Program::Space,
            peers: &[],
        },
        "edges" | "storm" => Cast {
            node: Program::Node {
                feed: true,
                rounds: Rounds::Plain,
            },
            peers: &[
                ("gear", Program::Gear),
                ("broker", Program::Broker),
                ("mainframe", Program::Mainframe),
            ],
        },
        _ => Cast {
            node: Program::Node {
                feed: false,
                rounds: match scenario {
                    "secure" => Rounds::Secure,
                    "private" => Rounds::Private,
                    "compressed" => Rounds::Compressed,
                    "scaffold" => Rounds::Scaffold,
                    "buffered" => Rounds::Buffered,
                    _ => Rounds::Plain,
                },
            },
            peers: &[("gear", Program::Gear)],
        },
    })
}

/// Kinds of faults.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Crash,
    Kill,
    Pause,
    Split,
    Slow,
    Disconnect,
    Move,
    Clock,
    DiskFull,
    DiskSlow,
    Damage,
    Evict,
    Choose,
    Broker,
    Poison,
}

/// Which faults, the more frequent ones more than once.
fn kinds(scenario: &str) -> &'static [Kind] {
    use Kind::{
        Broker, Choose, Clock, Crash, Damage, Disconnect, DiskFull, DiskSlow, Evict, Kill, Move,
        Pause, Poison, Slow, Split,
    };
    match scenario {
        "storm" => &[
            Crash, Crash, Kill, Pause, Split, Split, Slow, Disconnect, Clock, DiskFull, DiskSlow,
            Damage, Broker,
        ],
        "ledger" => &[
            Crash, Crash, Kill, Pause, Split, Split, Slow, Disconnect, Clock, DiskFull, DiskSlow,
            Damage,
        ],
        "edges" => &[Broker, Crash, Kill, Split, Disconnect],
        "space" => &[
            Kill, Kill, Crash, Pause, Split, Slow, Slow, Disconnect, Move, Clock,
        ],
        "crashes" => &[Crash, Crash, Crash, Kill, Pause],
        "splits" => &[Split, Split, Slow, Disconnect],
        "disks" => &[Crash, Crash, DiskFull, DiskSlow, Damage],
        "secure" | "private" | "compressed" => &[Crash, Kill, Kill, Pause, Split, Disconnect],
        "scaffold" => &[
            Crash, Kill, Kill, Pause, Split, Disconnect, Damage, Evict, Choose,
        ],
        "buffered" => &[Crash, Kill, Kill, Pause, Split, Slow, Disconnect, Choose],
        "clocks" => &[Clock, Clock, Kill],
        "liars" => &[Poison, Poison, Crash, Kill, Split],
        "members" => &[Evict, Choose, Damage, Crash, Kill, Split],
        // No damage: levels before that of repair have none.
        "upgrades" => &[Crash, Kill, Pause, Split, Disconnect, DiskFull],
        _ => &[],
    }
}

impl Plan {
    /// The plan of a seed. `None` when there is no such scenario.
    pub fn draw(seed: u64, scenario: &str, nodes: u8, minutes: u64) -> Option<Self> {
        cast(scenario)?;
        let mut draw = Draw {
            dice: Dice::new(seed ^ 0x0070_6c61_6e00_0000),
            nodes,
            damaged: None,
            evicted: false,
            bad: None,
        };
        let whole = minutes.max(1) * 60_000;
        let faults_ms = whole.saturating_sub(CALM_MS).max(15_000);
        let (kinds, mut faults) = (kinds(scenario), Vec::new());
        let mut at_ms = FOUNDING_MS;
        while !kinds.is_empty() {
            at_ms += 1 + draw.dice.below(2 * PAUSE_MS);
            if at_ms >= faults_ms {
                break;
            }
            let kind = kinds[draw.dice.index(kinds.len())];
            if let Some(what) = draw.fault(kind, at_ms, faults_ms) {
                faults.push(Fault { at_ms, what });
            }
        }
        if scenario == "upgrades" {
            faults.extend(draw.upgrades(faults_ms));
            faults.sort_by_key(|fault| fault.at_ms);
        }
        Some(Self {
            seed,
            scenario: scenario.to_owned(),
            nodes,
            faults_ms,
            calm_ms: CALM_MS,
            faults,
            bugs: Vec::new(),
        })
    }
}

/// Does the plan keep to what the product promises to survive?
pub(super) fn lawful(plan: &Plan) -> bool {
    let (mut damaged, mut evicted) = (None, false);
    let mut bad: Option<u8> = None;
    let mut faults: Vec<_> = plan.faults.iter().collect();
    faults.sort_by_key(|fault| fault.at_ms);
    for fault in faults {
        match &fault.what {
            What::Crash { disk: Some(_), .. } => {
                if too_soon(damaged, fault.at_ms) || plan.nodes < 3 || fault.at_ms < FOUNDING_MS {
                    return false;
                }
                damaged = Some(fault.at_ms);
            }
            What::Evict { .. } => {
                if evicted || plan.nodes < 4 {
                    return false;
                }
                evicted = true;
            }
            What::Crash { .. }
            | What::Kill { .. }
            | What::Pause { .. }
            | What::Split { .. }
            | What::Slow { .. }
            | What::Disconnect { .. }
            | What::Move { .. }
            | What::ClockJump { .. }
            | What::ClockDrift { .. }
            | What::DiskFull { .. }
            | What::DiskSlow { .. }
            | What::BrokerCrash { .. }
            | What::Choose { .. } => {}
            What::Poison { node } => {
                if plan.nodes < 3 || bad.is_some_and(|other| other != *node) {
                    return false;
                }
                bad = Some(*node);
            }
            // Somebody has to raise the level, and nodes of the first one repair no disk.
            What::Upgrade { from, .. } => {
                let steward = cast(&plan.scenario)
                    .is_some_and(|cast| matches!(cast.node, Program::Node { .. }));
                let damage =
                    |fault: &Fault| matches!(fault.what, What::Crash { disk: Some(_), .. });
                if !steward || *from >= Level::NEWEST.0 || plan.faults.iter().any(damage) {
                    return false;
                }
            }
        }
    }
    cast(&plan.scenario).is_some() && plan.calm_ms >= CALM_MS
}

/// Is a replica still missing since `last`? A disk that was lost takes a vote until consensus has changed its
/// members. A member that is evicted takes none: it goes when the others are a majority without it.
fn too_soon(last: Option<u64>, at_ms: u64) -> bool {
    last.is_some_and(|last| at_ms < last + REPAIR_MS)
}

struct Draw {
    dice: Dice,
    nodes: u8,
    /// When the last disk was damaged.
    damaged: Option<u64>,
    /// Was a member evicted? One is enough: the others must remain a majority whatever else happens.
    evicted: bool,
    /// The member that has turned bad. One is enough: rounds need two that are honest.
    bad: Option<u8>,
}

impl Draw {
    fn node(&mut self) -> u8 {
        self.dice.below(self.nodes.into()) as u8
    }

    /// Short ones are frequent, long ones happen.
    fn time(&mut self, least: u64, most: u64) -> u64 {
        let span = most - least;
        let cut = 1 + self.dice.below(span.max(1));
        least + self.dice.below(cut)
    }

    fn fault(&mut self, kind: Kind, at_ms: u64, faults_ms: u64) -> Option<What> {
        let node = self.node();
        Some(match kind {
            Kind::Crash => What::Crash {
                node,
                point: self.point(),
                down_ms: self.time(50, 12_000),
                disk: None,
            },
            Kind::Kill => What::Kill {
                node,
                down_ms: self.time(10, 12_000),
            },
            Kind::Pause => What::Pause {
                node,
                for_ms: self.time(100, 10_000),
            },
            Kind::Split => self.split()?,
            Kind::Slow => What::Slow {
                node,
                delay_ms: self.time(0, 300),
                jitter_ms: self.time(0, 200),
                loss_percent: self.dice.below(20) as u8,
                for_ms: self.time(500, 15_000),
            },
            Kind::Disconnect => What::Disconnect {
                node,
                half_open: self.dice.below(2) == 0,
            },
            // As long as a node that looks names up every few seconds may take to see it.
            Kind::Move => What::Move {
                node,
                for_ms: self.time(100, 6_000),
            },
            Kind::Clock => self.clock(node),
            Kind::DiskFull => What::DiskFull {
                node,
                room: self.time(0, 20_000),
                for_ms: self.time(500, 10_000),
            },
            Kind::DiskSlow => What::DiskSlow {
                node,
                sync_ms: self.time(5, 400),
                for_ms: self.time(500, 10_000),
            },
            Kind::Damage => self.damage(node, at_ms, faults_ms)?,
            Kind::Evict => self.evict(node)?,
            Kind::Choose => What::Choose {
                node,
                back: self.dice.below(2) == 0,
            },
            Kind::Broker => What::BrokerCrash {
                down_ms: self.time(100, 8_000),
            },
            Kind::Poison => {
                if self.bad.is_some() || self.nodes < 3 {
                    return None;
                }
                self.bad = Some(node);
                What::Poison { node }
            }
        })
    }

    fn point(&mut self) -> CrashPoint {
        match self.dice.below(4) {
            0 => CrashPoint::Now,
            1 => CrashPoint::Send(self.dice.below(40) as u32),
            _ => CrashPoint::DiskOperation(self.dice.below(60) as u32),
        }
    }

    fn split(&mut self) -> Option<What> {
        let mut from: Vec<u8> = (0..self.nodes)
            .filter(|_| self.dice.below(2) == 0)
            .collect();
        if from.is_empty() {
            from.push(self.node());
        }
        let to: Vec<u8> = (0..self.nodes)
            .filter(|node| !from.contains(node))
            .collect();
        if to.is_empty() {
            return None; // nobody is alone with himself
        }
        Some(What::Split {
            from,
            to,
            both: self.dice.below(3) > 0,
            for_ms: self.time(200, 15_000),
        })
    }

    fn clock(&mut self, node: u8) -> What {
        if self.dice.below(2) == 0 {
            let by_ms = self.time(1, 3_600_000) as i64;
            let back = self.dice.below(2) == 0;
            What::ClockJump {
                node,
                by_ms: if back { -by_ms } else { by_ms },
            }
        } else {
            // A bad crystal is off by a hundred; ten times that is a broken one.
            let ppm = self.dice.below(2_001) as i32 - 1_000;
            What::ClockDrift { node, ppm }
        }
    }

    /// One disk at a time, and early enough that it is whole again before the next: what two of
    /// three disks have lost nobody can bring back.
    fn damage(&mut self, node: u8, at_ms: u64, faults_ms: u64) -> Option<What> {
        if too_soon(self.damaged, at_ms) || at_ms > faults_ms || self.nodes < 3 {
            return None;
        }
        self.damaged = Some(at_ms);
        let disk = match self.dice.below(4) {
            0 => DiskFault::BitRot,
            1 => DiskFault::Misdirected,
            2 => DiskFault::Truncated,
            _ => DiskFault::Lost,
        };
        Some(What::Crash {
            node,
            point: self.point(),
            down_ms: self.time(500, 5_000),
            disk: Some(disk),
        })
    }

    /// Each node once, in any order, after the founding and early enough that some of the faults meet all that
    /// are new.
    fn upgrades(&mut self, faults_ms: u64) -> Vec<Fault> {
        let from = self.dice.below(Level::NEWEST.0.into()) as u16;
        let mut order: Vec<u8> = (0..self.nodes).collect();
        for last in (1..order.len()).rev() {
            let other = self.dice.below(last as u64 + 1) as usize;
            order.swap(last, other);
        }
        let turn = (faults_ms - FOUNDING_MS) / (u64::from(self.nodes) + 1);
        let mut faults = Vec::new();
        for (number, node) in (0..).zip(order) {
            let what = What::Upgrade {
                node,
                from,
                down_ms: self.time(50, 3_000),
            };
            let at_ms = FOUNDING_MS + number * turn + 1 + self.dice.below(turn);
            faults.push(Fault { at_ms, what });
        }
        faults
    }

    fn evict(&mut self, node: u8) -> Option<What> {
        // Two that remain can still lose nobody.
        if self.evicted || self.nodes < 4 {
            return None;
        }
        self.evicted = true;
        Some(What::Evict { node })
    }
}
