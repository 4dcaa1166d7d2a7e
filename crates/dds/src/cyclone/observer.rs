//! Turns the status of readers and writers into [`SpaceEvent`]s, on a thread of its own: Cyclone's
//! listeners would run on its receiving threads, under its locks.

use super::options::{Refused, policy};
use super::remote::{self, Kind};
use super::sys::{self, Code, Entity, WaitSet};
use crate::event::{Promise, SpaceEvent};
use crate::lane::lock;
use crate::qos::Qos;
use crate::rules::mismatch;
use crate::sentence::{End, incompatible};
use cyclonedds_rust_sys as c;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use tokio::sync::broadcast;

const WRITER_STATUS: u32 = mask(c::dds_status_id_DDS_PUBLICATION_MATCHED_STATUS_ID)
    | mask(c::dds_status_id_DDS_OFFERED_DEADLINE_MISSED_STATUS_ID)
    | mask(c::dds_status_id_DDS_LIVELINESS_LOST_STATUS_ID)
    | mask(c::dds_status_id_DDS_OFFERED_INCOMPATIBLE_QOS_STATUS_ID);
const READER_STATUS: u32 = mask(c::dds_status_id_DDS_SUBSCRIPTION_MATCHED_STATUS_ID)
    | mask(c::dds_status_id_DDS_REQUESTED_DEADLINE_MISSED_STATUS_ID)
    | mask(c::dds_status_id_DDS_LIVELINESS_CHANGED_STATUS_ID)
    | mask(c::dds_status_id_DDS_REQUESTED_INCOMPATIBLE_QOS_STATUS_ID);

const fn mask(id: u32) -> u32 {
    1 << id
}

/// An endpoint of ours under observation.
struct Watched {
    entity: Weak<Entity>,
    side: Side,
    topic: String,
    qos: Qos,
}

enum Side {
    Writer { partition: String },
    Reader { partitions: Vec<String> },
}

/// Watches the endpoints of one participant.
pub(super) struct Observer {
    participant: Arc<Entity>,
    waits: WaitSet,
    guard: Arc<Entity>,
    watched: Mutex<BTreeMap<isize, Watched>>,
    /// Endpoints to be deleted on this thread, for it takes a while.
    buried: Mutex<Vec<Arc<Entity>>>,
    /// Tokens; 0 is the guard.
    next: AtomicIsize,
    stopped: AtomicBool,
    events: broadcast::Sender<SpaceEvent>,
}

impl Observer {
    pub(super) fn new(
        participant: &Arc<Entity>,
        events: broadcast::Sender<SpaceEvent>,
    ) -> Result<Self, Code> {
        let waits = WaitSet::new(participant)?;
        Ok(Self {
            participant: Arc::clone(participant),
            guard: waits.guard(),
            waits,
            watched: Mutex::default(),
            buried: Mutex::default(),
            next: AtomicIsize::new(1),
            stopped: AtomicBool::new(false),
            events,
        })
    }

    pub(super) fn watch_writer(
        &self,
        entity: &Arc<Entity>,
        topic: &str,
        qos: Qos,
        partition: &str,
    ) -> Result<(), Code> {
        self.watch(
            entity,
            WRITER_STATUS,
            topic,
            qos,
            Side::Writer {
                partition: partition.to_owned(),
            },
        )
    }

    pub(super) fn watch_reader(
        &self,
        entity: &Arc<Entity>,
        topic: &str,
        qos: Qos,
        partitions: &[&str],
    ) -> Result<(), Code> {
        self.watch(
            entity,
            READER_STATUS,
            topic,
            qos,
            Side::Reader {
                partitions: partitions.iter().map(|&name| name.to_owned()).collect(),
            },
        )
    }

    fn watch(
        &self,
        entity: &Arc<Entity>,
        status: u32,
        topic: &str,
        qos: Qos,
        side: Side,
    ) -> Result<(), Code> {
        let token = self.next.fetch_add(1, Ordering::Relaxed);
        let watched = Watched {
            entity: Arc::downgrade(entity),
            side,
            topic: topic.to_owned(),
            qos,
        };
        {
            let mut all = lock(&self.watched);
            all.retain(|_, watched| watched.entity.strong_count() > 0);
            all.insert(token, watched);
        }
        entity.set_status_mask(status)?;
        self.waits.attach(entity, token)?;
        // A match that came before the attachment waits in the status; look once.
        self.look(token);
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.guard.trigger(true);
    }

    /// Deletes `entity` soon.
    pub(super) fn bury(&self, entity: Arc<Entity>) {
        lock(&self.buried).push(entity);
        self.guard.trigger(true);
    }

    /// The thread's body.
    pub(super) fn run(&self) {
        let mut tokens = Vec::new();
        while !self.stopped.load(Ordering::Acquire) {
            if let Err(code) = self.waits.wait(&mut tokens) {
                tracing::debug!(%code, "the data space observer ends");
                return;
            }
            // Before looking, so that what is buried meanwhile triggers it again.
            self.guard.trigger(false);
            let buried = std::mem::take(&mut *lock(&self.buried));
            buried.iter().for_each(|entity| entity.delete());
            tokens.iter().for_each(|token| self.look(*token));
        }
    }

