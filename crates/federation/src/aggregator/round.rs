//! One open round: who was asked, who answered, what is valid.

use super::buffered::Buffered;
use super::secure::SecureOpen;
use super::{Config, MAX_EXAMPLES, RefusedUpdate, Update};
use crate::fedavg::{self, Aggregate, AggregateError, Contribution, Mean};
use crate::fedbuff;
use crate::optimizer::Moments;
use crate::robust;
use crate::scaffold;
use machine::Instant;
use machine::mistakes::{self, Mistake};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::{Digest, NodeId, Round};

/// A model in memory.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) digest: Digest,
    pub(super) parameters: Arc<Vec<f32>>,
}

pub(super) struct OpenRound {
    pub(super) round: Round,
    pub(super) base: Model,
    /// What the updates are differences from: the base, with or without what stands behind its weights.
    pub(super) start: Arc<Vec<f32>>,
    /// N, where members have variates.
    pub(super) members: Option<usize>,
    pub(super) cohort: BTreeSet<NodeId>,
    /// By node, so that the order of summation does not depend on the order of arrival.
    pub(super) updates: BTreeMap<NodeId, Update>,
    /// How old the models are that they started from, where that may differ.
    pub(super) ages: BTreeMap<NodeId, usize>,
    /// Whether the ledger is told of it.
    pub(super) tells_ages: bool,
    pub(super) declined: BTreeMap<NodeId, String>,
    /// Where the updates come masked, and only their sum is seen.
    pub(super) secure: Option<SecureOpen>,
    pub(super) ends: Instant,
    pub(super) resend_at: Instant,
}

/// What became of an update.
pub(super) enum Taken {
    Counted,
    Repeated,
}

impl OpenRound {
    pub(super) fn take(
        &mut self,
        update: Update,
        config: &Config,
        buffered: Option<&Buffered>,
    ) -> Result<Taken, RefusedUpdate> {
        let Update { round, node, .. } = &update;
        if *round > self.round || (*round < self.round && buffered.is_none()) {
            return Err(RefusedUpdate::NotOpen { round: *round });
        }
        if !self.cohort.contains(node) {
            return Err(RefusedUpdate::NotInCohort {
                node: node.clone(),
                round: *round,
            });
        }
        if self.secure.is_some() {
            return Err(RefusedUpdate::Clear {
                node: node.clone(),
                round: *round,
            });
        }
        if let Some(taken) = self.updates.get_mut(node) {
            if mistakes::on(Mistake::DoubleCountedUpdate) {
                taken.examples = taken.examples.saturating_add(update.examples);
            }
            return Ok(Taken::Repeated);
        }
        let age = match buffered {
            None if update.base == self.base.digest => 0,
            None => {
                return Err(RefusedUpdate::WrongBase {
                    expected: self.base.digest,
                    found: update.base,
                });
            }
            Some(buffered) => buffered.age(&update)?,
        };
        self.check_numbers(&update, config)?;
        self.declined.remove(node);
        if buffered.is_some() {
            self.ages.insert(node.clone(), age);
        }
        self.updates.insert(node.clone(), update);
        Ok(Taken::Counted)
    }

    fn check_numbers(&self, update: &Update, config: &Config) -> Result<(), RefusedUpdate> {
        let expected = self.start.len();
        let found = update.delta.len();
        if found != expected {
            return Err(RefusedUpdate::WrongLength { expected, found });
        }
        let norm = robust::norm(&update.delta);
        if !norm.is_finite()
            && let Some(index) = update.delta.iter().position(|value| !value.is_finite())
        {
            return Err(RefusedUpdate::NotFinite { index });
        }
        if !update.loss.is_finite() {
            return Err(RefusedUpdate::NotFinite { index: found });
        }
        // Of a private round an update is clipped, and whether it was long is nobody's business.
        if norm > config.max_norm && config.privacy.is_none() {
            return Err(RefusedUpdate::TooLarge {
                norm,
                bound: config.max_norm,
            });
        }
        if !(1..=MAX_EXAMPLES).contains(&update.examples) {
            return Err(RefusedUpdate::Examples {
                examples: update.examples,
            });
        }
        Ok(())
    }

    pub(super) fn answered(&self, node: &NodeId) -> bool {
        self.has_update(node) || self.declined.contains_key(node)
    }

    /// Those still to be heard.
    pub(super) fn silent(&self) -> impl Iterator<Item = &NodeId> {
        self.cohort.iter().filter(|node| !self.answered(node))
    }

