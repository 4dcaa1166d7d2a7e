//! Events to one topic, each until the brokers have it.

use super::Exporter;
use edge::kafka::{Codec, FeedError, Header, NewRecord, Producer, partition_of};
use runtime::service::ServiceError;
use std::collections::{BTreeMap, BTreeSet};
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
        let mut pause = FIRST_PAUSE;
        // Partitions that have theirs already; what is sent again is sent because nobody knows.
        let mut done: BTreeSet<i32> = BTreeSet::new();
        loop {
            match self.try_once(events, &mut done).await {
                Ok(()) => {
                    let count = events.len() as u64;
                    self.exporter.board.count.exported.fetch_add(count, Relaxed);
                    return Ok(());
                }
                Err(error) if error.is_permanent() => return Err(error.into()),
                Err(error) => tracing::warn!("export to {} waits: {error}", self.topic),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_once(
        &mut self,
        events: &[CloudEvent],
        done: &mut BTreeSet<i32>,
    ) -> Result<(), FeedError> {
        let partitions = self.producer.partitions().await?;
        let count = i32::try_from(partitions.len()).unwrap_or(i32::MAX);
        let mut by_partition: BTreeMap<i32, Vec<NewRecord>> = BTreeMap::new();
        for event in events {
            let partition = partition_of(event.key.as_bytes(), count);
            by_partition
                .entry(partition)
                .or_default()
                .push(record(event));
        }
        for (partition, records) in by_partition {
            if !done.contains(&partition) {
                self.producer.send(partition, &records, Codec::Lz4).await?;
                done.insert(partition);
            }
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
