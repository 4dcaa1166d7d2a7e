//! The toy's rules, 10 ms a step.

use crate::machines::rng::Dice;
use crate::outcome::{Happening, Kind, Outcome, Violation};
use crate::plan::{Plan, What};
use crate::story::plans::{describe, lane};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const STEP_MS: u64 = 10;
/// The leader takes a write so often.
const WRITE_MS: u64 = 50;
/// Followers write to disk so often: what came since is lost with the power.
const SYNC_MS: u64 = 400;

// Kinds of events.
const SENT: u64 = 0;
const STRUCK: u64 = 1;
const LEADS: u64 = 2;
const NOBODY: u64 = 3;

#[derive(Clone, Default)]
struct Node {
    value: u64,
    synced: u64,
    down_until: u64,
}

struct Message {
    at: u64,
    from: usize,
    to: usize,
    value: u64,
}

pub(super) struct World<'a> {
    plan: &'a Plan,
    telling: bool,
    dice: Dice,
    now: u64,
    nodes: Vec<Node>,
    splits: Vec<(Vec<u8>, Vec<u8>, u64)>,
    wire: Vec<Message>,
    leader: Option<usize>,
    term: u64,
    acknowledged: u64,
    outcome: Outcome,
    trace: Sha256,
    state: u64,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: &'a Plan, telling: bool) -> Self {
        Self {
            plan,
            telling,
            dice: Dice::new(plan.seed),
            now: 0,
            nodes: vec![Node::default(); plan.nodes.into()],
            splits: Vec::new(),
            wire: Vec::new(),
            leader: None,
            term: 0,
            acknowledged: 0,
            outcome: Outcome {
                plan: plan.clone(),
                trace: String::new(),
                wire: String::new(),
                events: 0,
                virtual_ms: 0,
                violations: Vec::new(),
                coverage: BTreeSet::new(),
                story: Vec::new(),
            },
            trace: Sha256::new(),
            state: 0,
        }
    }

    pub(super) fn run(mut self) -> Outcome {
        let mut faults = self.plan.faults.iter().peekable();
        while self.now < self.plan.faults_ms + self.plan.calm_ms
            && self.outcome.violations.is_empty()
        {
            while let Some(fault) = faults.next_if(|fault| fault.at_ms <= self.now) {
                self.strike(&fault.what);
            }
            self.deliver();
            self.elect();
            self.write();
            if self.now.is_multiple_of(SYNC_MS) {
                for node in &mut self.nodes {
                    node.synced = node.value;
                }
            }
            self.now += STEP_MS;
        }
        self.outcome.trace = hex::encode(self.trace.finalize());
        self.outcome.wire.clone_from(&self.outcome.trace);
        self.outcome.virtual_ms = self.now;
        self.outcome
    }

    /// What kind of event it was is reached; its figures are hashed; its words only if asked for.
    fn tell(&mut self, event: u64, figures: [u64; 3], words: impl FnOnce() -> (String, Kind)) {
        self.outcome.events += 1;
        for figure in [self.now, event].iter().chain(&figures) {
            self.trace.update(figure.to_le_bytes());
        }
        if event != SENT {
            let down = |node: &Node| u64::from(node.down_until > self.now);
            let down = self
                .nodes
                .iter()
                .fold(0, |bits, node| bits * 2 + down(node));
            let state = (down * 8 + self.splits.len() as u64).min(1 << 12);
            self.outcome
                .coverage
                .insert((event << 40) | (self.state << 20) | state);
            self.state = state;
        }
        if self.telling {
            let (lane, what) = words();
            let at_ms = self.now;
            self.outcome.story.push(Happening { at_ms, lane, what });
        }
    }

    fn strike(&mut self, what: &What) {
        let now = self.now;
        match what {
            What::Crash { node, down_ms, .. } => {
                let n = &mut self.nodes[usize::from(*node)];
                n.value = n.synced;
                n.down_until = now + down_ms;
            }
            What::Kill { node, down_ms } => {
                self.nodes[usize::from(*node)].down_until = now + down_ms
            }
            What::Split {
                from, to, for_ms, ..
            } => {
                self.splits.push((from.clone(), to.clone(), now + for_ms));
            }
            _ => {}
        }
        let words = || (String::new(), Kind::Fault(describe(what)));
        self.tell(STRUCK, [0; 3], words);
    }

    fn reach(&self, a: usize, b: usize) -> bool {
        let up = |n: usize| self.nodes[n].down_until <= self.now;
        let cut = self.splits.iter().any(|(from, to, until)| {
            let on = |side: &[u8], n: usize| side.iter().any(|&s| usize::from(s) == n);
            *until > self.now && (on(from, a) && on(to, b) || on(from, b) && on(to, a))
        });
        up(a) && up(b) && !cut
    }

    fn reachable(&self, from: usize) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|&n| self.reach(from, n))
            .collect()
    }

    fn deliver(&mut self) {
        let now = self.now;
        if self.wire.iter().all(|m| m.at > now) {
            return;
        }
        let (due, rest) = std::mem::take(&mut self.wire)
            .into_iter()
            .partition(|m| m.at <= now);
        self.wire = rest;
        let due: Vec<Message> = due;
        for message in due {
            if self.reach(message.from, message.to) {
                let node = &mut self.nodes[message.to];
                node.value = node.value.max(message.value);
                // The mistake: acknowledged as soon as a majority has it in memory.
                let have = self
                    .nodes
                    .iter()
                    .filter(|n| n.value >= message.value)
                    .count();
                if have * 2 > self.nodes.len() {
                    self.acknowledged = self.acknowledged.max(message.value);
                }
            }
        }
    }

    fn elect(&mut self) {
        let all = self.nodes.len();
        let quorum = |n: usize| (0..all).filter(|&to| self.reach(n, to)).count() * 2 > all;
        if self.leader.is_some_and(quorum) {
            return;
        }
        let best = (0..self.nodes.len())
            .filter(|&n| quorum(n))
            .flat_map(|n| {
                self.reachable(n)
                    .into_iter()
                    .filter(|&m| quorum(m))
                    .max_by_key(|&m| self.nodes[m].value)
            })
            .max_by_key(|&n| self.nodes[n].value);
        if best == self.leader {
            return;
        }
        self.leader = best;
        self.term += 1;
        let (name, term) = (best.map(|n| lane(n as u8)), self.term);
        let event = if best.is_some() { LEADS } else { NOBODY };
        self.tell(event, [term, best.unwrap_or(9) as u64, 0], || {
            let leader = name.clone();
            (name.unwrap_or_default(), Kind::Leader { leader, term })
        });
        if let Some(n) = best.filter(|&n| self.nodes[n].value < self.acknowledged) {
            self.outcome.violations.push(Violation {
                id: "TOY-1".into(),
                says: "what was acknowledged is never lost".into(),
                at_ms: self.now,
                detail: format!(
                    "{} leads with {} of {}",
                    lane(n as u8),
                    self.nodes[n].value,
                    self.acknowledged
                ),
            });
        }
    }

    fn write(&mut self) {
        let Some(leader) = self.leader.filter(|_| self.now.is_multiple_of(WRITE_MS)) else {
            return;
        };
        let value = self.nodes[leader].value + 1;
        self.nodes[leader].value = value;
        self.nodes[leader].synced = value;
        for to in (0..self.nodes.len()).filter(|&n| n != leader) {
            let at = self.now + STEP_MS + self.dice.below(40);
            let arrives = self.reach(leader, to).then_some(at);
            self.wire.push(Message {
                at,
                from: leader,
                to,
                value,
            });
            let bytes = 64 + self.dice.below(1_000);
            self.tell(SENT, [leader as u64, to as u64, bytes], || {
                let kind = Kind::Sent {
                    to: lane(to as u8),
                    bytes,
                    arrives_ms: arrives,
                };
                (lane(leader as u8), kind)
            });
        }
    }
}
