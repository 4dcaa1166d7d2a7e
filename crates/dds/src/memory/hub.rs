//! Who writes and reads what, and the moving of samples between them.

use crate::cyclone::observer::incompatible;
use crate::event::{Meter, SpaceEvent};
use crate::lane::{Item, LANES_MAX, Queue};
use crate::partition;
use crate::qos::{Durability, Topic};
use crate::sample::{Delivery, Sample};
use crate::space::PublishError;
use crate::subscription::UNREAD_MAX;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};

/// Space, topic, partition.
type LaneId = (u64, String, String);

#[derive(Default)]
pub(super) struct Hub {
    /// Ids for spaces and readers.
    last: u64,
    spaces: BTreeMap<u64, Space>,
    lanes: BTreeMap<LaneId, Lane>,
    readers: BTreeMap<u64, Reader>,
    /// No lane moves.
    stalled: bool,
}

struct Space {
    events: broadcast::Sender<SpaceEvent>,
    meter: Arc<Meter>,
}

struct Lane {
    topic: Topic,
    queue: Arc<Queue>,
    /// What late readers get, per key.
    retained: BTreeMap<String, VecDeque<Sample>>,
}

struct Reader {
    space: u64,
    topic: Topic,
    patterns: Vec<String>,
    /// The counterpart of the cache of a DDS reader.
    cache: VecDeque<Delivery>,
    deliveries: mpsc::Sender<Delivery>,
}

impl Lane {
    fn compatible(&self, reader: &Reader) -> bool {
        match (self.topic.qos().durability, reader.topic.qos().durability) {
            (Durability::TransientLocal, _) | (Durability::Volatile, Durability::Volatile) => true,
            (Durability::Volatile, Durability::TransientLocal) => false,
        }
    }

    fn retain(&mut self, item: &Item) {
        match (self.topic.qos().durability, item) {
            (Durability::Volatile, _) => {}
            (Durability::TransientLocal, Item::Dispose(key)) => drop(self.retained.remove(key)),
            (Durability::TransientLocal, Item::Write(sample)) => {
                let samples = self.retained.entry(sample.key.clone()).or_default();
                samples.push_back(sample.clone());
                while samples.len() > usize::from(self.topic.qos().retained.max(1)) {
                    samples.pop_front();
                }
            }
        }
    }
}

impl Reader {
    fn meets(&self, (_, topic, partition): &LaneId) -> bool {
        self.topic.name() == topic
            && self
                .patterns
                .iter()
                .any(|pattern| partition::matches(pattern, partition))
    }

    /// Keep-last: beyond the backlog the oldest of the key goes.
    fn accept(&mut self, delivery: Delivery) {
        let (key, qos) = (delivery.key(), self.topic.qos());
        let same = |cached: &Delivery| cached.key() == key;
        if self.cache.iter().filter(|cached| same(cached)).count()
            >= usize::from(qos.backlog.max(qos.retained).max(1))
            && let Some(oldest) = self.cache.iter().position(same)
        {
            self.cache.remove(oldest);
        }
        self.cache.push_back(delivery);
    }

    /// Moves what fits from the cache to the subscriber.
    fn feed(&mut self, meter: &Meter) {
        while !self.cache.is_empty() {
            let Ok(permit) = self.deliveries.try_reserve() else {
                return;
            };
            if let Some(delivery) = self.cache.pop_front() {
                permit.send(delivery);
                Meter::add(&meter.delivered);
            }
        }
    }
}

