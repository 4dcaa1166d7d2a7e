//! The data space on Eclipse Cyclone DDS.
//!
//! ```text
//! publish ─▶ lane queue (bounded) ─▶ lane thread ─▶ dds_write ─▶ RTPS
//! RTPS ─▶ reader cache (keep-last per key) ─▶ reader thread ─▶ channel (bounded) ─▶ Subscription
//! ```
//! Left of RTPS everything waits for the next, so readers that do not acknowledge (a stopped process,
//! a slow network) in the end make `publish` refuse. Right of it the reader thread waits for the
//! subscriber, and the cache keeps the newest of every key. We bind the C functions ourselves (`sys`, `options`) on the raw bindings; the
//! reasons are in `docs/decisions/0004-dds-through-cyclone.md`.

mod config;
mod descriptor;
mod domain;
mod log;
mod lookup;
pub(crate) mod observer;
pub(crate) mod options;
mod peers;
mod reader;
mod remote;
mod sys;
mod threads;

pub use config::DomainConfig;
pub use domain::{Addresses, JoinError};

use crate::event::{Counters, Meter, SpaceEvent};
use crate::lane::{Item, LANES_MAX, Offer, Queue, lock, validate};
use crate::partition;
use crate::sample::Sample;
use crate::space::{DataSpace, DrainError, PublishError, SpaceFuture, SubscribeError};
use crate::subscription::{Subscription, UNREAD_MAX};
use crate::topic::Topic;
use domain::Domain;
use observer::Observer;
use options::QosSet;
use reader::{ReaderLoop, Stop, StopOnDrop};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use sys::{Code, Entity};
use threads::{Worker, now};
use tokio::sync::{broadcast, mpsc};

/// Events kept for a listener that lags behind: a restart of a large cluster fits.
pub(crate) const EVENTS_KEPT: usize = 256;

/// How long closing waits for accepted samples to be written.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How long closing waits for the threads after that.
const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// A participant of a DDS domain.
pub struct CycloneSpace {
    // Fields drop in this order: endpoints, participant, domain.
    lanes: Mutex<BTreeMap<(String, String), Lane>>,
    /// Topics whose quality of service the configuration changes, by name.
    topics: BTreeMap<String, Topic>,
    readers: Mutex<Vec<(Weak<Stop>, Worker)>>,
    observer: Arc<Observer>,
    observing: Option<Worker>,
    closing: AtomicBool,
    /// Closing has waited long enough for what is queued.
    abandon: Arc<AtomicBool>,
    events: broadcast::Sender<SpaceEvent>,
    meter: Arc<Meter>,
    participant: Arc<Entity>,
    _domain: Arc<Domain>,
}

/// One topic and partition being written.
struct Lane {
    queue: Arc<Queue>,
    writer: Arc<Entity>,
    worker: Worker,
}

impl CycloneSpace {
    /// Joins the domain.
    pub fn join(config: &DomainConfig) -> Result<Self, JoinError> {
        let domain = Domain::open(config)?;
        let participant = domain.participant(config)?;
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let refused = |reason: String| JoinError::Refused {
            domain: config.domain,
            interfaces: Addresses(config.interfaces.clone()),
            reason,
        };
        let observer = Observer::new(&participant, events.clone())
            .map_err(|code| refused(code.to_string()))?;
        let observer = Arc::new(observer);
        let observing = Worker::spawn("dds-observer".into(), {
            let observer = Arc::clone(&observer);
            move || observer.run()
        });
        Ok(Self {
            lanes: Mutex::default(),
            topics: BTreeMap::new(),
            readers: Mutex::default(),
            observer,
            observing: Some(observing.map_err(|error| refused(error.to_string()))?),
            closing: AtomicBool::new(false),
            abandon: Arc::default(),
            events,
            meter: Arc::default(),
            participant,
            _domain: domain,
        })
    }

    /// Uses these for topics of the same names, whatever quality of service a caller brings: what a
    /// configuration says about a topic holds everywhere.
    #[must_use]
    pub fn with_topics(mut self, topics: impl IntoIterator<Item = Topic>) -> Self {
        let named = |topic: Topic| (topic.name().to_owned(), topic);
        self.topics.extend(topics.into_iter().map(named));
        self
    }

    fn configured<'a>(&'a self, topic: &'a Topic) -> &'a Topic {
        self.topics.get(topic.name()).unwrap_or(topic)
    }

