//! Who is asked in a round, and when enough have answered.
//!
//! The choice follows from the round and the model it starts from, both of which are on the ledger with the
//! cohort: anybody can draw it again. Only whom the leader holds for slow is its own knowledge; it is
//! lost with the leader, and found anew in a few rounds.

use crate::random::{SplitMix, shuffle};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use wire::{Digest, NodeId, Round};

/// Rounds in a row without an answer after which a node is asked last.
const MISSES: u32 = 3;
/// Rounds after which a slow node is asked like any other again: it may have become fast, and what it
/// knows is missed meanwhile.
const PROBATION: u64 = 10;

/// How many are asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// Part of the members wanted in a model, above 0 and at most 1.
    pub fraction: f64,
    /// At most so many of them; `None`: no bound.
    pub size: Option<usize>,
    /// So many times more are asked than are wanted, at least 1; the round ends when enough have answered
    /// (Bonawitz et al., MLSys 2019, *Towards Federated Learning at Scale*: 1.3).
    pub over_selection: f64,
}

impl Default for Selection {
    /// Everybody is asked and waited for.
    fn default() -> Self {
        Self {
            fraction: 1.0,
            size: None,
            over_selection: 1.0,
        }
    }
}

impl Selection {
    /// How many of `members` are wanted in a model, and how many are asked for that.
    fn counts(&self, members: usize, min_cohort: usize) -> (usize, usize) {
        let part = (self.fraction.clamp(0.0, 1.0) * members as f64).ceil() as usize;
        let wanted = part
            .min(self.size.unwrap_or(usize::MAX))
            .max(min_cohort)
            .min(members);
        (wanted, self.asked_for(wanted).min(members))
    }

    fn asked_for(&self, wanted: usize) -> usize {
        (wanted as f64 * self.over_selection.max(1.0)).ceil() as usize
    }

    /// With how many updates a cohort of this size need not be waited for any longer.
    pub fn enough(&self, cohort: usize, min_cohort: usize) -> usize {
        // The most that are wanted when so many are asked.
        let wanted = (cohort as f64 / self.over_selection.max(1.0)).floor() as usize;
        wanted.max(min_cohort).min(cohort)
    }

    /// The cohort of `round`, from those who may take part.
    pub fn choose(
        &self,
        members: &BTreeSet<NodeId>,
        (round, model): (Round, Digest),
        min_cohort: usize,
        slow: &Stragglers,
    ) -> Vec<NodeId> {
        let (_, asked) = self.counts(members.len(), min_cohort);
        let mut random = SplitMix::new(seed(round, model));
        let (mut last, mut first): (Vec<_>, Vec<_>) = members
            .iter()
            .cloned()
            .partition(|node| slow.is_slow(node, round));
        shuffle(&mut first, &mut random);
        shuffle(&mut last, &mut random);
        let mut cohort: Vec<NodeId> = first.into_iter().chain(last).take(asked).collect();
        cohort.sort_unstable();
        cohort
    }
}

/// The first eight bytes of a digest of round and model.
fn seed(round: Round, model: Digest) -> u64 {
    let mut hash = Sha256::new();
    hash.update(b"glasshouse cohort 1");
    hash.update(round.0.to_le_bytes());
    hash.update(model.0);
    let digest: [u8; 32] = hash.finalize().into();
    u64::from_le_bytes(*digest.first_chunk().expect("a digest has 32 bytes"))
}

/// Who has not answered, by the rounds of this leader.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stragglers {
    /// Rounds in a row, and the last of them.
    missed: BTreeMap<NodeId, (u32, Round)>,
}

impl Stragglers {
    /// It answered: with an update, or that it cannot.
    pub fn answered(&mut self, node: &NodeId) {
        self.missed.remove(node);
    }

    /// The round ended without a word of it.
    pub fn missed(&mut self, node: &NodeId, round: Round) {
        let (count, last) = self.missed.entry(node.clone()).or_insert((0, round));
        *count = count.saturating_add(1);
        *last = round;
    }

    /// Whether it is asked last in `round`.
    pub fn is_slow(&self, node: &NodeId, round: Round) -> bool {
        self.missed.get(node).is_some_and(|(count, last)| {
            *count >= MISSES && round.0.saturating_sub(last.0) <= PROBATION
        })
    }

    /// Rounds in a row that each has missed.
    pub fn counts(&self) -> impl Iterator<Item = (&NodeId, u32)> {
        self.missed.iter().map(|(node, (count, _))| (node, *count))
    }

