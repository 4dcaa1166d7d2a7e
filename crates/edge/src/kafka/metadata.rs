//! Where a topic's partitions are led, and which topic it is.
//!
//! Its id comes with Metadata from version 10 on, which samsa does not speak. Brokers that do not speak it either are asked
//! as samsa does, and their topics have no id.

use super::error::code_name;
use super::link::Link;
use super::reader::{Malformed, Reader};
use super::topic_id::TopicId;
use super::{ClientConfig, FeedError, writer};
use bytes::{BufMut, Bytes};
use samsa::prelude::encode::ToByte;
use samsa::prelude::protocol::{MetadataRequest, MetadataResponse};
use std::collections::BTreeMap;
use std::time::Duration;

const FETCH: i16 = 1;
const METADATA: i16 = 3;
const API_VERSIONS: i16 = 18;

/// Version 12, since Kafka 3.1; 3.9 and 4.x share it.
const METADATA_BY_ID: i16 = 12;
/// Version 13, since Kafka 3.1.
pub(super) const FETCH_BY_ID: i16 = 13;

const CALL: &str = "Metadata";

/// What a broker knows of one topic.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Metadata {
    /// Kafka's error code for the topic; 0 is none.
    pub(super) error: i16,
    /// `None` where brokers do not say.
    pub(super) id: Option<TopicId>,
    /// Node that leads each partition.
    pub(super) leaders: BTreeMap<i32, i32>,
    /// Host and port of each node.
    pub(super) brokers: BTreeMap<i32, (String, u16)>,
}

/// What becomes of a topic that is not there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Absent {
    /// It is an error: who reads does not make what it reads.
    Refused,
    /// The broker makes it, if it is configured to.
    MayBeMade,
}

/// Asks over a fresh connection.
pub(super) async fn ask(
    link: &mut Link,
    config: &ClientConfig,
    topic: &str,
    absent: Absent,
) -> Result<Metadata, FeedError> {
    let by_id = speaks_ids(link, config).await?;
    let metadata = match by_id {
        true => ask_for_id(link, config, topic, absent).await?,
        false => ask_by_samsa(link, config, topic).await?,
    };
    match metadata.error {
        0 if metadata.leaders.is_empty() => Err(refused(topic, 3)),
        0 => Ok(metadata),
        code => Err(refused(topic, code)),
    }
}

fn refused(topic: &str, code: i16) -> FeedError {
    FeedError::Refused {
        call: CALL,
        subject: format!("topic {topic}"),
        code: code_name(code),
    }
}

/// Whether the broker takes topics by their ids, in Metadata and in Fetch.
async fn speaks_ids(link: &mut Link, config: &ClientConfig) -> Result<bool, FeedError> {
    const CALL: &str = "ApiVersions";
    let request = Request {
        key: API_VERSIONS,
        version: 0,
        correlation: link.next_correlation(),
        client_id: &config.client_id,
        body: None,
    };
    let answer = link.call(CALL, &request, Duration::ZERO).await?;
    let newest = newest(answer).map_err(|Malformed(item)| {
        link.failed(CALL, format!("the answer is malformed at {item}"))
    })?;
    let takes = |api, version| newest.get(&api).is_some_and(|newest| *newest >= version);
    Ok(takes(METADATA, METADATA_BY_ID) && takes(FETCH, FETCH_BY_ID))
}

/// The newest version of each API.
fn newest(answer: Bytes) -> Result<BTreeMap<i16, i16>, Malformed> {
    let mut reader = Reader(answer);
    reader.i32("correlation id")?;
    reader.i16("error code")?;
    (0..reader.count(6, "count of APIs")?)
        .map(|_| {
            let key = reader.i16("API key")?;
            reader.i16("oldest version")?;
            Ok((key, reader.i16("newest version")?))
        })
        .collect()
}

async fn ask_for_id(
    link: &mut Link,
    config: &ClientConfig,
    topic: &str,
    absent: Absent,
) -> Result<Metadata, FeedError> {
    let request = Request {
        key: METADATA,
        version: METADATA_BY_ID,
        correlation: link.next_correlation(),
        client_id: &config.client_id,
        body: Some((topic, absent)),
    };
    let answer = link.call(CALL, &request, Duration::ZERO).await?;
    read(answer, topic).map_err(|Malformed(item)| {
        link.failed(CALL, format!("the answer is malformed at its {item}"))
    })
}

