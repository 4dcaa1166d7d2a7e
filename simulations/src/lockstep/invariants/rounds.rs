//! Rules about rounds: the model, and what it stands on.

use super::{
    Broken, COUNTED_ONCE, MODEL_BOUNDED, MODEL_NAMED, MODEL_OF_UPDATES, ONE_MODEL, SUM_OF_UPDATES,
};
use std::collections::{BTreeMap, BTreeSet};

/// L2 norm of the model that all begin with, at most: some thousand weights, most of them far below one.
const FIRST_NORM_MOST: f64 = 100.0;
/// L2 norm of an update that counts, at most: `max_norm` of `federation::Config`. A mean moves no further.
const UPDATE_NORM_MOST: f64 = 100.0;

/// A model that a node keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    /// The round that made it, the node says.
    pub round: u64,
    /// Its digest, the node says.
    pub name: [u8; 32],
    /// The digest of its parameters.
    pub digest: [u8; 32],
    /// Their L2 norm.
    pub norm: f64,
    /// Their shadow.
    pub place: Option<i64>,
}

/// What is lost where a model's parameters are rounded to f32, times a billion: some thousand of them,
/// each by 6e-8 of its size, and far below what one participant moves.
const ROUNDED: i64 = 20_000;

/// A vector's shadow on one fixed direction, times a billion: the shadow of a mean is the mean of shadows, so a
/// number stands for a model. `None`: it is none.
pub fn shadow(vector: &[f32]) -> Option<i64> {
    let weight = |at: usize| (at * 7_919 % 201) as f64 / 100.0 - 1.0;
    let parts = vector.iter().enumerate();
    let sum: f64 = parts
        .map(|(at, value)| weight(at) * f64::from(*value))
        .sum();
    (sum.is_finite() && sum.abs() < 1e9).then_some((sum * 1e9) as i64)
}

/// What was seen of rounds.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    models: BTreeMap<u64, [u8; 32]>,
    /// For each round and participant, the least and the most examples of an update that it sent: after
    /// a restart it trains anew, and either update may be the one that counts.
    updates: BTreeMap<(u64, String), (u64, u64)>,
    /// For each of them examples and shadow; `None`: not known, or there are several.
    moves: BTreeMap<(u64, String), Option<(u64, i64)>>,
    /// Participants of closed rounds.
    closed: BTreeMap<u64, Vec<String>>,
    /// Shadows of models, by the round that made them.
    places: BTreeMap<u64, i64>,
    /// Nodes whose disks were damaged.
    damaged: BTreeSet<String>,
}

impl Rounds {
    pub(super) fn update(&mut self, node: &str, round: u64, examples: u64, moves: Option<i64>) {
        let known = moves.map(|moves| (examples, moves));
        let entry = self.moves.entry((round, node.to_owned())).or_insert(known);
        if *entry != known {
            *entry = None;
        }
        let sent = self.updates.entry((round, node.to_owned()));
        let (least, most) = sent.or_insert((examples, examples));
        *least = examples.min(*least);
        *most = examples.max(*most);
    }

    /// Leaf `index` closes a round.
    pub(super) fn closed(
        &mut self,
        index: u64,
        (round, model): (u64, [u8; 32]),
        participants: &[String],
        examples: u64,
        private: bool,
    ) -> Result<(), Broken> {
        let known = self.models.entry(round).or_insert(model);
        ONE_MODEL.check(*known == model, || {
            format!("leaf {index} closes round {round} with a second model")
        })?;
        let once: BTreeSet<_> = participants.iter().collect();
        COUNTED_ONCE.check(once.len() == participants.len(), || {
            format!("round {round} counts {participants:?}")
        })?;
        if private {
            // It is moved by noise as well, and tells neither examples nor loss: one a participant.
            let sent = |node: &String| self.updates.contains_key(&(round, node.clone()));
            let fits = examples == participants.len() as u64 && participants.iter().all(sent);
            return SUM_OF_UPDATES.check(fits, || {
                format!("private round {round} says {examples} examples of {participants:?}, who did not all send an update")
            });
        }
        self.closed.insert(round, participants.to_vec());
        self.sum(round, participants, examples)
    }