    fn look(&self, token: isize) {
        let mut found = Vec::new();
        if let Some(watched) = lock(&self.watched).get(&token)
            && let Some(entity) = watched.entity.upgrade()
            && let Err(code) = watched.changes(&self.participant, &entity, &mut found)
        {
            tracing::debug!(%code, topic = watched.topic, "the status of an endpoint could not be read");
        }
        for event in found {
            // Fails only when nobody listens.
            let _ = self.events.send(event);
        }
    }
}

impl Watched {
    fn changes(
        &self,
        participant: &Arc<Entity>,
        entity: &Entity,
        out: &mut Vec<SpaceEvent>,
    ) -> Result<(), Code> {
        let topic = || self.topic.clone();
        match &self.side {
            Side::Writer { partition } => {
                let matched = sys::readers_of(entity)?;
                let readers = matched.current;
                match matched.change {
                    1.. => out.push(SpaceEvent::ReaderMatched {
                        topic: topic(),
                        partition: partition.clone(),
                        readers,
                    }),
                    ..0 => out.push(SpaceEvent::ReaderLost {
                        topic: topic(),
                        partition: partition.clone(),
                        readers,
                    }),
                    0 => {}
                }
                for (promise, (change, total)) in [
                    (Promise::Deadline, sys::broken_deadline(entity)?),
                    (Promise::Liveliness, sys::broken_liveliness(entity)?),
                ] {
                    if change > 0 {
                        out.push(SpaceEvent::PromiseBroken {
                            topic: topic(),
                            partition: partition.clone(),
                            promise,
                            total,
                        });
                    }
                }
                let (change, policy) = sys::offered(entity)?;
                if change > 0 {
                    out.push(SpaceEvent::IncompatibleQos {
                        topic: topic(),
                        sentence: self.sentence(participant, policy),
                    });
                }
            }
            Side::Reader { partitions } => {
                let partitions = || partitions.join(", ");
                let matched = sys::writers_of(entity)?;
                match matched.change {
                    1.. => out.push(SpaceEvent::WriterMatched {
                        topic: topic(),
                        writers: matched.current,
                    }),
                    ..0 => out.push(SpaceEvent::WriterLost {
                        topic: topic(),
                        writers: matched.current,
                    }),
                    0 => {}
                }
                let missed = sys::deadline(entity)?;
                if missed.change > 0 {
                    out.push(SpaceEvent::DeadlineMissed {
                        topic: topic(),
                        key: sys::key_of(entity, missed.instance),
                        deadline: self.qos.deadline.unwrap_or_default(),
                        total: missed.total,
                    });
                }
                let life = sys::liveliness(entity)?;
                let (alive, silent) = (life.alive, life.silent);
                match life.change {
                    1.. => out.push(SpaceEvent::LivelinessLost {
                        topic: topic(),
                        partitions: partitions(),
                        alive,
                        silent,
                    }),
                    ..0 => out.push(SpaceEvent::LivelinessRegained {
                        topic: topic(),
                        partitions: partitions(),
                        alive,
                        silent,
                    }),
                    0 => {}
                }
                let (change, policy) = sys::requested(entity)?;
                if change > 0 {
                    out.push(SpaceEvent::IncompatibleQos {
                        topic: topic(),
                        sentence: self.sentence(participant, policy),
                    });
                }
            }
        }
        Ok(())
    }

    /// Names both ends of a mismatch; the other end as far as discovery knows it.
    fn sentence(&self, participant: &Arc<Entity>, id: u32) -> String {
        let (kind, end, partitions) = match &self.side {
            Side::Writer { partition } => (Kind::Readers, End::Writer, vec![partition.clone()]),
            Side::Reader { partitions } => (Kind::Writers, End::Reader, partitions.clone()),
        };
        let policy = policy(id);
        let at_fault = |theirs: &Qos| match (policy, end) {
            (Refused::Ours(policy), End::Writer) => mismatch(&self.qos, theirs) == Some(policy),
            (Refused::Ours(policy), End::Reader) => mismatch(theirs, &self.qos) == Some(policy),
            // Cyclone does not tell on which end it failed, and we do not know the policy.
            (Refused::Other(_), End::Writer | End::Reader) => false,
        };
        let others = remote::endpoints(participant, kind, &self.topic).unwrap_or_default();
        let others = others
            .into_iter()
            .filter(|other| other.shares(&partitions) && at_fault(&other.qos));
        let (name, says) = match policy {
            Refused::Ours(policy) => (policy.to_string(), Some(policy)),
            Refused::Other(name) => (name.to_owned(), None),
        };
        let words = |qos: &Qos| says.map(|policy| policy.of(qos));
        let others: Vec<_> = others
            .map(|other| (words(&other.qos), other.name))
            .collect();
        let ours = (partitions.join(", "), words(&self.qos));
        incompatible(&self.topic, &name, end, ours, &others)
    }
}