/// The response to version 12.
fn read(answer: Bytes, wanted: &str) -> Result<Metadata, Malformed> {
    let mut reader = Reader(answer);
    let mut metadata = Metadata::default();
    reader.i32("correlation id")?;
    reader.tagged_fields()?;
    reader.i32("throttle time")?;
    for _ in 0..reader.compact_count(11, "count of brokers")? {
        let node = reader.i32("node id")?;
        let host = reader.compact_string("host")?;
        let port = u16::try_from(reader.i32("port")?).map_err(|_| Malformed("port"))?;
        reader.compact_string("rack")?;
        reader.tagged_fields()?;
        metadata.brokers.insert(node, (host, port));
    }
    reader.compact_string("cluster id")?;
    reader.i32("controller id")?;
    for _ in 0..reader.compact_count(25, "count of topics")? {
        let error = reader.i16("error code")?;
        let name = reader.compact_string("topic name")?;
        let id = TopicId::read(&mut reader)?;
        reader.i8("internal")?;
        let mut leaders = BTreeMap::new();
        for _ in 0..reader.compact_count(18, "count of partitions")? {
            // A partition without a leader has an error too; what matters is that there is none.
            reader.i16("partition's error code")?;
            let partition = reader.i32("partition index")?;
            leaders.insert(partition, reader.i32("leader id")?);
            reader.i32("leader epoch")?;
            for item in ["replicas", "in-sync replicas", "offline replicas"] {
                let nodes = reader.compact_count(4, item)?;
                reader.take(nodes * 4, item)?;
            }
            reader.tagged_fields()?;
        }
        reader.i32("authorized operations")?;
        reader.tagged_fields()?;
        if name == wanted {
            (metadata.error, metadata.id, metadata.leaders) = (error, id.known(), leaders);
        }
    }
    reader.tagged_fields()?;
    Ok(metadata)
}

async fn ask_by_samsa(
    link: &mut Link,
    config: &ClientConfig,
    topic: &str,
) -> Result<Metadata, FeedError> {
    let topics = [topic];
    let request = MetadataRequest::new(link.next_correlation(), &config.client_id, &topics);
    let answer = link.call(CALL, &request, Duration::ZERO).await?;
    let response =
        MetadataResponse::try_from(answer).map_err(|error| link.failed(CALL, error.to_string()))?;
    let mut metadata = Metadata::default();
    for found in response
        .topics
        .iter()
        .filter(|found| found.name == topic.as_bytes())
    {
        metadata.error = found.error_code as i16;
        metadata.leaders.extend(
            found
                .partitions
                .iter()
                .map(|partition| (partition.partition_index, partition.leader_id)),
        );
    }
    for broker in &response.brokers {
        let host = String::from_utf8_lossy(&broker.host).into_owned();
        let port = u16::try_from(broker.port)
            .map_err(|_| link.failed(CALL, format!("{} is no port", broker.port)))?;
        metadata.brokers.insert(broker.node_id, (host, port));
    }
    Ok(metadata)
}

/// A request in the compact encoding with the name of one topic, or one without a body.
struct Request<'a> {
    key: i16,
    version: i16,
    correlation: i32,
    client_id: &'a str,
    body: Option<(&'a str, Absent)>,
}

impl ToByte for Request<'_> {
    fn encode<W: BufMut>(&self, out: &mut W) -> samsa::prelude::Result<()> {
        self.key.encode(out)?;
        self.version.encode(out)?;
        self.correlation.encode(out)?;
        self.client_id.encode(out)?;
        let Some((topic, absent)) = self.body else {
            return Ok(());
        };
        out.put_u8(0); // tagged fields
        writer::put_count(out, 1);
        out.put_slice(&[0; 16]); // by its name, not by its id
        writer::put_count(out, topic.len());
        out.put_slice(topic.as_bytes());
        out.put_u8(0); // tagged fields of the topic
        out.put_u8(u8::from(absent == Absent::MayBeMade));
        out.put_u8(0); // authorized operations are not asked for
        out.put_u8(0); // tagged fields
        Ok(())
    }
}

#[cfg(test)]
mod tests;
