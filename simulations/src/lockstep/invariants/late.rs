//! Rules about rounds that take updates as they come: which update of a participant counts, and how old it is.

use super::{Broken, COUNTED_BY_AGE};
use std::collections::BTreeMap;

/// What was seen of models and of updates that count.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// Models that an update may be behind; `None`: updates belong to one round.
    most: Option<usize>,
    /// Models that rounds started from, each once in a row, with those rounds; oldest first.
    bases: Vec<([u8; 32], Vec<u64>)>,
    /// The last round that a participant's update is in.
    counted: BTreeMap<String, u64>,
}

impl Late {
    pub(super) fn allow(&mut self, most: usize) {
        self.most = Some(most);
    }

    pub(super) fn opened(&mut self, round: u64, model: [u8; 32]) {
        match self.bases.last_mut() {
            Some((last, rounds)) if *last == model => rounds.push(round),
            Some(_) | None => self.bases.push((model, vec![round])),
        }
    }

    pub(super) fn rolled_back(&mut self) {
        self.bases.clear();
    }

    /// A round has a model: for each participant the rounds that its update may have been begun in, none of them before
    /// its last update counted.
    pub(super) fn closed(
        &mut self,
        round: u64,
        participants: &[String],
        ages: Option<&[u32]>,
    ) -> Result<Vec<Vec<u64>>, Broken> {
        let Some(most) = self.most else {
            return Ok(vec![vec![round]; participants.len()]);
        };
        let ages = ages.ok_or_else(|| {
            COUNTED_BY_AGE.broken(format!(
                "round {round} does not say how old its updates are"
            ))
        })?;
        let mut all = Vec::new();
        for (node, age) in participants.iter().zip(ages) {
            let last = self.counted.insert(node.clone(), round).unwrap_or(0);
            let base = self.bases.iter().rev().nth(*age as usize);
            let begun = base.map_or(&[][..], |(_, rounds)| rounds);
            let begun: Vec<u64> = begun.iter().copied().filter(|of| *of > last).collect();
            COUNTED_BY_AGE.check(*age as usize <= most && !begun.is_empty(), || {
                format!("round {round} counts an update of {node} from {age} models ago, {most} at most are allowed, and its last one is in round {last}")
            })?;
            all.push(begun);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late() -> Late {
        let mut late = Late::default();
        late.allow(2);
        // Round 2 made no model.
        for (round, model) in [(1, 1), (2, 1), (3, 2), (4, 3), (5, 4)] {
            late.opened(round, [model; 32]);
        }
        late
    }

    fn of(late: &mut Late, round: u64, age: u32) -> Option<Vec<Vec<u64>>> {
        late.closed(round, &["a".to_owned()], Some(&[age])).ok()
    }

    #[test]
    fn an_age_says_when_an_update_was_begun() {
        assert_eq!(of(&mut late(), 5, 0), Some(vec![vec![5]]));
        assert_eq!(of(&mut late(), 5, 2), Some(vec![vec![3]]));
        assert_eq!(of(&mut late(), 5, 3), None, "too old");
        let mut late = late();
        late.allow(9);
        assert_eq!(of(&mut late, 5, 3), Some(vec![vec![1, 2]]));
        assert_eq!(of(&mut late, 5, 4), None, "no such model");
    }

    #[test]
    fn an_update_counts_once() {
        let mut late = late();
        assert!(of(&mut late, 4, 1).is_some());
        // Whatever was begun in round 4 or before is in that model, or was dropped for it.
        late.opened(6, [5; 32]);
        assert_eq!(of(&mut late, 6, 2), None);
        let mut fresh = self::late();
        assert!(of(&mut fresh, 4, 1).is_some());
        fresh.opened(6, [5; 32]);
        assert_eq!(of(&mut fresh, 6, 1), Some(vec![vec![5]]));
    }

    #[test]
    fn ages_have_to_be_told() {
        assert!(late().closed(5, &["a".to_owned()], None).is_err());
        let plain = Late::default().closed(5, &["a".to_owned()], None);
        assert_eq!(plain, Ok(vec![vec![5]]));
    }
}
