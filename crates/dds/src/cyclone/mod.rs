//! The data space on Eclipse Cyclone DDS.
//!
//! ```text
//! publish ─▶ dds_write ─▶ RTPS                                        the lane rests, the sample is small
//!        └─▶ lane queue (bounded) ─▶ lane thread ─▶ dds_write ─▶ RTPS           everything else
//! RTPS ─▶ reader cache (keep-last per key) ─▶ Subscription, woken by the receiving thread
//! ```
//! No write waits: one for which the reliable history has no room answers so, and the lane's thread
//! waits in its place. Readers that do not acknowledge (a stopped process, a slow network) in the end
//! make `publish` refuse. A subscriber that does not read loses the oldest of every key in the cache. We bind the C functions ourselves (`sys`, `options`) on the raw bindings; the
//! reasons are in `docs/decisions/0004-dds-through-cyclone.md`.

mod cdr;
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
mod security;
mod sys;
mod threads;

pub use config::DomainConfig;
pub use domain::{Addresses, JoinError};
pub use security::Security;

use crate::event::{Counters, Meter, SpaceEvent};
use crate::lane::{Item, LANES_MAX, Offer, Queue, lock, validate};
use crate::partition;
use crate::sample::Sample;
use crate::space::{DataSpace, DrainError, PublishError, SpaceFuture, SubscribeError};
use crate::subscription::Subscription;
use crate::topic::Topic;
use domain::Domain;
use observer::Observer;
use options::QosSet;
use reader::{Bell, Feed, Reading};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::CString;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use sys::{Code, Entity};
use threads::{Worker, now};
use tokio::sync::broadcast;

/// Events kept for a listener that lags behind: a restart of a large cluster fits.
pub(crate) const EVENTS_KEPT: usize = 256;

/// How long closing waits for accepted samples to be written.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How long the lane's thread waits for room in the reliable history before it looks whether the space
/// is closing, or whether some of it was acknowledged.
const ROOM_WAIT: Duration = Duration::from_millis(100);

/// A larger sample goes out in several datagrams (Cyclone fills them up to 14,720 bytes): that is left
/// to the lane's thread.
const DIRECT_MAX: usize = 8 << 10;

/// How long closing waits for the threads after that.
const JOIN_LIMIT: Duration = Duration::from_secs(5);

/// A participant of a DDS domain.
pub struct CycloneSpace {
    // Fields drop in this order: endpoints, participant, domain.
    /// By topic, then partition: looked up for every sample, without making a key of both.
    lanes: Mutex<BTreeMap<String, BTreeMap<String, Lane>>>,
    /// Topics whose quality of service the configuration changes, by name.
    topics: BTreeMap<String, Topic>,
    feeds: Mutex<Vec<Weak<Feed>>>,
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
    desk: Arc<Desk>,
    worker: Worker,
}

/// What publishers and the thread of a lane share.
struct Desk {
    topic: String,
    partition: String,
    queue: Queue,
    writer: Arc<Entity>,
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
            feeds: Mutex::default(),
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

    /// The lane's desk; made on first use.
    fn desk(&self, topic: &Topic, partition: &str) -> Result<Arc<Desk>, PublishError> {
        let mut lanes = lock(&self.lanes);
        let known = lanes.get(topic.name());
        if let Some(lane) = known.and_then(|lanes| lanes.get(partition)) {
            return Ok(Arc::clone(&lane.desk));
        }
        if self.closing.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        if lanes.values().map(BTreeMap::len).sum::<usize>() >= LANES_MAX {
            return Err(PublishError::TooManyWriters {
                topic: topic.name().to_owned(),
                partition: partition.to_owned(),
                limit: LANES_MAX,
            });
        }
        let lane = self
            .open_lane(topic, partition)
            .map_err(|reason| PublishError::Refused {
                topic: topic.name().to_owned(),
                reason,
            })?;
        let desk = Arc::clone(&lane.desk);
        let of_topic = lanes.entry(topic.name().to_owned()).or_default();
        of_topic.insert(partition.to_owned(), lane);
        Ok(desk)
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
        let desk = Arc::new(Desk {
            topic: topic.name().to_owned(),
            partition: partition.to_owned(),
            queue: Queue::new(topic),
            writer,
        });
        let worker = Worker::spawn(format!("dds-w-{partition}"), {
            let (desk, meter) = (Arc::clone(&desk), Arc::clone(&self.meter));
            let abandon = Arc::clone(&self.abandon);
            move || write_all(&desk, &meter, &abandon)
        });
        Ok(Lane {
            desk,
            worker: worker.map_err(|error| error.to_string())?,
        })
    }

    fn hand_over(&self, topic: &Topic, partition: &str, item: Item) -> Result<(), PublishError> {
        validate(partition, &item)?;
        let desk = self.desk(topic, partition)?;
        let Some(item) = desk.write_now(item, &self.meter) else {
            return Ok(());
        };
        match desk.queue.offer(item, &self.meter) {
            Offer::Accepted | Offer::Replaced => Ok(()),
            Offer::Closed => Err(PublishError::Closed),
            Offer::Full(_) => {
                Meter::add(&self.meter.refused);
                Err(PublishError::Full {
                    topic: topic.name().to_owned(),
                    partition: partition.to_owned(),
                    limit: desk.queue.limit(),
                })
            }
        }
    }

