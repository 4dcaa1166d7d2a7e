//! Rounds that take updates as they come: what training made, and how old it is when it counts.

use super::invariants as rule;
use super::node::number;
use super::world::{Checked, World};
use federation::fedbuff;
use std::collections::BTreeMap;
use wire::{Digest, NodeId, Round};

/// Numbers of some units as f32.
const ROUNDED: f64 = 1e-4;

/// Worked out beside the nodes.
#[derive(Default)]
pub(crate) struct Late {
    /// Models that rounds started from, each once in a row, oldest first.
    bases: Vec<Digest>,
    /// The model that each round started from, and whether the ledger had a place for ages then.
    starts: BTreeMap<Round, (Digest, bool)>,
    /// What training made, by node, since its last update counted: begun in which round, from which model.
    made: BTreeMap<usize, Vec<(Round, Digest, Vec<f32>)>>,
    /// The last round that each one's update is in.
    counted: BTreeMap<usize, Round>,
}

impl World {
    /// A round was opened, by the leaf that nobody had folded before.
    pub(super) fn starts_from(&mut self, round: Round, model: Digest, told: bool) {
        let late = &mut self.late;
        late.starts.insert(round, (model, told));
        if late.bases.last() != Some(&model) {
            late.bases.push(model);
        }
    }

    /// Whether the ledger has a place for the ages of a round's updates.
    pub(super) fn tells_ages(&self, round: Round) -> bool {
        let start = self.late.starts.get(&round);
        start.is_some_and(|(_, told)| *told)
    }

    /// The learner's result, before the participant has it.
    pub(super) fn outstanding(&mut self, n: usize, (round, model): (Round, Digest), delta: &[f32]) {
        let made = (round, model, delta.to_vec());
        self.late.made.entry(n).or_default().push(made);
    }

    /// A round has a model, likewise: of each participant it counts one update that was begun after its last one
    /// counted, with the weight of the age that the ledger says, and that age is within bounds.
    pub(super) fn discounts(
        &mut self,
        (round, model): (Round, Digest),
        participants: &[NodeId],
        ages: Option<&[u32]>,
    ) -> Checked {
        let (most, rate) = (self.settings.buffer.max_staleness, self.settings.rate);
        let late = &mut self.late;
        let start = late.starts.get(&round);
        let start = start.and_then(|(of, _)| self.vectors.get(of));
        let mut made: Vec<f64> = start
            .map(|of| of.iter().map(|w| f64::from(*w)).collect())
            .unwrap_or_default();
        let share = rate / participants.len() as f64;
        let mut known = true;
        for (at, n) in participants.iter().map(number).enumerate() {
            let told = ages.and_then(|ages| ages.get(at)).map(|age| *age as usize);
            let last = late.counted.insert(n, round).unwrap_or_default();
            let updates = late.made.remove(&n).unwrap_or_default();
            let age = |base: &Digest| late.bases.iter().rev().position(|of| of == base);
            let mut fits: Vec<_> = updates
                .iter()
                .filter(|(begun, ..)| last < *begun && *begun <= round)
                .filter_map(|(_, base, delta)| Some((age(base)?, delta)))
                .filter(|(age, _)| *age <= most && told.is_none_or(|told| told == *age))
                .collect();
            // Whoever trains twice from one model makes the same of it.
            fits.dedup();
            rule::COUNTS_BY_AGE.check(!fits.is_empty(), n, || {
                let begun: Vec<_> = updates.iter().map(|(begun, base, _)| (begun, age(base))).collect();
                format!("round {round}: age {told:?} of at most {most}; since round {last} it made {begun:?}")
            })?;
            // Before the ledger has a place for ages, either may be meant.
            known &= fits.len() == 1;
            let (age, delta) = fits[0];
            let weight = share * fedbuff::weight(age);
            let pairs = made.iter_mut().zip(delta);
            pairs.for_each(|(w, d)| *w += weight * f64::from(*d));
        }
        let found = self.vectors.get(&model);
        let near = found.is_some_and(|found| {
            let mut pairs = made.iter().zip(&**found);
            pairs.all(|(made, found)| (made - f64::from(*found)).abs() < ROUNDED)
        });
        rule::COUNTS_BY_AGE.check(!known || near, 0, || {
            format!("round {round}: {found:?} instead of {made:?}")
        })
    }
}
