//! Who writes and reads what, and the moving of samples between them.

use super::endpoint::{Lane, LaneId, Reader};
use super::timekeeper::Timekeeper;
use crate::event::{Meter, Promise, SpaceEvent};
use crate::lane::{Item, LANES_MAX, Queue};
use crate::qos::Durability;
use crate::rules::Policy;
use crate::sample::Delivery;
use crate::sentence::{End, incompatible};
use crate::space::PublishError;
use crate::subscription::UNREAD_MAX;
use crate::topic::Topic;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc};
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct Hub {
    /// Ids for spaces and readers.
    last: u64,
    spaces: BTreeMap<u64, Space>,
    lanes: BTreeMap<LaneId, Lane>,
    readers: BTreeMap<u64, Reader>,
    /// No lane moves.
    stalled: bool,
    /// Runs once a topic with a deadline or a lease is there.
    pub(super) timekeeper: Option<Timekeeper>,
}

struct Space {
    events: broadcast::Sender<SpaceEvent>,
    meter: Arc<Meter>,
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
        let lane = Lane::new(topic, Arc::clone(&queue), Instant::now());
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
        let reader = Reader::new(space, topic, partitions, deliveries);
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
        if let Some(policy) = lane.refuses(reader) {
            self.tell_mismatch(lane_id, reader_id, policy);
            return;
        }
        if reader.topic.qos().durability == Durability::TransientLocal {
            let now = Instant::now();
            for (expiry, sample) in lane.retained(now) {
                let from = (lane_id, lane.strength());
                reader.accept((expiry, Delivery::Sample(sample)), from, now);
            }
        }
        self.tell_counts(lane_id, reader_id, true);
    }

    fn tell_mismatch(&self, lane_id: &LaneId, reader_id: u64, policy: Policy) {
        let (Some(lane), Some(reader)) = (self.lanes.get(lane_id), self.readers.get(&reader_id))
        else {
            return;
        };
        let (space, topic, partition) = lane_id;
        let says = |topic: &Topic| Some(policy.of(topic.qos()));
        let (partitions, name) = (reader.patterns.join(", "), policy.to_string());
        let theirs = (says(&lane.topic), format!("space {space} of this process"));
        let ours = (partitions, says(&reader.topic));
        let to_reader = incompatible(topic, &name, End::Reader, ours, &[theirs]);
        let theirs = (
            says(&reader.topic),
            format!("space {} of this process", reader.space),
        );
        let ours = (partition.clone(), says(&lane.topic));
        let to_writer = incompatible(topic, &name, End::Writer, ours, &[theirs]);
        for (space, sentence) in [(*space, to_writer), (reader.space, to_reader)] {
            let topic = topic.clone();
            self.tell(space, SpaceEvent::IncompatibleQos { topic, sentence });
        }
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
            .filter(|r| r.meets(lane_id) && lane.refuses(r).is_none())
            .count() as u32
            - others;
        let lanes = self
            .lanes
            .iter()
            .filter(|(id, lane)| reader.meets(id) && lane.refuses(reader).is_none());
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
            .filter(|(lane_id, lane)| reader.meets(lane_id) && lane.refuses(reader).is_none());
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
                .filter(|(_, reader)| reader.meets(&lane_id) && lane.refuses(reader).is_none());
            let met: Vec<u64> = met.map(|(id, _)| *id).collect();
            met.into_iter()
                .for_each(|reader| self.tell_counts(&lane_id, reader, false));
            self.readers
                .values_mut()
                .for_each(|reader| reader.disown(&lane_id));
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
        let now = Instant::now();
        self.feed(now);
        let mut revived = Vec::new();
        for (id, lane) in &mut self.lanes {
            // A network that drops everything holds up what is sent again, and loses the rest.
            if self.stalled && lane.is_reliable() {
                continue;
            }
            while let Some(item) = lane.queue.try_next() {
                if lane.written(&item, now) {
                    revived.push(id.clone());
                }
                let (expiry, from) = (lane.expiry(now), (id, lane.strength()));
                for reader in self.readers.values_mut() {
                    if self.stalled || !reader.meets(id) || lane.refuses(reader).is_some() {
                        continue;
                    }
                    let delivery = match &item {
                        Item::Write(sample) => Delivery::Sample(sample.clone()),
                        Item::Dispose(key) => Delivery::Disposed { key: key.clone() },
                    };
                    reader.accept((expiry, delivery), from, now);
                    if let Some(space) = self.spaces.get(&reader.space) {
                        reader.feed(&space.meter, now);
                    }
                }
                if let Some(space) = self.spaces.get(&id.0) {
                    Meter::add(&space.meter.written);
                }
            }
        }
        revived.iter().for_each(|lane| self.tell_life(lane, true));
        if let Some(timekeeper) = &self.timekeeper {
            timekeeper.look();
        }
    }

    /// Tells of what is overdue; when something next will be.
    pub(super) fn tick(&mut self) -> Option<Instant> {
        let now = Instant::now();
        let (mut told, mut silent) = (Vec::new(), Vec::new());
        for (id, lane) in &mut self.lanes {
            for (promise, total) in lane.check(now) {
                let (space, topic, partition) = id.clone();
                let event = SpaceEvent::PromiseBroken {
                    topic,
                    partition,
                    promise,
                    total,
                };
                told.push((space, event));
                match promise {
                    Promise::Deadline => {}
                    Promise::Liveliness => silent.push(id.clone()),
                }
            }
        }
        for reader in self.readers.values_mut() {
            let events = reader.check(now);
            told.extend(events.into_iter().map(|event| (reader.space, event)));
        }
        told.into_iter()
            .for_each(|(space, event)| self.tell(space, event));
        silent.iter().for_each(|lane| self.tell_life(lane, false));
        let lanes = self.lanes.values().filter_map(Lane::due);
        lanes
            .chain(self.readers.values().filter_map(Reader::due))
            .min()
    }

    /// Tells the readers of a lane that it fell silent or came back.
    fn tell_life(&mut self, lane_id: &LaneId, alive: bool) {
        let Some(lane) = self.lanes.get(lane_id) else {
            return;
        };
        let mut told = Vec::new();
        for reader in self.readers.values_mut() {
            if !reader.meets(lane_id) || lane.refuses(reader).is_some() {
                continue;
            }
            if !alive {
                reader.disown(lane_id);
            }
            let writers = self
                .lanes
                .iter()
                .filter(|(id, lane)| reader.meets(id) && lane.refuses(reader).is_none());
            let (live, dead): (Vec<_>, Vec<_>) = writers.partition(|(_, lane)| lane.alive);
            let topic = reader.topic.name().to_owned();
            let (living, silent) = (live.len() as u32, dead.len() as u32);
            let partitions = reader.patterns.join(", ");
            let event = if alive {
                SpaceEvent::LivelinessRegained {
                    topic,
                    partitions,
                    alive: living,
                    silent,
                }
            } else {
                SpaceEvent::LivelinessLost {
                    topic,
                    partitions,
                    alive: living,
                    silent,
                }
            };
            told.push((reader.space, event));
        }
        told.into_iter()
            .for_each(|(space, event)| self.tell(space, event));
    }

    /// Stops or resumes all delivery.
    pub(super) fn stall(&mut self, stalled: bool) {
        self.stalled = stalled;
        self.pump();
    }

    fn feed(&mut self, now: Instant) {
        for reader in self.readers.values_mut() {
            if let Some(space) = self.spaces.get(&reader.space) {
                reader.feed(&space.meter, now);
            }
        }
    }
}
