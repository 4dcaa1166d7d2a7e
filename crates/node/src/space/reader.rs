//! Off the data space: what opens, and why the rest does not.

use super::{Refused, SealedSpace, lock};
use custody::{OpenError, Origin, Parking, Place};
use dds::{Sample, Topic};
use runtime::clock;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wire::payload::decode_reports;
use wire::{KeyEpoch, NodeId, Report};

/// A sample under a key epoch that this node has not reached waits this long for it. The ledger
/// delivers an epoch within milliseconds, a node that has to rejoin needs a second or two.
const AHEAD_LIMIT: Duration = Duration::from_secs(10);

/// A sample that opened.
#[derive(Debug)]
pub struct Unsealed {
    /// Its key.
    pub key: String,
    /// What was sealed.
    pub plaintext: Vec<u8>,
    /// The writer's clock, in nanoseconds since the Unix epoch.
    pub source_time_ns: i64,
    /// Who wrote it.
    pub writer: NodeId,
}

/// A report taken from the data space.
#[derive(Debug)]
pub struct Taken {
    /// The report.
    pub report: Report,
    /// When it entered the house, by the writer's clock, in nanoseconds since the Unix epoch.
    pub source_time_ns: i64,
    /// Who wrote it.
    pub writer: NodeId,
}

/// A sample that did not open, and whether it may later.
enum Refusal {
    Ahead(KeyEpoch),
    Final(Refused, String),
}

impl SealedSpace {
    fn open(&self, topic: &Topic, partition: &str, sample: &Sample) -> Result<Unsealed, Refusal> {
        let place = Place {
            topic: topic.name(),
            partition,
            key: &sample.key,
        };
        let identity = |node: &NodeId| self.proofs.rules.identity(node);
        let origin = if self.proofs.topics.contains(topic.name()) {
            Origin::Proven(&identity)
        } else {
            Origin::Unasked
        };
        let opened = lock(&self.keyring).open_from(clock::now(), &place, &sample.sealed, origin);
        match opened {
            Ok(opened) => Ok(Unsealed {
                key: sample.key.clone(),
                plaintext: opened.plaintext,
                source_time_ns: sample.source_time_ns,
                writer: opened.writer,
            }),
            Err(OpenError::UnknownEpoch { epoch, newest }) if epoch > newest => {
                Err(Refusal::Ahead(epoch))
            }
            Err(error) => Err(Refusal::Final(Refused::of(&error), error.to_string())),
        }
    }
}

/// Reads one topic in one partition: opens what it can, holds back what is ahead of this node's key epoch.
pub struct TopicReader {
    space: Arc<SealedSpace>,
    topic: Topic,
    partition: String,
    parking: Parking<Sample>,
}

impl TopicReader {
    /// For samples of `topic` in `partition`.
    pub fn new(space: Arc<SealedSpace>, topic: Topic, partition: &str) -> Self {
        Self {
            space,
            topic,
            partition: partition.to_owned(),
            parking: Parking::new(AHEAD_LIMIT),
        }
    }

    /// A sample came. `None`: held back or refused (counted).
    pub fn take(&mut self, sample: Sample) -> Option<Unsealed> {
        match self.space.open(&self.topic, &self.partition, &sample) {
            Ok(unsealed) => Some(unsealed),
            Err(Refusal::Ahead(epoch)) => {
                if self.parking.park(clock::now(), epoch, sample).is_some() {
                    let reason = "held back too many samples of a key epoch not reached";
                    self.refused(Refused::Crowded, reason);
                }
                None
            }
            Err(Refusal::Final(refused, reason)) => {
                self.refused(refused, &reason);
                None
            }
        }
    }

    /// The key epoch moved: what was held back may open now.
    pub fn retry(&mut self) -> Vec<Unsealed> {
        let reached = *self.space.epoch.borrow();
        let given_up = self.parking.give_up(clock::now()).len();
        let reason = "its key epoch did not arrive in time";
        (0..given_up).for_each(|_| self.refused(Refused::EpochAhead, reason));
        self.parking
            .release(reached)
            .into_iter()
            .filter_map(|sample| self.take(sample))
            .collect()
    }

    /// What opened was understood.
    pub fn accepted(&self) {
        let board = &self.space.board;
        board.topic(self.topic.name(), |topic| topic.received += 1);
    }

    /// A sample was dropped.
    pub fn refused(&self, refused: Refused, reason: &str) {
        let board = &self.space.board;
        board.count.dds_refused.fetch_add(1, Relaxed);
        board.topic(self.topic.name(), |topic| {
            *topic.refused.entry(refused.name().to_owned()).or_default() += 1;
        });
        let (topic, partition) = (self.topic.name(), &self.partition);
        tracing::debug!(topic, partition, "sample refused: {reason}");
    }
}

/// Reads the readings of one room.
pub struct RoomReader(TopicReader);

impl RoomReader {
    /// For samples of `partition`.
    pub fn new(space: Arc<SealedSpace>, partition: &str) -> Self {
        Self(TopicReader::new(space, Topic::READINGS, partition))
    }

    /// A sample came: its reports. None: held back or refused (counted).
    pub fn take(&mut self, sample: Sample) -> Vec<Taken> {
        let unsealed = self.0.take(sample);
        unsealed.map_or_else(Vec::new, |unsealed| self.reports(unsealed))
    }

    /// The key epoch moved: what was held back may open now.
    pub fn retry(&mut self) -> Vec<Taken> {
        let unsealed = self.0.retry();
        let reports = unsealed.into_iter().map(|unsealed| self.reports(unsealed));
        reports.flatten().collect()
    }

    fn reports(&self, unsealed: Unsealed) -> Vec<Taken> {
        let reports = match decode_reports(&unsealed.plaintext) {
            Ok(reports) => reports,
            Err(error) => {
                self.0.refused(Refused::NotTyped, &error.to_string());
                return Vec::new();
            }
        };
        let belongs = |report: &Report| {
            report.device.as_str() == unsealed.key && report.room.as_str() == self.0.partition
        };
        if !reports.iter().all(belongs) {
            let reason = "it speaks of another device or room than its key and partition";
            self.0.refused(Refused::Misplaced, reason);
            return Vec::new();
        }
        self.0.accepted();
        let count = &self.0.space.board.count;
        count.dds_received.fetch_add(1, Relaxed);
        if unsealed.writer != self.0.space.me {
            count.dds_received_remote.fetch_add(1, Relaxed);
        }
        let taken = reports.into_iter().map(|report| {
            let readings = report.readings.len() as u64;
            count.readings.fetch_add(readings, Relaxed);
            Taken {
                report,
                source_time_ns: unsealed.source_time_ns,
                writer: unsealed.writer.clone(),
            }
        });
        taken.collect()
    }
}
