//! A connection set: one link to each leader, one to the group's coordinator. It is dropped as a
//! whole at the first fault.

use super::counters::{Counters, count};
use super::link::Link;
use super::metadata::{self, Absent};
use super::topic_id::TopicId;
use super::{ClientConfig, FeedError, OffsetCommit};
use bytes::Bytes;
use samsa::prelude::KafkaCode;
use samsa::prelude::protocol::{
    CreateTopicsRequest, CreateTopicsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A generation of −1 with no member: commits from outside group membership (KIP-62's "simple
/// consumer"); a coordinator takes them as long as the group has no members.
const NO_GENERATION: i32 = -1;
/// Retention of committed offsets: the broker's setting.
const BROKER_RETENTION: i64 = -1;
/// In ListOffsets and in Fetch: asked by a consumer, not by a replica.
const CONSUMER: i32 = -1;

pub(super) const LATEST: i64 = -1;
pub(super) const EARLIEST: i64 = -2;

pub(super) struct Client {
    config: ClientConfig,
    topic: String,
    /// `None` where brokers do not say.
    pub(super) topic_id: Option<TopicId>,
    counters: Arc<Counters>,
    pub(super) links: BTreeMap<i32, Link>,
    leaders: BTreeMap<i32, i32>,
    coordinator: Option<Link>,
    pub(super) since: Instant,
}

impl Client {
    /// Asks the first bootstrap broker that answers for the topic's leaders and connects to them.
    pub(super) async fn connect(
        config: &ClientConfig,
        topic: &str,
        absent: Absent,
        counters: &Arc<Counters>,
    ) -> Result<Self, FeedError> {
        count(&counters.connects, 1);
        let mut bootstrap = bootstrap(config, counters).await?;
        let found = metadata::ask(&mut bootstrap, config, topic, absent).await?;
        let mut links = BTreeMap::new();
        for (node, (host, port)) in &found.brokers {
            if found.leaders.values().any(|leader| leader == node) {
                let link = Link::connect(config, host, *port, Arc::clone(counters)).await?;
                links.insert(*node, link);
            }
        }
        Ok(Self {
            config: config.clone(),
            topic: topic.to_owned(),
            counters: Arc::clone(counters),
            topic_id: found.id,
            links,
            leaders: found.leaders,
            coordinator: None,
            since: Instant::now(),
        })
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = i32> {
        self.leaders.keys().copied()
    }

    /// The node that leads a partition and to which there is a link.
    pub(super) fn leader(&self, partition: i32) -> Result<i32, FeedError> {
        let node = self
            .leaders
            .get(&partition)
            .copied()
            .filter(|node| self.links.contains_key(node));
        node.ok_or_else(|| FeedError::NoLeader {
            topic: self.topic.clone(),
            partition,
        })
    }

    pub(super) fn link(&mut self, partition: i32) -> Result<&mut Link, FeedError> {
        let node = self.leader(partition)?;
        self.links
            .get_mut(&node)
            .ok_or_else(|| FeedError::NoLeader {
                topic: self.topic.clone(),
                partition,
            })
    }

    /// The first offset at or after a time, or [`EARLIEST`] or [`LATEST`].
    pub(super) async fn list_offset(
        &mut self,
        partition: i32,
        time: i64,
    ) -> Result<i64, FeedError> {
        const CALL: &str = "ListOffsets";
        let (topic, client_id) = (self.topic.clone(), self.config.client_id.clone());
        let link = self.link(partition)?;
        let mut request = ListOffsetsRequest::new(link.next_correlation(), &client_id, CONSUMER);
        request.add(&topic, partition, time);
        let answer = link.call(CALL, &request, Duration::ZERO).await?;
        let response = ListOffsetsResponse::try_from(answer)
            .map_err(|error| link.failed(CALL, error.to_string()))?;
        let subject = format!("{topic} partition {partition}");
        match response
            .topics
            .first()
            .and_then(|topic| topic.partitions.first())
        {
            Some(found) if found.error_code == KafkaCode::None => Ok(found.offset),
            Some(found) => Err(refused(CALL, subject, found.error_code)),
            None => Err(link.failed(CALL, "the answer names no partition".to_owned())),
        }
    }

    /// Committed offsets; partitions without one are left out.
    pub(super) async fn fetch_committed(
        &mut self,
        group: &str,
        partitions: &[i32],
    ) -> Result<Vec<OffsetCommit>, FeedError> {
        const CALL: &str = "OffsetFetch";
        let (topic, client_id) = (self.topic.clone(), self.config.client_id.clone());
        let link = self.coordinator(group).await?;
        let mut request = OffsetFetchRequest::new(link.next_correlation(), &client_id, group);
        partitions
            .iter()
            .for_each(|partition| request.add(&topic, *partition));
        let answer = link.call(CALL, &request, Duration::ZERO).await?;
        let response = OffsetFetchResponse::try_from(answer)
            .map_err(|error| link.failed(CALL, error.to_string()))?;
        if response.error_code != KafkaCode::None {
            return Err(refused(CALL, format!("group {group}"), response.error_code));
        }
        let mut committed = Vec::new();
        for found in response
            .topics
            .into_iter()
            .flat_map(|topic| topic.partitions)
        {
            if found.error_code != KafkaCode::None {
                return Err(refused(
                    CALL,
                    format!("{topic} partition {}", found.partition_index),
                    found.error_code,
                ));
            }
            if found.committed_offset >= 0 {
                let metadata = found
                    .metadata
                    .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                    .unwrap_or_default();
                committed.push(OffsetCommit {
                    partition: found.partition_index,
                    offset: found.committed_offset,
                    metadata,
                });
            }
        }
        Ok(committed)
    }

    pub(super) async fn commit(
        &mut self,
        group: &str,
        offsets: &[OffsetCommit],
    ) -> Result<(), FeedError> {
        const CALL: &str = "OffsetCommit";
        let (topic, client_id) = (self.topic.clone(), self.config.client_id.clone());
        let link = self.coordinator(group).await?;
        let correlation = link.next_correlation();
        let mut request = OffsetCommitRequest::new(
            correlation,
            &client_id,
            group,
            NO_GENERATION,
            Bytes::new(),
            BROKER_RETENTION,
        )
        .map_err(|error| link.failed(CALL, error.to_string()))?;
        for commit in offsets {
            request.add(
                &topic,
                commit.partition,
                commit.offset,
                Some(&commit.metadata),
            );
        }
        let answer = link.call(CALL, &request, Duration::ZERO).await?;
        let response = OffsetCommitResponse::try_from(answer)
            .map_err(|error| link.failed(CALL, error.to_string()))?;
        let mut answered = 0;
        for found in response.topics.iter().flat_map(|topic| &topic.partitions) {
            if found.error_code != KafkaCode::None {
                return Err(refused(
                    CALL,
                    format!("group {group}, {topic} partition {}", found.partition_index),
                    found.error_code,
                ));
            }
            answered += 1;
        }
        if answered == offsets.len() {
            Ok(())
        } else {
            Err(link.failed(
                CALL,
                format!("{} offsets were sent, {answered} answered", offsets.len()),
            ))
        }
    }

    async fn coordinator(&mut self, group: &str) -> Result<&mut Link, FeedError> {
        const CALL: &str = "FindCoordinator";
        let link = match self.coordinator.take() {
            Some(link) => link,
            None => {
                let mut bootstrap = bootstrap(&self.config, &self.counters).await?;
                let request = FindCoordinatorRequest::new(
                    bootstrap.next_correlation(),
                    &self.config.client_id,
                    group,
                );
                let answer = bootstrap.call(CALL, &request, Duration::ZERO).await?;
                let response = FindCoordinatorResponse::try_from(answer)
                    .map_err(|error| bootstrap.failed(CALL, error.to_string()))?;
                if response.error_code != KafkaCode::None {
                    return Err(refused(CALL, format!("group {group}"), response.error_code));
                }
                let (host, port) = place(&response.host, response.port)?;
                Link::connect(&self.config, &host, port, Arc::clone(&self.counters)).await?
            }
        };
        Ok(self.coordinator.insert(link))
    }
}

fn refused(call: &'static str, subject: String, code: KafkaCode) -> FeedError {
    FeedError::Refused {
        call,
        subject,
        code: format!("{code:?}"),
    }
}

async fn bootstrap(config: &ClientConfig, counters: &Arc<Counters>) -> Result<Link, FeedError> {
    let mut last = FeedError::Address(String::new());
    for address in &config.bootstrap {
        let split = address
            .rsplit_once(':')
            .and_then(|(host, port)| Some((host.trim_matches(['[', ']']), port.parse().ok()?)));
        let (host, port) = split
            .filter(|(host, _)| !host.is_empty())
            .ok_or_else(|| FeedError::Address(address.clone()))?;
        match Link::connect(config, host, port, Arc::clone(counters)).await {
            Ok(link) => return Ok(link),
            Err(error) => last = error,
        }
    }
    Err(last)
}

async fn all_topics(link: &mut Link, config: &ClientConfig) -> Result<MetadataResponse, FeedError> {
    const CALL: &str = "Metadata";
    let all: [&str; 0] = [];
    let request = MetadataRequest::new(link.next_correlation(), &config.client_id, &all);
    let answer = link.call(CALL, &request, Duration::ZERO).await?;
    MetadataResponse::try_from(answer).map_err(|error| link.failed(CALL, error.to_string()))
}

fn place(host: &Bytes, port: i32) -> Result<(String, u16), FeedError> {
    let host = String::from_utf8_lossy(host).into_owned();
    let port = u16::try_from(port).map_err(|_| FeedError::Address(format!("{host}:{port}")))?;
    Ok((host, port))
}

/// Creates a topic on one replica; one that exists is left as it is.
pub async fn create_topic(
    config: &ClientConfig,
    topic: &str,
    partitions: i32,
) -> Result<(), FeedError> {
    const CALL: &str = "CreateTopics";
    let counters = Arc::new(Counters::default());
    let mut bootstrap = bootstrap(config, &counters).await?;
    // Of all topics: a broker that creates on demand would make the one asked for, with its own default.
    let metadata = all_topics(&mut bootstrap, config).await?;
    let controller = metadata
        .brokers
        .iter()
        .find(|broker| broker.node_id == metadata.controller_id)
        .or(metadata.brokers.first());
    let mut link = match controller {
        Some(broker) => {
            let (host, port) = place(&broker.host, broker.port)?;
            Link::connect(config, &host, port, counters).await?
        }
        None => bootstrap,
    };
    let limit_ms = i32::try_from(config.call_limit.as_millis()).unwrap_or(i32::MAX);
    let mut request =
        CreateTopicsRequest::new(link.next_correlation(), &config.client_id, limit_ms, false)
            .map_err(|error| link.failed(CALL, error.to_string()))?;
    request.add(topic, partitions, 1);
    let answer = link.call(CALL, &request, config.call_limit).await?;
    let response = CreateTopicsResponse::try_from(answer)
        .map_err(|error| link.failed(CALL, error.to_string()))?;
    match response.topics.first().map(|topic| topic.error_code) {
        Some(KafkaCode::None | KafkaCode::TopicAlreadyExists) => Ok(()),
        Some(code) => Err(refused(CALL, format!("topic {topic}"), code)),
        None => Err(link.failed(CALL, "the answer names no topic".to_owned())),
    }
}
