//! Where a known mistake shows: what runs, and which faults bring it out.
//!
//! A scenario of [`draw`](super::draw) spreads its faults over everything that may break; most mistakes
//! need two events close together, and would take hundreds of its seeds. These plans are drawn from a
//! seed as well and hold honest faults only, the ones that the code in question is there for: a house
//! without power, a leader that dies under load, a node cut off with mail in its journal.

use super::draw::CALM_MS;
use super::invariants::{
    ACCOUNTS_AGREE, ACKNOWLEDGED_STAYS, BOUNDED, COUNTED_BY_AGE, EFFECT_ONCE,
    EVICTED_READS_NOTHING, HISTORY_FIXED, HOLDERS_ARE_MEMBERS, IN_ORDER_ONCE, KEYS_EXPIRE,
    LEFT_OUT_ONCE, LOST_WITH_DISK, MAIL_KEPT, MEAN_VARIATE, NO_GAP, OFFSETS_BEHIND, ONE_LEADER,
    ONE_SHARE, OWN_VARIATE, PAID_FIRST, PROVABLE, REPLAYS_COUNTED, ROUNDS_GO_ON, Rule,
    SUM_OF_UPDATES,
};
use crate::machines::rng::Dice;
use crate::plan::{CrashPoint, Fault, Plan, What};
use machine::mistakes::Mistake;

/// A cluster has founded itself and works when the first fault strikes.
const FIRST_MS: u64 = 8_000;
/// Faults end here: with the calm that is a run of a minute.
const FAULTS_MS: u64 = 20_000;
/// Until then nodes have too few examples, and every round is declined.
const LEARNING_MS: u64 = 32_000;
/// So long at most lasts what strikes later than the others.
const LATE_MS: u64 = 6_000;

/// How a mistake is provoked.
pub struct Stage {
    /// Whose programs run.
    pub scenario: &'static str,
    /// Nodes.
    pub nodes: u8,
    /// Which rules the mistake breaks; what else is found counts for nothing.
    pub rules: &'static [Rule],
    /// Seeds within which it must be found.
    pub budget: u64,
    /// Why so many.
    pub reason: &'static str,
    faults: fn(&mut Draw),
}

