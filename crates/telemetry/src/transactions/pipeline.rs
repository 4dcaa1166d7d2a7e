//! All partitions of one topic.

use super::layout::{TransactionError, TransactionLayout};
use super::window::{Checkpoint, Counters, WindowConfig, Windows};
use std::collections::BTreeMap;
use wire::{Report, UnixMillis};

/// What a feed needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PipelineConfig {
    /// Kafka topic.
    pub topic: String,
    /// How records are read.
    pub layout: TransactionLayout,
    /// How they are gathered.
    pub windows: WindowConfig,
}

/// A record for the quarantine.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    /// A null value (a tombstone of a compacted topic).
    #[error("the record has no value")]
    NoValue,
    /// It is no transaction.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
}

/// Records of one topic → reports. Windows are kept per partition: producers that key by region
/// or terminal (so that a key stays in one partition) get one report per key and window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pipeline {
    config: PipelineConfig,
    partitions: BTreeMap<i32, Windows>,
}

impl Pipeline {
    /// Nothing seen yet.
    pub fn new(config: PipelineConfig) -> Self {
        Self {
            config,
            partitions: BTreeMap::new(),
        }
    }

    /// Continues a partition from what was committed for it. Call before its first record.
    pub fn resume(&mut self, partition: i32, checkpoint: Checkpoint) {
        let windows = Windows::resume(
            &self.config.topic,
            partition,
            self.config.windows.clone(),
            checkpoint,
        );
        self.partitions.insert(partition, windows);
    }

    /// The partition goes on at `offset`, which does not follow from what was read: the topic was made
    /// anew, or its records were deleted before they were read. Windows that are open are reported as they
    /// are, for what was missing in them will not come.
    pub fn restart(&mut self, now: UnixMillis, partition: i32, offset: i64, out: &mut Vec<Report>) {
        if let Some(windows) = self.partitions.get_mut(&partition) {
            windows.restart(now, offset, out);
        }
    }

    /// One record, in order of offsets within its partition; windows that it closes are appended
    /// to `out`. A refused record is for the quarantine, the partition goes on.
    pub fn record(
        &mut self,
        now: UnixMillis,
        partition: i32,
        offset: i64,
        value: Option<&[u8]>,
        out: &mut Vec<Report>,
    ) -> Result<(), Refused> {
        let read = value
            .ok_or(Refused::NoValue)
            .and_then(|bytes| Ok(self.config.layout.read(bytes)?));
        let windows = self.partitions.entry(partition).or_insert_with(|| {
            Windows::new(&self.config.topic, partition, self.config.windows.clone())
        });
        match read {
            Ok(transaction) => {
                windows.observe(now, offset, &transaction, out);
                Ok(())
            }
            Err(refused) => {
                windows.skip(offset);
                Err(refused)
            }
        }
    }

    /// Closes windows of partitions that went quiet. Call about once a second.
    pub fn idle(&mut self, now: UnixMillis, out: &mut Vec<Report>) {
        self.partitions
            .values_mut()
            .for_each(|windows| windows.idle(now, out));
    }

    /// What to commit for each partition once the reports given out so far are durable.
    pub fn checkpoints(&self) -> Vec<(i32, Checkpoint)> {
        self.partitions
            .iter()
            .map(|(partition, windows)| (*partition, windows.checkpoint()))
            .collect()
    }

    /// Sums over all partitions.
    pub fn counters(&self) -> Counters {
        self.partitions
            .values()
            .map(Windows::counters)
            .fold(Counters::default(), |sum, one| Counters {
                counted: sum.counted + one.counted,
                late: sum.late + one.late,
                replayed: sum.replayed + one.replayed,
                ahead: sum.ahead + one.ahead,
                shed: sum.shed + one.shed,
                windows: sum.windows + one.windows,
            })
    }
}
