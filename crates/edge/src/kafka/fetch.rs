//! The response to Fetch, versions 4 and 13 (<https://kafka.apache.org/protocol.html>): pure, bounded.

mod request;

pub(super) use request::FetchById;

use super::batch::{self, BatchError, Budget, Control, Record};
use super::reader::{Malformed, Reader};
use super::topic_id::TopicId;
use bytes::Bytes;
use std::collections::BTreeSet;

/// How a response is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Dialect {
    /// Version 4: topics by their names.
    Named,
    /// Version 13: topics by their ids, and in the compact encoding (KIP-482, KIP-516).
    ById,
}

/// What a response calls a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Topic {
    /// Its name.
    Name(String),
    /// Its id.
    Id(TopicId),
}

/// A response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response<Part = Fetched> {
    /// Kafka's error code for all of it; 0 is none.
    pub error: i16,
    /// By partition.
    pub partitions: Vec<Part>,
}

/// One partition's part of a response, its records still packed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Packed {
    pub(super) partition: i32,
    /// Kafka's error code; 0 is none.
    pub(super) error: i16,
    pub(super) high_watermark: i64,
    /// One past the last offset that readers of committed records get.
    last_stable: i64,
    /// The offset asked for.
    pub(super) from: i64,
    /// First offset and producer of each aborted transaction.
    aborted: Vec<(i64, i64)>,
    set: Bytes,
}

/// One partition's part of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// Kafka partition.
    pub partition: i32,
    /// Kafka's error code; 0 is none.
    pub error: i16,
    /// One past the last offset that is replicated.
    pub high_watermark: i64,
    /// Where to go on; the offset asked for if nothing complete came.
    pub next_offset: i64,
    /// Records at or above the offset asked for, up to a batch that cannot be read; or, where that is the first one, what is
    /// wrong with it.
    pub records: Result<Vec<Record>, BatchError>,
}

