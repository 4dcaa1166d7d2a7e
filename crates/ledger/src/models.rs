//! Models that people choose. Rounds make them; which one scores, and which one learning goes on from, is
//! the newest unless somebody answers for another with a reason.

use crate::rounds::{Leaf, RoundOutcome, ScoringModel};
use crate::state::{Outcome, Refusal, State, refuse};
use wire::{Digest, Round};

/// Longest reason, in bytes; it stays on the ledger for ever.
pub const MAX_MODEL_REASON: usize = 500;

impl State {
    pub(crate) fn model_pinned(&mut self, leaf: Leaf, model: Digest, reason: &str) -> Outcome {
        check_reason(reason)?;
        let round = self.made(&model)?;
        self.rounds.pinned = true;
        self.rounds.scoring = Some(ScoringModel {
            leaf: leaf.index,
            round,
            model,
        });
        Ok(())
    }

    pub(crate) fn model_unpinned(&mut self, leaf: Leaf, reason: &str) -> Outcome {
        check_reason(reason)?;
        if !self.rounds.pinned {
            return refuse("no model is pinned");
        }
        self.rounds.pinned = false;
        // A pinned model was made by a round, so there is one to start from.
        if let Some(model) = self.rounds.model {
            let round = self.rounds.maker(&model).unwrap_or(self.rounds.last_closed);
            self.rounds.scoring = Some(ScoringModel {
                leaf: leaf.index,
                round,
                model,
            });
        }
        Ok(())
    }

    /// Ends a pin as well: who rolls back wants the model in use.
    pub(crate) fn model_rolled_back(&mut self, leaf: Leaf, model: Digest, reason: &str) -> Outcome {
        check_reason(reason)?;
        let round = self.made(&model)?;
        let rounds = &mut self.rounds;
        if let Some(open) = rounds.open.clone() {
            let why = format!("learning was rolled back to the model of round {round}: {reason}");
            rounds.end(open, leaf, RoundOutcome::Abandoned(why));
            rounds.abandoned += 1;
        }
        rounds.model = Some(model);
        rounds.only_from = Some(model);
        rounds.pinned = false;
        rounds.scoring = Some(ScoringModel {
            leaf: leaf.index,
            round,
            model,
        });
        Ok(())
    }

    fn made(&self, model: &Digest) -> Result<Round, Refusal> {
        self.rounds.maker(model).ok_or_else(|| {
            Refusal::Rule(format!(
                "none of the last {} rounds made model {model} or started from it",
                crate::MAX_HISTORY
            ))
        })
    }
}

fn check_reason(reason: &str) -> Outcome {
    if reason.trim().is_empty() || reason.len() > MAX_MODEL_REASON {
        return refuse(format!(
            "a choice of model needs a reason of 1 to {MAX_MODEL_REASON} bytes"
        ));
    }
    Ok(())
}
