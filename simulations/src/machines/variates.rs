//! Rounds of SCAFFOLD: the members' control variates, worked out beside them.

use super::invariants as rule;
use super::node::{Node, name, number};
use super::rounds::Rounds;
use super::world::{Checked, World};
use ::node::tail::RoundSettings;
use federation::memory::Memory;
use federation::scaffold::{self, Carried, Lineage};
use federation::{Participant, Remembered};
use ledger::State;
use std::collections::{BTreeMap, BTreeSet};
use wire::{Act, Digest, NodeId, Round};

/// Parameters of the toy model.
pub(super) const WEIGHTS: usize = 8;
/// Steps of plain gradient descent that the toy learner takes.
const STEPS: u8 = 2;
/// Of a hundred restarts so many find an empty disk.
const LOST_PERCENT: u64 = 12;
/// Numbers of some units as f32, some dozen rounds long.
const ROUNDED: f64 = 1e-4;

/// How rounds begin by the ledger: as nodes have it.
pub(super) fn settings(rounds: Rounds) -> RoundSettings {
    RoundSettings {
        secure: None,
        privacy: None,
        tenant: None,
        codec: rounds.codec(),
        weights: WEIGHTS,
        variates: rounds == Rounds::Scaffold,
    }
}

/// Of all members.
#[derive(Default)]
pub(crate) struct Variates {
    /// What each has on its disk.
    disks: BTreeMap<usize, Memory>,
    /// Whose disk was ever lost.
    pub(super) lost: BTreeSet<usize>,
    /// Whose was, since the last round that began from zero was opened: what it answers before the next one is
    /// without a variate.
    without: BTreeMap<usize, Round>,
    /// By the whole ledger, as it is committed.
    lineage: Lineage,
    /// Those that stand.
    standing: BTreeMap<usize, Vec<f32>>,
    /// What each becomes if its round counts.
    next: BTreeMap<(Round, usize), Vec<f32>>,
    /// Rounds with variates, as they were opened.
    begun: BTreeMap<Round, Begun>,
    /// What training made.
    made: BTreeMap<(Round, usize), Vec<f32>>,
    last: Round,
}

/// A round with variates.
struct Begun {
    fresh: bool,
    /// c.
    server: Vec<f32>,
    standing: BTreeMap<usize, Vec<f32>>,
}

impl Begun {
    fn own(&self, n: usize) -> Vec<f32> {
        let stands = self.standing.get(&n).filter(|_| !self.fresh);
        stands.cloned().unwrap_or_else(|| vec![0.0; WEIGHTS])
    }
}

impl World {
    /// From the disk that a former process left.
    pub(super) fn remember(&mut self, n: usize) {
        let Some(memory) = self.variates.disks.get(&n).cloned() else {
            return;
        };
        if self.faulty() && self.dice.percent(LOST_PERCENT) {
            self.log(&format!("n{n} has lost its disk"));
            let variates = &mut self.variates;
            variates.disks.remove(&n);
            variates.lost.insert(n);
            variates.without.insert(n, variates.last);
            return;
        }
        let node = &mut self.nodes[n];
        let born = std::mem::replace(&mut node.participant, Participant::new(name(n)));
        node.participant = born.with(Remembered::Variate(memory));
    }

    /// A round was opened, by the leaf that nobody had folded before.
    pub(super) fn begins(&mut self, state: &State, round: Round, model: Digest) {
        let settings = settings(self.scenario.rounds);
        let variates = &mut self.variates;
        variates.last = round;
        let carried = settings.carried(&mut variates.lineage, state, (round, model));
        let Carried::Joined(standing) = carried else {
            return;
        };
        let fresh = standing.begin.fresh;
        let vector = self.vectors.get(&model).map_or(&[][..], |of| of.as_slice());
        let server = scaffold::split(vector).filter(|(weights, _)| weights.len() == WEIGHTS);
        let server = server.filter(|_| !fresh).map(|(_, c)| c.to_vec());
        let begun = Begun {
            fresh,
            server: server.unwrap_or_else(|| vec![0.0; WEIGHTS]),
            standing: variates.standing.clone(),
        };
        variates.begun.insert(round, begun);
    }

    /// Whether a round was opened as one with variates.
    pub(super) fn has_variates(&self, round: Round) -> bool {
        self.variates.begun.contains_key(&round)
    }

    /// An update is trained with `c − cᵢ`, cᵢ being what this node's last round that counted left.
    pub(super) fn corrects(&self, n: usize, round: Round, correction: &[f32]) -> Checked {
        let Some(begun) = self.variates.begun.get(&round) else {
            return Ok(());
        };
        if self.variates.without.contains_key(&n) && !begun.fresh {
            return Ok(());
        }
        let own = begun.own(n);
        let expected = begun.server.iter().zip(&own).map(|(c, own)| c - own);
        let expected: Vec<f32> = expected.collect();
        rule::OWN_VARIATE.check(near(correction, &expected), n, || {
            format!("round {round}: {correction:?} instead of {expected:?}")
        })
    }

