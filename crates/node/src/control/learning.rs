//! The course of learning, and the choice of a model.

use super::{Control, refused};
use crate::effects::fetch_model;
use crate::models::{Models, Published, name};
use federation::privacy::budget::{Budget, Holder, Statement};
use ledger::{RoundOutcome, Rounds, State};
use wire::control::{
    AccountEntry, Answer, Learning, ModelEntry, ModelJob, PrivacyEntry, RoundEnd, RoundEntry,
};
use wire::{Act, Digest, Level, NodeId, Round};

const NOTHING: Budget = Budget {
    epsilon: 0.0,
    delta: 1e-5,
};

pub(super) fn shown(
    rounds: &Rounds,
    accounts: Vec<AccountEntry>,
    models: &Models,
    last: usize,
) -> Learning {
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
                    privacy,
                    ages,
                } => Ok(ModelEntry {
                    model: *model,
                    participants: *participants,
                    examples: *examples,
                    loss: *loss,
                    privacy: privacy.map(|cost| PrivacyEntry {
                        epsilon: cost.epsilon,
                        delta: cost.delta,
                        noise_multiplier: f64::from(cost.noise_milli) / 1_000.0,
                        clip: cost.bound,
                    }),
                    ages: ages.clone(),
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
        accounts,
    }
}

/// All accounts of privacy, where rounds are private or were.
pub(super) fn accounts(state: &State, privacy: Option<&federation::Privacy>) -> Vec<AccountEntry> {
    let told = !state.rounds.spent.is_empty();
    if privacy.is_none() && !told && state.rounds.declared.is_empty() {
        return Vec::new();
    }
    let accounts = crate::accounts::of(state);
    // Of those who have declared none, in a house that does not say what they may spend now: nothing.
    let otherwise = privacy.map_or(NOTHING, |privacy| privacy.budget);
    let statements = accounts.statements(state.members.keys(), otherwise);
    let entry = |of: Statement| {
        let ours = |node: &&NodeId| accounts.holder(node) == of.holder;
        let nodes = state.members.keys().filter(ours).cloned().collect();
        let (holder, tenant) = match of.holder {
            Holder::Node(node) => (node.to_string(), false),
            Holder::Tenant(name) => (name, true),
        };
        AccountEntry {
            holder,
            tenant,
            nodes,
            spent: of.spent,
            epsilon: of.budget.epsilon,
            delta: of.budget.delta,
        }
    };
    statements.into_iter().map(entry).collect()
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
        let (name, back) = match job {
            ModelJob::Unpin => {
                let done = "rows are scored by the newest model again.";
                return self
                    .act(Act::ModelUnpinned { reason }, done.to_owned())
                    .await;
            }
            ModelJob::Pin { model } => (model, false),
            ModelJob::RollBack { model } => (model, true),
        };
        let (round, model) = match named(&state.rounds, name) {
            Ok(found) => found,
            Err(why) => return refused(why),
        };
        if let Err(why) = self.secure_model(round, model).await {
            return refused(why);
        }
        let (act, done) = match back {
            false => (
                Act::ModelPinned { model, reason },
                format!("rows are scored by the model of round {round} until it is unpinned."),
            ),
            true => (
                Act::ModelRolledBack { model, reason },
                format!("learning goes on from the model of round {round}; rows are scored by it."),
            ),
        };
        self.act(act, done).await
    }

    /// Before the ledger names a model, this node has it on disk: what nobody has would stop learning.
    async fn secure_model(&self, round: Round, digest: Digest) -> Result<(), String> {
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

/// The model of that name, among those of the rounds that the ledger's state remembers.
fn named(rounds: &Rounds, name: &str) -> Result<(Round, Digest), String> {
    let made = rounds
        .history
        .iter()
        .filter_map(|ended| match ended.outcome {
            RoundOutcome::Closed { model, .. } => Some((ended.round, model)),
            RoundOutcome::Abandoned(_) => None,
        });
    let bases = rounds.history.iter().map(|ended| ended.base);
    name::resolve(name, &made.collect::<Vec<_>>(), bases)
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
            privacy: (round == 2).then_some(ledger::PrivacyCost {
                noise_milli: 1_500,
                bound: 0.5,
                delta: 1e-5,
                epsilon: 2.5,
            }),
            ages: match round {
                1 => [("a".into(), 0), ("b".into(), 4)].into(),
                _ => Default::default(),
            },
        };
        let mut rounds = Rounds::default();
        rounds.history.push_back(ended(1, closed(1)));
        rounds.history.push_back(ended(2, closed(2)));
        rounds
            .history
            .push_back(ended(3, RoundOutcome::Abandoned("nobody".into())));
        rounds
    }

    /// `models::name` has the rule.
    #[test]
    fn models_of_remembered_rounds_and_what_they_started_from_can_be_chosen() {
        let rounds = rounds();
        let two = (Round(2), Digest([2; 32]));
        assert_eq!(named(&rounds, "2"), Ok(two));
        assert_eq!(named(&rounds, "02020202"), Ok(two));
        assert_eq!(named(&rounds, "00000000"), Ok((Round(0), Digest([0; 32]))));
        for wrong in ["3", "0202", "zz", "ffffffff", "-1", ""] {
            let why = named(&rounds, wrong).unwrap_err();
            assert!(why.contains("models list"), "{wrong}: {why}");
        }
    }

    #[test]
    fn accounts_are_shown_where_rounds_are_private_or_were() {
        let mut state = State::new();
        assert_eq!(accounts(&state, None), []);
        let told = [(2_000, 4)];
        state.rounds.tenants.insert("x".to_owned(), told.into());
        state.rounds.spent.insert("gone".into(), told.into());
        let found = accounts(&state, None);
        let [tenant] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!((tenant.name(), tenant.left()), ("tenant x".to_owned(), 0.0));
        assert!((tenant.spent - 4.7285).abs() < 1e-3, "{tenant:?}");
    }

    #[test]
    fn the_latest_rounds_are_shown_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let models = Models::open(dir.path().to_owned(), &learn::Shape::default()).unwrap();
        let shown = shown(&rounds(), Vec::new(), &models, 2);
        let numbers: Vec<u64> = shown.ended.iter().map(|entry| entry.round.0).collect();
        assert_eq!(numbers, [2, 3]);
        let end = shown.ended[1].end.as_ref().unwrap();
        assert_eq!(end.made, Err("nobody".to_owned()));
        let end = shown.ended[0].end.as_ref().unwrap();
        let privacy = end.made.as_ref().unwrap().privacy.unwrap();
        assert_eq!((privacy.epsilon, privacy.noise_multiplier), (2.5, 1.5));
        assert_eq!(end.made.as_ref().unwrap().ages, [].into());
        let shown = super::shown(&rounds(), Vec::new(), &models, 3);
        let end = shown.ended[0].end.as_ref().unwrap();
        assert_eq!(end.made.as_ref().unwrap().ages[&NodeId::from("b")], 4);
    }
}
