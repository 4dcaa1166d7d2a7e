//! The board: what the node's parts count and show. Writers touch atomics or one short lock;
//! readers ([`Board::status`]) take a snapshot. No decision reads the board.

use hdrhistogram::Histogram;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use wire::status::{Bounce, Status, TopicStatus};
use wire::{Alert, NodeId, Role};

/// Raised alerts remembered for the page and the demo's comparison.
const MAX_HISTORY: usize = 500;
/// Bounces remembered for the page: an operator sees who is unreachable, not how often.
const MAX_BOUNCES: usize = 20;
/// Longest latency told apart, in microseconds; longer ones count as this.
const MAX_LATENCY_US: u64 = 60_000_000;

/// Counters that only grow.
#[derive(Default, Debug)]
pub struct Counters {
    /// Mails that no decoder understood.
    pub mail_quarantined: AtomicU64,
    /// Kafka records taken.
    pub kafka_records: AtomicU64,
    /// Kafka records refused by the copybook.
    pub kafka_quarantined: AtomicU64,
    /// Kafka connections rebuilt.
    pub kafka_reconnects: AtomicU64,
    /// Events that Kafka has acknowledged.
    pub exported: AtomicU64,
    /// Scores that were not exported, for lack of room.
    pub export_shed: AtomicU64,
    /// DDS samples written.
    pub dds_published: AtomicU64,
    /// DDS samples opened.
    pub dds_received: AtomicU64,
    /// DDS samples opened that another process wrote.
    pub dds_received_remote: AtomicU64,
    /// DDS samples refused.
    pub dds_refused: AtomicU64,
    /// Readings in opened samples.
    pub readings: AtomicU64,
    /// Sealed bytes written to DDS.
    pub sealed_bytes: AtomicU64,
    /// Windows scored.
    pub scored: AtomicU64,
    /// Models of rounds that explained this node's normal rows too badly to be used here.
    pub models_refused: AtomicU64,
    /// Metrics that were found to have a new normal.
    pub drifts: AtomicU64,
    /// Training examples held.
    pub examples: AtomicU64,
    /// Devices being watched.
    pub devices: AtomicU64,
    /// Alerts raised here.
    pub raised: AtomicU64,
    /// Alerts cleared here.
    pub cleared: AtomicU64,
    /// Alert mails the relay took.
    pub mailed: AtomicU64,
    /// Alert mails waiting.
    pub waiting: AtomicU64,
    /// Alert mails that the relay refused for good.
    pub refused: AtomicU64,
    /// Alert mails that came back, by recipient.
    pub bounced: AtomicU64,
    /// Payload bytes seen in clear on a socket (mail and Kafka without TLS).
    pub plaintext_payload_bytes: AtomicU64,
}

/// A part of the status that its owner computes on demand.
type Section = Box<dyn Fn(&mut Status) + Send + Sync>;

