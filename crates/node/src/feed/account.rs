//! What was read since the last act about it, by partition.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use telemetry::transactions::Checkpoint;
use wire::{Digest, FeedAdvance};

/// How far the partitions stand, on the ledger and beyond.
#[derive(Default)]
pub(super) struct Account {
    partitions: BTreeMap<u32, Open>,
}

/// One partition since the last act.
struct Open {
    from: u64,
    to: u64,
    moved: bool,
    count: u64,
    values: Sha256,
    /// Told by the last act.
    resume: Option<u64>,
}

impl Open {
    fn at(offset: u64) -> Self {
        Self {
            from: offset,
            to: offset,
            moved: false,
            count: 0,
            values: Sha256::new(),
            resume: None,
        }
    }
}

impl Account {
    /// The ledger, or the consumer group where the ledger does not know it yet, has the partition here.
    pub(super) fn stands(&mut self, partition: u32, at: u64) {
        self.partitions.insert(partition, Open::at(at));
    }

    /// The reader went on at `offset`, which does not follow from what was read before.
    pub(super) fn moved(&mut self, partition: u32, offset: u64) {
        let open = Open {
            moved: true,
            ..Open::at(offset)
        };
        self.partitions.insert(partition, open);
    }

    /// One record. What a predecessor has accounted for comes again, for the sake of windows that it
    /// left open, and does not count.
    pub(super) fn record(&mut self, partition: u32, offset: u64, value: &[u8]) {
        let open = self.partitions.entry(partition);
        let open = open.or_insert_with(|| Open::at(offset));
        if offset >= open.to {
            open.to = offset + 1;
            open.count += 1;
            open.values.update(Sha256::digest(value));
        }
    }

    /// All below `next` was read; what was not handed out are no records.
    pub(super) fn read_to(&mut self, partition: u32, next: u64) {
        let open = self.partitions.entry(partition);
        let open = open.or_insert_with(|| Open::at(next));
        open.to = open.to.max(next);
    }

    /// What an act has to tell, by the windows' checkpoints: partitions that were read further, or whose
    /// successor has less to read again. The watermark alone is no news: in a quiet partition it follows the clock.
    pub(super) fn due(&self, checkpoints: &[(u32, Checkpoint)]) -> Vec<FeedAdvance> {
        let due = |(partition, checkpoint): &(u32, Checkpoint)| {
            let open = self.partitions.get(partition)?;
            let resume = u64::try_from(checkpoint.offset).ok()?.min(open.to);
            let news =
                open.to > open.from || open.moved || open.resume.is_some_and(|told| told != resume);
            news.then(|| FeedAdvance {
                partition: *partition,
                from: open.from,
                to: open.to,
                moved: open.moved,
                resume,
                watermark: checkpoint.watermark,
                count: open.count,
                digest: Digest(open.values.clone().finalize().into()),
            })
        };
        checkpoints.iter().filter_map(due).collect()
    }

    /// The act took effect.
    pub(super) fn told(&mut self, advances: &[FeedAdvance]) {
        for advance in advances {
            let open = Open {
                resume: Some(advance.resume),
                ..Open::at(advance.to)
            };
            self.partitions.insert(advance.partition, open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::UnixMillis;

    fn checkpoint(offset: i64, watermark: u64) -> Checkpoint {
        Checkpoint {
            offset,
            seen: offset,
            watermark: UnixMillis(watermark),
        }
    }

    /// from, to, count, moved, resume
    fn due(account: &Account, offset: i64, watermark: u64) -> Option<(u64, u64, u64, bool, u64)> {
        let due = account.due(&[(0, checkpoint(offset, watermark))]);
        let one = due.into_iter().next()?;
        Some((one.from, one.to, one.count, one.moved, one.resume))
    }

    #[test]
    fn what_a_predecessor_accounted_for_does_not_count_again() {
        let mut account = Account::default();
        account.stands(0, 10);
        for offset in 7..12 {
            account.record(0, offset, b"x");
        }
        account.read_to(0, 13);
        assert_eq!(due(&account, 9, 0), Some((10, 13, 2, false, 9)));
        let told = account.due(&[(0, checkpoint(9, 0))]);
        let expected: Vec<u8> = [b"x", b"x"].iter().flat_map(Sha256::digest).collect();
        assert_eq!(told[0].digest, Digest::of(&expected));
        account.told(&told);
        assert_eq!(due(&account, 9, 0), None);
        // The clock alone is no news, a window that closed is.
        assert_eq!(due(&account, 9, 5), None);
        assert_eq!(due(&account, 13, 5), Some((13, 13, 0, false, 13)));
        // Of another partition nothing is known.
        assert_eq!(account.due(&[(1, checkpoint(3, 0))]), []);
    }

    #[test]
    fn a_partition_that_nobody_read_begins_with_its_first_record() {
        let mut account = Account::default();
        account.record(0, 40, b"x");
        assert_eq!(due(&account, 40, 0), Some((40, 41, 1, false, 40)));
        let mut account = Account::default();
        account.read_to(0, 8);
        assert_eq!(due(&account, 8, 0), None);
    }

    #[test]
    fn a_topic_made_anew_begins_anew() {
        let mut account = Account::default();
        account.stands(0, 100);
        account.moved(0, 0);
        account.record(0, 0, b"x");
        assert_eq!(due(&account, 0, 0), Some((0, 1, 1, true, 0)));
        account.told(&account.due(&[(0, checkpoint(0, 0))]));
        account.record(0, 1, b"x");
        assert_eq!(due(&account, 0, 0), Some((1, 2, 1, false, 0)));
    }
}