    /// The lane's queue; made on first use.
    fn lane(&self, topic: &Topic, partition: &str) -> Result<Arc<Queue>, PublishError> {
        let mut lanes = lock(&self.lanes);
        let id = (topic.name().to_owned(), partition.to_owned());
        if let Some(lane) = lanes.get(&id) {
            return Ok(Arc::clone(&lane.queue));
        }
        if self.closing.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        if lanes.len() >= LANES_MAX {
            let (topic, partition) = id;
            return Err(PublishError::TooManyWriters {
                topic,
                partition,
                limit: LANES_MAX,
            });
        }
        let lane = self
            .open_lane(topic, partition)
            .map_err(|reason| PublishError::Refused {
                topic: topic.name().to_owned(),
                reason,
            })?;
        let queue = Arc::clone(&lane.queue);
        lanes.insert(id, lane);
        Ok(queue)
    }

    fn open_lane(&self, topic: &Topic, partition: &str) -> Result<Lane, String> {
        let topic = self.configured(topic);
        let (qos, text) = (topic.qos(), |code: Code| code.to_string());
        if let Some(fault) = qos.fault() {
            return Err(fault.to_string());
        }
        let name = CString::new(topic.name()).map_err(|error| error.to_string())?;
        let partitions = [CString::new(partition).map_err(|error| error.to_string())?];
        let entity = sys::create_topic(&self.participant, &name).map_err(text)?;
        let group = QosSet::partitions(&partitions);
        let writer = sys::create_writer(&self.participant, &entity, &group, &QosSet::writer(qos))
            .map_err(text)?;
        self.observer
            .watch_writer(&writer, topic.name(), *qos, partition)
            .map_err(text)?;
        let queue = Arc::new(Queue::new(topic));
        let worker = Worker::spawn(format!("dds-w-{partition}"), {
            let (queue, writer, meter) = (
                Arc::clone(&queue),
                Arc::clone(&writer),
                Arc::clone(&self.meter),
            );
            let (topic, abandon) = (topic.name().to_owned(), Arc::clone(&self.abandon));
            move || write_all(&queue, &writer, &meter, &topic, &abandon)
        });
        Ok(Lane {
            queue,
            writer,
            worker: worker.map_err(|error| error.to_string())?,
        })
    }

    fn hand_over(&self, topic: &Topic, partition: &str, item: Item) -> Result<(), PublishError> {
        validate(partition, &item)?;
        let queue = self.lane(topic, partition)?;
        match queue.offer(item, &self.meter) {
            Offer::Accepted | Offer::Replaced => Ok(()),
            Offer::Closed => Err(PublishError::Closed),
            Offer::Full(_) => {
                Meter::add(&self.meter.refused);
                Err(PublishError::Full {
                    topic: topic.name().to_owned(),
                    partition: partition.to_owned(),
                    limit: queue.limit(),
                })
            }
        }
    }

    fn open_reader(
        &self,
        topic: &Topic,
        partitions: &[&str],
        deliveries: mpsc::Sender<crate::Delivery>,
    ) -> Result<Arc<Stop>, String> {
        let topic = self.configured(topic);
        let (qos, text) = (topic.qos(), |code: Code| code.to_string());
        if let Some(fault) = qos.fault() {
            return Err(fault.to_string());
        }
        let name = CString::new(topic.name()).map_err(|error| error.to_string())?;
        let names: Result<Vec<_>, _> = partitions
            .iter()
            .map(|partition| CString::new(*partition))
            .collect();
        let group = QosSet::partitions(&names.map_err(|error| error.to_string())?);
        let entity = sys::create_topic(&self.participant, &name).map_err(text)?;
        let reader = sys::create_reader(&self.participant, &entity, &group, &QosSet::reader(qos))
            .map_err(text)?;
        self.observer
            .watch_reader(&reader, topic.name(), *qos, partitions)
            .map_err(text)?;
        let body = ReaderLoop::new(
            &self.participant,
            reader,
            deliveries,
            Arc::clone(&self.meter),
        )?;
        let stop = body.stop();
        let worker = Worker::spawn(format!("dds-r-{}", topic.name()), move || body.run());
        let mut readers = lock(&self.readers);
        readers.retain(|(_, worker)| !worker.is_finished());
        readers.push((
            Arc::downgrade(&stop),
            worker.map_err(|error| error.to_string())?,
        ));
        Ok(stop)
    }
}

/// The body of a lane's thread.
fn write_all(queue: &Queue, writer: &Entity, meter: &Meter, topic: &str, abandon: &AtomicBool) {
    // What waits is written into shared datagrams, which go out when they are full or when nothing
    // waits any more: a single sample leaves at once, a burst in few packets.
    let next = || {
        queue.take_ready().or_else(|| {
            if let Err(code) = sys::flush(writer) {
                tracing::debug!(topic, %code, "a datagram could not be sent on");
            }
            queue.next()
        })
    };
    while let Some(item) = next() {
        loop {
            let result = match &item {
                Item::Write(sample) => sys::write(writer, sample),
                Item::Dispose(key) => sys::dispose(writer, key),
            };
            match result {
                Ok(()) => Meter::add(&meter.written),
                Err(code) if code.is_timeout() && !abandon.load(Ordering::Acquire) => continue,
                Err(code) => {
                    tracing::warn!(topic, key = item.key(), %code, "a sample could not be written")
                }
            }
            break;
        }
    }
}

