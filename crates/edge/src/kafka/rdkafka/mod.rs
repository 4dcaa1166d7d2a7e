//! The feed on librdkafka, for brokers that samsa does not reach: those that raise the floor of the protocol, or that
//! want what librdkafka alone speaks. Behind the feature `rdkafka`, linked to the system's library.
//!
//! Partitions are assigned by us here, too; librdkafka reconnects and finds leaders by itself. What it does not
//! tell (version 2.0) is a topic's id: one that was made anew and filled past our position is taken for the old one.

mod session;
mod settings;

use super::backoff::Backoff;
use super::counters::{Counters, Snapshot, count};
use super::{
    Feed, FeedConfig, FeedError, OffsetCommit, OutOfRange, PartitionRecords, Record, StartAt,
};
use ::rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use futures::{FutureExt as _, StreamExt as _};
use session::Session;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A [`Feed`] by librdkafka. Connects at the first call.
pub struct RdkafkaFeed {
    config: FeedConfig,
    counters: Arc<Counters>,
    session: Option<Session>,
    /// Next offset to read, per partition.
    positions: BTreeMap<i32, i64>,
    /// Partitions that the out-of-range policy has moved, until that is told.
    moved: BTreeSet<i32>,
    /// Partitions that are not asked for before a moment.
    held: BTreeMap<i32, Instant>,
    backoff: Backoff,
}

impl RdkafkaFeed {
    /// Nothing is connected yet.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            counters: Arc::default(),
            session: None,
            positions: BTreeMap::new(),
            moved: BTreeSet::new(),
            held: BTreeMap::new(),
            backoff: Backoff::default(),
        }
    }

    /// Takes the session for one call. It comes back only when the call went well: one that was cancelled may have
    /// taken records off librdkafka's queue that nobody got.
    async fn take_session(&mut self) -> Result<Session, FeedError> {
        match self.session.take() {
            Some(mut session) => {
                session.look_again().await?;
                Ok(session)
            }
            None => {
                self.backoff.wait().await;
                Session::open(&self.config, &self.counters).await
            }
        }
    }

    fn ended<T>(&mut self, result: Result<(Session, T), FeedError>) -> Result<T, FeedError> {
        match result {
            Ok((session, value)) => {
                self.session = Some(session);
                self.backoff.over();
                Ok(value)
            }
            Err(error) => {
                count(&self.counters.faults, 1);
                self.backoff.longer();
                Err(error)
            }
        }
    }

    /// Gives a position to each partition that has none: the committed offset, or where to start.
    async fn place(&mut self, session: &Session) -> Result<(), FeedError> {
        let mut missing = session.partitions.clone();
        missing.retain(|partition| !self.positions.contains_key(partition));
        if missing.is_empty() {
            return Ok(());
        }
        for commit in session.committed(&missing).await? {
            self.positions.insert(commit.partition, commit.offset);
        }
        for partition in missing {
            if !self.positions.contains_key(&partition) {
                let (first, end) = session.ends(partition).await?;
                let start = match self.config.start {
                    StartAt::Earliest => first,
                    StartAt::Latest => end,
                };
                self.positions.insert(partition, start);
            }
        }
        Ok(())
    }

    async fn poll_once(
        &mut self,
        session: &mut Session,
    ) -> Result<Vec<PartitionRecords>, FeedError> {
        self.place(session).await?;
        let now = Instant::now();
        self.held.retain(|_, until| *until > now);
        let wanted: BTreeMap<i32, i64> = session
            .partitions
            .iter()
            .filter(|partition| !self.held.contains_key(partition))
            .filter_map(|partition| Some((*partition, *self.positions.get(partition)?)))
            .collect();
        session.read_from(&wanted)?;
        let longest = now + self.config.max_wait;
        let until = self.held.values().min().copied().unwrap_or(longest);
        let until = until.min(longest);
        if wanted.is_empty() {
            tokio::time::sleep_until(until).await;
            return Ok(Vec::new());
        }
        let taken = take(session, until, self.config.max_bytes).await?;
        let mut parts = Vec::new();
        for (partition, records) in taken.records {
            let Some(last) = records.last() else { continue };
            let next_offset = last.offset + 1;
            session.stands(partition, next_offset);
            self.positions.insert(partition, next_offset);
            count(&self.counters.records, records.len() as u64);
            parts.push(PartitionRecords {
                partition,
                high_watermark: session.high_watermark(partition).max(next_offset),
                records,
                next_offset,
                moved: self.moved.remove(&partition),
            });
        }
        self.counters
            .payload(taken.bytes, self.config.client.security.encrypted());
        if taken.out_of_range {
            // Of where the records that came before have led.
            self.go_elsewhere(session, wanted.into_keys()).await?;
        } else if parts.is_empty() {
            // That the reader moved is told even where nothing follows.
            parts = self.tell_moved(session);
        }
        Ok(parts)
    }

    /// The broker has not what some partition's position asks for; librdkafka does not say whose.
    async fn go_elsewhere(
        &mut self,
        session: &mut Session,
        asked: impl Iterator<Item = i32> + Send,
    ) -> Result<(), FeedError> {
        for partition in asked {
            let (first, end) = session.ends(partition).await?;
            let offset = self.positions.get(&partition).copied().unwrap_or_default();
            if (first..=end).contains(&offset) {
                continue;
            }
            let topic = self.config.topic.clone();
            let to = match self.config.out_of_range {
                OutOfRange::Earliest => first,
                OutOfRange::Latest => end,
                OutOfRange::Fail => {
                    return Err(FeedError::OutOfRange {
                        topic,
                        partition,
                        offset,
                        high_watermark: end,
                    });
                }
            };
            tracing::warn!(
                topic,
                partition,
                offset,
                to,
                "offset is out of range, the policy moves on"
            );
            count(&self.counters.resets, 1);
            self.positions.insert(partition, to);
            self.moved.insert(partition);
        }
        // librdkafka stopped reading the partition, moved or not.
        session.read_anew();
        Ok(())
    }

    /// Of partitions at their end: elsewhere it is told with the records that are on their way.
    fn tell_moved(&mut self, session: &Session) -> Vec<PartitionRecords> {
        let mut told = Vec::new();
        self.moved.retain(|partition| {
            let next_offset = self.positions.get(partition).copied();
            let high_watermark = session.high_watermark(*partition);
            let Some(next_offset) = next_offset.filter(|next| *next == high_watermark) else {
                return true;
            };
            told.push(PartitionRecords {
                partition: *partition,
                records: Vec::new(),
                next_offset,
                high_watermark,
                moved: true,
            });
            false
        });
        told
    }
}

