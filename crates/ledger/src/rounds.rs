//! Rounds of learning: one at a time, numbered without gaps, at most one model each.

use crate::models::MAX_MODEL_REASON;
use crate::privacy::{Declared, PrivacyCost, Told};
use crate::state::{Outcome, State, refuse};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wire::{Digest, MAX_AGE, NodeId, Round, UnixMillis};

/// How many rounds that ended are remembered: what a page can draw, and how far back a model can be
/// chosen.
pub const MAX_HISTORY: usize = 200;

/// The round that is running.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRound {
    /// Its number.
    pub round: Round,
    /// The model it starts from.
    pub model: Digest,
    /// Who is asked.
    pub cohort: Vec<NodeId>,
    /// Whose data those asked had when it was opened; who is not here is its own tenant.
    pub tenants: BTreeMap<NodeId, String>,
    /// Leaf that opened it.
    pub since: u64,
    /// When, by its opener's clock.
    pub at: UnixMillis,
    /// Who has paid for its model, and what, where the round is private: no others may be in it.
    pub charged: Option<(BTreeSet<NodeId>, PrivacyCost)>,
}

/// A round that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedRound {
    /// Its number.
    pub round: Round,
    /// The model it started from.
    pub base: Digest,
    /// How many were asked.
    pub cohort: usize,
    /// Leaf that opened it.
    pub opened: u64,
    /// Leaf that ended it.
    pub ended: u64,
    /// By the clocks of those who proposed both.
    pub took_ms: u64,
    /// When it ended, by its proposer's clock.
    pub at: UnixMillis,
    /// What came of it.
    pub outcome: RoundOutcome,
}

/// What came of a round.
#[derive(Clone, Debug, PartialEq)]
pub enum RoundOutcome {
    /// A model.
    Closed {
        /// It.
        model: Digest,
        /// How many updates are in it.
        participants: usize,
        /// Training examples behind it.
        examples: u64,
        /// Mean loss of the base model on them.
        loss: f64,
        /// What it tells of its participants, if it is private.
        privacy: Option<PrivacyCost>,
        /// Where updates are taken as they come: by participant, how many models were made between the one that its
        /// update started from and this round's.
        ages: BTreeMap<NodeId, u32>,
    },
    /// None, and why.
    Abandoned(String),
}

/// The model rows are scored by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoringModel {
    /// Leaf that put it to use: of two the later one counts.
    pub leaf: u64,
    /// The round that made it.
    pub round: Round,
    /// It.
    pub model: Digest,
}

/// The course of learning.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds {
    /// The running round.
    pub open: Option<OpenRound>,
    /// Last round that ended, closed or abandoned; 0: none yet.
    pub last: Round,
    /// Last round that closed; 0: none yet.
    pub last_closed: Round,
    /// How many closed.
    pub closed: u64,
    /// How many were abandoned.
    pub abandoned: u64,
    /// The model the next round starts from: that of the last closed round, or the one rolled back to.
    pub model: Option<Digest>,
    /// Set by a roll-back until a round has opened: it may start from nothing else, lest a round that was
    /// proposed before brings back what was dropped.
    pub only_from: Option<Digest>,
    /// The model rows are scored by.
    pub scoring: Option<ScoringModel>,
    /// Whether it stays when rounds make newer ones.
    pub pinned: bool,
    /// Rounds that ended, oldest first, at most [`MAX_HISTORY`].
    pub history: VecDeque<EndedRound>,
    /// Private rounds that each participant's updates are in, by noise multiplier in thousandths. Kept when
    /// a member goes: what was told stays told.
    pub spent: BTreeMap<NodeId, Told>,
    /// The same of each tenant, in rounds of one node: one with m of its nodes counts m².
    pub tenants: BTreeMap<String, Told>,
    /// What each node has said of its data, former members too.
    pub declared: BTreeMap<NodeId, Declared>,
}

impl Rounds {
    /// Round and loss of the closed rounds that are remembered, oldest first.
    pub fn losses(&self) -> impl Iterator<Item = (Round, f64)> {
        self.history.iter().filter_map(|ended| match ended.outcome {
            RoundOutcome::Closed { loss, .. } => Some((ended.round, loss)),
            RoundOutcome::Abandoned(_) => None,
        })
    }

    /// Whether somebody chose the model that scores.
    pub fn is_chosen(&self) -> bool {
        self.pinned || self.only_from.is_some()
    }

    /// The round that made a model, the latest of those remembered; 0 for one that a remembered round
    /// started from and none made: the initial model, as a rule.
    pub fn maker(&self, model: &Digest) -> Option<Round> {
        let made = |ended: &&EndedRound| match &ended.outcome {
            RoundOutcome::Closed { model: of, .. } => of == model,
            RoundOutcome::Abandoned(_) => false,
        };
        let round = self
            .history
            .iter()
            .rev()
            .find(made)
            .map(|ended| ended.round);
        let base = || self.history.iter().any(|ended| ended.base == *model);
        round.or_else(|| base().then_some(Round(0)))
    }

    pub(crate) fn end(&mut self, open: OpenRound, leaf: Leaf, outcome: RoundOutcome) {
        self.open = None;
        self.last = open.round;
        if self.history.len() == MAX_HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(EndedRound {
            round: open.round,
            base: open.model,
            cohort: open.cohort.len(),
            opened: open.since,
            ended: leaf.index,
            took_ms: leaf.time.0.saturating_sub(open.at.0),
            at: leaf.time,
            outcome,
        });
    }
}

