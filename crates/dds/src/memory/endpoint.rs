//! A writer and a reader of the in-memory data space, each with what its quality of service makes it
//! remember.

use crate::event::{Meter, Promise, SpaceEvent};
use crate::lane::{Item, Queue};
use crate::partition;
use crate::qos::{Durability, Liveliness, Ownership, Reliability};
use crate::rules::{Policy, mismatch};
use crate::sample::{Delivery, Sample};
use crate::topic::Topic;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Space, topic, partition.
pub(super) type LaneId = (u64, String, String);

/// A sample and when it has outlived its topic's lifespan.
type Expiring<T> = (Option<Instant>, T);

fn fresh<T>(item: &Expiring<T>, now: Instant) -> bool {
    item.0.is_none_or(|end| now < end)
}

/// When each key was last heard of, and how often one was silent for longer than the deadline.
#[derive(Default)]
struct Deadlines {
    heard: BTreeMap<String, Instant>,
    missed: u32,
}

impl Deadlines {
    fn heard(&mut self, deadline: Option<Duration>, key: &str, now: Instant) {
        if deadline.is_some() {
            self.heard.insert(key.to_owned(), now);
        }
    }

    /// Counts what is overdue, each key once a deadline; the keys that are.
    fn check(&mut self, deadline: Option<Duration>, now: Instant) -> Vec<String> {
        let mut overdue = Vec::new();
        let Some(deadline) = deadline else {
            return overdue;
        };
        for (key, heard) in &mut self.heard {
            if *heard + deadline <= now {
                overdue.push(key.clone());
            }
            while *heard + deadline <= now {
                *heard += deadline;
                self.missed = self.missed.saturating_add(1);
            }
        }
        overdue
    }

    fn due(&self, deadline: Option<Duration>) -> Option<Instant> {
        Some(*self.heard.values().min()? + deadline?)
    }
}

/// A writer: one topic and partition of one space.
pub(super) struct Lane {
    pub(super) topic: Topic,
    pub(super) queue: Arc<Queue>,
    /// What late readers get, per key.
    retained: BTreeMap<String, VecDeque<Expiring<Sample>>>,
    deadlines: Deadlines,
    /// For manual liveliness: when it last published.
    asserted: Instant,
    pub(super) alive: bool,
    lost: u32,
}

impl Lane {
    pub(super) fn new(topic: &Topic, queue: Arc<Queue>, now: Instant) -> Self {
        Self {
            topic: topic.clone(),
            queue,
            retained: BTreeMap::new(),
            deadlines: Deadlines::default(),
            asserted: now,
            alive: true,
            lost: 0,
        }
    }

    pub(super) fn refuses(&self, reader: &Reader) -> Option<Policy> {
        mismatch(self.topic.qos(), reader.topic.qos())
    }

    pub(super) fn is_reliable(&self) -> bool {
        self.topic.qos().reliability == Reliability::Reliable
    }

    pub(super) fn strength(&self) -> Option<i32> {
        match self.topic.qos().ownership {
            Ownership::Shared => None,
            Ownership::Exclusive { strength } => Some(strength),
        }
    }

    pub(super) fn expiry(&self, now: Instant) -> Option<Instant> {
        self.topic.qos().lifespan.map(|span| now + span)
    }

    /// Remembers what is being written; whether it brings a silent writer back to life.
    pub(super) fn written(&mut self, item: &Item, now: Instant) -> bool {
        let (qos, expiry) = (*self.topic.qos(), self.expiry(now));
        match (qos.durability, item) {
            (Durability::Volatile, _) => {}
            (Durability::TransientLocal, Item::Dispose(key)) => drop(self.retained.remove(key)),
            (Durability::TransientLocal, Item::Write(sample)) => {
                let samples = self.retained.entry(sample.key.clone()).or_default();
                samples.push_back((expiry, sample.clone()));
                while samples.len() > usize::from(qos.retained.max(1)) {
                    samples.pop_front();
                }
            }
        }
        match item {
            Item::Write(sample) => self.deadlines.heard(qos.deadline, &sample.key, now),
            Item::Dispose(key) => drop(self.deadlines.heard.remove(key)),
        }
        self.asserted = now;
        !std::mem::replace(&mut self.alive, true)
    }