    /// What a round says it stands on, against what its participants sent.
    fn sum(&self, round: u64, participants: &[String], examples: u64) -> Result<(), Broken> {
        let sent = |node: &String| self.updates.get(&(round, node.clone())).copied();
        let sums = participants
            .iter()
            .map(sent)
            .try_fold((0, 0), |sum: (u64, u64), sent| {
                let (least, most) = sent?;
                Some((sum.0 + least, sum.1 + most))
            });
        let fits = sums.is_some_and(|(least, most)| (least..=most).contains(&examples));
        SUM_OF_UPDATES.check(fits, || match sums {
            Some((least, most)) => format!(
                "round {round} says {examples} examples, {participants:?} sent {least} to {most} in all"
            ),
            None => {
                format!("round {round} counts {participants:?}, not all of whom sent an update")
            }
        })
    }

    pub(super) fn damaged(&mut self, node: &str) {
        self.damaged.insert(node.to_owned());
    }

    pub(super) fn model(&mut self, node: &str, kept: &Kept) -> Result<(), Broken> {
        if self.damaged.contains(node) {
            // What its disk made of it is no model of the node's; it finds that out itself.
            return Ok(());
        }
        let Kept { round, norm, .. } = kept;
        let known = self.models.get(round).unwrap_or(&kept.name);
        let named = kept.digest == kept.name && *known == kept.name;
        MODEL_NAMED.check(named, || {
            format!("{node} uses another model than the ledger names for round {round}")
        })?;
        let most = FIRST_NORM_MOST + UPDATE_NORM_MOST * *round as f64;
        // Not a number is not within either.
        MODEL_BOUNDED.check(*norm <= most, || {
            format!(
                "the model of round {round} on {node} has norm {norm:.1}, {most:.1} can be reached"
            )
        })?;
        if let Some(place) = kept.place {
            self.places.insert(*round, place);
            self.moved(*round, place)?;
        }
        Ok(())
    }

    /// A round's model against what its participants made, where all of it was seen.
    fn moved(&self, round: u64, place: i64) -> Result<(), Broken> {
        let before = self.models.range(..round).next_back();
        let base = before.and_then(|(before, _)| self.places.get(before));
        let (Some(base), Some(participants)) = (base, self.closed.get(&round)) else {
            return Ok(());
        };
        let moves = participants.iter().map(|node| {
            let known = self.moves.get(&(round, node.clone()))?;
            known.map(|(examples, moves)| (i128::from(examples), i128::from(moves)))
        });
        let Some(moves) = moves.collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let examples: i128 = moves.iter().map(|(examples, _)| examples).sum();
        let sum: i128 = moves.iter().map(|(examples, moves)| examples * moves).sum();
        let expected = i128::from(*base) + sum / examples.max(1);
        let off = (expected - i128::from(place)).abs();
        MODEL_OF_UPDATES.check(off <= i128::from(ROUNDED), || {
            format!("the model of round {round} is {off} billionths off what {participants:?} made")
        })
    }