    /// Whether waiting longer is pointless: everybody answered, or as many as are wanted where more were
    /// asked, or everybody who can did and the updates suffice. (Where they do not, a node that is down may
    /// come back before the end.)
    pub(super) fn complete(&self, up: &BTreeSet<NodeId>, config: &Config) -> bool {
        let min_cohort = config.min_cohort;
        let enough = match config.buffer {
            None => config.selection.enough(self.cohort.len(), min_cohort),
            Some(buffer) => buffer.size,
        };
        self.silent().next().is_none()
            || self.updates.len() >= enough
            || (self.updates.len() >= min_cohort && self.silent().all(|node| !up.contains(node)))
    }

    /// The new model, and what the optimiser remembers with it.
    pub(super) fn aggregate(
        &self,
        config: &Config,
        moments: Option<&Moments>,
    ) -> Result<(Aggregate, Moments), AggregateError> {
        fn part(update: &Update, weight: u64) -> Contribution<'_> {
            Contribution {
                delta: &update.delta,
                examples: weight,
                loss: update.loss,
            }
        }
        let length = self.start.len();
        let by = (config.rule, config.liars);
        let mean = match self.members {
            None if config.buffer.is_some() => self.discounted(),
            None => {
                let parts = self.updates.values().map(|u| part(u, u.examples));
                fedavg::combine(by, length, &parts.collect::<Vec<_>>())?
            }
            // Each variate counts once in the mean of all, and so does the step that goes with it.
            Some(_) => {
                let parts = self.updates.values().map(|update| part(update, 1));
                let mean = fedavg::combine(by, length, &parts.collect::<Vec<_>>())?;
                // At most `MAX_EXAMPLES` each, of fewer participants than there are addresses.
                let examples: u64 = self.updates.values().map(|update| update.examples).sum();
                Mean { examples, ..mean }
            }
        };
        self.step(config, &mean, self.updates.len(), moments)
    }

    /// (1/K)·Σ s(τᵢ)·Δᵢ.
    fn discounted(&self) -> Mean {
        let mut delta = vec![0.0; self.start.len()];
        let share = (self.updates.len() as f64).recip();
        for (node, update) in &self.updates {
            let age = self.ages.get(node).copied().unwrap_or_default();
            let weight = share * fedbuff::weight(age);
            for (sum, delta) in delta.iter_mut().zip(&update.delta) {
                *sum += weight * f64::from(*delta);
            }
        }
        let examples: u64 = self.updates.values().map(|update| update.examples).sum();
        let losses = self.updates.values().map(|update| {
            let weight = update.examples as f64 / examples as f64;
            weight * update.loss
        });
        Mean {
            delta,
            examples,
            loss: losses.sum(),
        }
    }

    /// The server's step along the mean of so many updates.
    pub(super) fn step(
        &self,
        config: &Config,
        mean: &Mean,
        updates: usize,
        moments: Option<&Moments>,
    ) -> Result<(Aggregate, Moments), AggregateError> {
        let members =
            self.members
                .map(|members| match mistakes::on(Mistake::VariateShareIgnored) {
                    true => updates,
                    false => members,
                });
        let Some(members) = members else {
            return fedavg::step(config.optimizer, &self.start, mean, moments);
        };
        let rate = config.optimizer.learning_rate();
        let parameters = scaffold::step(&self.start, &mean.delta, (updates, members), rate)?;
        let made = fedavg::finite(Aggregate {
            parameters,
            examples: mean.examples,
            loss: mean.loss,
        })?;
        Ok((made, Moments::default()))
    }

    /// For the ledger: how old the models are that these updates started from, in their order.
    pub(super) fn ages_of(&self, participants: &[NodeId]) -> Option<Vec<u32>> {
        let age = |node| self.ages.get(node).copied().unwrap_or_default();
        let ages = participants.iter().map(age);
        // At most the configuration's bound, which is a small number.
        let ages = ages.map(|age| u32::try_from(age).unwrap_or(u32::MAX));
        self.tells_ages.then(|| ages.collect())
    }

    /// For the log.
    pub(super) fn tell_ages(&self) -> Option<String> {
        let old = self.ages.iter().filter(|(_, age)| **age > 0);
        let old: Vec<String> = old.map(|(node, age)| format!("{node} by {age}")).collect();
        let round = self.round;
        (!old.is_empty()).then(|| {
            format!(
                "round {round} counts updates from earlier models: {}",
                old.join(", ")
            )
        })
    }

    /// Why too few updates came in.
    pub(super) fn shortfall(&self, min_cohort: usize) -> String {
        let mut reason = format!(
            "{} of {} participants sent an update, {min_cohort} are needed",
            self.updates.len(),
            self.cohort.len()
        );
        for (node, why) in &self.declined {
            reason.push_str(&format!("; {node} declined: {why}"));
        }
        let silent: Vec<_> = self.silent().map(NodeId::as_str).collect();
        if !silent.is_empty() {
            reason.push_str(&format!("; not heard of: {}", silent.join(", ")));
        }
        reason
    }
}