/// A response that does not follow the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("Fetch response is malformed at its {0}")]
pub struct FetchError(pub &'static str);

impl From<Malformed> for FetchError {
    fn from(malformed: Malformed) -> Self {
        Self(malformed.0)
    }
}

/// Decodes a response, its header included. `position` tells the offset asked for: records before it are
/// dropped, since a broker returns whole batches. What was not asked for is malformed.
pub fn decode(
    answer: Bytes,
    dialect: Dialect,
    position: impl Fn(&Topic, i32) -> Option<i64>,
) -> Result<Response, FetchError> {
    let response = parse(answer, dialect, position)?;
    let mut budget = Budget::default();
    let partitions = response.partitions.into_iter();
    Ok(Response {
        error: response.error,
        partitions: partitions.map(|part| part.unpack(&mut budget)).collect(),
    })
}

/// As [`decode`], but leaves the records packed: where to go on is known before they are read.
pub(super) fn parse(
    answer: Bytes,
    dialect: Dialect,
    position: impl Fn(&Topic, i32) -> Option<i64>,
) -> Result<Response<Packed>, FetchError> {
    let mut reader = Reader(answer);
    let mut response = Response {
        error: 0,
        partitions: Vec::new(),
    };
    reader.i32("correlation id")?;
    end_of_struct(&mut reader, dialect)?;
    reader.i32("throttle time")?;
    if dialect == Dialect::ById {
        response.error = reader.i16("error code")?;
        reader.i32("session id")?;
    }
    for _ in 0..count(&mut reader, dialect, 6, "count of topics")? {
        let topic = match dialect {
            Dialect::Named => Topic::Name(reader.string("topic name")?),
            Dialect::ById => Topic::Id(TopicId::read(&mut reader)?),
        };
        let position = |partition| position(&topic, partition);
        for _ in 0..count(&mut reader, dialect, 30, "count of partitions")? {
            let partition = partition(&mut reader, dialect, position)?;
            response.partitions.push(partition);
        }
        end_of_struct(&mut reader, dialect)?;
    }
    end_of_struct(&mut reader, dialect)?;
    Ok(response)
}

fn count(
    reader: &mut Reader,
    dialect: Dialect,
    least: usize,
    item: &'static str,
) -> Result<usize, Malformed> {
    match dialect {
        Dialect::Named => reader.count(least, item),
        Dialect::ById => reader.compact_count(least, item),
    }
}

fn end_of_struct(reader: &mut Reader, dialect: Dialect) -> Result<(), Malformed> {
    match dialect {
        Dialect::Named => Ok(()),
        Dialect::ById => reader.tagged_fields(),
    }
}

fn partition(
    reader: &mut Reader,
    dialect: Dialect,
    position: impl Fn(i32) -> Option<i64>,
) -> Result<Packed, FetchError> {
    let partition = reader.i32("partition index")?;
    let from = position(partition).ok_or(FetchError("partition, which was not asked for"))?;
    let error = reader.i16("error code")?;
    let high_watermark = reader.i64("high watermark")?;
    let last_stable = reader.i64("last stable offset")?;
    if dialect == Dialect::ById {
        reader.i64("log start offset")?;
    }
    let mut aborted = Vec::new();
    for _ in 0..count(reader, dialect, 16, "count of aborted transactions")? {
        let producer = reader.i64("aborted producer")?;
        aborted.push((reader.i64("aborted first offset")?, producer));
        end_of_struct(reader, dialect)?;
    }
    let set = match dialect {
        Dialect::Named => reader.sized("record set")?,
        Dialect::ById => {
            reader.i32("preferred read replica")?;
            reader.compact_sized("record set")?
        }
    };
    end_of_struct(reader, dialect)?;
    Ok(Packed {
        partition,
        error,
        high_watermark,
        last_stable,
        from,
        aborted,
        set,
    })
}

impl Packed {
    /// Where to go on, if the records can be read.
    pub(super) fn end(&self) -> i64 {
        batch::end_of(&self.set).map_or(self.from, |end| end.max(self.from))
    }

    /// The broker has more of it, at once.
    pub(super) fn goes_on(&self) -> bool {
        self.end() < self.last_stable
    }

    pub(super) fn unpack(self, budget: &mut Budget) -> Fetched {
        let mut next_offset = self.from;
        let mut records = Vec::new();
        let (set, aborted, next) = (self.set, self.aborted, &mut next_offset);
        let read = read_set(set, aborted, self.from, next, &mut records, budget);
        let records = match read {
            Ok(()) => Ok(records),
            Err(error) if next_offset == self.from => Err(error),
            Err(_) => {
                // What the broken batch began with is not taken: it comes again, and is told then.
                records.retain(|record: &Record| record.offset < next_offset);
                Ok(records)
            }
        };
        Fetched {
            partition: self.partition,
            error: self.error,
            high_watermark: self.high_watermark,
            next_offset,
            records,
        }
    }
}

/// All batches of a record set. Aborted transactions are left out: a producer's batches are from the
/// first offset of its aborted transaction up to its abort marker (KIP-98).
fn read_set(
    mut set: Bytes,
    mut aborted: Vec<(i64, i64)>,
    from: i64,
    next_offset: &mut i64,
    records: &mut Vec<Record>,
    budget: &mut Budget,
) -> Result<(), BatchError> {
    aborted.sort_unstable();
    let mut aborted = aborted.into_iter().peekable();
    let mut aborting = BTreeSet::new();
    // A batch that is cut off at the end is legal: it comes again with the next fetch.
    while let Some(batch) = batch::next(&mut set)? {
        let last = batch.last_offset();
        while let Some((_, producer)) = aborted.next_if(|(first, _)| *first <= last) {
            aborting.insert(producer);
        }
        if batch.is_control() {
            match batch.control(budget)? {
                Some(Control::Abort) => {
                    aborting.remove(&batch.producer());
                }
                Some(Control::Commit) | None => {}
            }
        } else if last >= from
            && !(batch.is_transactional() && aborting.contains(&batch.producer()))
        {
            batch.records(budget, from, records)?;
        }
        *next_offset = (*next_offset).max(last + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
