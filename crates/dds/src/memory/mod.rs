//! The data space inside one process: the same promises without threads or sockets, on tokio's clock,
//! so that tests are fast and a simulation with the same inputs has the same outputs.
//!
//! Deadlines and leases are kept by one task, which runs only once a topic has any. Left out: the
//! loss and delay of a network (a simulation puts those around the port).

mod endpoint;
mod hub;
mod timekeeper;

use crate::cyclone::{EVENTS_KEPT, check_partitions};
use crate::event::{Counters, Meter, SpaceEvent};
use crate::lane::{Item, Offer, Queue, lock, validate};
use crate::sample::{Delivery, Sample};
use crate::space::{DataSpace, DrainError, PublishError, SpaceFuture, SubscribeError};
use crate::subscription::{Subscription, Upstream};
use crate::topic::Topic;
use hub::Hub;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use timekeeper::Timekeeper;
use tokio::sync::{broadcast, mpsc};

/// What the spaces of one process have in common; the counterpart of a DDS domain.
#[derive(Clone, Default)]
pub struct MemoryDomain {
    hub: Arc<Mutex<Hub>>,
}

impl MemoryDomain {
    /// An empty domain.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops (`true`) or resumes delivery, as a network that drops everything for a while does: what
    /// is published waits in its queue, and a full queue refuses.
    pub fn stall(&self, stalled: bool) {
        lock(&self.hub).stall(stalled);
    }

    /// A participant of its own.
    pub fn join(&self) -> MemorySpace {
        let (events, _) = broadcast::channel(EVENTS_KEPT);
        let meter = Arc::new(Meter::default());
        let id = lock(&self.hub).join(events.clone(), Arc::clone(&meter));
        MemorySpace {
            hub: Arc::clone(&self.hub),
            id,
            events,
            meter,
            closed: AtomicBool::new(false),
        }
    }
}

/// A participant of a [`MemoryDomain`].
pub struct MemorySpace {
    hub: Arc<Mutex<Hub>>,
    id: u64,
    events: broadcast::Sender<SpaceEvent>,
    meter: Arc<Meter>,
    closed: AtomicBool,
}

impl MemorySpace {
    fn queue(
        &self,
        topic: &Topic,
        partition: &str,
        item: &Item,
    ) -> Result<Arc<Queue>, PublishError> {
        validate(partition, item)?;
        if self.closed.load(Ordering::Acquire) {
            return Err(PublishError::Closed);
        }
        if let Some(fault) = topic.qos().fault() {
            return Err(PublishError::Refused {
                topic: topic.name().to_owned(),
                reason: fault.to_string(),
            });
        }
        self.keep_time(topic);
        lock(&self.hub).lane(self.id, topic, partition)
    }

    /// A topic with a deadline or a lease needs somebody who looks at the clock.
    fn keep_time(&self, topic: &Topic) {
        let qos = topic.qos();
        if qos.deadline.is_some() || qos.liveliness.lease().is_some() {
            let mut hub = lock(&self.hub);
            if hub.timekeeper.is_none() {
                hub.timekeeper = Timekeeper::start(&self.hub);
            }
        }
    }

    fn hand_over(&self, topic: &Topic, partition: &str, item: Item) -> Result<(), PublishError> {
        let queue = self.queue(topic, partition, &item)?;
        let offer = queue.offer(item, &self.meter);
        lock(&self.hub).pump();
        match offer {
            Offer::Accepted | Offer::Replaced => Ok(()),
            Offer::Closed => Err(PublishError::Closed),
            Offer::Full(_) => {
                Meter::add(&self.meter.refused);
                let (topic, partition) = (topic.name().to_owned(), partition.to_owned());
                Err(PublishError::Full {
                    topic,
                    partition,
                    limit: queue.limit(),
                })
            }
        }
    }
}

/// In a subscription: its channel, and whom to tell that there is room in it.
struct Reader {
    hub: Arc<Mutex<Hub>>,
    id: u64,
    deliveries: mpsc::Receiver<Delivery>,
}

impl Upstream for Reader {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        let delivery = ready!(self.deliveries.poll_recv(context));
        lock(&self.hub).pump();
        Poll::Ready(delivery)
    }

    fn try_next(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.try_recv().ok();
        lock(&self.hub).pump();
        delivery
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.deliveries.close();
        let mut hub = lock(&self.hub);
        hub.close_reader(self.id);
        hub.pump();
    }
}

impl DataSpace for MemorySpace {
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
            let queue = self.queue(topic, partition, &item)?;
            if !queue.push(item, &self.meter).await {
                return Err(PublishError::Closed);
            }
            lock(&self.hub).pump();
            Ok(())
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
        if let Some(fault) = topic.qos().fault() {
            return Err(SubscribeError::Refused {
                topic: topic.name().to_owned(),
                reason: fault.to_string(),
            });
        }
        self.keep_time(topic);
        let mut hub = lock(&self.hub);
        let (id, deliveries) = hub.open_reader(self.id, topic, partitions);
        hub.pump();
        let reader = Reader {
            hub: Arc::clone(&self.hub),
            id,
            deliveries,
        };
        Ok(Subscription::new(topic.name(), Box::new(reader)))
    }

    fn events(&self) -> broadcast::Receiver<SpaceEvent> {
        self.events.subscribe()
    }

    fn drain(&self, limit: Duration) -> SpaceFuture<'_, Result<(), DrainError>> {
        Box::pin(async move {
            let lanes = lock(&self.hub).lanes_of(self.id);
            let deadline = tokio::time::Instant::now() + limit;
            for (topic, partition, queue) in lanes {
                let idle = tokio::time::timeout_at(deadline, queue.until_idle());
                idle.await.map_err(|_| DrainError {
                    limit,
                    topic,
                    partition,
                })?;
            }
            Ok(())
        })
    }

    fn counters(&self) -> Counters {
        self.meter.read()
    }
}

impl Drop for MemorySpace {
    fn drop(&mut self) {
        self.closed.store(true, Ordering::Release);
        let mut hub = lock(&self.hub);
        hub.pump();
        hub.leave(self.id);
        hub.pump();
    }
}
