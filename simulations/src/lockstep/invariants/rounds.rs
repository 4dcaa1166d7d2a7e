//! Rules about rounds: the model, and what it stands on.

use super::late::Late;
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
    /// That of the control variate behind them, if there is one.
    pub variate: Option<i64>,
}

/// Whose update a model has.
#[derive(Clone, Debug)]
struct Part {
    node: String,
    /// Rounds that it may have been begun in.
    begun: Vec<u64>,
    /// Models that have been made since, where that may be some.
    age: Option<u32>,
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
    closed: BTreeMap<u64, Vec<Part>>,
    /// Digests of the models that rounds started from.
    starts: BTreeMap<u64, [u8; 32]>,
    /// Shadows of models, by their digests.
    places: BTreeMap<[u8; 32], i64>,
    late: Late,
    /// Nodes whose disks were damaged.
    damaged: BTreeSet<String>,
}

impl Rounds {
    /// Updates may be behind by so many models.
    pub(super) fn allow(&mut self, staleness: usize) {
        self.late.allow(staleness);
    }

    pub(super) fn opened(&mut self, round: u64, model: [u8; 32]) {
        self.starts.insert(round, model);
        self.late.opened(round, model);
    }

    pub(super) fn rolled_back(&mut self) {
        self.late.rolled_back();
    }

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
        (participants, ages): (&[String], Option<&[u32]>),
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
        let begun = self.late.closed(round, participants, ages)?;
        let parts = participants.iter().zip(begun).enumerate();
        let parts: Vec<Part> = parts
            .map(|(at, (node, begun))| Part {
                node: node.clone(),
                begun,
                age: ages.and_then(|ages| ages.get(at)).copied(),
            })
            .collect();
        let holds = self.sum(round, &parts, examples);
        self.closed.insert(round, parts);
        holds
    }

    /// What a round says it stands on, against what its participants sent.
    fn sum(&self, round: u64, parts: &[Part], examples: u64) -> Result<(), Broken> {
        let sent = |part: &Part| {
            let sent = part.begun.iter();
            let sent = sent.filter_map(|begun| self.updates.get(&(*begun, part.node.clone())));
            sent.copied()
                .reduce(|(least, most), (a, b)| (least.min(a), most.max(b)))
        };
        let participants: Vec<&String> = parts.iter().map(|part| &part.node).collect();
        let sums = parts
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
            self.places.insert(kept.name, place);
            self.moved(*round, place, kept.variate.is_some())?;
        }
        Ok(())
    }

    /// A round's model against what its participants made, where all of it was seen. With variates each counts once.
    fn moved(&self, round: u64, place: i64, alike: bool) -> Result<(), Broken> {
        let base = self.starts.get(&round).and_then(|of| self.places.get(of));
        let (Some(base), Some(parts)) = (base, self.closed.get(&round)) else {
            return Ok(());
        };
        let moves = parts.iter().map(|part| {
            let mut known = part.begun.iter();
            let known = known.find_map(|begun| self.moves.get(&(*begun, part.node.clone())));
            let (examples, moves) = (*known?)?;
            // Which of several it is, only the aggregator knows.
            let only = part.begun.len() == 1;
            let weight = match part.age {
                Some(age) => (1.0 + f64::from(age)).sqrt().recip(),
                None if alike => 1.0,
                None => examples as f64,
            };
            only.then_some((weight, part.age.map_or(weight, |_| 1.0), moves as f64))
        });
        let Some(moves) = moves.collect::<Option<Vec<_>>>() else {
            return Ok(());
        };
        let whole: f64 = moves.iter().map(|(_, share, _)| share).sum();
        let sum: f64 = moves.iter().map(|(weight, _, moves)| weight * moves).sum();
        let expected = *base as f64 + sum / whole.max(1.0);
        let off = (expected - place as f64).abs() as i64;
        MODEL_OF_UPDATES.check(off <= ROUNDED, || {
            let of: Vec<&String> = parts.iter().map(|part| &part.node).collect();
            format!("the model of round {round} is {off} billionths off what {of:?} made")
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
            ages: None,
        }
    }

    /// Two participants have sent their updates of 10 and 20 examples.
    fn answered() -> Checks {
        let mut checks = Checks::default();
        checks.update("a", 1, (10, None), None).unwrap();
        checks.update("b", 1, (20, None), None).unwrap();
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
            checks.update("b", 1, (25, None), None).unwrap();
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
            variate: None,
        };
        let run = |ages: [Option<Vec<u32>>; 2], of: [u64; 2], place| {
            let mut checks = Checks::default();
            if ages[0].is_some() {
                checks.rounds.allow(1);
            }
            for (at, round) in [1_u64, 2].into_iter().enumerate() {
                let opened = Fact::Opened {
                    round,
                    model: [round as u8 - 1; 32],
                    cohort: Vec::new(),
                };
                let closed = Fact::Closed {
                    round,
                    model: [round as u8; 32],
                    participants: vec!["a".to_owned(), "b".to_owned()],
                    examples: 30,
                    ages: ages[at].clone(),
                };
                let told = checks.leaf("a", 2 * round - 2, [0; 32], [2 * round as u8; 32], &opened);
                told.unwrap();
                let update = |examples, moves| (examples, Some(moves));
                let (a, b) = (update(10, 3_000_000), update(20, 6_000_000));
                checks.update("a", round, a, None).unwrap();
                checks.update("b", of[at], b, None).unwrap();
                let told = checks.leaf("a", 2 * round - 1, [0; 32], [9 * round as u8; 32], &closed);
                told?;
            }
            checks.model("a", &at(1, 7_000_000))?;
            checks.model("a", &at(2, place))
        };
        let plain = |place| run([None, None], [1, 2], place);
        plain(12_000_000).unwrap();
        assert_eq!(plain(13_000_000).unwrap_err().rule, MODEL_OF_UPDATES);
        // Each counts once, by its age.
        let fresh = Some(vec![0, 0]);
        let late = |ages, place| run([fresh.clone(), ages], [1, 2], place);
        late(fresh.clone(), 11_500_000).unwrap();
        assert_eq!(
            late(fresh.clone(), 12_000_000).unwrap_err().rule,
            MODEL_OF_UPDATES
        );
        // That of the first round is in its model already.
        let again = late(Some(vec![0, 1]), 10_621_320).unwrap_err();
        assert_eq!(again.rule, COUNTED_BY_AGE);
        assert_eq!(late(None, 12_000_000).unwrap_err().rule, COUNTED_BY_AGE);
    }

    #[test]
    fn updates_of_another_round_do_not_count() {
        let mut checks = Checks::default();
        checks.update("a", 2, (10, None), None).unwrap();
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
            variate: None,
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
