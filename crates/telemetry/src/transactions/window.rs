//! Tumbling event-time windows of one Kafka partition.

use super::dimension::Dimension;
use super::latency::Latencies;
use super::layout::Transaction;
use crate::copybook::Decimal;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::{DeviceId, Origin, Reading, Report, RoomId, UnixMillis};

/// Open windows of one partition at most. A thousand regions with ten open windows each fit; keys
/// that are random garbage do not eat the memory.
const MAX_OPEN: usize = 10_000;

/// Windows and what becomes of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WindowConfig {
    /// Width.
    pub width: Duration,
    /// How far the watermark stays behind the latest event time: records up to this late still count.
    pub lateness: Duration,
    /// Event times further than this ahead of our clock are refused: one such record would close
    /// every window before its time.
    pub max_ahead: Duration,
    /// Without records for this long, the clock closes what is open.
    pub idle: Duration,
    /// Response codes that mean success.
    pub ok: BTreeSet<String>,
    /// The device of a key is `{device_prefix}{key}`.
    pub device_prefix: String,
    /// Where the mainframe stands.
    pub room: RoomId,
    /// Each of these has windows of its own.
    pub by: BTreeSet<Dimension>,
}

impl Default for WindowConfig {
    fn default() -> Self {
        Self {
            width: Duration::from_secs(10),
            lateness: Duration::from_secs(5),
            max_ahead: Duration::from_secs(300),
            idle: Duration::from_secs(15),
            ok: BTreeSet::from(["00".to_owned()]),
            device_prefix: "mainframe-".to_owned(),
            room: RoomId::new("mainframe"),
            by: BTreeSet::from([Dimension::Key]),
        }
    }
}

/// What happened to the records, since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Counted in a window.
    pub counted: u64,
    /// Came after their window was closed.
    pub late: u64,
    /// Seen again after a restart; counted before.
    pub replayed: u64,
    /// Too far ahead of our clock.
    pub ahead: u64,
    /// Refused since too many windows were open.
    pub shed: u64,
    /// Windows closed.
    pub windows: u64,
}

/// How far a partition is worked off: what goes into the offset commit and its metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Read again from here: the first record of the oldest window that is still open.
    pub offset: i64,
    /// The next offset that was not seen yet.
    pub seen: i64,
    /// Windows that end here or before are closed and reported.
    pub watermark: UnixMillis,
}

/// Commit metadata that this build did not write.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "offset metadata {0:?} is not \"seen=<offset> watermark=<ms>\"; commit the offset again without metadata to start afresh"
)]
pub struct CheckpointError(pub String);

impl Checkpoint {
    /// For the metadata string of the offset commit.
    pub fn metadata(&self) -> String {
        format!("seen={} watermark={}", self.seen, self.watermark)
    }

    /// The inverse; empty metadata (another tool's commit) means that nothing was seen beyond.
    pub fn parse(offset: i64, metadata: &str) -> Result<Self, CheckpointError> {
        if metadata.is_empty() {
            return Ok(Self {
                offset,
                seen: offset,
                watermark: UnixMillis(0),
            });
        }
        let parts = metadata.split_once(' ').and_then(|(seen, watermark)| {
            Some((
                seen.strip_prefix("seen=")?.parse().ok()?,
                watermark.strip_prefix("watermark=")?.parse().ok()?,
            ))
        });
        let (seen, watermark) = parts.ok_or_else(|| CheckpointError(metadata.to_owned()))?;
        Ok(Self {
            offset,
            seen,
            watermark: UnixMillis(watermark),
        })
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Window {
    first_offset: i64,
    last_offset: i64,
    /// Of the last transaction: which one at its offset, and in which dimension.
    last_part: u32,
    count: u64,
    /// In the largest scale seen.
    amount: Decimal,
    ok: u64,
    latencies: Latencies,
}

/// The windows of one partition. Records come in order of their offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Windows {
    topic: String,
    partition: i32,
    config: WindowConfig,
    /// By start, dimension and value: the order in which they close.
    open: BTreeMap<(u64, Dimension, String), Window>,
    /// Latest event time less the lateness.
    watermark: u64,
    /// Offsets below were seen before a restart.
    replay_until: i64,
    next: i64,
    last_record_at: Option<UnixMillis>,
    counters: Counters,
}

impl Windows {
    /// Nothing seen yet.
    pub fn new(topic: &str, partition: i32, config: WindowConfig) -> Self {
        Self {
            topic: topic.to_owned(),
            partition,
            config,
            open: BTreeMap::new(),
            watermark: 0,
            replay_until: 0,
            next: 0,
            last_record_at: None,
            counters: Counters::default(),
        }
    }

