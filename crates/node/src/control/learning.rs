//! The course of learning, and the choice of a model.

use super::{Control, refused};
use crate::effects::fetch_model;
use crate::models::{Models, Published};
use ledger::{RoundOutcome, Rounds};
use wire::control::{Answer, Learning, ModelEntry, ModelJob, RoundEnd, RoundEntry};
use wire::{Act, Digest, Level, Round};

/// Fewest hexadecimal digits that name a model: fewer are easily those of two.
const MIN_DIGITS: usize = 8;

pub(super) fn shown(rounds: &Rounds, models: &Models, last: usize) -> Learning {
    let ended = rounds.history.iter().map(|ended| RoundEntry {
        round: ended.round,
        base: ended.base,
        cohort: ended.cohort,
        opened: ended.opened,
        at: ended.at,
        end: Some(RoundEnd {
            leaf: ended.ended,
            took_ms: ended.took_ms,
            made: match &ended.outcome {
                RoundOutcome::Closed {
                    model,
                    participants,
                    examples,
                    loss,
                } => Ok(ModelEntry {
                    model: *model,
                    participants: *participants,
                    examples: *examples,
                    loss: *loss,
                }),
                RoundOutcome::Abandoned(reason) => Err(reason.clone()),
            },
        }),
    });
    Learning {
        open: rounds.open.as_ref().map(|open| RoundEntry {
            round: open.round,
            base: open.model,
            cohort: open.cohort.len(),
            opened: open.since,
            at: open.at,
            end: None,
        }),
        ended: ended
            .skip(rounds.history.len().saturating_sub(last))
            .collect(),
        scoring: rounds.scoring.map(|scoring| (scoring.round, scoring.model)),
        pinned: rounds.pinned,
        next_from: rounds.model,
        stored: models.stored(),
    }
}

impl Control {
    pub(super) async fn choose_model(&self, job: &ModelJob, reason: String) -> Answer {
        let state = self.ledger.state();
        if state.level < Level::LEARNING {
            return refused(format!(
                "a member of the cluster is of an older release (level {} of {}); upgrade the last node first",
                state.level,
                Level::LEARNING
            ));
        }
        let (model, act, done) = match job {
            ModelJob::Unpin => {
                let done = "rows are scored by the newest model again.";
                return self
                    .act(Act::ModelUnpinned { reason }, done.to_owned())
                    .await;
            }
            ModelJob::Pin { model } => match resolve(&state.rounds, model) {
                Ok((round, model)) => (
                    (round, model),
                    Act::ModelPinned { model, reason },
                    format!("rows are scored by the model of round {round} until it is unpinned."),
                ),
                Err(why) => return refused(why),
            },
            ModelJob::RollBack { model } => match resolve(&state.rounds, model) {
                Ok((round, model)) => (
                    (round, model),
                    Act::ModelRolledBack { model, reason },
                    format!(
                        "learning goes on from the model of round {round}; rows are scored by it."
                    ),
                ),
                Err(why) => return refused(why),
            },
        };
        if let Err(why) = self.secure_model(model).await {
            return refused(why);
        }
        self.act(act, done).await
    }

    /// Before the ledger names a model, this node has it on disk: what nobody has would stop learning.
    async fn secure_model(&self, (round, digest): (Round, Digest)) -> Result<(), String> {
        let found = match self.models.find(digest) {
            Some(model) => Some(model.parameters),
            None => fetch_model(&self.links, digest).await,
        };
        let Some(parameters) = found else {
            return Err(format!(
                "neither this node nor a peer within reach has model {digest} of round {round} any more; \
                 `glasshouse models list` shows which are here"
            ));
        };
        let model = Published {
            round,
            digest,
            parameters,
        };
        self.models.stage(round, digest, model.parameters.clone());
        self.models
            .keep(&model)
            .map_err(|error| format!("the model cannot be kept on disk: {error}"))
    }
}

/// A model by the number of the round that made it, or by the first digits of its digest.
fn resolve(rounds: &Rounds, name: &str) -> Result<(Round, Digest), String> {
    let mut known: Vec<Digest> = Vec::new();
    for ended in &rounds.history {
        if let RoundOutcome::Closed { model, .. } = ended.outcome {
            if name.parse() == Ok(ended.round.0) {
                return Ok((ended.round, model));
            }
            known.push(model);
        }
        known.push(ended.base);
    }
    known.sort();
    known.dedup();
    let digits = name.len() >= MIN_DIGITS && name.bytes().all(|digit| digit.is_ascii_hexdigit());
    let wanted = name.to_ascii_lowercase();
    let mut matching = known
        .into_iter()
        .filter(|model| digits && model.to_string().starts_with(&wanted));
    match (matching.next(), matching.next()) {
        (Some(model), None) => Ok((rounds.maker(&model).unwrap_or_default(), model)),
        (Some(_), Some(_)) => Err(format!("two models begin with {name}; give more digits")),
        (None, _) => Err(format!(
            "`{name}` is neither one of the last {} rounds that made a model nor the first {MIN_DIGITS} or more digits of \
             such a model; `glasshouse models list` shows them",
            ledger::MAX_HISTORY
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::EndedRound;
    use wire::UnixMillis;

    fn rounds() -> Rounds {
        let ended = |round: u64, outcome| EndedRound {
            round: Round(round),
            base: Digest([round as u8 - 1; 32]),
            cohort: 3,
            opened: 2 * round,
            ended: 2 * round + 1,
            took_ms: 10,
            at: UnixMillis(1),
            outcome,
        };
        let closed = |round: u64| RoundOutcome::Closed {
            model: Digest([round as u8; 32]),
            participants: 3,
            examples: 9,
            loss: 0.5,
        };
        let mut rounds = Rounds::default();
        rounds.history.push_back(ended(1, closed(1)));
        rounds.history.push_back(ended(2, closed(2)));
        rounds
            .history
            .push_back(ended(3, RoundOutcome::Abandoned("nobody".into())));
        rounds
    }

    #[test]
    fn a_model_has_the_name_of_its_round_or_of_its_first_digits() {
        let rounds = rounds();
        let two = (Round(2), Digest([2; 32]));
        assert_eq!(resolve(&rounds, "2"), Ok(two));
        assert_eq!(resolve(&rounds, "02020202"), Ok(two));
        assert_eq!(
            resolve(&rounds, "00000000"),
            Ok((Round(0), Digest([0; 32])))
        );
        for wrong in ["3", "0202", "zz", "ffffffff", "-1", ""] {
            let why = resolve(&rounds, wrong).unwrap_err();
            assert!(why.contains("models list"), "{wrong}: {why}");
        }
    }

    #[test]
    fn the_latest_rounds_are_shown_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let models = Models::open(dir.path().to_owned(), &learn::Shape::default()).unwrap();
        let shown = shown(&rounds(), &models, 2);
        let numbers: Vec<u64> = shown.ended.iter().map(|entry| entry.round.0).collect();
        assert_eq!(numbers, [2, 3]);
        let end = shown.ended[1].end.as_ref().unwrap();
        assert_eq!(end.made, Err("nobody".to_owned()));
    }
}