/// What one poll took off librdkafka's queue.
#[derive(Default)]
struct Taken {
    records: BTreeMap<i32, Vec<Record>>,
    bytes: usize,
    out_of_range: bool,
}

/// Waits for the first record, and takes what is there with it.
async fn take(session: &Session, until: Instant, max_bytes: i32) -> Result<Taken, FeedError> {
    let most = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    let mut taken = Taken::default();
    let mut stream = session.stream();
    let first = tokio::time::timeout_at(until, stream.next()).await;
    let mut next = first.unwrap_or_default();
    while let Some(polled) = next {
        match polled {
            Ok(message) => {
                taken.bytes += message.payload_len() + message.key_len();
                let of = taken.records.entry(message.partition()).or_default();
                of.push(record(&message));
            }
            Err(error) if session::is_out_of_range(&error) => taken.out_of_range = true,
            Err(error) => return Err(session.failed("Fetch", &error)),
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

impl Feed for RdkafkaFeed {
    async fn poll(&mut self) -> Result<Vec<PartitionRecords>, FeedError> {
        let result = match self.take_session().await {
            Ok(mut session) => self
                .poll_once(&mut session)
                .await
                .map(|parts| (session, parts)),
            Err(error) => Err(error),
        };
        self.ended(result)
    }

    async fn commit(&mut self, offsets: &[OffsetCommit]) -> Result<(), FeedError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let result = match self.take_session().await {
            Ok(session) => session.commit(offsets).await.map(|()| (session, ())),
            Err(error) => Err(error),
        };
        self.ended(result)
    }

    async fn committed(&mut self) -> Result<Vec<OffsetCommit>, FeedError> {
        let result = match self.take_session().await {
            Ok(session) => {
                let committed = session.committed(&session.partitions).await;
                committed.map(|committed| (session, committed))
            }
            Err(error) => Err(error),
        };
        self.ended(result)
    }

    fn seek(&mut self, partition: i32, offset: i64) {
        // What librdkafka has read ahead may be gone at the broker by now.
        if let Some(session) = &mut self.session {
            session.read_anew();
        }
        self.positions.insert(partition, offset);
        self.moved.remove(&partition);
        self.held.remove(&partition);
    }

    fn hold(&mut self, partition: i32, offset: i64, pause: Duration) {
        self.seek(partition, offset);
        self.held.insert(partition, Instant::now() + pause);
    }

    fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }
}
