//! One open round: who was asked, who answered, what is valid.

use super::secure::SecureOpen;
use super::{Config, MAX_EXAMPLES, RefusedUpdate, Update};
use crate::fedavg::{self, Aggregate, AggregateError, Contribution};
use crate::optimizer::Moments;
use crate::robust;
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
    pub(super) cohort: BTreeSet<NodeId>,
    /// By node, so that the order of summation does not depend on the order of arrival.
    pub(super) updates: BTreeMap<NodeId, Update>,
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
    pub(super) fn take(&mut self, update: Update, config: &Config) -> Result<Taken, RefusedUpdate> {
        let Update { round, node, .. } = &update;
        if *round != self.round {
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
        self.check_numbers(&update, config)?;
        self.declined.remove(node);
        self.updates.insert(node.clone(), update);
        Ok(Taken::Counted)
    }

    fn check_numbers(&self, update: &Update, config: &Config) -> Result<(), RefusedUpdate> {
        if update.base != self.base.digest {
            return Err(RefusedUpdate::WrongBase {
                expected: self.base.digest,
                found: update.base,
            });
        }
        let expected = self.base.parameters.len();
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
        let enough = config.selection.enough(self.cohort.len(), min_cohort);
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
        let parts: Vec<_> = self
            .updates
            .values()
            .map(|update| Contribution {
                delta: &update.delta,
                examples: update.examples,
                loss: update.loss,
            })
            .collect();
        let base = &self.base.parameters;
        let mean = fedavg::combine((config.rule, config.liars), base.len(), &parts)?;
        fedavg::step(config.optimizer, base, &mean, moments)
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