/// The stage of a mistake.
pub fn stage(mistake: Mistake) -> Stage {
    match mistake {
        Mistake::DoubleVote => Stage {
            scenario: "ledger",
            nodes: 3,
            rules: &[ONE_LEADER, HISTORY_FIXED, ACKNOWLEDGED_STAYS],
            budget: 10,
            reason: "all are killed three times; terms begin anew, and two times of three somebody else leads",
            faults: |draw| draw.everybody(3, |node, down_ms| What::Kill { node, down_ms }),
        },
        Mistake::LostFsync => Stage {
            scenario: "ledger",
            nodes: 3,
            // A log with holes in it is noticed by the replica itself, which then refuses to take part.
            rules: &[HISTORY_FIXED, ACKNOWLEDGED_STAYS, PROVABLE],
            budget: 10,
            reason: "the house loses power three times; each time dice decide which sectors of the log are left",
            faults: |draw| draw.everybody(3, power_loss),
        },
        Mistake::CommitBeforePersist => Stage {
            scenario: "crashes",
            nodes: 3,
            rules: &[MAIL_KEPT],
            budget: 10,
            reason: "the last mail of each node is always at stake, and power is lost four times",
            faults: |draw| draw.one_by_one(4, power_loss),
        },
        Mistake::StaleEpochAccepted => Stage {
            scenario: "calm",
            nodes: 3,
            rules: &[KEYS_EXPIRE],
            budget: 2,
            reason: "founding alone supersedes two key epochs, and their grace is ten seconds",
            faults: |_| {},
        },
        Mistake::DoubleCountedUpdate => Stage {
            scenario: "splits",
            nodes: 5,
            rules: &[SUM_OF_UPDATES],
            budget: 10,
            reason: "a round must open while two answer late, the second later than the first answers twice",
            faults: Draw::late_answers,
        },
        Mistake::OffsetCommittedEarly => Stage {
            scenario: "edges",
            nodes: 3,
            rules: &[OFFSETS_BEHIND, NO_GAP],
            budget: 5,
            reason: "offsets run ahead all the time; the feed's home dies three times with records in hand",
            faults: |draw| {
                for number in 0..3 {
                    let at_ms = FIRST_MS + 4_000 * number + draw.below(3_000);
                    let down_ms = draw.down();
                    draw.add(at_ms, What::Kill { node: 0, down_ms });
                }
            },
        },
        Mistake::EvictedKeepsKeys => Stage {
            scenario: "members",
            nodes: 4,
            rules: &[HOLDERS_ARE_MEMBERS, EVICTED_READS_NOTHING],
            budget: 2,
            reason: "every eviction shows it",
            faults: |draw| {
                let at_ms = 12_000 + draw.below(3_000);
                let node = draw.node();
                draw.add(at_ms, What::Evict { node });
            },
        },
        Mistake::DuplicateProposal => Stage {
            scenario: "ledger",
            nodes: 3,
            rules: &[EFFECT_ONCE],
            budget: 10,
            reason: "an answer must be lost while its proposal is not: links end every second and more",
            faults: Draw::lost_answers,
        },
        Mistake::NoFailoverAbandon => Stage {
            scenario: "crashes",
            nodes: 3,
            rules: &[ROUNDS_GO_ON],
            budget: 10,
            reason: "the leader must die while a round is open, which slow links make longer",
            faults: |draw| {
                draw.slow_all(250, 14_000);
                draw.one_by_one(6, |node, down_ms| What::Kill { node, down_ms });
            },
        },
        Mistake::WatermarkEarly => Stage {
            scenario: "crashes",
            nodes: 3,
            rules: &[MAIL_KEPT],
            budget: 5,
            reason: "a node that is cut off takes mail for seconds, and dies before its digest can be committed",
            faults: |draw| {
                let node = draw.node();
                let to = (0..draw.nodes).filter(|other| *other != node).collect();
                let cut = What::Split {
                    from: vec![node],
                    to,
                    both: true,
                    for_ms: 9_000,
                };
                draw.add(FIRST_MS + 1_000, cut);
                let (at_ms, down_ms) = (FIRST_MS + 7_000 + draw.below(2_500), draw.down());
                draw.add(at_ms, What::Kill { node, down_ms });
            },
        },
        Mistake::BothSharesRevealed => Stage {
            scenario: "secure",
            nodes: 5,
            rules: &[ONE_SHARE],
            budget: 2,
            reason: "every secure round shows it, and the first closes as soon as there are examples",
            faults: |draw| {
                let (at_ms, node, down_ms) =
                    (LEARNING_MS + draw.below(LATE_MS), draw.node(), draw.down());
                draw.add(at_ms, What::Kill { node, down_ms });
            },
        },
        Mistake::UnchargedUnmask => Stage {
            scenario: "private",
            nodes: 5,
            rules: &[PAID_FIRST],
            budget: 2,
            reason: "every private round shows it, and the first closes as soon as there are examples",
            faults: |draw| {
                let (at_ms, node, down_ms) =
                    (LEARNING_MS + draw.below(LATE_MS), draw.node(), draw.down());
                draw.add(at_ms, What::Kill { node, down_ms });
            },
        },
        Mistake::TenantCountedSingly => Stage {
            scenario: "private",
            nodes: 5,
            rules: &[ACCOUNTS_AGREE],
            budget: 2,
            reason: "every round with both nodes of the tenant shows it",
            faults: |_| {},
        },
        Mistake::LeftOutForgotten => Stage {
            scenario: "compressed",
            nodes: 3,
            rules: &[LEFT_OUT_ONCE],
            budget: 2,
            reason: "the second round of every node shows it",
            faults: |draw| {
                let (at_ms, node, down_ms) =
                    (LEARNING_MS + draw.below(LATE_MS), draw.node(), draw.down());
                draw.add(at_ms, What::Kill { node, down_ms });
            },
        },
        Mistake::VariateNotKept => Stage {
            scenario: "scaffold",
            nodes: 3,
            rules: &[OWN_VARIATE, LOST_WITH_DISK],
            budget: 2,
            reason: "every update shows it, and so does every node that starts again",
            faults: |draw| {
                let (at_ms, node, down_ms) =
                    (LEARNING_MS + draw.below(LATE_MS), draw.node(), draw.down());
                draw.add(at_ms, What::Kill { node, down_ms });
            },
        },
        Mistake::VariateShareIgnored => Stage {
            scenario: "scaffold",
            nodes: 3,
            rules: &[MEAN_VARIATE],
            budget: 5,
            reason: "a round must close while a node is away, and its model be there at the end",
            faults: |draw| {
                let (at_ms, node) = (LEARNING_MS + LATE_MS + draw.below(LATE_MS), draw.node());
                let down_ms = 2 * LATE_MS;
                draw.add(at_ms, What::Kill { node, down_ms });
            },
        },
        Mistake::StaleUpdateAccepted => Stage {
            scenario: "buffered",
            nodes: 3,
            rules: &[COUNTED_BY_AGE],
            budget: 10,
            reason: "the slow node's training must outlast the models that it may be behind, as dice have it",
            faults: |_| {},
        },
        Mistake::UpdateCountedAgain => Stage {
            scenario: "buffered",
            nodes: 3,
            rules: &[COUNTED_BY_AGE],
            budget: 2,
            reason: "every second round shows it",
            faults: |draw| {
                let (at_ms, node, down_ms) =
                    (LEARNING_MS + draw.below(LATE_MS), draw.node(), draw.down());
                draw.add(at_ms, What::Kill { node, down_ms });
            },
        },
        Mistake::ReplayAccepted => Stage {
            scenario: "space",
            nodes: 3,
            rules: &[IN_ORDER_ONCE, REPLAYS_COUNTED],
            budget: 2,
            reason: "a stranger writes again what was written, every other second",
            faults: |_| {},
        },
        Mistake::UnboundedQueue => Stage {
            scenario: "crashes",
            nodes: 3,
            rules: &[BOUNDED],
            budget: 5,
            reason: "a node that starts again reads the ledger faster than its machines work, four times",
            faults: |draw| draw.one_by_one(4, |node, down_ms| What::Kill { node, down_ms }),
        },
    }
}

