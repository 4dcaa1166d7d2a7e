//! The feed: transactions from Kafka to windows to the data space, on the nodes that hold shares of the topic.
//!
//! What was read is accounted for on the ledger after its reports are on the data space, and the ledger
//! says where the next holder goes on. It takes an account only from the holder of a share and only from where
//! the partition stands, so a former holder moves nothing. Offsets are committed to Kafka afterwards, for the
//! tools that look at consumer groups. Reports carry (topic, partition, offset), so what is read again counts once.

mod account;
mod aside;
mod part;
mod schemas;
mod tenure;

use crate::board::Board;
use crate::ingest::{self, IngestLog};
use crate::quarantine::Quarantine;
use crate::space::{Entered, SealedSpace};
use account::Account;
pub use aside::Aside;
use edge::kafka::{
    Feed as _, FeedConfig, FeedError, KafkaFeed, OffsetCommit, PartitionRecords, Partitions,
    Snapshot, TopicId,
};
use edge::registry::RegistryConfig;
use ledger::MAX_ADVANCES;
use machine::mistakes::{self, Mistake};
use part::Part;
use replica::Ledger;
use runtime::clock;
use runtime::service::{ServiceError, StopSignal};
use schemas::Schemas;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use telemetry::transactions::{Checkpoint, Counters, Pipeline, PipelineConfig, Refused};
use tenure::{Log, Tenure};
use tokio::sync::watch;
use tokio::time::Instant;
use wire::{Act, FeedAdvance, FeedShare, NodeId, Quarantined, Report, Role, Source};

/// How often accounts are given. What was read since then is read again after a crash.
const COMMIT_PERIOD: Duration = Duration::from_secs(1);

/// Records set aside between two accounts. Each costs a write through to the disk; a producer that sends
/// nothing but rubbish must not slow the good partitions down to its pace. The rest is counted and still
/// lies in Kafka.
const MOST_SET_ASIDE: usize = 50;

/// Before a share is taken up again whose place on the ledger was not what this node thought. It follows
/// from a ledger that lags behind, which a moment mends.
const LAG_PAUSE: Duration = Duration::from_millis(200);

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Feed {
    /// This node.
    pub me: NodeId,
    /// Connection.
    pub config: FeedConfig,
    /// Decoding and windows.
    pub pipeline: PipelineConfig,
    /// Where schemas of values lie, if they have any.
    pub registry: Option<RegistryConfig>,
    /// Which topic the accounts on the ledger are of, as far as this process knows: kept from one time of holding a part
    /// to the next.
    pub read: Arc<Mutex<Option<TopicId>>>,
    /// What was set aside: kept likewise.
    pub aside: Arc<Mutex<Aside>>,
    /// Roles of feeds that are this node's.
    pub held: watch::Receiver<BTreeSet<Role>>,
    /// Where reports go.
    pub space: Arc<SealedSpace>,
    /// Where accounts go.
    pub ledger: Ledger,
    /// Where records go that are no transactions.
    pub quarantine: Arc<Quarantine>,
    /// Counters.
    pub board: Arc<Board>,
}

/// Why a tenure ended by itself.
struct NotWhereWeThought;

impl Feed {
    /// Runs until stopped; reads only while a part is held.
    pub async fn run(mut self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let topic = self.config.topic.clone();
        loop {
            let mut held = self.held.clone();
            let part = tokio::select! {
                () = stop.stopped() => return Ok(()),
                roles = self.held.wait_for(|roles| Part::of(&topic, roles).is_some()) => {
                    Part::of(&topic, &*roles?)
                }
            };
            let Some(part) = part else { continue };
            tracing::info!("this node reads {topic} now, {part}");
            let lags = tokio::select! {
                () = stop.stopped() => return Ok(()),
                changed = held.wait_for(|roles| Part::of(&topic, roles).as_ref() != Some(&part)) => {
                    drop(changed?);
                    tracing::info!("{topic}: {part} is this node's no more");
                    false
                }
                ended = self.hold(&part) => {
                    let NotWhereWeThought = ended?;
                    true
                }
            };
            if lags {
                tokio::select! {
                    () = stop.stopped() => return Ok(()),
                    () = tokio::time::sleep(LAG_PAUSE) => {}
                }
            }
        }
    }

