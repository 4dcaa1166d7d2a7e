//! Which fault strikes when: drawn from a seed, written to a file, read again. Pure.
//!
//! A plan is a row of episodes. Within one, faults overlap; behind it, everything is undone and the
//! cluster has time to heal. An episode either promises progress, and then never more than a
//! minority is unavailable at a moment, or it takes the majority away and demands only that nothing
//! wrong happens until it has healed.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// After the cluster stands: a moment in which the load runs undisturbed.
const LEAD_MS: u64 = 3_000;
/// Behind the last episode of a span, for its healing.
const TAIL_MS: u64 = 3_000;
/// Length of a fault: long enough to be noticed, which takes some two seconds, and short enough that
/// several episodes fit into a minute.
const LASTS_MS: std::ops::Range<u64> = 3_500..9_000;
/// Faults of an episode begin within this of one another, so that they overlap.
const STAGGER_MS: u64 = 2_500;
/// Between two episodes.
const REST_MS: std::ops::Range<u64> = 4_000..7_000;
/// Of so many episodes one takes the majority away.
const MAJORITY_EVERY: u64 = 4;
/// Faults at one time in an episode that promises progress.
const MAX_TOGETHER: u64 = 3;
/// Delay each way: from a neighbouring hall to another continent.
const LAG_MS: std::ops::Range<u64> = 5..120;
/// Packets lost, in percent: from a bad cable to one that hardly works.
const LOSS_PERCENT: std::ops::Range<u64> = 2..20;

/// A plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// What it was drawn from.
    pub(crate) seed: u64,
    /// Nodes of the cluster.
    pub(crate) nodes: u8,
    /// In order of time, never overlapping.
    pub(crate) episodes: Vec<Episode>,
}

/// Faults that overlap.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Episode {
    /// What must hold while it lasts.
    pub(crate) promise: Promise,
    /// In order of time.
    pub(crate) strikes: Vec<Strike>,
}

/// What an episode promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Promise {
    /// A majority is there all the time: the ledger grows.
    Progress,
    /// Nothing wrong happens.
    Safety,
}

/// One fault with its time.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Strike {
    /// Milliseconds after the cluster stood.
    pub(crate) at_ms: u64,
    /// Until it is undone.
    pub(crate) lasts_ms: u64,
    /// What is done.
    pub(crate) fault: Fault,
}

impl Strike {
    pub(crate) fn at(&self) -> Duration {
        Duration::from_millis(self.at_ms)
    }

    pub(crate) fn lasts(&self) -> Duration {
        Duration::from_millis(self.lasts_ms)
    }

    fn until_ms(&self) -> u64 {
        self.at_ms.saturating_add(self.lasts_ms)
    }
}

/// What is done to whom.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Fault {
    /// kill -9, and a new start at the end.
    Kill { node: Victim },
    /// SIGSTOP, and SIGCONT at the end.
    Pause { node: Victim },
    /// No room left on its disk, and the room back at the end.
    FullDisk { node: Victim },
    /// Nobody hears anybody of another group.
    Split { groups: Vec<Vec<u8>> },
    /// It hears nobody, and all hear it.
    Deaf { node: Victim },
    /// It hears all, and nobody hears it.
    Mute { node: Victim },
    /// Its packets are late, each way.
    Lag {
        node: Victim,
        base_ms: u64,
        jitter_ms: u64,
    },
    /// It loses a share of what reaches it.
    Loss { node: Victim, percent: u8 },
    /// The broker is gone, and back with its log at the end.
    Broker,
}

/// Who is hurt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Victim {
    /// Whoever leads at that moment.
    Leader,
    /// The node with this number.
    Node(u8),
}

impl fmt::Display for Victim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => write!(f, "the leader"),
            Self::Node(number) => write!(f, "node-{number}"),
        }
    }
}

impl Fault {
    /// Whom it hurts, if it is one node.
    pub(crate) fn victim(&self) -> Option<Victim> {
        match self {
            Self::Kill { node }
            | Self::Pause { node }
            | Self::FullDisk { node }
            | Self::Deaf { node }
            | Self::Mute { node }
            | Self::Lag { node, .. }
            | Self::Loss { node, .. } => Some(*node),
            Self::Split { .. } | Self::Broker => None,
        }
    }

