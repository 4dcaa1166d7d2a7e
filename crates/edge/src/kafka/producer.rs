//! A producer that waits for each acknowledgement: for gear, the demo and alerts.

use super::batch::{Codec, Header, encode};
use super::client::Client;
use super::counters::{Counters, Snapshot, count};
use super::error::code_name;
use super::metadata::Absent;
use super::reader::{Malformed, Reader};
use super::{ClientConfig, FeedError};
use bytes::{BufMut, Bytes};
use samsa::prelude::encode::ToByte;
use std::sync::Arc;
use std::time::Duration;

/// Produce, version 7: the request is that of version 3, which samsa knows, and brokers take zstd only
/// from 7 on (KIP-110).
const API_PRODUCE: i16 = 0;
const VERSION: i16 = 7;
/// All in-sync replicas have written it. (samsa's default of 0 has no answer at all.)
const ACKS_ALL: i16 = -1;

/// A record to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRecord {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Option<Bytes>,
    /// Headers.
    pub headers: Vec<Header>,
}

/// Sends batches to the partitions of one topic. Connects at the first call; after a fault the next
/// call connects anew. A batch whose acknowledgement was lost may be in the log: sending it again
/// makes it appear twice.
pub struct Producer {
    config: ClientConfig,
    topic: String,
    counters: Arc<Counters>,
    client: Option<Client>,
}

impl Producer {
    /// Nothing is connected yet.
    pub fn new(config: ClientConfig, topic: impl Into<String>) -> Self {
        Self {
            config,
            topic: topic.into(),
            counters: Arc::default(),
            client: None,
        }
    }

    /// Sends records as one batch and returns the first one's offset.
    pub async fn send(
        &mut self,
        partition: i32,
        records: &[NewRecord],
        codec: Codec,
    ) -> Result<i64, FeedError> {
        let mut client = self.take_client().await?;
        let result = self.send_by(&mut client, partition, records, codec).await;
        match &result {
            Ok(_) => {
                self.client = Some(client);
                count(&self.counters.records, records.len() as u64);
            }
            Err(_) => count(&self.counters.faults, 1),
        }
        result
    }

    /// How many partitions the topic has.
    pub async fn partitions(&mut self) -> Result<Vec<i32>, FeedError> {
        let client = self.take_client().await?;
        let partitions = client.partitions().collect();
        self.client = Some(client);
        Ok(partitions)
    }

    /// What happened since the start.
    pub fn counters(&self) -> Snapshot {
        self.counters.snapshot()
    }

    /// As in the feed: the set comes back only after a call that went well.
    async fn take_client(&mut self) -> Result<Client, FeedError> {
        match self.client.take() {
            Some(client) => Ok(client),
            None => {
                let absent = Absent::MayBeMade;
                Client::connect(&self.config, &self.topic, absent, &self.counters).await
            }
        }
    }

    async fn send_by(
        &self,
        client: &mut Client,
        partition: i32,
        records: &[NewRecord],
        codec: Codec,
    ) -> Result<i64, FeedError> {
        const CALL: &str = "Produce";
        let link = client.link(partition)?;
        let batch = encode(records, codec).map_err(|error| link.failed(CALL, error.to_string()))?;
        link.count_payload(batch.len());
        let request = ProduceRequest {
            correlation: link.next_correlation(),
            client_id: &self.config.client_id,
            limit_ms: i32::try_from(self.config.call_limit.as_millis()).unwrap_or(i32::MAX),
            topic: &self.topic,
            partition,
            batch: &batch,
        };
        let answer = link.call(CALL, &request, Duration::ZERO).await?;
        match answered(answer) {
            Ok((0, offset)) => Ok(offset),
            Ok((code, _)) => {
                let subject = format!("{} partition {partition}", self.topic);
                Err(FeedError::Refused {
                    call: CALL,
                    subject,
                    code: code_name(code),
                })
            }
            Err(Malformed(item)) => {
                Err(link.failed(CALL, format!("the answer is malformed at its {item}")))
            }
        }
    }
}

/// Error code and base offset of the only partition in an answer.
fn answered(answer: Bytes) -> Result<(i16, i64), Malformed> {
    let mut reader = Reader(answer);
    reader.i32("correlation id")?;
    reader.i32("count of topics")?;
    reader.string("topic name")?;
    reader.i32("count of partitions")?;
    reader.i32("partition index")?;
    Ok((reader.i16("error code")?, reader.i64("base offset")?))
}

/// One batch for one partition, already encoded: samsa's own request stamps records with the time
/// of sending, here the caller's event time counts.
struct ProduceRequest<'a> {
    correlation: i32,
    client_id: &'a str,
    limit_ms: i32,
    topic: &'a str,
    partition: i32,
    batch: &'a [u8],
}

impl ToByte for ProduceRequest<'_> {
    fn encode<W: BufMut>(&self, out: &mut W) -> samsa::prelude::Result<()> {
        API_PRODUCE.encode(out)?;
        VERSION.encode(out)?;
        self.correlation.encode(out)?;
        self.client_id.encode(out)?;
        out.put_i16(-1); // no transactional id
        ACKS_ALL.encode(out)?;
        self.limit_ms.encode(out)?;
        out.put_i32(1); // topics
        self.topic.encode(out)?;
        out.put_i32(1); // partitions
        self.partition.encode(out)?;
        let len =
            i32::try_from(self.batch.len()).map_err(|_| samsa::prelude::Error::EncodingError)?;
        len.encode(out)?;
        out.put_slice(self.batch);
        Ok(())
    }
}