    /// Continues from a checkpoint: records between its `offset` and `seen` come again, those of
    /// windows that are still open count, the others were reported.
    pub fn resume(
        topic: &str,
        partition: i32,
        config: WindowConfig,
        checkpoint: Checkpoint,
    ) -> Self {
        Self {
            watermark: checkpoint.watermark.0,
            replay_until: checkpoint.seen,
            next: checkpoint.offset,
            ..Self::new(topic, partition, config)
        }
    }

    /// One record; windows that it closes are appended to `out`, oldest first. An offset that was
    /// given before is not counted again.
    pub fn observe(
        &mut self,
        now: UnixMillis,
        offset: i64,
        transaction: &Transaction,
        out: &mut Vec<Report>,
    ) {
        self.observe_all(now, offset, std::slice::from_ref(transaction), out);
    }

    /// All transactions of the value at one offset, as [`observe`](Self::observe) takes one.
    pub fn observe_all(
        &mut self,
        now: UnixMillis,
        offset: i64,
        transactions: &[Transaction],
        out: &mut Vec<Report>,
    ) {
        if offset < self.next {
            self.counters.replayed += transactions.len() as u64;
            return;
        }
        self.next = offset + 1;
        self.last_record_at = Some(now);
        for (index, transaction) in (0..).zip(transactions) {
            self.one(now, offset, index, transaction, out);
        }
    }

    fn one(
        &mut self,
        now: UnixMillis,
        offset: i64,
        index: u32,
        transaction: &Transaction,
        out: &mut Vec<Report>,
    ) {
        let time = transaction.time.0;
        if time > now.0.saturating_add(millis(self.config.max_ahead)) {
            self.counters.ahead += 1;
            return;
        }
        let width = millis(self.config.width).max(1);
        let start = time - time % width;
        if start.saturating_add(width) <= self.watermark {
            if offset < self.replay_until {
                self.counters.replayed += 1;
            } else {
                self.counters.late += 1;
            }
            return;
        }
        self.count(offset, index, start, transaction);
        self.watermark = self
            .watermark
            .max(time.saturating_sub(millis(self.config.lateness)));
        self.close(now, out);
    }

    /// Reports what is open and goes on at `offset`, be it ahead or behind.
    pub fn restart(&mut self, now: UnixMillis, offset: i64, out: &mut Vec<Report>) {
        let latest = self.open.keys().map(|(start, ..)| *start).max();
        if let Some(start) = latest {
            let end = start.saturating_add(millis(self.config.width).max(1));
            self.watermark = self.watermark.max(end);
            self.close(now, out);
        }
        self.next = offset;
        self.replay_until = offset;
    }

    /// A record that was refused: it takes its offset and nothing else.
    pub fn skip(&mut self, offset: i64) {
        self.next = self.next.max(offset + 1);
    }

    /// Closes windows by the clock when no record came for [`WindowConfig::idle`].
    pub fn idle(&mut self, now: UnixMillis, out: &mut Vec<Report>) {
        let quiet = millis(self.config.idle);
        if self
            .last_record_at
            .is_some_and(|last| now.0 >= last.0.saturating_add(quiet))
        {
            self.watermark = self.watermark.max(
                now.0
                    .saturating_sub(quiet.saturating_add(millis(self.config.lateness))),
            );
            self.close(now, out);
        }
    }