    /// How many nodes cannot take part in a majority while it lasts.
    fn takes_away(&self) -> usize {
        match self {
            Self::Kill { .. }
            | Self::Pause { .. }
            | Self::FullDisk { .. }
            | Self::Deaf { .. }
            | Self::Mute { .. } => 1,
            Self::Split { groups } => {
                let all: usize = groups.iter().map(Vec::len).sum();
                all - groups.iter().map(Vec::len).max().unwrap_or(0)
            }
            Self::Lag { .. } | Self::Loss { .. } | Self::Broker => 0,
        }
    }

    /// Its kind, a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill -9",
            Self::Pause { .. } => "SIGSTOP",
            Self::FullDisk { .. } => "full disk",
            Self::Split { .. } => "split",
            Self::Deaf { .. } => "deaf",
            Self::Mute { .. } => "mute",
            Self::Lag { .. } => "delay",
            Self::Loss { .. } => "loss",
            Self::Broker => "broker restart",
        }
    }
}

/// A fault as a phrase; `who` stands for the victim.
pub(crate) fn phrase(fault: &Fault, who: &str) -> String {
    match fault {
        Fault::Kill { .. } => format!("kill -9 {who}"),
        Fault::Pause { .. } => format!("SIGSTOP {who}"),
        Fault::FullDisk { .. } => format!("disk of {who} full"),
        Fault::Split { groups } => {
            let side = |group: &Vec<u8>| {
                let names: Vec<String> = group.iter().map(u8::to_string).collect();
                names.join(",")
            };
            let sides: Vec<String> = groups.iter().map(side).collect();
            format!("split {}", sides.join("|"))
        }
        Fault::Deaf { .. } => format!("{who} hears nobody"),
        Fault::Mute { .. } => format!("nobody hears {who}"),
        Fault::Lag {
            base_ms, jitter_ms, ..
        } => format!(
            "packets of {who} late by {base_ms}–{} ms",
            base_ms + jitter_ms
        ),
        Fault::Loss { percent, .. } => format!("{who} loses {percent} % of what reaches it"),
        Fault::Broker => "broker gone".to_owned(),
    }
}

/// What this machine lets us do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Powers {
    /// Nodes have cables of their own.
    pub(crate) cables: bool,
    /// Nodes have disks of their own.
    pub(crate) disks: bool,
}

/// SplitMix64 (Steele et al. 2014): a plan needs variety, not secrecy.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn within(&mut self, range: &std::ops::Range<u64>) -> u64 {
        range.start + self.below(range.end - range.start)
    }

    /// The nodes in a random order (Fisher and Yates).
    fn shuffled(&mut self, nodes: u8) -> Vec<u8> {
        let mut all: Vec<u8> = (1..=nodes).collect();
        for last in (1..all.len()).rev() {
            let other = usize::try_from(self.below(last as u64 + 1)).unwrap_or(0);
            all.swap(last, other);
        }
        all
    }
}

/// Draws a plan for a span of time. The same arguments give the same plan.
pub(crate) fn draw(seed: u64, nodes: u8, span: Duration, powers: Powers) -> Plan {
    let mut draw = Draw(seed);
    let end = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let until = end.saturating_sub(TAIL_MS);
    let mut episodes = Vec::new();
    let mut at = LEAD_MS + draw.below(2_000);
    // In a short run, too, somewhere the majority is lost, but not first of all.
    let turn = 1 + draw.below(MAJORITY_EVERY - 1);
    loop {
        let number = episodes.len() as u64;
        let episode = if number % MAJORITY_EVERY == turn {
            without_majority(&mut draw, nodes, at, powers)
        } else {
            with_majority(&mut draw, nodes, at, powers)
        };
        let over = episode.until_ms();
        if over > until {
            break;
        }
        episodes.push(episode);
        at = over + draw.within(&REST_MS);
    }
    Plan {
        seed,
        nodes,
        episodes,
    }
}

