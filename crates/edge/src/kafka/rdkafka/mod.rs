//! Sessions of librdkafka, for brokers that samsa does not reach: those that raise the floor of the protocol, or that
//! want what librdkafka alone speaks. Behind the feature `rdkafka`, linked to the system's library.
//!
//! Partitions are assigned by us here, too; librdkafka reconnects and finds leaders by itself. What it does not
//! tell (version 2.0) is a topic's id: one that was made anew and filled past our position is taken for the old one.

mod consumer;
mod settings;

use super::counters::Counters;
use super::session::{self, Part};
use super::{FeedConfig, FeedError, OffsetCommit, Record, StartAt, TopicId};
use ::rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use consumer::Consumer;
use futures::{FutureExt as _, StreamExt as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A consumer with what it said that has still to be looked into.
pub struct Session {
    consumer: Consumer,
    counters: Arc<Counters>,
    encrypted: bool,
    max_bytes: usize,
    /// Some partition's position is not there; librdkafka does not say whose.
    out_of_range: bool,
}

impl session::Session for Session {
    async fn open(config: &FeedConfig, counters: &Arc<Counters>) -> Result<Self, FeedError> {
        Ok(Self {
            consumer: Consumer::open(config, counters).await?,
            counters: Arc::clone(counters),
            encrypted: config.client.security.encrypted(),
            max_bytes: usize::try_from(config.max_bytes).unwrap_or(usize::MAX),
            out_of_range: false,
        })
    }

    async fn current(mut self) -> Result<Option<Self>, FeedError> {
        self.consumer.look_again().await?;
        Ok(Some(self))
    }

    fn partitions(&self) -> Vec<i32> {
        self.consumer.partitions.clone()
    }

    fn topic_id(&self) -> Option<TopicId> {
        None
    }

    async fn committed(&mut self, partitions: &[i32]) -> Result<Vec<OffsetCommit>, FeedError> {
        self.consumer.committed(partitions).await
    }

    async fn commit(&mut self, offsets: &[OffsetCommit]) -> Result<(), FeedError> {
        self.consumer.commit(offsets).await
    }

    async fn offset(&mut self, partition: i32, at: StartAt) -> Result<i64, FeedError> {
        let (first, end) = self.consumer.ends(partition).await?;
        Ok(match at {
            StartAt::Earliest => first,
            StartAt::Latest => end,
        })
    }

    async fn fetch(
        &mut self,
        wanted: &BTreeMap<i32, i64>,
        wait: Duration,
    ) -> Result<Vec<Part>, FeedError> {
        if self.out_of_range {
            let elsewhere = self.look_elsewhere(wanted).await?;
            if !elsewhere.is_empty() {
                return Ok(elsewhere);
            }
        }
        self.consumer.read_from(wanted)?;
        let taken = take(&self.consumer, Instant::now() + wait, self.max_bytes).await?;
        self.out_of_range = taken.out_of_range;
        self.counters.payload(taken.bytes, self.encrypted);
        let mut parts = Vec::new();
        for (partition, records) in taken.records {
            let Some(last) = records.last() else { continue };
            let next_offset = last.offset + 1;
            self.consumer.stands(partition, next_offset);
            parts.push(Part::Here {
                partition,
                high_watermark: self.consumer.high_watermark(partition).max(next_offset),
                records,
                next_offset,
            });
        }
        // With records there, it is looked into from where those lead.
        if parts.is_empty() {
            parts = match self.out_of_range {
                true => self.look_elsewhere(wanted).await?,
                false => self.at_their_ends(wanted),
            };
        }
        Ok(parts)
    }

    fn forget(&mut self, _partition: i32) {
        // What librdkafka has read ahead may be gone at the broker by now.
        self.consumer.read_anew();
    }
}

impl Session {
    /// Partitions whose position is not there.
    async fn look_elsewhere(
        &mut self,
        wanted: &BTreeMap<i32, i64>,
    ) -> Result<Vec<Part>, FeedError> {
        let mut parts = Vec::new();
        for (partition, offset) in wanted {
            let (first, end) = self.consumer.ends(*partition).await?;
            if !(first..=end).contains(offset) {
                parts.push(Part::OutOfRange {
                    partition: *partition,
                    high_watermark: end,
                });
            }
        }
        // librdkafka stopped reading the partition, moved or not.
        self.consumer.read_anew();
        self.out_of_range = false;
        Ok(parts)
    }

    /// Nothing came, and of these it is sure that nothing is there.
    fn at_their_ends(&self, wanted: &BTreeMap<i32, i64>) -> Vec<Part> {
        let at_end = |(partition, offset): (&i32, &i64)| {
            let high_watermark = self.consumer.high_watermark(*partition);
            (high_watermark == *offset).then_some(Part::Here {
                partition: *partition,
                records: Vec::new(),
                next_offset: *offset,
                high_watermark,
            })
        };
        wanted.iter().filter_map(at_end).collect()
    }
}

/// What one fetch took off librdkafka's queue.
#[derive(Default)]
struct Taken {
    records: BTreeMap<i32, Vec<Record>>,
    bytes: usize,
    out_of_range: bool,
}

/// Waits for the first record, and takes what is there with it.
async fn take(consumer: &Consumer, until: Instant, most: usize) -> Result<Taken, FeedError> {
    let mut taken = Taken::default();
    let mut stream = consumer.stream();
    let first = tokio::time::timeout_at(until, stream.next()).await;
    let mut next = first.unwrap_or_default();
    while let Some(polled) = next {
        match polled {
            Ok(message) => {
                taken.bytes += message.payload_len() + message.key_len();
                let of = taken.records.entry(message.partition()).or_default();
                of.push(record(&message));
            }
            Err(error) if consumer::is_out_of_range(&error) => taken.out_of_range = true,
            Err(error) => return Err(consumer.failed("Fetch", &error)),
        }
        if taken.bytes >= most {
            break;
        }
        next = stream.next().now_or_never().flatten();
    }
    Ok(taken)
}

fn record(message: &BorrowedMessage<'_>) -> Record {
    let copied = |bytes: &[u8]| bytes::Bytes::copy_from_slice(bytes);
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        let header = |header: ::rdkafka::message::Header<'_, &[u8]>| super::Header {
            key: header.key.to_owned(),
            value: header.value.map(copied),
        };
        headers.iter().map(header).collect()
    });
    Record {
        offset: message.offset(),
        timestamp: message.timestamp().to_millis().unwrap_or(-1),
        key: message.key().map(copied),
        value: message.payload().map(copied),
        headers,
    }
}