    async fn hold(&self, part: &Part) -> Result<NotWhereWeThought, ServiceError> {
        let (partitions, log) = match part {
            Part::Whole => (
                Partitions::All,
                Log::Whole(IngestLog::new(self.me.clone(), Source::Kafka)),
            ),
            Part::Shares { of, held } => {
                let (of, held) = (*of, held.clone());
                let partitions = Partitions::Shares {
                    of,
                    held: held.clone(),
                };
                let account = Account::default();
                (partitions, Log::Shares { of, held, account })
            }
        };
        let config = FeedConfig {
            partitions,
            ..self.config.clone()
        };
        let mut tenure = Tenure {
            feed: KafkaFeed::new(config),
            pipeline: Pipeline::new(self.pipeline.clone()),
            schemas: Schemas::new(self.registry.clone(), Arc::clone(&self.board)),
            log,
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
                self.read(&mut tenure, &records, &mut reports).await?;
            }
            tenure.pipeline.idle(clock::unix_now(), &mut reports);
            if mistakes::on(Mistake::OffsetCommittedEarly) {
                self.commit_offsets(&mut tenure).await?;
            }
            let at_ns = clock::unix_now_ns();
            let entered = |report| Entered { report, at_ns };
            let reports = reports.into_iter().map(entered).collect();
            self.space.publish_all(reports).await?;
            self.show(&mut tenure);
            if tenure.committed.elapsed() >= COMMIT_PERIOD
                && let Err(lost) = self.commit(&mut tenure).await?
            {
                return Ok(lost);
            }
        }
    }

    /// Goes on where the ledger has the partitions, or else where the consumer group has them.
    async fn resume(&self, tenure: &mut Tenure) -> Result<(), ServiceError> {
        if let Some(id) = *lock(&self.read) {
            tenure.feed.of_topic(id);
        }
        let committed = loop {
            if let Some(committed) = self.patiently(tenure.feed.committed().await)? {
                break committed;
            }
        };
        for commit in committed {
            match Checkpoint::parse(commit.offset, &commit.metadata) {
                Ok(checkpoint) => {
                    tenure.pipeline.resume(commit.partition, checkpoint);
                    tenure.stands(commit.partition, checkpoint.seen);
                }
                Err(error) => tracing::warn!(
                    "partition {}: {error}; windows start afresh",
                    commit.partition
                ),
            }
        }
        let Log::Shares { of, held, account } = &mut tenure.log else {
            return Ok(());
        };
        let state = self.ledger.state();
        for ((topic, partition), position) in &state.feeds {
            let ours = *topic == self.config.topic
                && held.contains(&FeedShare::holding(topic, *of, *partition).share);
            let (Ok(number), Ok(resume), Ok(seen)) = (
                i32::try_from(*partition),
                i64::try_from(position.resume),
                i64::try_from(position.to),
            ) else {
                continue;
            };
            if ours {
                let checkpoint = Checkpoint {
                    offset: resume,
                    seen,
                    watermark: position.watermark,
                };
                tenure.pipeline.resume(number, checkpoint);
                tenure.feed.seek(number, resume);
                account.stands(*partition, position.to);
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

    async fn read(
        &self,
        tenure: &mut Tenure,
        records: &PartitionRecords,
        reports: &mut Vec<Report>,
    ) -> Result<(), ServiceError> {
        let (now, partition) = (clock::unix_now(), records.partition);
        if records.moved {
            let first = records.records.first().map(|record| record.offset);
            let offset = first.unwrap_or(records.next_offset);
            tenure.pipeline.restart(now, partition, offset, reports);
            tenure.moved(partition, offset);
            self.aside().forget();
        }
        for record in &records.records {
            let value = record.value.as_deref();
            if let Some(id) = tenure.pipeline.wanted(now, value) {
                match tenure.schemas.fetch(partition, id).await {
                    Some(answer) => tenure.pipeline.learn(now, id, answer),
                    None => {
                        // Neither lost nor set aside: the partition goes on here when the schema is there.
                        tenure.feed.hold(partition, record.offset, schemas::PAUSE);
                        tenure.read_to(partition, record.offset);
                        return Ok(());
                    }
                }
            }
            tenure.add(partition, record.offset, value.unwrap_or_default());
            let refused = tenure
                .pipeline
                .record(now, partition, record.offset, value, reports);
            for refused in refused {
                let position = format!("{}/{partition}/{}", self.config.topic, record.offset);
                self.set_aside(tenure, position, value.unwrap_or_default(), &refused)?;
            }
        }
        tenure.read_to(partition, records.next_offset);
        tenure.schemas.goes_on(partition);
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
        if self.aside().has(&position) {
            return Ok(());
        }
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
        self.put(position.clone(), refused.to_string(), raw.to_vec())?;
        self.aside().add(position);
        Ok(())
    }

    fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Gives account of what was read. The error: the ledger has a partition elsewhere than this node thought.
    async fn commit(
        &self,
        tenure: &mut Tenure,
    ) -> Result<Result<(), NotWhereWeThought>, ServiceError> {
        tenure.committed = Instant::now();
        self.settle(tenure)?;
        let news = match &mut tenure.log {
            Log::Whole(log) => match log.take() {
                None => false,
                Some(act) => {
                    ingest::record(&self.ledger, act).await;
                    true
                }
            },
            Log::Shares { account, .. } => {
                let checkpoints = tenure.pipeline.checkpoints();
                let checkpoints: Vec<_> = checkpoints
                    .into_iter()
                    .filter_map(|(partition, at)| Some((u32::try_from(partition).ok()?, at)))
                    .collect();
                let due = account.due(&checkpoints);
                for advances in due.chunks(MAX_ADVANCES) {
                    let leaf = ingest::record(&self.ledger, self.act(advances)).await;
                    if !self.took_effect(leaf, advances).await? {
                        return Ok(Err(NotWhereWeThought));
                    }
                    account.told(advances);
                }
                !due.is_empty()
            }
        };
        // Not before: what the ledger has may still be of the topic before.
        if let Some(id) = tenure.feed.topic_id() {
            *lock(&self.read) = Some(id);
        }
        if news {
            self.commit_offsets(tenure).await?;
        }
        Ok(Ok(()))
    }

    fn act(&self, advances: &[FeedAdvance]) -> Act {
        Act::FeedAdvanced {
            node: self.me.clone(),
            topic: self.config.topic.clone(),
            advances: advances.to_vec(),
        }
    }

    /// Waits until this replica has folded the leaf, and looks whether it did anything.
    async fn took_effect(&self, leaf: u64, advances: &[FeedAdvance]) -> Result<bool, ServiceError> {
        let mut views = self.ledger.watch();
        let state = Arc::clone(&views.wait_for(|view| view.state.size > leaf).await?.state);
        let stands = |advance: &FeedAdvance| {
            let position = state.feed_position(&self.config.topic, advance.partition);
            position.is_some_and(|position| position.by == self.me && position.to == advance.to)
        };
        let effective = advances.iter().all(stands);
        if !effective {
            tracing::warn!(
                "{}: leaf {leaf} did not count, since partitions stand elsewhere or are another node's; \
                 going on from the ledger",
                self.config.topic
            );
        }
        Ok(effective)
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

/// Nobody panics while holding it.
fn lock(read: &Mutex<Option<TopicId>>) -> MutexGuard<'_, Option<TopicId>> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}