/// What an act says that closes a round.
#[derive(Clone, Copy)]
pub(crate) struct Closing<'a> {
    pub(crate) round: Round,
    pub(crate) model: Digest,
    pub(crate) participants: &'a [NodeId],
    /// `None`: updates of this round only.
    pub(crate) ages: Option<&'a [u32]>,
    pub(crate) examples: u64,
    pub(crate) loss: f64,
}

/// Where an act stands.
#[derive(Clone, Copy)]
pub(crate) struct Leaf {
    pub(crate) index: u64,
    pub(crate) time: UnixMillis,
}

impl State {
    pub(crate) fn round_opened(
        &mut self,
        leaf: Leaf,
        round: Round,
        model: Digest,
        cohort: &[NodeId],
    ) -> Outcome {
        if let Some(open) = &self.rounds.open {
            return refuse(format!("round {} is still open", open.round));
        }
        let next = self.rounds.last.next();
        if round != next {
            return refuse(format!("the next round is {next}, not {round}"));
        }
        if let Some(only) = self.rounds.only_from.filter(|only| *only != model) {
            return refuse(format!(
                "round {round} must start from model {only}, which was rolled back to"
            ));
        }
        if cohort.is_empty() {
            return refuse(format!("round {round} asks nobody"));
        }
        if cohort.iter().collect::<BTreeSet<_>>().len() != cohort.len() {
            return refuse(format!("round {round} asks a member twice"));
        }
        cohort
            .iter()
            .try_for_each(|node| self.member(node).map(drop))?;
        let tenant = |node: &NodeId| {
            let tenant = self.rounds.tenant(node)?;
            Some((node.clone(), tenant.clone()))
        };
        let tenants = cohort.iter().filter_map(tenant).collect();
        self.rounds.only_from = None;
        self.rounds.open = Some(OpenRound {
            round,
            model,
            cohort: cohort.to_vec(),
            tenants,
            since: leaf.index,
            at: leaf.time,
            charged: None,
        });
        Ok(())
    }

    pub(crate) fn round_closed(&mut self, leaf: Leaf, closing: Closing<'_>) -> Outcome {
        let Closing {
            round,
            model,
            participants,
            ages,
            examples,
            loss,
        } = closing;
        let open = self.open_round(round)?;
        if participants.is_empty() {
            return refuse(format!(
                "round {round} has no participants; it can only be abandoned"
            ));
        }
        if participants.iter().collect::<BTreeSet<_>>().len() != participants.len() {
            return refuse(format!("round {round} counts a participant twice"));
        }
        if let Some(outsider) = participants.iter().find(|node| !open.cohort.contains(node)) {
            return refuse(format!("{outsider} is not in the cohort of round {round}"));
        }
        let paid = |(charged, _): &(BTreeSet<NodeId>, PrivacyCost)| {
            charged.len() == participants.len() && participants.iter().all(|p| charged.contains(p))
        };
        if !open.charged.as_ref().is_none_or(paid) {
            return refuse(format!(
                "round {round} closes with others than those whose privacy was charged for it"
            ));
        }
        if !loss.is_finite() {
            return refuse(format!("the loss of round {round} is not a number"));
        }
        let ages = match ages {
            None => BTreeMap::new(),
            Some(ages) if ages.len() != participants.len() => {
                return refuse(format!(
                    "round {round} says the ages of {} updates and counts {}",
                    ages.len(),
                    participants.len()
                ));
            }
            Some(ages) => participants
                .iter()
                .cloned()
                .zip(ages.iter().copied())
                .collect(),
        };
        if let Some((node, age)) = ages.iter().find(|(_, age)| **age > MAX_AGE) {
            return refuse(format!(
                "round {round} counts an update of {node} from {age} models ago; at most {MAX_AGE} are allowed"
            ));
        }
        let open = open.clone();
        let rounds = &mut self.rounds;
        let outcome = RoundOutcome::Closed {
            model,
            participants: participants.len(),
            examples,
            loss,
            privacy: open.charged.as_ref().map(|(_, cost)| *cost),
            ages,
        };
        rounds.end(open, leaf, outcome);
        rounds.last_closed = round;
        rounds.closed += 1;
        rounds.model = Some(model);
        if !rounds.pinned {
            rounds.scoring = Some(ScoringModel {
                leaf: leaf.index,
                round,
                model,
            });
        }
        Ok(())
    }

    /// Nothing of it is state: whoever trains follows the leaves.
    pub(crate) fn variates_reset(&self, round: Round, reason: &str) -> Outcome {
        if reason.trim().is_empty() || reason.len() > MAX_MODEL_REASON {
            return refuse(format!(
                "a lost variate needs a reason of 1 to {MAX_MODEL_REASON} bytes"
            ));
        }
        let open = self.rounds.open.as_ref().map(|open| open.round);
        let newest = open.unwrap_or(self.rounds.last);
        if round == Round(0) || round > newest {
            return refuse(format!(
                "no variate can be lost in round {round}: the newest one is {newest}"
            ));
        }
        Ok(())
    }

    pub(crate) fn round_abandoned(&mut self, leaf: Leaf, round: Round, reason: &str) -> Outcome {
        let open = self.open_round(round)?.clone();
        let outcome = RoundOutcome::Abandoned(reason.to_owned());
        self.rounds.end(open, leaf, outcome);
        self.rounds.abandoned += 1;
        Ok(())
    }

    pub(crate) fn open_round(&self, round: Round) -> Result<&OpenRound, crate::state::Refusal> {
        let rule = |text| crate::state::Refusal::Rule(text);
        match &self.rounds.open {
            Some(open) if open.round == round => Ok(open),
            Some(open) => Err(rule(format!("round {} is open, not {round}", open.round))),
            None => Err(rule(format!("no round is open, so {round} cannot end"))),
        }
    }
}
