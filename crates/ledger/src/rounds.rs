//! Rounds of learning: one at a time, numbered without gaps, at most one model each.

use crate::state::{Outcome, State, refuse};
use std::collections::{BTreeSet, VecDeque};
use wire::{Digest, NodeId, Round};

/// How many losses are remembered; what a page can draw.
pub const MAX_LOSSES: usize = 200;

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
