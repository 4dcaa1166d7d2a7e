//! The response to Fetch, versions 4 and 13 (<https://kafka.apache.org/protocol.html>): pure, bounded.

mod packed;
mod request;

pub(super) use packed::Packed;
pub(super) use request::FetchById;

use super::batch::{BatchError, Budget, Record};
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
        partitions: partitions
            .map(|mut part| part.unpack(&mut budget))
            .collect(),
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
    aborted.sort_unstable_by(|one, other| other.cmp(one));
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
        aborting: BTreeSet::new(),
        set,
    })
}

#[cfg(test)]
mod tests;
