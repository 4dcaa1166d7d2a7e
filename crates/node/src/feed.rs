//! The feed: transactions from Kafka to windows to the data space, on the node that holds the role.
//!
//! Offsets are committed after their reports are on the data space and their digest is on the
//! ledger. Reports carry (topic, partition, offset), so what a takeover reads again counts once.

use crate::board::Board;
use crate::ingest::{self, IngestLog};
use crate::quarantine::Quarantine;
use crate::space::SealedSpace;
use edge::kafka::{
    Feed as _, FeedConfig, FeedError, KafkaFeed, OffsetCommit, PartitionRecords, Snapshot,
};
use machine::mistakes::{self, Mistake};
use replica::Ledger;
use runtime::clock;
use runtime::service::{ServiceError, StopSignal};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use telemetry::transactions::{Checkpoint, Counters, Pipeline, PipelineConfig, Refused};
use tokio::sync::watch;
use tokio::time::Instant;
use wire::{NodeId, Quarantined, Report, Source};

/// How often offsets are committed. What was read since then is read again after a crash.
const COMMIT_PERIOD: Duration = Duration::from_secs(1);
/// Records set aside between two commits. Each costs a write through to the disk; a producer that sends
/// nothing but rubbish must not slow the good partitions down to its pace. The rest is counted and still
/// lies in Kafka.
const MOST_SET_ASIDE: usize = 50;

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Feed {
    /// This node.
    pub me: NodeId,
    /// Connection.
    pub config: FeedConfig,
    /// Decoding and windows.
    pub pipeline: PipelineConfig,
    /// Topics that are this node's to feed.
    pub held: watch::Receiver<BTreeSet<String>>,
    /// Where reports go.
    pub space: Arc<SealedSpace>,
    /// Where digests go.
    pub ledger: Ledger,
    /// Where records go that are no transactions.
    pub quarantine: Arc<Quarantine>,
    /// Counters.
    pub board: Arc<Board>,
}

/// One time of holding the role.
struct Tenure {
    feed: KafkaFeed,
    pipeline: Pipeline,
    log: IngestLog,
    committed: Instant,
    shown: Snapshot,
    /// Since the last commit: set aside, and broken beyond that with the place of the last one.
    aside: usize,
    unkept: Option<(usize, String)>,
    /// Late, ahead and shed records that were told of.
    told: Counters,
}

