//! The feed on samsa's connections and our decoder.

use super::backoff::Backoff;
use super::client::{Client, EARLIEST, LATEST};
use super::counters::{Counters, Snapshot, count};
use super::error::code_name;
use super::link::Link;
use super::metadata::Absent;
use super::topic_id::TopicId;
use super::{
    Feed, FeedConfig, FeedError, OffsetCommit, OutOfRange, PartitionRecords, StartAt, fetch,
};
use fetch::{Dialect, FetchById, Fetched, Topic};
use futures::future::try_join_all;
use samsa::prelude::protocol::FetchRequest;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Only records of committed transactions (Fetch isolation level).
const READ_COMMITTED: i8 = 1;

/// Kafka's error codes that a fetch handles itself.
const NO_ERROR: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// A [`Feed`] from a Kafka cluster. Connects at the first call.
pub struct KafkaFeed {
    config: FeedConfig,
    counters: Arc<Counters>,
    client: Option<Client>,
    /// The topic that the positions are of, once a broker has told its id.
    topic_id: Option<TopicId>,
    /// Next offset to read, per partition.
    positions: BTreeMap<i32, i64>,
    /// Partitions that the out-of-range policy has moved, until their next records are handed out.
    moved: BTreeSet<i32>,
    /// Partitions that are not asked for before a moment.
    held: BTreeMap<i32, Instant>,
    backoff: Backoff,
    /// Partition that stands first in the next request: a broker fills its answer in order, and
    /// the last ones would starve.
    first: usize,
}

impl KafkaFeed {
    /// Nothing is connected yet.
    pub fn new(config: FeedConfig) -> Self {
        Self {
            config,
            counters: Arc::default(),
            client: None,
            topic_id: None,
            positions: BTreeMap::new(),
            moved: BTreeSet::new(),
            held: BTreeMap::new(),
            backoff: Backoff::default(),
            first: 0,
        }
    }