    /// Where a restart would have to begin, once the reports given out so far are durable.
    pub fn checkpoint(&self) -> Checkpoint {
        let offset = self
            .open
            .values()
            .map(|window| window.first_offset)
            .min()
            .unwrap_or(self.next);
        Checkpoint {
            offset,
            seen: self.next.max(self.replay_until),
            watermark: UnixMillis(self.watermark),
        }
    }

    /// What happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn count(&mut self, offset: i64, index: u32, start: u64, transaction: &Transaction) {
        let mut counted = false;
        for dimension in Dimension::ALL {
            if !self.config.by.contains(&dimension) {
                continue;
            }
            let key = (start, dimension, dimension.of(transaction).to_owned());
            if self.open.len() >= MAX_OPEN && !self.open.contains_key(&key) {
                self.counters.shed += 1;
                continue;
            }
            let window = self.open.entry(key).or_insert_with(|| Window {
                first_offset: offset,
                last_offset: offset,
                last_part: 0,
                count: 0,
                amount: Decimal::default(),
                ok: 0,
                latencies: Latencies::default(),
            });
            window.last_offset = offset;
            // Two windows that end with the same transaction are of two dimensions.
            window.last_part = index
                .saturating_mul(Dimension::ALL.len() as u32)
                .saturating_add(dimension as u32);
            window.count += 1;
            // 31 digits leave room for 10^7 addends in 128 bits; beyond that the sum stays where it is.
            window.amount = window
                .amount
                .checked_add(transaction.amount)
                .unwrap_or(window.amount);
            window.ok += u64::from(self.config.ok.contains(&transaction.response));
            window.latencies.record(transaction.latency_ms);
            counted = true;
        }
        self.counters.counted += u64::from(counted);
    }

    fn close(&mut self, now: UnixMillis, out: &mut Vec<Report>) {
        let width = millis(self.config.width).max(1);
        while let Some(entry) = self.open.first_entry()
            && entry.key().0.saturating_add(width) <= self.watermark
        {
            let ((start, dimension, value), window) = entry.remove_entry();
            self.counters.windows += 1;
            let device = dimension.device(&self.config.device_prefix, &value);
            let end = UnixMillis(start.saturating_add(width));
            out.push(self.report(now, end, device, dimension.class(), &window));
        }
    }

    fn report(
        &self,
        now: UnixMillis,
        end: UnixMillis,
        device: DeviceId,
        class: String,
        window: &Window,
    ) -> Report {
        let count = window.count as f64;
        let errors = (window.count - window.ok) as f64;
        let amount = window.amount.to_f64();
        let reading = |name: &str, value: f64, unit: Option<&str>| Reading {
            name: name.to_owned(),
            value,
            unit: unit.map(str::to_owned),
        };
        Report {
            device,
            room: self.config.room.clone(),
            class,
            device_time: Some(end),
            arrival: now,
            readings: vec![
                reading("count", count, Some("count")),
                reading("amount.sum", amount, None),
                reading("amount.mean", amount / count, None),
                reading("response.ok", window.ok as f64, Some("count")),
                reading("response.error", errors, Some("count")),
                reading("response.error_rate", errors / count, Some("/")),
                reading("latency.mean_ms", window.latencies.mean(), Some("ms")),
                reading(
                    "latency.p95_ms",
                    window.latencies.percentile(95) as f64,
                    Some("ms"),
                ),
            ],
            event: None,
            // A transaction belongs to one window of each dimension, so the last one names the window.
            origin: Origin::Kafka {
                topic: self.topic.clone(),
                partition: self.partition,
                offset: window.last_offset,
                part: window.last_part,
            },
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
