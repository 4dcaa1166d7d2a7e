//! Events to one topic, each until the brokers have it.

use super::Exporter;
use edge::backoff::Backoff;
use edge::kafka::{Codec, FeedError, Header, NewRecord, Producer, partition_of};
use runtime::service::ServiceError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use telemetry::cloudevents::{CONTENT_TYPE, CloudEvent};

/// First pause after a fault, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// A broker that is back is used within half a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Pusher<'a> {
    exporter: &'a Exporter,
    topic: String,
    producer: Producer,
}

impl<'a> Pusher<'a> {
    pub(super) fn new(exporter: &'a Exporter, topic: &str) -> Self {
        Self {
            exporter,
            topic: topic.to_owned(),
            producer: Producer::new(exporter.config.client.clone(), topic),
        }
    }

    /// Returns when all are acknowledged. A fault that only a person can mend ends the service.
    pub(super) async fn push(&mut self, events: &[CloudEvent]) -> Result<(), ServiceError> {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        let mut waiting: Vec<&CloudEvent> = events.iter().collect();
        loop {
            match self.try_once(&mut waiting).await {
                Ok(()) => {
                    let count = events.len() as u64;
                    self.exporter.board.count.exported.fetch_add(count, Relaxed);
                    return Ok(());
                }
                Err(error) if error.is_permanent() => return Err(error.into()),
                Err(error) => tracing::warn!("export to {} waits: {error}", self.topic),
            }
            backoff.longer();
            backoff.wait().await;
        }
    }

    /// Sends by partition, and takes out of `waiting` what is acknowledged. A topic may have more partitions at
    /// the next try.
    async fn try_once(&mut self, waiting: &mut Vec<&CloudEvent>) -> Result<(), FeedError> {
        let partitions = self.producer.partitions().await?;
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        while let Some(first) = waiting.first() {
            let partition = partition_of(first.key.as_bytes(), count);
            let (there, others): (Vec<_>, Vec<_>) = waiting
                .iter()
                .copied()
                .partition(|event| partition_of(event.key.as_bytes(), count) == partition);
            let records: Vec<NewRecord> = there.into_iter().map(record).collect();
            self.producer.send(partition, &records, Codec::Lz4).await?;
            *waiting = others;
        }
        Ok(())
    }
}

fn record(event: &CloudEvent) -> NewRecord {
    NewRecord {
        timestamp: i64::try_from(event.time.0).unwrap_or(i64::MAX),
        key: Some(event.key.clone().into()),
        value: Some(event.json.clone().into()),
        headers: vec![Header {
            key: "content-type".to_owned(),
            value: Some(CONTENT_TYPE.into()),
        }],
    }
}
