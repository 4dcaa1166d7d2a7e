//! Rules about key epochs and who holds them.

use super::{Broken, EPOCH_GROWS, EVICTED_READS_NOTHING, HOLDERS_ARE_MEMBERS};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen of keys and members.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// Those that nodes hold.
    epochs: BTreeMap<String, u64>,
    /// The key epoch of the ledger.
    epoch: u64,
    /// Former members, and the key epoch in which they were removed.
    removed: BTreeMap<String, u64>,
    /// For each key epoch, who was no member any more when it began.
    former: BTreeMap<u64, BTreeSet<String>>,
}

impl Keys {
    /// By leaf `index` the ledger goes on to this epoch.
    pub(super) fn began(&mut self, index: u64, epoch: u64) -> Result<(), Broken> {
        let before = std::mem::replace(&mut self.epoch, epoch);
        self.former
            .insert(epoch, self.removed.keys().cloned().collect());
        EPOCH_GROWS.check(epoch > before, || {
            format!("leaf {index} goes from key epoch {before} to {epoch}")
        })
    }

    pub(super) fn admitted(&mut self, node: &str) {
        self.removed.remove(node);
    }

    pub(super) fn removed(&mut self, node: &str) {
        self.removed.insert(node.to_owned(), self.epoch);
    }

    pub(super) fn former(&self, node: &str) -> bool {
        self.removed.contains_key(node)
    }

    pub(super) fn holders(&self, node: &str, epoch: u64, holders: &[String]) -> Result<(), Broken> {
        let former = self.former.get(&epoch);
        let wrong = |holder: &&String| former.is_some_and(|former| former.contains(*holder));
        match holders.iter().find(wrong) {
            None => Ok(()),
            Some(holder) => Err(HOLDERS_ARE_MEMBERS.broken(format!(
                "{node} shares key epoch {epoch} with {holder}, which was removed before"
            ))),
        }
    }

    pub(super) fn epoch(&mut self, node: &str, epoch: u64) -> Result<(), Broken> {
        let held = self.epochs.entry(node.to_owned()).or_default();
        let before = std::mem::replace(held, epoch);
        EPOCH_GROWS.check(epoch >= before, || {
            format!("{node} went from key epoch {before} back to {epoch}")
        })?;
        let last = self.removed.get(node).copied().unwrap_or(u64::MAX);
        EVICTED_READS_NOTHING.check(epoch <= last, || {
            format!("{node} was removed in key epoch {last} and holds {epoch}")
        })
    }

    pub(super) fn started(&mut self, node: &str) {
        self.epochs.remove(node);
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn key_epochs_grow_within_a_life() {
        let mut checks = Checks::default();
        checks.epoch("a", 4).unwrap();
        assert_eq!(checks.epoch("a", 3).unwrap_err().rule, EPOCH_GROWS);
        checks.started("a");
        checks.epoch("a", 1).unwrap();
    }

    #[test]
    fn who_was_evicted_gets_no_later_keys() {
        let mut checks = Checks::default();
        checks
            .leaf("a", 0, [0; 32], [0; 32], &Fact::Epoch(5))
            .unwrap();
        checks
            .leaf("a", 1, [1; 32], [1; 32], &Fact::Removed("c".to_owned()))
            .unwrap();
        checks.epoch("c", 5).unwrap();
        assert_eq!(
            checks.epoch("c", 6).unwrap_err().rule,
            EVICTED_READS_NOTHING
        );
    }

    #[test]
    fn an_epoch_is_shared_with_members_only() {
        let mut checks = Checks::default();
        let facts = [
            Fact::Epoch(5),
            Fact::Removed("c".to_owned()),
            Fact::Epoch(6),
        ];
        for (index, fact) in (0..).zip(facts) {
            let root = [index as u8; 32];
            checks.leaf("a", index, root, root, &fact).unwrap();
        }
        let holders = ["a".to_owned(), "c".to_owned()];
        checks.holders("a", 5, &holders).unwrap();
        checks.holders("a", 6, &holders[..1]).unwrap();
        let shared = checks.holders("a", 6, &holders).unwrap_err();
        assert_eq!(shared.rule, HOLDERS_ARE_MEMBERS);
    }
}