    pub(super) fn retained(&self, now: Instant) -> impl Iterator<Item = Expiring<Sample>> + '_ {
        let all = self.retained.values().flatten();
        all.filter(move |sample| fresh(sample, now)).cloned()
    }

    fn lease(&self) -> Option<Duration> {
        match self.topic.qos().liveliness {
            // In one process a writer that is there lives.
            Liveliness::Automatic { .. } => None,
            Liveliness::ManualByTopic { lease } => Some(lease),
        }
    }

    /// The promises broken by `now`, with how often they were.
    pub(super) fn check(&mut self, now: Instant) -> Vec<(Promise, u32)> {
        let mut broken = Vec::new();
        let overdue = self.deadlines.check(self.topic.qos().deadline, now);
        if !overdue.is_empty() {
            broken.push((Promise::Deadline, self.deadlines.missed));
        }
        if self.alive
            && self
                .lease()
                .is_some_and(|lease| self.asserted + lease <= now)
        {
            self.alive = false;
            self.lost = self.lost.saturating_add(1);
            broken.push((Promise::Liveliness, self.lost));
        }
        broken
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let lease = self.lease().filter(|_| self.alive);
        let life = lease.map(|lease| self.asserted + lease);
        let deadline = self.deadlines.due(self.topic.qos().deadline);
        life.into_iter().chain(deadline).min()
    }
}

/// A reader: one subscription.
pub(super) struct Reader {
    pub(super) space: u64,
    pub(super) topic: Topic,
    pub(super) patterns: Vec<String>,
    /// The counterpart of the cache of a DDS reader.
    cache: VecDeque<Expiring<Delivery>>,
    deliveries: mpsc::Sender<Delivery>,
    deadlines: Deadlines,
    /// For the time filter: when a key was last accepted.
    accepted: BTreeMap<String, Instant>,
    /// With exclusive ownership: who owns a key, and how strong it is.
    owners: BTreeMap<String, (i32, LaneId)>,
}

impl Reader {
    pub(super) fn new(
        space: u64,
        topic: &Topic,
        partitions: &[&str],
        deliveries: mpsc::Sender<Delivery>,
    ) -> Self {
        Self {
            space,
            topic: topic.clone(),
            patterns: partitions.iter().map(|&name| name.to_owned()).collect(),
            cache: VecDeque::new(),
            deliveries,
            deadlines: Deadlines::default(),
            accepted: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    pub(super) fn meets(&self, (_, topic, partition): &LaneId) -> bool {
        self.topic.name() == topic
            && self
                .patterns
                .iter()
                .any(|pattern| partition::matches(pattern, partition))
    }

    /// Takes a delivery from `from`, if it owns the key and the time filter lets it pass. Keep-last:
    /// beyond the backlog the oldest of the key goes.
    pub(super) fn accept(
        &mut self,
        (expiry, delivery): Expiring<Delivery>,
        from: (&LaneId, Option<i32>),
        now: Instant,
    ) {
        let (qos, key) = (*self.topic.qos(), delivery.key().to_owned());
        if let (lane, Some(strength)) = from {
            match self.owners.get(&key) {
                Some((owned, owner)) if owner != lane && *owned >= strength => return,
                Some(_) | None => {
                    self.owners.insert(key.clone(), (strength, lane.clone()));
                }
            }
        }
        if let (Some(filter), Delivery::Sample(_)) = (qos.time_filter, &delivery) {
            let last = self.accepted.get(&key);
            if last.is_some_and(|last| now < *last + filter) {
                return;
            }
            self.accepted.insert(key.clone(), now);
        }
        match &delivery {
            Delivery::Sample(_) => self.deadlines.heard(qos.deadline, &key, now),
            Delivery::Disposed { .. } => {
                self.deadlines.heard.remove(&key);
                self.accepted.remove(&key);
            }
        }
        let same = |cached: &Expiring<Delivery>| cached.1.key() == key;
        if self.cache.iter().filter(|cached| same(cached)).count()
            >= usize::from(qos.backlog.max(qos.retained).max(1))
            && let Some(oldest) = self.cache.iter().position(same)
        {
            self.cache.remove(oldest);
        }
        self.cache.push_back((expiry, delivery));
    }

    /// A writer left or fell silent: what it owned is free.
    pub(super) fn disown(&mut self, lane: &LaneId) {
        self.owners.retain(|_, (_, owner)| owner != lane);
    }

    /// Moves what fits from the cache to the subscriber.
    pub(super) fn feed(&mut self, meter: &Meter, now: Instant) {
        while !self.cache.is_empty() {
            let Ok(permit) = self.deliveries.try_reserve() else {
                return;
            };
            if let Some(item) = self.cache.pop_front()
                && fresh(&item, now)
            {
                permit.send(item.1);
                Meter::add(&meter.delivered);
            }
        }
    }

    /// What is told of the keys that were silent for too long.
    pub(super) fn check(&mut self, now: Instant) -> Vec<SpaceEvent> {
        let Some(deadline) = self.topic.qos().deadline else {
            return Vec::new();
        };
        let overdue = self.deadlines.check(Some(deadline), now);
        let event = |key| SpaceEvent::DeadlineMissed {
            topic: self.topic.name().to_owned(),
            key: Some(key),
            deadline,
            total: self.deadlines.missed,
        };
        overdue.into_iter().map(event).collect()
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.deadlines.due(self.topic.qos().deadline)
    }
}