impl Feed {
    /// Runs until stopped; reads only while the role is held.
    pub async fn run(mut self, mut stop: StopSignal) -> Result<(), ServiceError> {
        loop {
            let topic = self.config.topic.clone();
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                held = self.held.wait_for(|held| held.contains(&topic)) => drop(held?),
            }
            tracing::info!("this node feeds {topic} now");
            let mut lost = self.held.clone();
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                gone = lost.wait_for(|held| !held.contains(&topic)) => drop(gone?),
                ended = self.hold() => return ended,
            }
            tracing::info!("{topic} is fed by another node now");
        }
    }

    async fn hold(&self) -> Result<(), ServiceError> {
        let mut tenure = Tenure {
            feed: KafkaFeed::new(self.config.clone()),
            pipeline: Pipeline::new(self.pipeline.clone()),
            log: IngestLog::new(self.me.clone(), Source::Kafka),
            committed: Instant::now(),
            shown: Snapshot::default(),
            aside: 0,
            unkept: None,
            told: Counters::default(),
        };
        self.resume(&mut tenure).await?;
        loop {
            let polled = self.patiently(tenure.feed.poll().await)?;
            let mut reports = Vec::new();
            for records in polled.unwrap_or_default() {
                self.read(&mut tenure, &records, &mut reports)?;
            }
            tenure.pipeline.idle(clock::unix_now(), &mut reports);
            if mistakes::on(Mistake::OffsetCommittedEarly) {
                self.commit_offsets(&mut tenure).await?;
            }
            for report in &reports {
                self.space.publish(report, clock::unix_now_ns()).await?;
            }
            self.show(&mut tenure);
            if tenure.committed.elapsed() >= COMMIT_PERIOD {
                self.commit(&mut tenure).await?;
            }
        }
    }

    /// Goes on where the former holder committed.
    async fn resume(&self, tenure: &mut Tenure) -> Result<(), ServiceError> {
        let committed = loop {
            if let Some(committed) = self.patiently(tenure.feed.committed().await)? {
                break committed;
            }
        };
        for commit in committed {
            match Checkpoint::parse(commit.offset, &commit.metadata) {
                Ok(checkpoint) => tenure.pipeline.resume(commit.partition, checkpoint),
                Err(error) => tracing::warn!(
                    "partition {}: {error}; windows start afresh",
                    commit.partition
                ),
            }
        }
        Ok(())
    }

    /// A passing fault is logged (the feed has dropped its connections and backs off by itself);
    /// one that only a person can mend ends the service.
    fn patiently<T>(&self, result: Result<T, FeedError>) -> Result<Option<T>, ServiceError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_permanent() => Err(error.into()),
            Err(error) => {
                tracing::warn!("feed: {error}");
                Ok(None)
            }
        }
    }

    fn read(
        &self,
        tenure: &mut Tenure,
        records: &PartitionRecords,
        reports: &mut Vec<Report>,
    ) -> Result<(), ServiceError> {
        let (now, partition) = (clock::unix_now(), records.partition);
        for record in &records.records {
            let value = record.value.as_deref();
            tenure.log.add(
                u64::try_from(record.offset).unwrap_or(0),
                value.unwrap_or_default(),
            );
            let refused = tenure
                .pipeline
                .record(now, partition, record.offset, value, reports);
            for refused in refused {
                let position = format!("{}/{partition}/{}", self.config.topic, record.offset);
                self.set_aside(tenure, position, value.unwrap_or_default(), &refused)?;
            }
        }
        Ok(())
    }

    /// A broken record, with its place and reason, for whoever looks through the quarantine.
    fn set_aside(
        &self,
        tenure: &mut Tenure,
        value_at: String,
        value: &[u8],
        refused: &Refused,
    ) -> Result<(), ServiceError> {
        let records = refused.records as u64;
        let position = match refused.place {
            Some(place) => format!("{value_at} {place}"),
            None => value_at,
        };
        self.board
            .count
            .kafka_quarantined
            .fetch_add(records, Relaxed);
        if tenure.aside >= MOST_SET_ASIDE {
            let before = tenure.unkept.take().map_or(0, |(count, _)| count);
            tenure.unkept = Some((before + refused.records, position));
            return Ok(());
        }
        tenure.aside += 1;
        let raw = value.get(refused.bytes.clone()).unwrap_or_default();
        self.put(position, refused.to_string(), raw.to_vec())
    }

    fn put(&self, position: String, reason: String, raw: Vec<u8>) -> Result<(), ServiceError> {
        self.quarantine.put(Quarantined {
            at: clock::unix_now(),
            source: Source::Kafka,
            position,
            sender: self.config.topic.clone(),
            reason,
            raw,
            shown: None,
        })?;
        Ok(())
    }

    /// Says what was not kept, and what the windows could not count.
    fn settle(&self, tenure: &mut Tenure) -> Result<(), ServiceError> {
        tenure.aside = 0;
        if let Some((count, last)) = tenure.unkept.take() {
            let reason = format!(
                "{count} more broken records came within a second and were not kept, the last one at {last}; read them from Kafka"
            );
            tracing::warn!("feed: {reason}");
            self.put(last, reason, Vec::new())?;
        }
        let (now, told) = (tenure.pipeline.counters(), tenure.told);
        if (now.late, now.ahead, now.shed) != (told.late, told.ahead, told.shed) {
            tracing::warn!(
                "feed: {} records came after their window was closed, {} had times ahead of the clock, {} found no room for another window",
                now.late - told.late,
                now.ahead - told.ahead,
                now.shed - told.shed
            );
        }
        tenure.told = now;
        Ok(())
    }

    fn show(&self, tenure: &mut Tenure) {
        let (count, now) = (&self.board.count, tenure.feed.counters());
        let add = |counter: &AtomicU64, now: u64, before: u64| {
            counter.fetch_add(now.saturating_sub(before), Relaxed);
        };
        add(&count.kafka_records, now.records, tenure.shown.records);
        add(&count.kafka_reconnects, now.faults, tenure.shown.faults);
        add(
            &count.plaintext_payload_bytes,
            now.plaintext_bytes,
            tenure.shown.plaintext_bytes,
        );
        tenure.shown = now;
    }

    async fn commit(&self, tenure: &mut Tenure) -> Result<(), ServiceError> {
        tenure.committed = Instant::now();
        self.settle(tenure)?;
        let Some(act) = tenure.log.take() else {
            return Ok(());
        };
        ingest::record(&self.ledger, act).await;
        self.commit_offsets(tenure).await
    }

    async fn commit_offsets(&self, tenure: &mut Tenure) -> Result<(), ServiceError> {
        let offsets: Vec<OffsetCommit> = tenure
            .pipeline
            .checkpoints()
            .into_iter()
            .map(|(partition, checkpoint)| OffsetCommit {
                partition,
                offset: match mistakes::on(Mistake::OffsetCommittedEarly) {
                    true => checkpoint.seen,
                    false => checkpoint.offset,
                },
                metadata: checkpoint.metadata(),
            })
            .collect();
        // A failed commit is made up for by the next one.
        self.patiently(tenure.feed.commit(&offsets).await)?;
        Ok(())
    }
}