    /// What the toy learner makes of parameters and correction: difference, and K·ηₗ.
    pub(super) fn descend(&self, goal: f32, from: &[f32], correction: &[f32]) -> (Vec<f32>, f64) {
        let rate = self.settings.local_rate;
        let pairs = from.iter().zip(correction);
        let delta = pairs.map(|(from, correction)| {
            let steps = 0..STEPS;
            steps.fold(*from, |at, _| at - rate * (at - goal + correction)) - from
        });
        (delta.collect(), f64::from(STEPS) * f64::from(rate))
    }

    /// The learner's result of a round with variates, before the participant has it.
    pub(super) fn descended(&mut self, n: usize, round: Round, delta: &[f32]) {
        self.variates.made.insert((round, n), delta.to_vec());
    }

    /// A participant has its disk keep what its variate will be.
    pub(super) fn keeps(&mut self, n: usize, remembered: Remembered) -> Checked {
        let Remembered::Variate(memory) = remembered else {
            return Ok(());
        };
        let taken = f64::from(STEPS) * f64::from(self.settings.local_rate);
        let variates = &mut self.variates;
        if let Some(next) = &memory.next {
            let (round, key) = (next.round, (next.round, n));
            let again = variates.next.insert(key, next.numbers.clone());
            rule::OWN_VARIATE.check(again.is_none(), n, || format!("it answers {round} twice"))?;
            if let (Some(begun), Some(made)) = (variates.begun.get(&round), variates.made.get(&key))
            {
                // Option II: cᵢ − c + (w − y)/(K·ηₗ).
                let own = begun.own(n);
                let parts = own.iter().zip(&begun.server).zip(made);
                let expected = parts.map(|((own, c), delta)| own - c - delta / taken as f32);
                let expected: Vec<f32> = expected.collect();
                rule::OWN_VARIATE.check(near(&next.numbers, &expected), n, || {
                    format!("after round {round}: {:?}, not {expected:?}", next.numbers)
                })?;
            }
        }
        variates.disks.insert(n, memory);
        Ok(())
    }

    /// A participant says that its variate is lost.
    pub(super) fn loses(&mut self, n: usize, act: Act) -> Checked {
        let lost = self.variates.lost.contains(&n);
        rule::LOST_WITH_DISK.check(lost, n, || format!("{act:?}"))?;
        self.propose(n, act);
        Ok(())
    }

    /// By the leaf that nobody had folded before.
    pub(super) fn disturbed(&mut self) {
        self.variates.lineage.disturbed();
    }

    /// A round ended without a model, likewise.
    pub(super) fn comes_to_nothing(&mut self, round: Round) {
        self.variates.lineage.abandoned(round);
    }

    /// A round has a model, likewise: c is the mean of what all members keep.
    pub(super) fn averages(&mut self, round: Round, model: Digest, of: &[NodeId]) -> Checked {
        let members = 0..self.nodes.len();
        let variates = &mut self.variates;
        variates.lineage.closed(round, model, true);
        let Some(begun) = variates.begun.get(&round) else {
            return Ok(());
        };
        if begun.fresh {
            variates.standing.clear();
            variates.without.retain(|_, since| *since >= round);
        }
        for n in of.iter().map(number) {
            if let Some(next) = variates.next.remove(&(round, n)) {
                variates.standing.insert(n, next);
            }
        }
        // Which of two answers counts, one from before the loss and one after it, only the aggregator knows.
        if !variates.without.is_empty() {
            return Ok(());
        }
        let vector = self.vectors.get(&model).map_or(&[][..], |of| of.as_slice());
        let found = scaffold::split(vector).map_or(&[][..], |(_, c)| c);
        let share = (self.nodes.len() as f32).recip();
        let mut mean = vec![0.0_f32; WEIGHTS];
        for own in members.filter_map(|n| variates.standing.get(&n)) {
            mean.iter_mut()
                .zip(own)
                .for_each(|(mean, c)| *mean += share * c);
        }
        rule::MEAN_VARIATE.check(near(found, &mean), 0, || {
            format!("round {round}: {found:?} instead of {mean:?}")
        })
    }
}

impl Node {
    /// What the vectors of a round are, by this node's replica.
    pub(super) fn carries(&mut self, rounds: Rounds, round: Round, model: Digest) -> Carried {
        settings(rounds).carried(&mut self.lineage, &self.replica, (round, model))
    }
}

fn near(found: &[f32], expected: &[f32]) -> bool {
    let off = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).abs();
    found.len() == expected.len() && found.iter().zip(expected).map(off).all(|off| off < ROUNDED)
}
