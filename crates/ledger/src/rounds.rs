//! Rounds of learning: one at a time, numbered without gaps, at most one model each.

use crate::state::{Outcome, State, refuse};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wire::{Digest, NodeId, Round};

/// How many losses are remembered; what a page can draw.
pub const MAX_LOSSES: usize = 200;

/// Most different noise multipliers that one participant's rounds may have: each is a line of its account for
/// ever, and a house that changes its mind more often can round.
pub const MAX_NOISES: usize = 64;

/// The round that is running.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenRound {
    /// Its number.
    pub round: Round,
    /// The model it starts from.
    pub model: Digest,
    /// Who is asked.
    pub cohort: Vec<NodeId>,
    /// Leaf that opened it.
    pub since: u64,
    /// Who has paid for its model, where the round is private: no others may be in it.
    pub charged: Option<BTreeSet<NodeId>>,
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
    /// The model of the last closed round.
    pub model: Option<Digest>,
    /// Round and loss of closed rounds, oldest first, at most [`MAX_LOSSES`].
    pub losses: VecDeque<(Round, f64)>,
    /// Private rounds that each participant's updates are in, by noise multiplier in thousandths. Kept when
    /// a member goes: what was told stays told.
    pub spent: BTreeMap<NodeId, BTreeMap<u32, u64>>,
}

impl State {
    pub(crate) fn round_opened(
        &mut self,
        index: u64,
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
        if cohort.is_empty() {
            return refuse(format!("round {round} asks nobody"));
        }
        if cohort.iter().collect::<BTreeSet<_>>().len() != cohort.len() {
            return refuse(format!("round {round} asks a member twice"));
        }
        cohort
            .iter()
            .try_for_each(|node| self.member(node).map(drop))?;
        self.rounds.open = Some(OpenRound {
            round,
            model,
            cohort: cohort.to_vec(),
            since: index,
            charged: None,
        });
        Ok(())
    }

    pub(crate) fn round_closed(
        &mut self,
        round: Round,
        model: Digest,
        participants: &[NodeId],
        loss: f64,
    ) -> Outcome {
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
        let paid = |charged: &BTreeSet<NodeId>| {
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
        let rounds = &mut self.rounds;
        rounds.open = None;
        rounds.last = round;
        rounds.last_closed = round;
        rounds.closed += 1;
        rounds.model = Some(model);
        if rounds.losses.len() == MAX_LOSSES {
            rounds.losses.pop_front();
        }
        rounds.losses.push_back((round, loss));
        Ok(())
    }

    /// Counts a private round for each of its participants. `figures`: its bound, δ and ε; only ε may be 0.
    pub(crate) fn privacy_spent(
        &mut self,
        round: Round,
        participants: &[NodeId],
        noise_milli: u32,
        figures: [f64; 3],
    ) -> Outcome {
        let open = self.open_round(round)?;
        if open.charged.is_some() {
            return refuse(format!("round {round} is charged for already"));
        }
        let charged: BTreeSet<NodeId> = participants.iter().cloned().collect();
        if charged.is_empty() || charged.len() != participants.len() {
            return refuse(format!(
                "round {round} is charged to nobody, or to somebody twice"
            ));
        }
        if let Some(outsider) = participants.iter().find(|node| !open.cohort.contains(node)) {
            return refuse(format!("{outsider} is not in the cohort of round {round}"));
        }
        let [bound, delta, epsilon] = figures;
        let proper = figures.iter().all(|figure| figure.is_finite());
        if noise_milli == 0 || !proper || bound <= 0.0 || delta <= 0.0 || epsilon < 0.0 {
            return refuse(format!(
                "round {round} is charged with a figure that is no number above 0"
            ));
        }
        let spent = &self.rounds.spent;
        let full = |node: &&NodeId| {
            spent.get(*node).is_some_and(|rounds| {
                rounds.len() >= MAX_NOISES && !rounds.contains_key(&noise_milli)
            })
        };
        if let Some(node) = participants.iter().find(full) {
            return refuse(format!(
                "{node} has taken part with {MAX_NOISES} different noise multipliers, and no more are kept apart"
            ));
        }
        for node in &charged {
            let rounds = self.rounds.spent.entry(node.clone()).or_default();
            *rounds.entry(noise_milli).or_default() += 1;
        }
        if let Some(open) = &mut self.rounds.open {
            open.charged = Some(charged);
        }
        Ok(())
    }

    pub(crate) fn round_abandoned(&mut self, round: Round) -> Outcome {
        self.open_round(round)?;
        self.rounds.open = None;
        self.rounds.last = round;
        self.rounds.abandoned += 1;
        Ok(())
    }

    fn open_round(&self, round: Round) -> Result<&OpenRound, crate::state::Refusal> {
        let rule = |text| crate::state::Refusal::Rule(text);
        match &self.rounds.open {
            Some(open) if open.round == round => Ok(open),
            Some(open) => Err(rule(format!("round {} is open, not {round}", open.round))),
            None => Err(rule(format!("no round is open, so {round} cannot end"))),
        }
    }
}