impl Hub {
    fn next(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    pub(super) fn join(&mut self, events: broadcast::Sender<SpaceEvent>, meter: Arc<Meter>) -> u64 {
        let id = self.next();
        self.spaces.insert(id, Space { events, meter });
        id
    }

    fn tell(&self, space: u64, event: SpaceEvent) {
        if let Some(space) = self.spaces.get(&space) {
            // Fails only when nobody listens.
            let _ = space.events.send(event);
        }
    }

    /// The queue of a lane, which is made on first use.
    pub(super) fn lane(
        &mut self,
        space: u64,
        topic: &Topic,
        partition: &str,
    ) -> Result<Arc<Queue>, PublishError> {
        let id = (space, topic.name().to_owned(), partition.to_owned());
        if let Some(lane) = self.lanes.get(&id) {
            return Ok(Arc::clone(&lane.queue));
        }
        if self
            .lanes
            .keys()
            .filter(|(owner, ..)| *owner == space)
            .count()
            >= LANES_MAX
        {
            let (_, topic, partition) = id;
            return Err(PublishError::TooManyWriters {
                topic,
                partition,
                limit: LANES_MAX,
            });
        }
        let queue = Arc::new(Queue::new(topic));
        let lane = Lane {
            topic: topic.clone(),
            queue: Arc::clone(&queue),
            retained: BTreeMap::new(),
        };
        self.lanes.insert(id.clone(), lane);
        let met: Vec<u64> = self
            .readers
            .iter()
            .filter(|(_, reader)| reader.meets(&id))
            .map(|(id, _)| *id)
            .collect();
        met.into_iter().for_each(|reader| self.meet(&id, reader));
        Ok(queue)
    }

    pub(super) fn lanes_of(&self, space: u64) -> Vec<(String, String, Arc<Queue>)> {
        let mine = self.lanes.iter().filter(|((owner, ..), _)| *owner == space);
        mine.map(|((_, topic, partition), lane)| {
            (topic.clone(), partition.clone(), Arc::clone(&lane.queue))
        })
        .collect()
    }

    pub(super) fn open_reader(
        &mut self,
        space: u64,
        topic: &Topic,
        partitions: &[&str],
    ) -> (u64, mpsc::Receiver<Delivery>) {
        let (deliveries, receiver) = mpsc::channel(UNREAD_MAX);
        let id = self.next();
        let patterns = partitions
            .iter()
            .map(|&pattern| pattern.to_owned())
            .collect();
        let reader = Reader {
            space,
            topic: topic.clone(),
            patterns,
            cache: VecDeque::new(),
            deliveries,
        };
        let met: Vec<LaneId> = self
            .lanes
            .keys()
            .filter(|lane| reader.meets(lane))
            .cloned()
            .collect();
        self.readers.insert(id, reader);
        met.iter().for_each(|lane| self.meet(lane, id));
        (id, receiver)
    }

    /// A lane and a reader of its topic and partition see each other for the first time.
    fn meet(&mut self, lane_id: &LaneId, reader_id: u64) {
        let (Some(lane), Some(reader)) =
            (self.lanes.get(lane_id), self.readers.get_mut(&reader_id))
        else {
            return;
        };
        let (space, topic, partition) = lane_id;
        let reader_space = reader.space;
        if !lane.compatible(reader) {
            let patterns = reader.patterns.join(", ");
            let theirs = incompatible(topic, reader.topic.qos(), "durability", Err(&patterns));
            let ours = incompatible(topic, lane.topic.qos(), "durability", Ok(partition));
            self.tell(
                *space,
                SpaceEvent::IncompatibleQos {
                    topic: topic.clone(),
                    sentence: ours,
                },
            );
            self.tell(
                reader_space,
                SpaceEvent::IncompatibleQos {
                    topic: topic.clone(),
                    sentence: theirs,
                },
            );
            return;
        }
        if reader.topic.qos().durability == Durability::TransientLocal {
            let retained = lane.retained.values().flatten().cloned();
            retained.for_each(|sample| reader.accept(Delivery::Sample(sample)));
        }
        self.tell_counts(lane_id, reader_id, true);
    }

    /// Tells both ends of a match, or of its end.
    fn tell_counts(&self, lane_id: &LaneId, reader_id: u64, matched: bool) {
        let (Some(lane), Some(reader)) = (self.lanes.get(lane_id), self.readers.get(&reader_id))
        else {
            return;
        };
        let (space, topic, partition) = lane_id.clone();
        let others = u32::from(!matched);
        let readers = self
            .readers
            .values()
            .filter(|r| r.meets(lane_id) && lane.compatible(r))
            .count() as u32
            - others;
        let lanes = self
            .lanes
            .iter()
            .filter(|(id, lane)| reader.meets(id) && lane.compatible(reader));
        let writers = lanes.count() as u32 - others;
        let (ours, theirs) = if matched {
            (
                SpaceEvent::ReaderMatched {
                    topic: topic.clone(),
                    partition,
                    readers,
                },
                SpaceEvent::WriterMatched { topic, writers },
            )
        } else {
            (
                SpaceEvent::ReaderLost {
                    topic: topic.clone(),
                    partition,
                    readers,
                },
                SpaceEvent::WriterLost { topic, writers },
            )
        };
        self.tell(space, ours);
        self.tell(reader.space, theirs);
    }

    pub(super) fn close_reader(&mut self, id: u64) {
        let Some(reader) = self.readers.get(&id) else {
            return;
        };
        let met = self
            .lanes
            .iter()
            .filter(|(lane_id, lane)| reader.meets(lane_id) && lane.compatible(reader));
        let met: Vec<LaneId> = met.map(|(lane_id, _)| lane_id.clone()).collect();
        met.iter()
            .for_each(|lane| self.tell_counts(lane, id, false));
        self.readers.remove(&id);
    }

    pub(super) fn leave(&mut self, space: u64) {
        let lanes: Vec<LaneId> = self
            .lanes
            .keys()
            .filter(|(owner, ..)| *owner == space)
            .cloned()
            .collect();
        for lane_id in lanes {
            let Some(lane) = self.lanes.get(&lane_id) else {
                continue;
            };
            lane.queue.close();
            let met = self
                .readers
                .iter()
                .filter(|(_, reader)| reader.meets(&lane_id) && lane.compatible(reader));
            let met: Vec<u64> = met.map(|(id, _)| *id).collect();
            met.into_iter()
                .for_each(|reader| self.tell_counts(&lane_id, reader, false));
            self.lanes.remove(&lane_id);
        }
        let readers: Vec<u64> = self
            .readers
            .iter()
            .filter(|(_, r)| r.space == space)
            .map(|(id, _)| *id)
            .collect();
        readers
            .into_iter()
            .for_each(|reader| self.close_reader(reader));
        self.spaces.remove(&space);
    }

    /// Moves everything as far as it goes.
    pub(super) fn pump(&mut self) {
        self.feed();
        if self.stalled {
            return;
        }
        for (id, lane) in &mut self.lanes {
            while let Some(item) = lane.queue.try_next() {
                lane.retain(&item);
                for reader in self.readers.values_mut() {
                    if !reader.meets(id) || !lane.compatible(reader) {
                        continue;
                    }
                    reader.accept(match &item {
                        Item::Write(sample) => Delivery::Sample(sample.clone()),
                        Item::Dispose(key) => Delivery::Disposed { key: key.clone() },
                    });
                    if let Some(space) = self.spaces.get(&reader.space) {
                        reader.feed(&space.meter);
                    }
                }
                if let Some(space) = self.spaces.get(&id.0) {
                    Meter::add(&space.meter.written);
                }
            }
        }
    }

    /// Stops or resumes all delivery.
    pub(super) fn stall(&mut self, stalled: bool) {
        self.stalled = stalled;
        self.pump();
    }

    fn feed(&mut self) {
        for reader in self.readers.values_mut() {
            if let Some(space) = self.spaces.get(&reader.space) {
                reader.feed(&space.meter);
            }
        }
    }
}
