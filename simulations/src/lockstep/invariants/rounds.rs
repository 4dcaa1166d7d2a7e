//! Rules about rounds: the model, and what it stands on.

use super::{Broken, COUNTED_ONCE, ONE_MODEL, SUM_OF_UPDATES};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of rounds.
#[derive(Debug, Default)]
pub(super) struct Rounds {
    models: BTreeMap<u64, [u8; 32]>,
    /// For each round and participant, the least and the most examples of an update that it sent: after
    /// a restart it trains anew, and either update may be the one that counts.
    updates: BTreeMap<(u64, String), (u64, u64)>,
}

impl Rounds {
    pub(super) fn update(&mut self, node: &str, round: u64, examples: u64) {
        let sent = self.updates.entry((round, node.to_owned()));
        let (least, most) = sent.or_insert((examples, examples));
        *least = examples.min(*least);
        *most = examples.max(*most);
    }

    /// Leaf `index` closes a round.
    pub(super) fn closed(
        &mut self,
        index: u64,
        round: u64,
        model: [u8; 32],
        participants: &[String],
        examples: u64,
    ) -> Result<(), Broken> {
        let known = self.models.entry(round).or_insert(model);
        ONE_MODEL.check(*known == model, || {
            format!("leaf {index} closes round {round} with a second model")
        })?;
        let once: BTreeSet<_> = participants.iter().collect();
        COUNTED_ONCE.check(once.len() == participants.len(), || {
            format!("round {round} counts {participants:?}")
        })?;
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
        checks.update("a", 1, 10);
        checks.update("b", 1, 20);
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
            checks.update("b", 1, 25);
            close(&mut checks, 0, &closed(1, &["a", "b"], examples))
        };
        assert_eq!(sum(30), None);
        assert_eq!(sum(35), None);
        assert_eq!(sum(55), Some(SUM_OF_UPDATES), "both of them");
        assert_eq!(sum(29), Some(SUM_OF_UPDATES));
    }

    #[test]
    fn updates_of_another_round_do_not_count() {
        let mut checks = Checks::default();
        checks.update("a", 2, 10);
        let other = close(&mut checks, 0, &closed(1, &["a"], 10));
        assert_eq!(other, Some(SUM_OF_UPDATES));
    }
}