impl Stage {
    /// The plan of a seed, without the mistake.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut draw = Draw {
            dice: Dice::new(seed ^ 0x7072_6f76_6f6b_6500),
            nodes: self.nodes,
            faults: Vec::new(),
        };
        (self.faults)(&mut draw);
        draw.faults.sort_by_key(|fault| fault.at_ms);
        let last = draw.faults.last().map_or(0, |fault| fault.at_ms);
        let faults_ms = match last < FAULTS_MS {
            true => FAULTS_MS,
            false => last + LATE_MS,
        };
        Plan {
            seed,
            scenario: self.scenario.to_owned(),
            nodes: self.nodes,
            faults_ms,
            calm_ms: CALM_MS,
            faults: draw.faults,
            bugs: Vec::new(),
        }
    }
}

fn power_loss(node: u8, down_ms: u64) -> What {
    What::Crash {
        node,
        point: CrashPoint::Now,
        down_ms,
        disk: None,
    }
}

struct Draw {
    dice: Dice,
    nodes: u8,
    faults: Vec<Fault>,
}

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.dice.below(limit)
    }

    fn node(&mut self) -> u8 {
        self.dice.below(self.nodes.into()) as u8
    }

    fn down(&mut self) -> u64 {
        50 + self.below(500)
    }

    fn add(&mut self, at_ms: u64, what: What) {
        self.faults.push(Fault { at_ms, what });
    }

    /// Strikes all nodes at once, `times` times, four seconds apart: a cluster works again in between.
    fn everybody(&mut self, times: u64, what: fn(u8, u64) -> What) {
        for number in 0..times {
            let at_ms = FIRST_MS + 4_000 * number + self.below(1_000);
            for node in 0..self.nodes {
                let down_ms = self.down();
                self.add(at_ms, what(node, down_ms));
            }
        }
    }

    /// Strikes one node after the other.
    fn one_by_one(&mut self, times: u64, what: fn(u8, u64) -> What) {
        let pause = (FAULTS_MS - FIRST_MS) / times;
        let mut node = self.node();
        for number in 0..times {
            let at_ms = FIRST_MS + pause * number + self.below(pause);
            let down_ms = self.down();
            self.add(at_ms, what(node, down_ms));
            node = (node + 1) % self.nodes;
        }
    }

    fn slow_all(&mut self, delay_ms: u64, for_ms: u64) {
        for node in 0..self.nodes {
            let slow = What::Slow {
                node,
                delay_ms,
                jitter_ms: 100,
                loss_percent: 10,
                for_ms,
            };
            self.add(FIRST_MS, slow);
        }
    }

    /// Two nodes are slow, the second more than the first. The aggregator asks both again before either
    /// is heard, and is answered twice by the first while it waits for the second. A round opens every
    /// four seconds. Slower nodes would stand for election, for want of a leader's word.
    fn late_answers(&mut self) {
        for number in 0..2 {
            let first = self.node();
            for (node, delay_ms) in [(first, 200), ((first + 1) % self.nodes, 400)] {
                let slow = What::Slow {
                    node,
                    delay_ms,
                    jitter_ms: 10,
                    loss_percent: 0,
                    for_ms: LATE_MS,
                };
                self.add(LEARNING_MS + LATE_MS * number, slow);
            }
        }
    }

    /// All links of a node end, of one after the other.
    fn lost_answers(&mut self) {
        for number in 0..24 {
            let what = What::Disconnect {
                node: self.node(),
                half_open: self.below(2) == 0,
            };
            let at_ms = FIRST_MS + 480 * number + self.below(480);
            self.add(at_ms, what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lockstep::draw::lawful;

    #[test]
    fn staged_plans_are_lawful_and_follow_from_their_seed() {
        for mistake in [
            Mistake::DoubleVote,
            Mistake::LostFsync,
            Mistake::CommitBeforePersist,
            Mistake::StaleEpochAccepted,
            Mistake::DoubleCountedUpdate,
            Mistake::OffsetCommittedEarly,
            Mistake::EvictedKeepsKeys,
            Mistake::DuplicateProposal,
            Mistake::NoFailoverAbandon,
            Mistake::WatermarkEarly,
            Mistake::UnboundedQueue,
            Mistake::BothSharesRevealed,
            Mistake::ReplayAccepted,
            Mistake::UnchargedUnmask,
            Mistake::TenantCountedSingly,
            Mistake::LeftOutForgotten,
            Mistake::VariateNotKept,
            Mistake::VariateShareIgnored,
            Mistake::StaleUpdateAccepted,
            Mistake::UpdateCountedAgain,
        ] {
            let stage = stage(mistake);
            for seed in 1..=stage.budget {
                let plan = stage.plan(seed);
                assert!(lawful(&plan), "{mistake:?} {seed}");
                assert!(plan.faults.iter().all(|fault| fault.at_ms < plan.faults_ms));
                assert_eq!(plan, stage.plan(seed));
            }
        }
    }
}
