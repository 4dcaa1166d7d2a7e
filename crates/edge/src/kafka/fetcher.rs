//! Sessions of our own connections: samsa's requests, our decoder.
//!
//! While a broker has more to give, the next Fetch is on its way before the records of the former answer are
//! unpacked: where they end is known from the batches' headers. A link whose answer had nothing behind it, or an error in it, is
//! left alone, so nothing waits at a broker that nobody asked to wait.
//!
//! An answer is unpacked in portions, one a call: the rest stays packed until the records before were taken.

use super::batch::{Budget, PORTION};
use super::client::{Client, EARLIEST, LATEST};
use super::counters::Counters;
use super::error::code_name;
use super::fetch::{self, Dialect, FetchById, Packed, Topic};
use super::link::Link;
use super::metadata::Absent;
use super::session::{Part, Session};
use super::{FeedConfig, FeedError, OffsetCommit, StartAt, TopicId};
use futures::future::try_join_all;
use samsa::prelude::protocol::FetchRequest;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const CALL: &str = "Fetch";

/// Only records of committed transactions (Fetch isolation level).
const READ_COMMITTED: i8 = 1;

/// Kafka's error codes that a fetch handles itself.
const NO_ERROR: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// A connection set and what is under way on it.
pub struct Fetcher {
    config: FeedConfig,
    client: Client,
    /// By node: what it was asked for and has not answered yet.
    ahead: BTreeMap<i32, Asked>,
    /// What was answered and is not unpacked yet.
    rest: VecDeque<Packed>,
    budget: Budget,
    /// Partition that stands first in the next request: a broker fills its answer in order, and
    /// the last ones would starve.
    first: usize,
}

/// The offset asked for, by partition.
type Asked = BTreeMap<i32, i64>;

/// A part that will be wanted by nobody: no partition is at this offset.
const FORGOTTEN: i64 = -1;

impl Session for Fetcher {
    async fn open(config: &FeedConfig, counters: &Arc<Counters>) -> Result<Self, FeedError> {
        let FeedConfig { client, topic, .. } = config;
        Ok(Self {
            client: Client::connect(client, topic, Absent::Refused, counters).await?,
            config: config.clone(),
            ahead: BTreeMap::new(),
            rest: VecDeque::new(),
            budget: Budget::in_portions_of(PORTION),
            first: 0,
        })
    }

    async fn current(self) -> Result<Option<Self>, FeedError> {
        let young = self.client.since.elapsed() < self.config.metadata_age;
        Ok(young.then_some(self))
    }

    fn partitions(&self) -> Vec<i32> {
        self.config.partitions.of(self.client.partitions())
    }

    fn topic_id(&self) -> Option<TopicId> {
        self.client.topic_id
    }

    async fn committed(&mut self, partitions: &[i32]) -> Result<Vec<OffsetCommit>, FeedError> {
        let group = &self.config.group;
        self.client.fetch_committed(group, partitions).await
    }

    async fn commit(&mut self, offsets: &[OffsetCommit]) -> Result<(), FeedError> {
        self.client.commit(&self.config.group, offsets).await
    }

    async fn offset(&mut self, partition: i32, at: StartAt) -> Result<i64, FeedError> {
        let time = match at {
            StartAt::Earliest => EARLIEST,
            StartAt::Latest => LATEST,
        };
        self.client.list_offset(partition, time).await
    }

    async fn fetch(
        &mut self,
        wanted: &BTreeMap<i32, i64>,
        wait: Duration,
    ) -> Result<Vec<Part>, FeedError> {
        self.rest.retain(|part| wants(wanted, part));
        if self.rest.is_empty() {
            self.rest = self.exchange(wanted, wait).await?.into();
        }
        self.budget.renew();
        let mut portion = Vec::new();
        while !self.budget.is_enough()
            && let Some(part) = self.rest.pop_front()
        {
            portion.push(self.unpack(part)?);
        }
        Ok(portion)
    }

    fn forget(&mut self, partition: i32) {
        for asked in self.ahead.values_mut() {
            if let Some(offset) = asked.get_mut(&partition) {
                *offset = FORGOTTEN;
            }
        }
        self.rest.retain(|part| part.partition != partition);
    }
}

/// Its records follow what was taken before.
fn wants(wanted: &Asked, part: &Packed) -> bool {
    wanted.get(&part.partition) == Some(&part.from)
}