/// Shared by all parts of a node.
pub struct Board {
    node: NodeId,
    started: Instant,
    /// The counters.
    pub count: Counters,
    raised: Mutex<Vec<Alert>>,
    bounces: Mutex<VecDeque<Bounce>>,
    roles: Mutex<Vec<Role>>,
    topics: Mutex<BTreeMap<String, TopicStatus>>,
    latency: Mutex<Histogram<u64>>,
    sections: Mutex<Vec<Section>>,
    held_back: Mutex<Option<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The board holds numbers for people: a writer that panicked leaves them usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Board {
    /// An empty board.
    pub fn new(node: NodeId) -> Arc<Self> {
        let histogram = Histogram::new_with_bounds(1, MAX_LATENCY_US, 3)
            .expect("bounds 1..60 s with 3 digits are valid for HdrHistogram");
        Arc::new(Self {
            node,
            started: Instant::now(),
            count: Counters::default(),
            held_back: Mutex::default(),
            raised: Mutex::default(),
            bounces: Mutex::default(),
            roles: Mutex::default(),
            topics: Mutex::default(),
            latency: Mutex::new(histogram),
            sections: Mutex::default(),
        })
    }

    /// Adds a part that fills in its section whenever the status is read.
    pub fn section(&self, fill: impl Fn(&mut Status) + Send + Sync + 'static) {
        lock(&self.sections).push(Box::new(fill));
    }

    /// Roles this node holds now.
    pub fn set_roles(&self, roles: Vec<Role>) {
        *lock(&self.roles) = roles;
    }

    /// Counts something of a topic of the data space; there are five of them.
    pub fn topic(&self, name: &str, count: impl FnOnce(&mut TopicStatus)) {
        let mut topics = lock(&self.topics);
        match topics.get_mut(name) {
            Some(topic) => count(topic),
            None => count(topics.entry(name.to_owned()).or_default()),
        }
    }

    /// An alert was raised here.
    pub fn raised(&self, alert: &Alert) {
        self.count.raised.fetch_add(1, Relaxed);
        let mut raised = lock(&self.raised);
        if raised.len() < MAX_HISTORY {
            raised.push(alert.clone());
        }
    }

    /// An alert was cleared here.
    pub fn cleared(&self) {
        self.count.cleared.fetch_add(1, Relaxed);
    }

    /// An alert mail did not reach somebody.
    pub fn bounced(&self, bounce: Bounce) {
        self.count.bounced.fetch_add(1, Relaxed);
        let mut bounces = lock(&self.bounces);
        if bounces.len() == MAX_BOUNCES {
            bounces.pop_front();
        }
        bounces.push_back(bounce);
    }

    /// Time from a mail's end of data to its sample opened at the room's owner.
    pub fn mail_to_dds(&self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        lock(&self.latency).saturating_record(micros.clamp(1, MAX_LATENCY_US));
    }

    /// Why partitions of the feed wait; `None`: none does.
    pub fn feed_held_back(&self, reason: Option<String>) {
        *lock(&self.held_back) = reason;
    }

    /// A snapshot.
    pub fn status(&self) -> Status {
        let count = &self.count;
        let mut status = Status {
            node: self.node.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_s: self.started.elapsed().as_secs_f64(),
            roles: lock(&self.roles).clone(),
            plaintext_payload_bytes: count.plaintext_payload_bytes.load(Relaxed),
            ..Status::default()
        };
        status.mail.quarantined = count.mail_quarantined.load(Relaxed);
        status.kafka.records = count.kafka_records.load(Relaxed);
        status.kafka.quarantined = count.kafka_quarantined.load(Relaxed);
        status.kafka.reconnects = count.kafka_reconnects.load(Relaxed);
        status.kafka.held_back = lock(&self.held_back).clone();
        status.export.acknowledged = count.exported.load(Relaxed);
        status.export.shed = count.export_shed.load(Relaxed);
        status.dds.published = count.dds_published.load(Relaxed);
        status.dds.received = count.dds_received.load(Relaxed);
        status.dds.received_remote = count.dds_received_remote.load(Relaxed);
        status.dds.refused = count.dds_refused.load(Relaxed);
        status.dds.topics = lock(&self.topics).clone();
        status.dds.readings = count.readings.load(Relaxed);
        status.dds.sealed_bytes = count.sealed_bytes.load(Relaxed);
        status.learning.scored = count.scored.load(Relaxed);
        status.learning.examples = count.examples.load(Relaxed);
        status.learning.models_refused = count.models_refused.load(Relaxed);
        status.learning.drifts = count.drifts.load(Relaxed);
        status.learning.devices = count.devices.load(Relaxed);
        status.alerts.raised = count.raised.load(Relaxed);
        status.alerts.cleared = count.cleared.load(Relaxed);
        status.alerts.mailed = count.mailed.load(Relaxed);
        status.alerts.waiting = count.waiting.load(Relaxed);
        status.alerts.refused = count.refused.load(Relaxed);
        status.alerts.bounced = count.bounced.load(Relaxed);
        status.alerts.bounces = lock(&self.bounces).iter().cloned().collect();
        status.alerts.history = lock(&self.raised).clone();
        {
            let latency = lock(&self.latency);
            let ms = |quantile: f64| latency.value_at_quantile(quantile) as f64 / 1_000.0;
            status.dds.mail_to_dds_p50_ms = ms(0.5);
            status.dds.mail_to_dds_p99_ms = ms(0.99);
            status.dds.mail_to_dds_count = latency.len();
            status.dds.mail_to_dds_us = latency
                .iter_recorded()
                .map(|value| (value.value_iterated_to(), value.count_at_value()))
                .collect();
        }
        lock(&self.sections)
            .iter()
            .for_each(|fill| fill(&mut status));
        status
    }
}