    /// The counters, to be read while the feed is at work.
    pub fn shared_counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }

    /// The id of the topic that is read; `None` before the first call, and where brokers do not tell it.
    pub fn topic_id(&self) -> Option<TopicId> {
        self.topic_id
    }

    /// The positions that are sought next are of the topic with this id, whatever topic has the name by now.
    pub fn of_topic(&mut self, id: TopicId) {
        self.topic_id = Some(id);
    }

    /// Takes the connection set for one call. It comes back only when the call went well: a call
    /// that fails or is cancelled leaves an answer on the way that nobody waits for.
    async fn take_client(&mut self) -> Result<Client, FeedError> {
        match self
            .client
            .take()
            .filter(|client| client.since.elapsed() < self.config.metadata_age)
        {
            Some(client) => Ok(client),
            None => {
                self.backoff.wait().await;
                let FeedConfig { client, topic, .. } = &self.config;
                Client::connect(client, topic, Absent::Refused, &self.counters).await
            }
        }
    }

    fn went_well(&mut self, client: Client) {
        self.client = Some(client);
        self.backoff.over();
    }

    fn went_wrong(&mut self) {
        self.client = None;
        count(&self.counters.faults, 1);
        self.backoff.longer();
    }

    fn assigned(&self, client: &Client) -> Vec<i32> {
        self.config.partitions.of(client.partitions())
    }

    /// Gives a position to each partition that has none: the committed offset, or where to start.
    async fn place(&mut self, client: &mut Client) -> Result<(), FeedError> {
        let missing: Vec<i32> = self
            .assigned(client)
            .into_iter()
            .filter(|partition| !self.positions.contains_key(partition))
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        for commit in client.fetch_committed(&self.config.group, &missing).await? {
            self.positions.insert(commit.partition, commit.offset);
        }
        let time = match self.config.start {
            StartAt::Earliest => EARLIEST,
            StartAt::Latest => LATEST,
        };
        for partition in missing {
            if let Entry::Vacant(position) = self.positions.entry(partition) {
                position.insert(client.list_offset(partition, time).await?);
            }
        }
        Ok(())
    }

    /// A topic that was deleted and made anew has other records at the same offsets: no position holds, even where
    /// the broker has something there.
    async fn same_topic(&mut self, client: &mut Client) -> Result<(), FeedError> {
        let (Some(now), before) = (client.topic_id, self.topic_id) else {
            return Ok(());
        };
        if let Some(before) = before.filter(|before| *before != now) {
            let topic = self.config.topic.clone();
            let time = match self.config.out_of_range {
                OutOfRange::Earliest => EARLIEST,
                OutOfRange::Latest => LATEST,
                OutOfRange::Fail => return Err(FeedError::MadeAnew { topic, before, now }),
            };
            let mut positions = BTreeMap::new();
            for partition in self.assigned(client) {
                if self.positions.contains_key(&partition) {
                    positions.insert(partition, client.list_offset(partition, time).await?);
                }
            }
            tracing::warn!(
                "topic {topic} was deleted and made anew ({before} is {now} now), the policy moves on to {positions:?}"
            );
            count(&self.counters.resets, positions.len() as u64);
            self.moved.extend(positions.keys());
            self.held.clear();
            self.positions = positions;
        }
        self.topic_id = Some(now);
        Ok(())
    }

    async fn poll_once(&mut self, client: &mut Client) -> Result<Vec<PartitionRecords>, FeedError> {
        self.same_topic(client).await?;
        self.place(client).await?;
        let mut partitions = self.assigned(client);
        let now = Instant::now();
        self.held.retain(|_, until| *until > now);
        partitions.retain(|partition| !self.held.contains_key(partition));
        if partitions.is_empty() {
            // Nobody to wait at; the next connection set may know of more partitions, or the first of those that are
            // held is let go.
            let longest = now + self.config.max_wait;
            let until = self.held.values().min().copied().unwrap_or(longest);
            tokio::time::sleep_until(until.min(longest)).await;
            return Ok(Vec::new());
        }
        let turn = self.first % partitions.len();
        partitions.rotate_left(turn);
        self.first = self.first.wrapping_add(1);
        let mut asked: BTreeMap<i32, Vec<(i32, i64)>> = BTreeMap::new();
        for partition in partitions {
            let position = self.positions.get(&partition).copied().unwrap_or_default();
            asked
                .entry(client.leader(partition)?)
                .or_default()
                .push((partition, position));
        }
        let (config, topic_id) = (&self.config, client.topic_id);
        let fetches = client.links.iter_mut().filter_map(|(node, link)| {
            let partitions = asked.get(node)?;
            Some(fetch_from(config, topic_id, link, partitions))
        });
        let fetched = try_join_all(fetches).await?;
        let mut taken = Vec::new();
        for part in fetched.into_iter().flatten() {
            if let Some(records) = self.accept(client, part).await? {
                taken.push(records);
            }
        }
        // Positions move last: an error above hands out nothing, so nothing is lost.
        for part in &taken {
            self.positions.insert(part.partition, part.next_offset);
            self.moved.remove(&part.partition);
            count(&self.counters.records, part.records.len() as u64);
        }
        Ok(taken)
    }

    async fn accept(
        &mut self,
        client: &mut Client,
        part: Fetched,
    ) -> Result<Option<PartitionRecords>, FeedError> {
        let topic = self.config.topic.clone();
        let Fetched {
            partition,
            error,
            high_watermark,
            next_offset,
            records,
        } = part;
        match error {
            NO_ERROR => {
                let records = records.map_err(|error| FeedError::Batch {
                    topic,
                    partition,
                    error,
                })?;
                let moved = self.moved.contains(&partition);
                let further = self.positions.get(&partition) != Some(&next_offset);
                // That the reader moved is told even where nothing follows yet: the place before is gone.
                Ok((moved || further).then_some(PartitionRecords {
                    partition,
                    records,
                    next_offset,
                    high_watermark,
                    moved,
                }))
            }
            OFFSET_OUT_OF_RANGE => {
                let offset = self.positions.get(&partition).copied().unwrap_or_default();
                let to = match self.config.out_of_range {
                    OutOfRange::Earliest => client.list_offset(partition, EARLIEST).await?,
                    OutOfRange::Latest => client.list_offset(partition, LATEST).await?,
                    OutOfRange::Fail => {
                        return Err(FeedError::OutOfRange {
                            topic,
                            partition,
                            offset,
                            high_watermark,
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
                Ok(None)
            }
            code => Err(FeedError::Refused {
                call: "Fetch",
                subject: format!("{topic} partition {partition}"),
                code: code_name(code),
            }),
        }
    }
}

impl Feed for KafkaFeed {
    async fn poll(&mut self) -> Result<Vec<PartitionRecords>, FeedError> {
        let result = match self.take_client().await {
            Ok(mut client) => self
                .poll_once(&mut client)
                .await
                .map(|records| (client, records)),
            Err(error) => Err(error),
        };
        match result {
            Ok((client, records)) => {
                self.went_well(client);
                Ok(records)
            }
            Err(error) => {
                self.went_wrong();
                Err(error)
            }
        }
    }

    async fn commit(&mut self, offsets: &[OffsetCommit]) -> Result<(), FeedError> {
        if offsets.is_empty() {
            return Ok(());
        }
        let result = match self.take_client().await {
            Ok(mut client) => client
                .commit(&self.config.group, offsets)
                .await
                .map(|()| client),
            Err(error) => Err(error),
        };
        match result {
            Ok(client) => {
                self.went_well(client);
                Ok(())
            }
            Err(error) => {
                self.went_wrong();
                Err(error)
            }
        }
    }

    async fn committed(&mut self) -> Result<Vec<OffsetCommit>, FeedError> {
        let result = match self.take_client().await {
            Ok(mut client) => {
                let partitions = self.assigned(&client);
                client
                    .fetch_committed(&self.config.group, &partitions)
                    .await
                    .map(|committed| (client, committed))
            }
            Err(error) => Err(error),
        };
        match result {
            Ok((client, committed)) => {
                self.went_well(client);
                Ok(committed)
            }
            Err(error) => {
                self.went_wrong();
                Err(error)
            }
        }
    }

    fn seek(&mut self, partition: i32, offset: i64) {
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

async fn fetch_from(
    config: &FeedConfig,
    topic_id: Option<TopicId>,
    link: &mut Link,
    partitions: &[(i32, i64)],
) -> Result<Vec<Fetched>, FeedError> {
    const CALL: &str = "Fetch";
    let wait_ms = i32::try_from(config.max_wait.as_millis()).unwrap_or(i32::MAX);
    let correlation = link.next_correlation();
    let asked: BTreeMap<i32, i64> = partitions.iter().copied().collect();
    let (answer, dialect, expected) = match topic_id {
        Some(topic) => {
            let request = FetchById {
                correlation,
                client_id: &config.client.client_id,
                wait_ms,
                max_bytes: config.max_bytes,
                isolation: READ_COMMITTED,
                topic,
                partition_max_bytes: config.partition_max_bytes,
                partitions,
            };
            let answer = link.call(CALL, &request, config.max_wait).await?;
            (answer, Dialect::ById, Topic::Id(topic))
        }
        None => {
            let mut request = FetchRequest::new(
                correlation,
                &config.client.client_id,
                wait_ms,
                1,
                config.max_bytes,
                READ_COMMITTED,
            );
            for (partition, position) in partitions {
                request.add(
                    &config.topic,
                    *partition,
                    *position,
                    config.partition_max_bytes,
                );
            }
            let answer = link.call(CALL, &request, config.max_wait).await?;
            (answer, Dialect::Named, Topic::Name(config.topic.clone()))
        }
    };
    link.count_payload(answer.len());
    let position = |topic: &Topic, partition: i32| {
        let position = asked.get(&partition).copied();
        position.filter(|_| *topic == expected)
    };
    let response = fetch::decode(answer, dialect, position)
        .map_err(|error| link.failed(CALL, error.to_string()))?;
    match response.error {
        NO_ERROR => Ok(response.partitions),
        code => Err(FeedError::Refused {
            call: CALL,
            subject: config.topic.clone(),
            code: code_name(code),
        }),
    }
}
