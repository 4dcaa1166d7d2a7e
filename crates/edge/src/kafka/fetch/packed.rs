//! What a response has of one partition, its records still packed. It is unpacked in portions: a whole response is some tens of
//! mebibytes of records, which come from memory that is cold in every cache and new to the process, and that costs more than
//! the decompression.

use super::Fetched;
use crate::kafka::batch::{self, BatchError, Budget, Control, Record};
use bytes::Bytes;
use std::collections::BTreeSet;

/// One partition's part of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::kafka) struct Packed {
    pub(in crate::kafka) partition: i32,
    /// Kafka's error code; 0 is none.
    pub(in crate::kafka) error: i16,
    pub(in crate::kafka) high_watermark: i64,
    /// One past the last offset that readers of committed records get.
    pub(super) last_stable: i64,
    /// Where what is left begins: at first the offset asked for.
    pub(in crate::kafka) from: i64,
    /// First offset and producer of each aborted transaction that was not met yet, the next one last.
    pub(super) aborted: Vec<(i64, i64)>,
    /// Producers whose records are left out, up to their abort marker.
    pub(super) aborting: BTreeSet<i64>,
    pub(super) set: Bytes,
}

impl Packed {
    /// Where to go on behind all of it, if the records can be read.
    pub(in crate::kafka) fn end(&self) -> i64 {
        batch::end_of(&self.set).map_or(self.from, |end| end.max(self.from))
    }

    /// The broker has more of it, at once.
    pub(in crate::kafka) fn goes_on(&self) -> bool {
        self.end() < self.last_stable
    }

    /// No whole batch is left. One that is cut off is legal at the end: it comes again with the next fetch.
    pub(in crate::kafka) fn is_done(&self) -> bool {
        batch::end_of(&self.set).is_none()
    }

    /// The next portion, or all of it, as `budget` says. Nothing is left behind a batch that cannot be read.
    pub(in crate::kafka) fn unpack(&mut self, budget: &mut Budget) -> Fetched {
        let begin = self.from;
        let mut records = Vec::new();
        let records = match self.read(&mut records, budget) {
            Ok(()) => Ok(records),
            Err(error) => {
                self.set = Bytes::new();
                if self.from == begin {
                    Err(error)
                } else {
                    // What the broken batch began with is not taken: it comes again, and is told then.
                    records.retain(|record: &Record| record.offset < self.from);
                    Ok(records)
                }
            }
        };
        Fetched {
            partition: self.partition,
            error: self.error,
            high_watermark: self.high_watermark,
            next_offset: self.from,
            records,
        }
    }

    /// Batches, until it is enough. Aborted transactions are left out: a producer's batches are from the
    /// first offset of its aborted transaction up to its abort marker (KIP-98).
    fn read(&mut self, records: &mut Vec<Record>, budget: &mut Budget) -> Result<(), BatchError> {
        while !budget.is_enough()
            && let Some(batch) = batch::next(&mut self.set)?
        {
            let last = batch.last_offset();
            while let Some((_, producer)) = self.aborted.pop_if(|(first, _)| *first <= last) {
                self.aborting.insert(producer);
            }
            if batch.is_control() {
                match batch.control(budget)? {
                    Some(Control::Abort) => {
                        self.aborting.remove(&batch.producer());
                    }
                    Some(Control::Commit) | None => {}
                }
            } else if last >= self.from
                && !(batch.is_transactional() && self.aborting.contains(&batch.producer()))
            {
                batch.records(budget, self.from, records)?;
            }
            self.from = self.from.max(last + 1);
        }
        Ok(())
    }
}