impl DataSpace for CycloneSpace {
    fn publish(&self, topic: &Topic, partition: &str, sample: Sample) -> Result<(), PublishError> {
        self.hand_over(topic, partition, Item::Write(sample))
    }

    fn publish_wait<'a>(
        &'a self,
        topic: &'a Topic,
        partition: &'a str,
        sample: Sample,
    ) -> SpaceFuture<'a, Result<(), PublishError>> {
        Box::pin(async move {
            let item = Item::Write(sample);
            validate(partition, &item)?;
            let queue = self.lane(topic, partition)?;
            if queue.push(item, &self.meter).await {
                Ok(())
            } else {
                Err(PublishError::Closed)
            }
        })
    }

    fn dispose(&self, topic: &Topic, partition: &str, key: &str) -> Result<(), PublishError> {
        self.hand_over(topic, partition, Item::Dispose(key.to_owned()))
    }

    fn subscribe(
        &self,
        topic: &Topic,
        partitions: &[&str],
    ) -> Result<Subscription, SubscribeError> {
        check_partitions(topic, partitions)?;
        let (sender, deliveries) = mpsc::channel(UNREAD_MAX);
        let stop = self
            .open_reader(topic, partitions, sender)
            .map_err(|reason| SubscribeError::Refused {
                topic: topic.name().to_owned(),
                reason,
            })?;
        Ok(Subscription::new(
            topic.name(),
            deliveries,
            Box::new(StopOnDrop(stop)),
        ))
    }

    fn events(&self) -> broadcast::Receiver<SpaceEvent> {
        self.events.subscribe()
    }

    fn drain(&self, limit: Duration) -> SpaceFuture<'_, Result<(), DrainError>> {
        Box::pin(async move {
            let deadline = now() + limit;
            let open = |(id, lane): (&(String, String), &Lane)| {
                (
                    id.clone(),
                    Arc::clone(&lane.queue),
                    Arc::clone(&lane.writer),
                )
            };
            let lanes: Vec<_> = lock(&self.lanes).iter().map(open).collect();
            for ((topic, partition), queue, writer) in lanes {
                let late = || DrainError {
                    limit,
                    topic: topic.clone(),
                    partition: partition.clone(),
                };
                let idle = tokio::time::timeout_at(deadline.into(), queue.until_idle());
                idle.await.map_err(|_| late())?;
                let acknowledged = tokio::task::spawn_blocking(move || {
                    sys::wait_for_acks(&writer, deadline.saturating_duration_since(now()))
                });
                if !matches!(acknowledged.await, Ok(Ok(()))) {
                    return Err(late());
                }
            }
            Ok(())
        })
    }

    fn counters(&self) -> Counters {
        self.meter.read()
    }
}

/// Refuses what is no partition to subscribe to.
pub(crate) fn check_partitions(topic: &Topic, partitions: &[&str]) -> Result<(), SubscribeError> {
    if partitions.is_empty() {
        return Err(SubscribeError::NoPartition {
            topic: topic.name().to_owned(),
        });
    }
    match partitions.iter().find(|name| !partition::is_pattern(name)) {
        Some(wrong) => Err(SubscribeError::Partition {
            partition: (*wrong).to_owned(),
        }),
        None => Ok(()),
    }
}

impl Drop for CycloneSpace {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::Release);
        let lanes = std::mem::take(&mut *lock(&self.lanes));
        let drained = now() + DRAIN_LIMIT;
        lanes.values().for_each(|lane| lane.queue.close());
        for ((topic, partition), lane) in &lanes {
            if !lane.worker.ended_by(drained) {
                // Readers are alive but do not acknowledge: give up what is left.
                self.abandon.store(true, Ordering::Release);
                let left = lane.queue.discard();
                tracing::warn!(
                    topic,
                    partition,
                    left,
                    "closing with samples that could not be written"
                );
            }
        }
        let ended = now() + JOIN_LIMIT;
        let readers = std::mem::take(&mut *lock(&self.readers));
        readers
            .iter()
            .filter_map(|(stop, _)| stop.upgrade())
            .for_each(|stop| stop.stop());
        readers
            .into_iter()
            .for_each(|(_, worker)| worker.join_by(ended));
        lanes
            .into_values()
            .for_each(|lane| lane.worker.join_by(ended));
        self.observer.stop();
        if let Some(observing) = self.observing.take() {
            observing.join_by(ended);
        }
    }
}
