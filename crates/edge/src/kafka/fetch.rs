//! The response to Fetch, version 4 (<https://kafka.apache.org/protocol.html>): pure, bounded.

use super::batch::{self, BatchError, Budget, Control, Record};
use super::reader::{Malformed, Reader};
use bytes::Bytes;
use std::collections::BTreeSet;

/// One partition's part of a response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fetched {
    /// Kafka topic.
    pub topic: String,
    /// Kafka partition.
    pub partition: i32,
    /// Kafka's error code; 0 is none.
    pub error: i16,
    /// One past the last offset that is replicated.
    pub high_watermark: i64,
    /// Where to go on; the offset asked for if nothing complete came.
    pub next_offset: i64,
    /// Records at or above the offset asked for, or what is wrong with the first batch that could
    /// not be read.
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

/// Decodes the body of a response (after the correlation id). `position` tells the offset asked for:
/// records before it are dropped, since a broker returns whole batches.
pub fn decode(
    body: Bytes,
    position: impl Fn(&str, i32) -> i64,
) -> Result<Vec<Fetched>, FetchError> {
    let mut reader = Reader(body);
    let mut budget = Budget::default();
    let mut all = Vec::new();
    reader.i32("throttle time")?;
    for _ in 0..reader.count(6, "count of topics")? {
        let topic = reader.string("topic name")?;
        for _ in 0..reader.count(30, "count of partitions")? {
            all.push(partition(&mut reader, &topic, &position, &mut budget)?);
        }
    }
    Ok(all)
}

fn partition(
    reader: &mut Reader,
    topic: &str,
    position: impl Fn(&str, i32) -> i64,
    budget: &mut Budget,
) -> Result<Fetched, FetchError> {
    let partition = reader.i32("partition index")?;
    let error = reader.i16("error code")?;
    let high_watermark = reader.i64("high watermark")?;
    reader.i64("last stable offset")?;
    let mut aborted = Vec::new();
    for _ in 0..reader.count(16, "count of aborted transactions")? {
        let producer = reader.i64("aborted producer")?;
        aborted.push((reader.i64("aborted first offset")?, producer));
    }
    let set = reader.sized("record set")?;
    let from = position(topic, partition);
    let mut next_offset = from;
    let records = read_set(set, aborted, from, &mut next_offset, budget);
    Ok(Fetched {
        topic: topic.to_owned(),
        partition,
        error,
        high_watermark,
        next_offset,
        records,
    })
}

/// All batches of a record set. Aborted transactions are left out: a producer's batches are from the
/// first offset of its aborted transaction up to its abort marker (KIP-98).
fn read_set(
    mut set: Bytes,
    mut aborted: Vec<(i64, i64)>,
    from: i64,
    next_offset: &mut i64,
    budget: &mut Budget,
) -> Result<Vec<Record>, BatchError> {
    let mut records = Vec::new();
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
            records.extend(
                batch
                    .records(budget)?
                    .into_iter()
                    .filter(|record| record.offset >= from),
            );
        }
        *next_offset = (*next_offset).max(last + 1);
    }
    Ok(records)
}

#[cfg(test)]
mod tests;