    /// Rounds that made a model.
    pub(super) fn made(&self) -> u64 {
        self.models.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn closed(model: u8, participants: &[&str], examples: u64) -> Fact {
        Fact::Closed {
            round: 1,
            model: [model; 32],
            participants: participants.iter().map(|node| (*node).to_owned()).collect(),
            examples,
        }
    }

    /// Two participants have sent their updates of 10 and 20 examples.
    fn answered() -> Checks {
        let mut checks = Checks::default();
        checks.update("a", 1, 10, None);
        checks.update("b", 1, 20, None);
        checks
    }

    fn close(checks: &mut Checks, index: u64, fact: &Fact) -> Option<Rule> {
        let leaf = [index as u8; 32];
        let holds = checks.leaf("a", index, leaf, leaf, fact);
        holds.err().map(|broken| broken.rule)
    }

    #[test]
    fn a_round_makes_one_model_and_counts_each_once() {
        let mut checks = answered();
        assert_eq!(close(&mut checks, 0, &closed(1, &["a", "b"], 30)), None);
        let second = close(&mut checks, 1, &closed(2, &["a", "b"], 30));
        assert_eq!(second, Some(ONE_MODEL));
        let twice = close(&mut answered(), 0, &closed(1, &["a", "a"], 30));
        assert_eq!(twice, Some(COUNTED_ONCE));
    }

    #[test]
    fn a_round_stands_on_what_its_participants_sent_once() {
        let sum = |participants: &[&str], examples| {
            close(&mut answered(), 0, &closed(1, participants, examples))
        };
        assert_eq!(sum(&["a", "b"], 30), None);
        assert_eq!(sum(&["b"], 20), None);
        // One of the two weighs twice.
        assert_eq!(sum(&["a", "b"], 40), Some(SUM_OF_UPDATES));
        assert_eq!(sum(&["a", "b"], 50), Some(SUM_OF_UPDATES));
        // One is left out, and named all the same.
        assert_eq!(sum(&["a", "b"], 20), Some(SUM_OF_UPDATES));
        // Nobody has heard of an update of that one.
        assert_eq!(sum(&["a", "c"], 30), Some(SUM_OF_UPDATES));
    }

    #[test]
    fn whoever_trained_anew_counts_with_either_update() {
        let sum = |examples| {
            let mut checks = answered();
            checks.update("b", 1, 25, None);
            close(&mut checks, 0, &closed(1, &["a", "b"], examples))
        };
        assert_eq!(sum(30), None);
        assert_eq!(sum(35), None);
        assert_eq!(sum(55), Some(SUM_OF_UPDATES), "both of them");
        assert_eq!(sum(29), Some(SUM_OF_UPDATES));
    }

    #[test]
    fn a_model_is_moved_by_the_mean_of_its_updates() {
        let at = |round: u64, place| Kept {
            round,
            name: [round as u8; 32],
            digest: [round as u8; 32],
            norm: 1.0,
            place: Some(place),
        };
        let run = |place| {
            let mut checks = Checks::default();
            for round in [1, 2] {
                checks.update("a", round, 10, Some(3_000_000));
                checks.update("b", round, 20, Some(6_000_000));
                let fact = Fact::Closed {
                    round,
                    model: [round as u8; 32],
                    participants: vec!["a".to_owned(), "b".to_owned()],
                    examples: 30,
                };
                let leaf = [round as u8; 32];
                checks.leaf("a", round - 1, leaf, leaf, &fact).unwrap();
            }
            checks.model("a", &at(1, 7_000_000)).unwrap();
            checks.model("a", &at(2, place))
        };
        run(12_000_000).unwrap();
        assert_eq!(run(13_000_000).unwrap_err().rule, MODEL_OF_UPDATES);
    }

    #[test]
    fn updates_of_another_round_do_not_count() {
        let mut checks = Checks::default();
        checks.update("a", 2, 10, None);
        let other = close(&mut checks, 0, &closed(1, &["a"], 10));
        assert_eq!(other, Some(SUM_OF_UPDATES));
    }

    #[test]
    fn a_model_is_the_ledgers_and_within_its_bounds() {
        let mut checks = answered();
        assert_eq!(close(&mut checks, 0, &closed(1, &["a", "b"], 30)), None);
        let good = Kept {
            round: 1,
            name: [1; 32],
            digest: [1; 32],
            norm: 150.0,
            place: None,
        };
        checks.model("a", &good).unwrap();
        let mut broken = |kept: Kept| checks.model("a", &kept).unwrap_err().rule;
        let other = [2; 32];
        let swapped = Kept {
            digest: other,
            ..good.clone()
        };
        assert_eq!(broken(swapped), MODEL_NAMED);
        let renamed = Kept {
            digest: other,
            name: other,
            ..good.clone()
        };
        assert_eq!(broken(renamed), MODEL_NAMED);
        for norm in [250.0, f64::INFINITY, f64::NAN] {
            let far = Kept {
                norm,
                ..good.clone()
            };
            assert_eq!(broken(far), MODEL_BOUNDED);
        }
        checks.damaged("a", false);
        let torn = Kept {
            digest: other,
            ..good
        };
        checks.model("a", &torn).unwrap();
    }
}