impl Fetcher {
    /// Asks all leaders, and asks ahead where one has more.
    async fn exchange(&mut self, wanted: &Asked, wait: Duration) -> Result<Vec<Packed>, FeedError> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let turn = self.first % wanted.len().max(1);
        self.first = self.first.wrapping_add(1);
        for partition in wanted.keys().cycle().skip(turn).take(wanted.len()) {
            let leader = self.client.leader(*partition)?;
            by_leader.entry(leader).or_default().push(*partition);
        }
        let plan = Plan {
            config: &self.config,
            topic_id: self.client.topic_id,
            wanted,
            wait,
        };
        let ahead = &mut self.ahead;
        let links = self.client.links.iter_mut();
        let fetches = links.filter_map(|(node, link)| {
            let partitions = by_leader.get(node)?;
            let asked = ahead.remove(node);
            Some(plan.exchange(*node, link, partitions, asked))
        });
        let mut packed = Vec::new();
        for (node, parts, asked) in try_join_all(fetches).await? {
            packed.extend(parts);
            self.ahead.extend(asked.map(|asked| (node, asked)));
        }
        Ok(packed)
    }

    /// The next portion of a part; what is left of it comes first the next time.
    fn unpack(&mut self, mut part: Packed) -> Result<Part, FeedError> {
        let (topic, partition) = (self.config.topic.clone(), part.partition);
        match part.error {
            NO_ERROR => {
                let fetched = part.unpack(&mut self.budget);
                if !part.is_done() {
                    self.rest.push_front(part);
                }
                Ok(match fetched.records {
                    Ok(records) => Part::Here {
                        partition,
                        records,
                        next_offset: fetched.next_offset,
                        high_watermark: fetched.high_watermark,
                    },
                    Err(error) => Part::Broken {
                        partition,
                        error: FeedError::Batch {
                            topic,
                            partition,
                            error,
                        },
                    },
                })
            }
            OFFSET_OUT_OF_RANGE => Ok(Part::OutOfRange {
                partition,
                high_watermark: part.high_watermark,
            }),
            code => Err(FeedError::Refused {
                call: CALL,
                subject: format!("{topic} partition {partition}"),
                code: code_name(code),
            }),
        }
    }
}

/// One fetch from all leaders.
struct Plan<'a> {
    config: &'a FeedConfig,
    topic_id: Option<TopicId>,
    wanted: &'a Asked,
    wait: Duration,
}

impl Plan<'_> {
    /// Takes the answer to what is under way, or asks first; sends the next request if it will be answered at once.
    async fn exchange(
        &self,
        node: i32,
        link: &mut Link,
        partitions: &[i32],
        under_way: Option<Asked>,
    ) -> Result<(i32, Vec<Packed>, Option<Asked>), FeedError> {
        let asked = match under_way {
            Some(asked) => asked,
            None => self.ask(link, partitions, self.wanted, self.wait).await?,
        };
        let answer = link.receive(CALL, self.config.max_wait).await?;
        link.count_payload(answer.len());
        let (dialect, expected) = match self.topic_id {
            Some(topic) => (Dialect::ById, Topic::Id(topic)),
            None => (Dialect::Named, Topic::Name(self.config.topic.clone())),
        };
        let position = |topic: &Topic, partition: i32| {
            let position = asked.get(&partition).copied();
            position.filter(|_| *topic == expected)
        };
        let response = fetch::parse(answer, dialect, position)
            .map_err(|error| link.failed(CALL, error.to_string()))?;
        if response.error != NO_ERROR {
            return Err(FeedError::Refused {
                call: CALL,
                subject: self.config.topic.clone(),
                code: code_name(response.error),
            });
        }
        let mut parts = response.partitions;
        let sound = parts.iter().all(|part| part.error == NO_ERROR);
        parts.retain(|part| wants(self.wanted, part));
        if !sound || !parts.iter().any(Packed::goes_on) {
            return Ok((node, parts, None));
        }
        let mut then = self.wanted.clone();
        then.extend(parts.iter().map(|part| (part.partition, part.end())));
        let mut partitions = partitions.to_vec();
        partitions.rotate_left(1);
        let next = self
            .ask(link, &partitions, &then, self.config.max_wait)
            .await?;
        Ok((node, parts, Some(next)))
    }

    /// Sends a Fetch, and says what was asked for.
    async fn ask(
        &self,
        link: &mut Link,
        partitions: &[i32],
        positions: &Asked,
        wait: Duration,
    ) -> Result<Asked, FeedError> {
        let config = self.config;
        let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let correlation = link.next_correlation();
        let asked: Vec<(i32, i64)> = partitions
            .iter()
            .filter_map(|partition| Some((*partition, *positions.get(partition)?)))
            .collect();
        match self.topic_id {
            Some(topic) => {
                let request = FetchById {
                    correlation,
                    client_id: &config.client.client_id,
                    wait_ms,
                    max_bytes: config.max_bytes,
                    isolation: READ_COMMITTED,
                    topic,
                    partition_max_bytes: config.partition_max_bytes,
                    partitions: &asked,
                };
                link.send(CALL, &request).await?;
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
                for (partition, position) in &asked {
                    request.add(
                        &config.topic,
                        *partition,
                        *position,
                        config.partition_max_bytes,
                    );
                }
                link.send(CALL, &request).await?;
            }
        }
        Ok(asked.into_iter().collect())
    }
}
