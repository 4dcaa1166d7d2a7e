//! Rules about the log: terms, leaves, acknowledgements, proposals.

use super::{ACKNOWLEDGED_STAYS, Broken, EFFECT_ONCE, HISTORY_FIXED, ONE_LEADER};
use std::collections::BTreeMap;

/// What was seen of the log.
#[derive(Debug, Default)]
pub(super) struct Log {
    leaders: BTreeMap<u64, String>,
    roots: BTreeMap<u64, ([u8; 32], String)>,
    leaves: BTreeMap<u64, [u8; 32]>,
    acknowledged: BTreeMap<u64, ([u8; 32], String)>,
    /// Proposals that took effect, and the leaf.
    proposals: BTreeMap<[u8; 16], u64>,
}

impl Log {
    pub(super) fn leader(&mut self, node: &str, leader: &str, term: u64) -> Result<(), Broken> {
        let known = self
            .leaders
            .entry(term)
            .or_insert_with(|| leader.to_owned());
        ONE_LEADER.check(known == leader, || {
            format!("{node} takes {leader} for the leader of term {term}, which {known} was")
        })
    }

    /// Whether nobody had it before.
    pub(super) fn leaf(
        &mut self,
        node: &str,
        index: u64,
        leaf: [u8; 32],
        root: [u8; 32],
    ) -> Result<bool, Broken> {
        let news = !self.roots.contains_key(&index);
        let (known, first) = self
            .roots
            .entry(index)
            .or_insert_with(|| (root, node.to_owned()));
        HISTORY_FIXED.check(*known == root, || {
            format!(
                "the first {} leaves of {node} are not those of {first}",
                index + 1
            )
        })?;
        self.leaves.entry(index).or_insert(leaf);
        Ok(news)
    }

    pub(super) fn effect(&mut self, index: u64, proposal: [u8; 16]) -> Result<(), Broken> {
        let first = *self.proposals.entry(proposal).or_insert(index);
        EFFECT_ONCE.check(first == index, || {
            format!("a proposal took effect as leaf {first} and again as leaf {index}")
        })
    }

    pub(super) fn acknowledged(
        &mut self,
        node: &str,
        index: u64,
        act: [u8; 32],
    ) -> Result<(), Broken> {
        let (known, first) = self
            .acknowledged
            .entry(index)
            .or_insert_with(|| (act, node.to_owned()));
        ACKNOWLEDGED_STAYS.check(*known == act, || {
            format!("leaf {index} was acknowledged to {first} and, for another act, to {node}")
        })?;
        self.stays(index)
    }

    pub(super) fn stays(&self, index: u64) -> Result<(), Broken> {
        let (Some(leaf), Some((act, node))) =
            (self.leaves.get(&index), self.acknowledged.get(&index))
        else {
            return Ok(());
        };
        ACKNOWLEDGED_STAYS.check(leaf == act, || {
            format!("leaf {index} is another act than the one acknowledged to {node}")
        })
    }

    pub(super) fn all_there(&self, size: u64) -> Result<(), Broken> {
        match self.acknowledged.range(size..).next() {
            None => Ok(()),
            Some((index, (_, node))) => Err(ACKNOWLEDGED_STAYS.broken(format!(
                "leaf {index} was acknowledged to {node}, and the ledger has {size} leaves"
            ))),
        }
    }

    pub(super) fn acknowledgements(&self) -> impl Iterator<Item = u64> {
        self.acknowledged.keys().copied()
    }

    pub(super) fn size(&self) -> u64 {
        self.roots
            .last_key_value()
            .map_or(0, |(index, _)| index + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn two_leaders_of_one_term_are_one_too_many() {
        let mut checks = Checks::default();
        checks.leader("a", "a", 1).unwrap();
        checks.leader("b", "a", 1).unwrap();
        checks.leader("b", "b", 2).unwrap();
        assert_eq!(checks.leader("b", "b", 1).unwrap_err().rule, ONE_LEADER);
    }

    #[test]
    fn history_is_one() {
        let mut checks = Checks::default();
        checks.leaf("a", 0, [1; 32], [1; 32], &Fact::Other).unwrap();
        checks.leaf("b", 0, [1; 32], [1; 32], &Fact::Other).unwrap();
        let forked = checks
            .leaf("b", 0, [2; 32], [2; 32], &Fact::Other)
            .unwrap_err();
        assert_eq!(forked.rule, HISTORY_FIXED);
    }

    #[test]
    fn what_was_acknowledged_stays_whichever_is_heard_first() {
        let mut checks = Checks::default();
        checks.acknowledged("a", 3, [3; 32]).unwrap();
        assert_eq!(
            checks
                .leaf("b", 3, [4; 32], [9; 32], &Fact::Other)
                .unwrap_err()
                .rule,
            ACKNOWLEDGED_STAYS
        );
        let mut checks = Checks::default();
        checks.leaf("b", 3, [4; 32], [9; 32], &Fact::Other).unwrap();
        assert_eq!(
            checks.acknowledged("a", 3, [3; 32]).unwrap_err().rule,
            ACKNOWLEDGED_STAYS
        );
        assert_eq!(checks.all_there(3).unwrap_err().rule, ACKNOWLEDGED_STAYS);
        checks.all_there(4).unwrap();
    }

    #[test]
    fn a_proposal_takes_effect_as_one_leaf_on_however_many_nodes() {
        let mut checks = Checks::default();
        checks.effect(4, [7; 16]).unwrap();
        checks.effect(4, [7; 16]).unwrap();
        checks.effect(5, [8; 16]).unwrap();
        assert_eq!(checks.effect(6, [7; 16]).unwrap_err().rule, EFFECT_ONCE);
    }
}
