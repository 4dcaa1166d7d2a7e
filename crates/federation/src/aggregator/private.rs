//! Rounds under differential privacy: updates are clipped, their sum gets noise, and what that tells of each
//! participant is on the ledger before the model is anywhere.
//!
//! Only noise that no other node could take off again makes a private model: the seed is the shell's.
//! The clipping bound follows the updates while one node leads, and starts from the configuration with the
//! next leader.

use super::round::OpenRound;
use super::steps::propose;
use super::{Aggregator, Instant, Output, Phase};
use crate::fedavg::{self, Aggregate, AggregateError, Mean};
use crate::optimizer::Moments;
use crate::privacy::budget::{Accounts, Budget, Holder, epsilon};
use crate::privacy::clipping::Quantile;
use crate::privacy::noise::Noise;
use crate::privacy::{Mechanism, Unusable};
use crate::secagg::NoiseBy;
use std::collections::BTreeSet;
use std::sync::Arc;
use wire::{Act, NodeId, Round};

/// Why a private round whose cost is not to be had on the ledger ends.
pub(super) const UNCHARGED: &str = "what it tells of its participants did not come to be on the ledger in time, so its model is shown to nobody";

/// Differential privacy of the rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Privacy {
    /// z in thousandths: the noise's standard deviation over the clipping bound.
    pub noise_milli: u32,
    /// L2 norm that updates are clipped to; the first one if it is to follow.
    pub bound: f64,
    /// How the bound follows the updates' norms; `None`: it stays.
    pub adaptive: Option<Quantile>,
    /// Who adds the noise. Participants can in secure rounds only, for its parts hide nothing alone.
    pub noise: NoiseBy,
    /// What those may spend who have declared nothing else on the ledger, and the δ of what it is told.
    pub budget: Budget,
}

impl Privacy {
    /// The round's mechanism with this bound. Where the bound follows, the count's noise takes its part.
    pub fn mechanism(&self, bound: f64) -> Result<Mechanism, Unusable> {
        let whole = f64::from(self.noise_milli) / 1_000.0;
        let noise = match &self.adaptive {
            None => whole,
            Some(quantile) => quantile.noise_for_updates(whole).ok_or(Unusable::Count {
                deviation: quantile.deviation,
                noise_multiplier: whole,
            })?,
        };
        Mechanism::new(bound, noise)
    }
}

/// What an aggregator of private rounds keeps.
#[derive(Default)]
pub(super) struct Private {
    /// `None`: nobody gave a seed, so no round can be private.
    pub(super) noise: Option<Noise>,
    /// As it has come to be; `None`: as configured.
    bound: Option<f64>,
    /// By the ledger; `None`: not heard yet, or the ledger cannot hold it yet.
    spent: Option<Accounts>,
    /// The operator was told why no round opens.
    told: bool,
}

/// A model that is made and not shown to anybody yet.
pub(super) struct Made {
    pub(super) round: Round,
    pub(super) participants: Vec<NodeId>,
    pub(super) aggregate: Aggregate,
    pub(super) moments: Moments,
    /// The clipping bound of the next round.
    bound: Option<f64>,
    /// The cost is to be on the ledger by then: an act that the fold refuses would be repeated for ever.
    pub(super) until: Instant,
}

