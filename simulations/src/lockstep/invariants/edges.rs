//! Rules about what comes from outside: mails and Kafka's records.

use super::{Broken, MAIL_KEPT, MAIL_ONCE, NO_GAP, OFFSETS_BEHIND};
use std::collections::{BTreeMap, BTreeSet};

/// What was seen at the edges.
#[derive(Debug, Default)]
pub(super) struct Edges {
    mails: BTreeMap<String, Mails>,
    /// Promised by each node when the load ended: what gear that dribbles is promised later has no time left
    /// to be accounted for.
    owed: Option<BTreeMap<String, u64>>,
    /// The next Kafka offset to be accounted for.
    offset: u64,
}

/// Mails at one node's door.
#[derive(Clone, Debug, Default)]
struct Mails {
    /// Sent to their end at least once.
    sent: BTreeSet<u64>,
    /// Answered 250.
    promised: BTreeSet<u64>,
    /// Accounted for on the ledger.
    counted: u64,
    /// The node's disk was damaged: what it had promised may be gone.
    damaged: bool,
}

impl Edges {
    pub(super) fn mail(&mut self, to: &str, number: u64, promised: bool) {
        let mails = self.mails.entry(to.to_owned()).or_default();
        mails.sent.insert(number);
        if promised {
            mails.promised.insert(number);
        }
    }

    pub(super) fn damaged(&mut self, node: &str) {
        self.mails.entry(node.to_owned()).or_default().damaged = true;
    }

    /// Leaf `index` accounts for so many of a node's mails.
    pub(super) fn counted(&mut self, index: u64, node: &str, count: u64) -> Result<(), Broken> {
        let mails = self.mails.entry(node.to_owned()).or_default();
        mails.counted += count;
        let (counted, sent) = (mails.counted, mails.sent.len() as u64);
        MAIL_ONCE.check(counted <= sent, || {
            format!("{node} accounts for {counted} mails by leaf {index}, {sent} were sent")
        })
    }

    /// Leaf `index` accounts for these offsets.
    pub(super) fn records(&mut self, index: u64, first: u64, last: u64) -> Result<(), Broken> {
        let next = self.offset;
        self.offset = next.max(last + 1);
        NO_GAP.check(first <= next, || {
            format!("leaf {index} accounts for offsets from {first} on, before it stood {next}")
        })
    }

    pub(super) fn committed(&self, offset: u64) -> Result<(), Broken> {
        OFFSETS_BEHIND.check(offset <= self.offset, || {
            format!(
                "offset {offset} is committed, accounted for is {}",
                self.offset
            )
        })
    }

    /// The load has ended.
    pub(super) fn owe(&mut self) {
        let promised = self.mails.iter();
        let promised = promised.map(|(node, mails)| (node.clone(), mails.promised.len() as u64));
        self.owed = Some(promised.collect());
    }

    /// Nobody waits for the mails of a former member.
    pub(super) fn kept(&self, former: impl Fn(&str) -> bool) -> Result<(), Broken> {
        for (node, mails) in &self.mails {
            let excused = former(node) || mails.damaged;
            let promised = match &self.owed {
                Some(owed) => owed.get(node).copied().unwrap_or(0),
                None => mails.promised.len() as u64,
            };
            MAIL_KEPT.check(excused || mails.counted >= promised, || {
                format!(
                    "{node} promised {promised} mails and accounts for {}",
                    mails.counted
                )
            })?;
        }
        Ok(())
    }

    pub(super) fn mails(&self) -> (u64, u64) {
        let all = self.mails.values();
        all.fold((0, 0), |(promised, counted), mails| {
            (
                promised + mails.promised.len() as u64,
                counted + mails.counted,
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    #[test]
    fn mail_is_kept_and_counted_once() {
        let mails = |count| Fact::Mails {
            node: "a".to_owned(),
            count,
        };
        let mut checks = Checks::default();
        checks.mail("a", 1, false);
        checks.mail("a", 2, true);
        assert_eq!(checks.mail_kept().unwrap_err().rule, MAIL_KEPT);
        checks.leaf("a", 0, [0; 32], [0; 32], &mails(2)).unwrap();
        // The same leaf on another node is the same mails.
        checks.leaf("b", 0, [0; 32], [0; 32], &mails(2)).unwrap();
        checks.mail_kept().unwrap();
        let twice = checks.leaf("a", 1, [1; 32], [1; 32], &mails(1));
        assert_eq!(twice.unwrap_err().rule, MAIL_ONCE);
    }

    #[test]
    fn what_is_promised_after_the_load_is_not_owed() {
        let mut checks = Checks::default();
        checks.mail("a", 1, true);
        checks.load_ended();
        checks.mail("a", 2, true);
        checks.mail("b", 1, true);
        assert_eq!(checks.mail_kept().unwrap_err().rule, MAIL_KEPT);
        let counted = Fact::Mails {
            node: "a".to_owned(),
            count: 1,
        };
        checks.leaf("a", 0, [0; 32], [0; 32], &counted).unwrap();
        checks.mail_kept().unwrap();
    }

    #[test]
    fn offsets_follow_the_ledger_without_a_gap() {
        let records = |first, last| Fact::Records { first, last };
        let mut checks = Checks::default();
        assert_eq!(checks.committed(1).unwrap_err().rule, OFFSETS_BEHIND);
        checks
            .leaf("a", 0, [0; 32], [0; 32], &records(0, 9))
            .unwrap();
        checks.committed(10).unwrap();
        assert_eq!(checks.committed(11).unwrap_err().rule, OFFSETS_BEHIND);
        let gap = checks.leaf("a", 1, [1; 32], [1; 32], &records(11, 12));
        assert_eq!(gap.unwrap_err().rule, NO_GAP);
    }
}