    /// Forgets who is not there any more: who returns begins anew.
    pub fn retain(&mut self, members: &BTreeSet<NodeId>) {
        self.missed.retain(|node, _| members.contains(node));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(count: usize) -> BTreeSet<NodeId> {
        (0..count).map(|n| NodeId::new(format!("n{n}"))).collect()
    }

    fn choose(selection: Selection, members: usize, round: u64, slow: &Stragglers) -> Vec<NodeId> {
        selection.choose(&names(members), (Round(round), Digest([7; 32])), 2, slow)
    }

    #[test]
    fn how_many_are_asked_and_how_many_are_enough() {
        let check = |fraction, size, over_selection, members, (asked, enough)| {
            let selection = Selection {
                fraction,
                size,
                over_selection,
            };
            let cohort = choose(selection, members, 1, &Stragglers::default());
            assert_eq!(cohort.len(), asked, "{selection:?} of {members}");
            assert_eq!(
                selection.enough(asked, 2),
                enough,
                "{selection:?} of {members}"
            );
        };
        check(1.0, None, 1.0, 9, (9, 9));
        check(0.5, None, 1.0, 9, (5, 5));
        check(0.1, None, 1.0, 9, (2, 2));
        check(1.0, Some(4), 1.0, 9, (4, 4));
        check(1.0, Some(1), 1.0, 9, (2, 2));
        check(0.5, None, 1.3, 20, (13, 10));
        check(1.0, Some(3), 1.5, 9, (5, 3));
        // All are asked, and not all waited for.
        check(1.0, None, 1.3, 9, (9, 6));
        check(1.0, None, 1.0, 1, (1, 1));
    }

    #[test]
    fn everybody_has_a_turn_and_anybody_can_draw_again() {
        let selection = Selection {
            fraction: 0.3,
            ..Selection::default()
        };
        let nobody = Stragglers::default();
        let mut turns: BTreeMap<NodeId, u32> = BTreeMap::new();
        for round in 0..1_000 {
            let cohort = choose(selection, 10, round, &nobody);
            assert_eq!(cohort, choose(selection, 10, round, &nobody));
            for node in cohort {
                *turns.entry(node).or_default() += 1;
            }
        }
        // Three of ten in a thousand rounds: 300, deviation 14.
        assert_eq!(turns.len(), 10);
        assert!(
            turns.values().all(|turns| (230..370).contains(turns)),
            "{turns:?}"
        );
        // The same choice on every machine and in every version that draws this way.
        assert_eq!(choose(selection, 10, 1, &nobody), PINNED.map(NodeId::from));
    }

    const PINNED: [&str; 3] = ["n3", "n6", "n8"];

    #[test]
    fn the_slow_are_asked_last_and_get_another_chance() {
        let selection = Selection {
            fraction: 0.5,
            ..Selection::default()
        };
        let slow = NodeId::from("n3");
        let mut stragglers = Stragglers::default();
        for round in 1..=3 {
            assert!(!stragglers.is_slow(&slow, Round(round)));
            stragglers.missed(&slow, Round(round));
        }
        assert!((4..=13).all(|round| !choose(selection, 6, round, &stragglers).contains(&slow)));
        // Where nobody else is left, it is asked.
        assert_eq!(choose(Selection::default(), 6, 4, &stragglers).len(), 6);
        assert!((14..40).any(|round| choose(selection, 6, round, &stragglers).contains(&slow)));
        // One more miss, and it waits again; one answer, and all is forgotten.
        stragglers.missed(&slow, Round(14));
        assert!(stragglers.is_slow(&slow, Round(15)));
        stragglers.answered(&slow);
        assert!(!stragglers.is_slow(&slow, Round(15)));
    }

    proptest! {
        #[test]
        fn a_cohort_is_large_enough_and_of_members(
            members in 2_usize..40, fraction in 0.01_f64..1.0, size in proptest::option::of(1_usize..40),
            over_selection in 1.0_f64..3.0, round in any::<u64>(),
        ) {
            let selection = Selection { fraction, size, over_selection };
            let cohort = choose(selection, members, round, &Stragglers::default());
            prop_assert!(cohort.len() >= 2 && cohort.len() <= members);
            prop_assert!(cohort.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(cohort.iter().all(|node| names(members).contains(node)));
            let enough = selection.enough(cohort.len(), 2);
            prop_assert!((2..=cohort.len()).contains(&enough));
        }
    }
}