fn with_majority(draw: &mut Draw, nodes: u8, at: u64, powers: Powers) -> Episode {
    let minority = usize::from(nodes - 1) / 2;
    let order = draw.shuffled(nodes);
    let mut victims = order.iter().copied();
    let mut leader_taken = false;
    let mut left = minority;
    let mut strikes: Vec<Strike> = Vec::new();
    let mut kinds = BTreeSet::new();
    for _ in 0..=draw.below(MAX_TOGETHER) {
        let Some(number) = victims.next() else { break };
        let victim = if !leader_taken && draw.below(3) == 0 {
            leader_taken = true;
            Victim::Leader
        } else {
            Victim::Node(number)
        };
        let fault = one(draw, victim, nodes, &order, powers);
        // Two of a kind are less than two different ones, and two splits would be one.
        if fault.takes_away() > left || !kinds.insert(fault.kind()) {
            continue;
        }
        left -= fault.takes_away();
        strikes.push(Strike {
            at_ms: at + draw.below(STAGGER_MS),
            lasts_ms: draw.within(&LASTS_MS),
            fault,
        });
    }
    strikes.sort_by_key(|strike| strike.at_ms);
    Episode {
        promise: Promise::Progress,
        strikes,
    }
}

fn one(draw: &mut Draw, node: Victim, nodes: u8, order: &[u8], powers: Powers) -> Fault {
    loop {
        return match draw.below(10) {
            0 | 1 => Fault::Kill { node },
            2 => Fault::Pause { node },
            3 if powers.disks => Fault::FullDisk { node },
            4 => {
                let alone = 1 + usize::try_from(draw.below(u64::from(nodes - 1) / 2)).unwrap_or(0);
                Fault::Split {
                    groups: split(order, alone),
                }
            }
            5 if powers.cables => Fault::Deaf { node },
            6 if powers.cables => Fault::Mute { node },
            7 if powers.cables => Fault::Lag {
                node,
                base_ms: draw.within(&LAG_MS),
                jitter_ms: draw.below(LAG_MS.end / 2),
            },
            8 if powers.cables => Fault::Loss {
                node,
                percent: u8::try_from(draw.within(&LOSS_PERCENT)).unwrap_or(u8::MAX),
            },
            9 => Fault::Broker,
            // Not within our powers: draw again.
            _ => continue,
        };
    }
}

/// The last `alone` of `order` on one side, the rest on the other.
fn split(order: &[u8], alone: usize) -> Vec<Vec<u8>> {
    let (rest, apart) = order.split_at(order.len() - alone);
    [rest, apart]
        .map(|side| {
            let mut side = side.to_vec();
            side.sort_unstable();
            side
        })
        .to_vec()
}

fn without_majority(draw: &mut Draw, nodes: u8, at: u64, powers: Powers) -> Episode {
    let order = draw.shuffled(nodes);
    let majority = usize::from(nodes) / 2 + 1;
    let lasts_ms = draw.within(&LASTS_MS);
    let fault = |node| Victim::Node(node);
    let kind = draw.below(5);
    let faults: Vec<Fault> = match kind {
        // Three sides, none of them a majority.
        0 => {
            let side = majority - 1;
            vec![Fault::Split {
                groups: order
                    .chunks(side)
                    .map(|side| split(side, 0).remove(0))
                    .collect(),
            }]
        }
        1 if powers.disks => order[..majority]
            .iter()
            .map(|node| Fault::FullDisk { node: fault(*node) })
            .collect(),
        2 => order[..majority]
            .iter()
            .map(|node| Fault::Pause { node: fault(*node) })
            .collect(),
        // Everybody at once, as when the power fails.
        3 => order
            .iter()
            .map(|node| Fault::Kill { node: fault(*node) })
            .collect(),
        _ => order[..majority]
            .iter()
            .map(|node| Fault::Kill { node: fault(*node) })
            .collect(),
    };
    let strikes = faults.into_iter().map(|fault| Strike {
        at_ms: at,
        lasts_ms: lasts_ms + draw.below(1_500),
        fault,
    });
    Episode {
        promise: Promise::Safety,
        strikes: strikes.collect(),
    }
}

impl Episode {
    pub(crate) fn at_ms(&self) -> u64 {
        let starts = self.strikes.iter().map(|strike| strike.at_ms);
        starts.min().unwrap_or(0)
    }