    fn open_reader(&self, topic: &Topic, partitions: &[&str]) -> Result<Reading, String> {
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
        let bell = Arc::new(Bell::rung());
        let reader = sys::create_reader(
            &self.participant,
            &entity,
            &group,
            &QosSet::reader(qos),
            Arc::clone(&bell),
        )
        .map_err(text)?;
        self.observer
            .watch_reader(&reader, topic.name(), *qos, partitions)
            .map_err(text)?;
        let feed = Arc::new(Feed::new(bell, reader));
        let mut feeds = lock(&self.feeds);
        feeds.retain(|feed| feed.strong_count() > 0);
        feeds.push(Arc::downgrade(&feed));
        Ok(Reading::new(feed, &self.observer, Arc::clone(&self.meter)))
    }
}

impl Desk {
    /// Writes `item` on the caller's thread if the lane is at rest; gives it back otherwise.
    fn write_now(&self, item: Item, meter: &Meter) -> Option<Item> {
        if item.len() > DIRECT_MAX {
            return Some(item);
        }
        let Some(claim) = self.queue.claim(now) else {
            return Some(item);
        };
        Meter::add(&meter.accepted);
        match self.write(&item, meter) {
            Written::Done => self.flush(),
            Written::NoRoom => claim.hand_over(item),
        }
        None
    }

    fn write(&self, item: &Item, meter: &Meter) -> Written {
        let result = match item {
            Item::Write(sample) => sys::write(&self.writer, sample),
            Item::Dispose(key) => sys::dispose(&self.writer, key),
        };
        match result {
            Ok(()) => Meter::add(&meter.written),
            Err(code) if code.is_timeout() => return Written::NoRoom,
            Err(code) => {
                tracing::warn!(topic = self.topic, key = item.key(), %code, "a sample could not be written");
            }
        }
        Written::Done
    }

    fn flush(&self) {
        if let Err(code) = sys::flush(&self.writer) {
            tracing::debug!(topic = self.topic, %code, "a datagram could not be sent on");
        }
    }
}

enum Written {
    /// Or given up with a warning.
    Done,
    /// Readers that live have not acknowledged enough.
    NoRoom,
}

/// The body of a lane's thread.
fn write_all(desk: &Desk, meter: &Meter, abandon: &AtomicBool) {
    // What waits is written into shared datagrams, which go out when they are full or when nothing
    // waits any more: a single sample leaves at once, a burst in few packets.
    let more = |batch: &mut VecDeque<Item>| {
        desk.queue.take_ready(batch) || {
            desk.flush();
            desk.queue.next(now, batch)
        }
    };
    let (mut batch, mut spent) = (VecDeque::new(), Vec::new());
    while more(&mut batch) {
        while let Some(item) = batch.pop_front() {
            while let Written::NoRoom = desk.write(&item, meter) {
                if abandon.load(Ordering::Acquire) {
                    tracing::warn!(
                        topic = desk.topic,
                        key = item.key(),
                        samples = 1 + batch.len(),
                        "closing with samples that could not be written"
                    );
                    return;
                }
                // Fails when the time is over: then it is tried again.
                let _ = sys::wait_for_acks(&desk.writer, ROOM_WAIT);
            }
            spent.push(item);
        }
        desk.queue.give_back(&mut spent);
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
            let desk = self.desk(topic, partition)?;
            let Some(item) = desk.write_now(item, &self.meter) else {
                return Ok(());
            };
            if desk.queue.push(item, &self.meter).await {
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
        let reading =
            self.open_reader(topic, partitions)
                .map_err(|reason| SubscribeError::Refused {
                    topic: topic.name().to_owned(),
                    reason,
                })?;
        Ok(Subscription::new(topic.name(), Box::new(reading)))
    }

    fn events(&self) -> broadcast::Receiver<SpaceEvent> {
        self.events.subscribe()
    }

    fn drain(&self, limit: Duration) -> SpaceFuture<'_, Result<(), DrainError>> {
        Box::pin(async move {
            let deadline = now() + limit;
            let desks: Vec<_> = {
                let lanes = lock(&self.lanes);
                let all = lanes.values().flat_map(BTreeMap::values);
                all.map(|lane| Arc::clone(&lane.desk)).collect()
            };
            for desk in desks {
                let late = || DrainError {
                    limit,
                    topic: desk.topic.clone(),
                    partition: desk.partition.clone(),
                };
                let idle = tokio::time::timeout_at(deadline.into(), desk.queue.until_idle());
                idle.await.map_err(|_| late())?;
                let writer = Arc::clone(&desk.writer);
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
        let lanes: Vec<Lane> = lanes
            .into_values()
            .flat_map(BTreeMap::into_values)
            .collect();
        let drained = now() + DRAIN_LIMIT;
        lanes.iter().for_each(|lane| lane.desk.queue.close());
        for lane in &lanes {
            if !lane.worker.ended_by(drained) {
                // Readers are alive but do not acknowledge: give up what is left.
                self.abandon.store(true, Ordering::Release);
                let left = lane.desk.queue.discard();
                tracing::warn!(
                    topic = lane.desk.topic,
                    partition = lane.desk.partition,
                    left,
                    "closing with samples that could not be written"
                );
            }
        }
        let ended = now() + JOIN_LIMIT;
        let feeds = std::mem::take(&mut *lock(&self.feeds));
        let feeds: Vec<_> = feeds.iter().filter_map(Weak::upgrade).collect();
        feeds.iter().for_each(|feed| feed.close());
        lanes
            .into_iter()
            .for_each(|lane| lane.worker.join_by(ended));
        self.observer.stop();
        if let Some(observing) = self.observing.take() {
            observing.join_by(ended);
        }
    }
}
