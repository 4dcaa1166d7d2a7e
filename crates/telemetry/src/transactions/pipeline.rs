//! All partitions of one topic.

use super::json::JsonLayout;
use super::layout::{Transaction, TransactionError, TransactionLayout};
use super::registered::{Answer, Schemas};
use super::window::{Checkpoint, Counters, WindowConfig, Windows};
use crate::copybook::Row;
use crate::copybook::framing::Place;
use std::collections::BTreeMap;
use std::ops::Range;
use wire::{Report, UnixMillis};

/// How the values of a topic are read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Layout {
    /// EBCDIC records.
    Records(TransactionLayout),
    /// JSON.
    Json(JsonLayout),
    /// Avro or JSON by a schema of a registry.
    Registered(JsonLayout),
}

impl From<TransactionLayout> for Layout {
    fn from(layout: TransactionLayout) -> Self {
        Self::Records(layout)
    }
}

/// What a feed needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PipelineConfig {
    /// Kafka topic.
    pub topic: String,
    /// How records are read.
    pub layout: Layout,
    /// How they are gathered.
    pub windows: WindowConfig,
}

/// Broken records of one value that are told of singly. A value of a megabyte may hold ten thousand; the
/// first ones say what is wrong with the others.
const MOST_REFUSED: usize = 16;

/// Something for the quarantine.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    /// Which record of the value; `None` where the value is one record, or for all of it.
    pub place: Option<Place>,
    /// Its bytes within the value.
    pub bytes: Range<usize>,
    /// How many records this is about.
    pub records: usize,
    /// Why.
    pub reason: RefusedReason,
}

/// Why a record is no transaction.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RefusedReason {
    /// A null value (a tombstone of a compacted topic).
    #[error("the record has no value")]
    NoValue,
    /// It is no transaction.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// Others like it.
    #[error("{count} further records of the same value are no transactions either")]
    Further {
        /// How many.
        count: usize,
    },
}

/// Records of one topic → reports. Windows are kept per partition: producers that key by region
/// or terminal (so that a key stays in one partition) get one report per key and window.
#[derive(Clone, PartialEq, Debug)]
pub struct Pipeline {
    config: PipelineConfig,
    partitions: BTreeMap<i32, Windows>,
    schemas: Schemas,
    /// Reused from record to record.
    row: Row,
    read: Vec<Transaction>,
}

impl Pipeline {
    /// Nothing seen yet.
    pub fn new(config: PipelineConfig) -> Self {
        Self {
            config,
            partitions: BTreeMap::new(),
            schemas: Schemas::default(),
            row: Row::new(),
            read: Vec::new(),
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

    /// The schema without which this value cannot be read. Hand it to [`learn`](Self::learn) before
    /// [`record`](Self::record), or do not hand the value in.
    pub fn wanted(&self, now: UnixMillis, value: Option<&[u8]>) -> Option<u32> {
        match self.config.layout {
            Layout::Records(_) | Layout::Json(_) => None,
            Layout::Registered(_) => self.schemas.wanted(now, value?),
        }
    }

    /// What a registry says about a schema.
    pub fn learn(&mut self, now: UnixMillis, id: u32, answer: Answer) {
        self.schemas.learn(now, id, answer);
    }

    /// One value with its records, in order of offsets within its partition; windows that it closes are
    /// appended to `out`. What is refused is for the quarantine, the value's other records and the
    /// partition go on.
    pub fn record(
        &mut self,
        now: UnixMillis,
        partition: i32,
        offset: i64,
        value: Option<&[u8]>,
        out: &mut Vec<Report>,
    ) -> Vec<Refused> {
        self.read.clear();
        let refused = match value {
            Some(value) => self.take(value),
            None => vec![Refused {
                place: None,
                bytes: 0..0,
                records: 1,
                reason: RefusedReason::NoValue,
            }],
        };
        let windows = self.partitions.entry(partition).or_insert_with(|| {
            Windows::new(&self.config.topic, partition, self.config.windows.clone())
        });
        match self.read.as_slice() {
            [] => windows.skip(offset),
            transactions => windows.observe_all(now, offset, transactions, out),
        }
        refused
    }

    /// Reads all records of a value; returns those that are none.
    fn take(&mut self, value: &[u8]) -> Vec<Refused> {
        let (mut refused, mut further, mut records) = (Vec::new(), 0, 0);
        let transactions = &mut self.read;
        let mut each = |place: Place, read: Result<Transaction, TransactionError>| {
            records += 1;
            match read {
                Ok(transaction) => transactions.push(transaction),
                Err(_) if refused.len() == MOST_REFUSED => further += 1,
                Err(error) => refused.push(Refused {
                    place: Some(place),
                    bytes: place.offset..place.offset + place.len,
                    records: 1,
                    reason: error.into(),
                }),
            }
        };
        let mut record = 0;
        // Which one is known, but not where it begins: the whole value is kept.
        let whole = |record| Place {
            record,
            offset: 0,
            len: value.len(),
        };
        match &self.config.layout {
            Layout::Records(layout) => layout.read_all(value, &mut self.row, &mut each),
            Layout::Json(layout) => layout.read_all(value, &mut |read| {
                record += 1;
                each(whole(record), read);
            }),
            Layout::Registered(layout) => {
                layout.read_registered(&self.schemas, value, &mut |read| {
                    record += 1;
                    each(whole(record), read);
                });
            }
        }
        if records == 1 {
            refused.iter_mut().for_each(|only| only.place = None);
        }
        if further > 0 {
            refused.push(Refused {
                place: None,
                bytes: 0..value.len(),
                records: further,
                reason: RefusedReason::Further { count: further },
            });
        }
        refused
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