    fn until_ms(&self) -> u64 {
        let ends = self.strikes.iter().map(Strike::until_ms);
        ends.max().unwrap_or(0)
    }

    /// Most nodes that cannot take part in a majority at one time.
    fn worst(&self) -> usize {
        let at = |moment: u64| {
            let open = self
                .strikes
                .iter()
                .filter(|strike| (strike.at_ms..strike.until_ms()).contains(&moment));
            open.map(|strike| strike.fault.takes_away()).sum()
        };
        let moments = self.strikes.iter().map(|strike| at(strike.at_ms));
        moments.max().unwrap_or(0)
    }
}

/// Why a plan is not played.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Illegal {
    #[error("the plan is for {plan} nodes, and the cluster has {cluster}")]
    Nodes { plan: u8, cluster: u8 },
    #[error("episode {0} has no fault in it")]
    Empty(usize),
    #[error(
        "episode {episode} begins {at_ms} ms after the start, before the one in front of it is over"
    )]
    Overlap { episode: usize, at_ms: u64 },
    #[error(
        "episode {episode} promises progress and takes {away} of {nodes} nodes away at one time; at most a minority may be away"
    )]
    Majority {
        episode: usize,
        away: usize,
        nodes: u8,
    },
    #[error("episode {episode} names node {node}, and there are {nodes}")]
    Stranger { episode: usize, node: u8, nodes: u8 },
    #[error("episode {episode} wants `{fault}`, which needs root and network namespaces")]
    Powerless { episode: usize, fault: &'static str },
}

impl Plan {
    /// Whether the plan may be played.
    pub(crate) fn check(&self, nodes: u8, powers: Powers) -> Result<(), Illegal> {
        if self.nodes != nodes {
            return Err(Illegal::Nodes {
                plan: self.nodes,
                cluster: nodes,
            });
        }
        let mut free = 0;
        for (index, episode) in self.episodes.iter().enumerate() {
            let number = index + 1;
            if episode.strikes.is_empty() {
                return Err(Illegal::Empty(number));
            }
            if episode.at_ms() < free {
                return Err(Illegal::Overlap {
                    episode: number,
                    at_ms: episode.at_ms(),
                });
            }
            free = episode.until_ms();
            let away = episode.worst();
            if episode.promise == Promise::Progress && away > usize::from(nodes - 1) / 2 {
                return Err(Illegal::Majority {
                    episode: number,
                    away,
                    nodes,
                });
            }
            for strike in &episode.strikes {
                check_fault(&strike.fault, number, nodes, powers)?;
            }
        }
        Ok(())
    }
}

fn check_fault(fault: &Fault, episode: usize, nodes: u8, powers: Powers) -> Result<(), Illegal> {
    let allowed = match fault {
        Fault::FullDisk { .. } => powers.disks,
        Fault::Deaf { .. } | Fault::Mute { .. } | Fault::Lag { .. } | Fault::Loss { .. } => {
            powers.cables
        }
        Fault::Kill { .. } | Fault::Pause { .. } | Fault::Split { .. } | Fault::Broker => true,
    };
    if !allowed {
        return Err(Illegal::Powerless {
            episode,
            fault: fault.kind(),
        });
    }
    let mut named: Vec<u8> = match fault {
        Fault::Split { groups } => groups.concat(),
        _ => Vec::new(),
    };
    if let Some(Victim::Node(node)) = fault.victim() {
        named.push(node);
    }
    match named.into_iter().find(|node| !(1..=nodes).contains(node)) {
        Some(node) => Err(Illegal::Stranger {
            episode,
            node,
            nodes,
        }),
        None => Ok(()),
    }
}

/// Who is meant, now that `leader` leads and those in `hurt` are hurt already: a node is hurt by one
/// fault of its own at a time, so somebody else takes the place of one that is.
pub(crate) fn choose(
    victim: Victim,
    leader: Option<u8>,
    hurt: &BTreeSet<u8>,
    nodes: u8,
) -> Option<u8> {
    let wanted = match victim {
        Victim::Leader => leader.unwrap_or(1),
        Victim::Node(node) => node,
    };
    (0..nodes)
        .map(|step| (wanted - 1 + step) % nodes + 1)
        .find(|node| !hurt.contains(node))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