/// Why a private round makes no model.
#[derive(Debug, thiserror::Error)]
enum NoModel {
    #[error("no secret to draw noise from was given to this aggregator")]
    NoNoise,
    #[error(
        "its noise is to come from the participants, who add it in secure rounds only, and this one was none"
    )]
    Clear,
    #[error(transparent)]
    Unusable(#[from] Unusable),
    #[error(transparent)]
    Aggregate(#[from] AggregateError),
}

impl Private {
    fn mean(
        &mut self,
        privacy: &Privacy,
        open: &OpenRound,
    ) -> Result<(Mean, Option<f64>), NoModel> {
        match privacy.noise {
            NoiseBy::Aggregator => {}
            NoiseBy::Participants => return Err(NoModel::Clear),
        }
        let noise = self.noise.as_mut().ok_or(NoModel::NoNoise)?;
        let bound = self.bound.unwrap_or(privacy.bound);
        let deltas: Vec<&[f32]> = open
            .updates
            .values()
            .map(|update| update.delta.as_slice())
            .collect();
        let (delta, within) = privacy.mechanism(bound)?.central(&deltas, noise);
        let next = privacy
            .adaptive
            .map(|quantile| quantile.next(bound, within, deltas.len(), noise));
        // Neither examples nor losses are private.
        let mean = Mean {
            delta,
            examples: deltas.len() as u64,
            loss: 0.0,
        };
        Ok((mean, next))
    }
}

impl Aggregator {
    /// With a secret for the noise of private rounds: 32 bytes of entropy, used for nothing else.
    #[must_use]
    pub fn with_noise(mut self, seed: [u8; 32]) -> Self {
        self.private.noise = Some(Noise::from_seed(seed));
        self
    }

    /// Those who are up and have something left to spend. Of a tenant whose account does not bear one more round with all of
    /// its nodes that are up nobody is asked: a part of them would last longer, and be the same ones for ever.
    pub(super) fn eligible(&self) -> BTreeSet<NodeId> {
        let Some(privacy) = &self.config.privacy else {
            return self.up.clone();
        };
        let Some(spent) = &self.private.spent else {
            return BTreeSet::new();
        };
        let over = self.overdrawn(privacy, spent);
        let allows = |node: &&NodeId| !over.contains(&spent.holder(node));
        self.up.iter().filter(allows).cloned().collect()
    }

    fn overdrawn(&self, privacy: &Privacy, accounts: &Accounts) -> BTreeSet<Holder> {
        accounts.overdrawn(&self.up, privacy.noise_milli, privacy.budget)
    }

    /// Whether there are enough to ask.
    pub(super) fn staffed(&self) -> bool {
        self.up.len() >= self.config.min_cohort && self.eligible().len() >= self.config.min_cohort
    }

    /// Says once why no private round opens: the budget is spent, or the ledger has no place for it yet.
    pub(super) fn tell_why_stopped(&mut self, out: &mut Vec<Output>) {
        let Some(privacy) = &self.config.privacy else {
            return;
        };
        let Some(accounts) = &self.private.spent else {
            if !self.private.told {
                out.push(Output::Note(
                    "private rounds wait until the ledger can account for them: until all nodes run a version that knows level 5".to_owned(),
                ));
            }
            self.private.told = true;
            return;
        };
        let left = self.eligible().len();
        let stopped = self.up.len() >= self.config.min_cohort && left < self.config.min_cohort;
        if stopped && !self.private.told {
            let over = self.overdrawn(privacy, accounts).into_iter();
            let over = over.map(|holder| {
                let of = accounts.statement(holder, privacy.budget);
                let (spent, most, delta) = (of.spent, of.budget.epsilon, of.budget.delta);
                format!("{} (ε = {spent:.3} of {most} at δ = {delta})", of.holder)
            });
            out.push(Output::Note(format!(
                "training stops: one more round would take over the privacy budget {}; that leaves {left} of {} nodes, and {} are needed; the model stays as it is until `learning.privacy.epsilon` is raised on nodes of theirs",
                over.collect::<Vec<_>>().join(", "),
                self.up.len(),
                self.config.min_cohort,
            )));
        }
        self.private.told = stopped;
    }

    /// From collecting: the model of a private round goes nowhere before its cost is on the ledger.
    pub(super) fn end_private(&mut self, now: Instant, privacy: &Privacy, out: &mut Vec<Output>) {
        let Phase::Collecting(open) = &self.phase else {
            return;
        };
        let (round, base, start) = (open.round, open.base.digest, Arc::clone(&open.start));
        let participants: Vec<NodeId> = open.updates.keys().cloned().collect();
        let bound = self.private.bound.unwrap_or(privacy.bound);
        let made = self.private.mean(privacy, open).and_then(|(mean, next)| {
            let moments = self.moments_of(base);
            let stepped = fedavg::step(self.config.optimizer, &start, &mean, moments)?;
            Ok((stepped, next))
        });
        let ((aggregate, moments), next) = match made {
            Ok(made) => made,
            Err(error) => return self.abandon(now, round, error.to_string(), out),
        };
        let act = self.cost(privacy, round, participants.clone(), bound);
        let proposal = propose(now, round, act, out);
        let made = Box::new(Made {
            round,
            participants,
            aggregate,
            moments,
            bound: next,
            until: now + self.config.deadline,
        });
        self.phase = Phase::Charging { proposal, made };
    }

    /// What a round with these participants costs, as the ledger is told.
    pub(super) fn cost(
        &self,
        privacy: &Privacy,
        round: Round,
        participants: Vec<NodeId>,
        bound: f64,
    ) -> Act {
        Act::PrivacySpent {
            round,
            noise_milli: privacy.noise_milli,
            bound,
            delta: privacy.budget.delta,
            epsilon: self.dearest(privacy, &participants),
            participants,
        }
    }

    /// The largest ε that one of them, or a tenant of one, has spent with one more round.
    fn dearest(&self, privacy: &Privacy, participants: &[NodeId]) -> f64 {
        let mut accounts = self.private.spent.clone().unwrap_or_default();
        accounts.charge(participants, privacy.noise_milli);
        let of = |holder: &Holder| {
            let rounds = accounts.spent.get(holder);
            rounds.map_or(0.0, |rounds| epsilon(rounds, privacy.budget.delta))
        };
        let holders = accounts.shares(participants).into_keys();
        holders.map(|holder| of(&holder)).fold(0.0, f64::max)
    }

    /// What the ledger says has been spent; `round`: its cost has just come to be on the ledger.
    pub(super) fn spent(
        &mut self,
        now: Instant,
        round: Option<Round>,
        spent: Accounts,
        out: &mut Vec<Output>,
    ) {
        if self.private.spent.replace(spent).is_none() {
            self.private.told = false;
        }
        // Here, since without anybody to ask nothing is due that would ask.
        if self.leading {
            self.tell_why_stopped(out);
        }
        if let Phase::Collecting(open) = &mut self.phase
            && round == Some(open.round)
            && let Some(secure) = &mut open.secure
        {
            secure.charged();
        }
        let charged =
            matches!(&self.phase, Phase::Charging { made, .. } if round == Some(made.round));
        if !charged {
            return;
        }
        let waiting = Phase::Waiting {
            until: now,
            asked: 0,
        };
        if let Phase::Charging { made, .. } = std::mem::replace(&mut self.phase, waiting) {
            self.private.bound = made.bound.or(self.private.bound);
            let Made {
                round,
                participants,
                aggregate,
                moments,
                bound: _,
                until: _,
            } = *made;
            self.close(now, (round, participants), (aggregate, moments), out);
        }
    }
}
