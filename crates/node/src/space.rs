//! The sealed way onto the data space and off it: what `custody` seals and `dds` carries.

use crate::board::Board;
use custody::{EpochSecrets, Grace, Keyring, OpenError, Parking, Place, SealError, Sealer};
use dds::{DataSpace, PublishError, Sample, Topic};
use runtime::clock;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use wire::{DecodeError, KeyEpoch, NodeId, Report};

/// A sample under a key epoch that this node has not reached waits this long for it. The ledger
/// delivers an epoch within milliseconds, a node that has to rejoin needs a second or two.
const AHEAD_LIMIT: Duration = Duration::from_secs(10);
/// A publisher waits this long for the first key epoch after a start: an election and a join.
const FIRST_KEY_LIMIT: Duration = Duration::from_secs(30);

/// Why a report did not get onto the data space.
#[derive(Debug, thiserror::Error)]
pub enum PublishFailure {
    /// This node is in no key group yet.
    #[error("no key epoch within {}s: this node has not joined the key group; is a majority of the cluster up?", FIRST_KEY_LIMIT.as_secs())]
    NoKey,
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The data space refused.
    #[error(transparent)]
    Space(#[from] PublishError),
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
    Final(String),
}

/// Shared by everything that publishes or reads.
pub struct SealedSpace {
    me: NodeId,
    space: Arc<dyn DataSpace>,
    keyring: Mutex<Keyring>,
    sealer: Mutex<Sealer>,
    epoch: watch::Sender<KeyEpoch>,
    board: Arc<Board>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Neither keyring nor sealer is left half-changed by a panic: both update after success.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SealedSpace {
    /// Over `space`, with no key epoch yet.
    pub fn new(
        me: NodeId,
        space: Arc<dyn DataSpace>,
        sealer: Sealer,
        grace: Grace,
        board: Arc<Board>,
    ) -> Arc<Self> {
        Arc::new(Self {
            me,
            space,
            keyring: Mutex::new(Keyring::new(grace)),
            sealer: Mutex::new(sealer),
            epoch: watch::Sender::new(KeyEpoch(0)),
            board,
        })
    }

    /// The data space below.
    pub fn space(&self) -> &Arc<dyn DataSpace> {
        &self.space
    }

    /// A new key epoch: sealing moves to it, the former ones stay readable for their grace.
    pub fn start_epoch(&self, secrets: EpochSecrets) {
        let epoch = secrets.epoch;
        lock(&self.keyring).start(clock::now(), secrets);
        self.epoch.send_replace(epoch);
    }

    /// Who holds the keys that samples are sealed with now; empty before the first epoch.
    pub fn holders(&self) -> BTreeSet<NodeId> {
        let keyring = lock(&self.keyring);
        keyring
            .current()
            .map(|secrets| secrets.holders.clone())
            .unwrap_or_default()
    }

    /// The oldest key epoch whose samples still open here, and the newest.
    pub fn readable(&self) -> Option<(KeyEpoch, KeyEpoch)> {
        let mut keyring = lock(&self.keyring);
        keyring.expire(clock::now());
        let mut epochs = keyring.epochs();
        let oldest = epochs.next()?;
        Some((oldest, epochs.last().unwrap_or(oldest)))
    }

    /// Follows the key epoch.
    pub fn epochs(&self) -> watch::Receiver<KeyEpoch> {
        self.epoch.subscribe()
    }

    /// Seals and publishes one report in its room's partition; waits for room in the queue.
    pub async fn publish(
        &self,
        report: &Report,
        source_time_ns: i64,
    ) -> Result<(), PublishFailure> {
        let topic = Topic::READINGS;
        let room = report.room.as_str();
        self.publish_bytes(
            &topic,
            room,
            report.device.as_str(),
            &wire::encode(report),
            source_time_ns,
        )
        .await
    }

    /// Seals and publishes any bytes.
    pub async fn publish_bytes(
        &self,
        topic: &Topic,
        partition: &str,
        key: &str,
        plaintext: &[u8],
        source_time_ns: i64,
    ) -> Result<(), PublishFailure> {
        let mut epochs = self.epoch.subscribe();
        let first = epochs.wait_for(|epoch| epoch.0 > 0);
        tokio::time::timeout(FIRST_KEY_LIMIT, first)
            .await
            .ok()
            .and_then(Result::ok)
            .ok_or(PublishFailure::NoKey)?;
        let place = Place {
            topic: topic.name(),
            partition,
            key,
        };
        let (key_epoch, sequence, sealed) = {
            let keyring = lock(&self.keyring);
            let mut sealer = lock(&self.sealer);
            let secrets = keyring.current();
            let epoch = secrets.map_or(0, |secrets| secrets.epoch.0);
            let sequence = sealer.next_sequence().unwrap_or(u64::MAX);
            (epoch, sequence, sealer.seal(secrets, &place, plaintext)?)
        };
        let bytes = sealed.len() as u64;
        let sample = Sample {
            key: key.to_owned(),
            writer: self.me.to_string(),
            sequence,
            key_epoch,
            source_time_ns,
            sealed,
        };
        self.space.publish_wait(topic, partition, sample).await?;
        self.board.count.dds_published.fetch_add(1, Relaxed);
        self.board.count.sealed_bytes.fetch_add(bytes, Relaxed);
        Ok(())
    }

    fn open(&self, partition: &str, sample: &Sample) -> Result<Taken, Refusal> {
        let topic = Topic::READINGS;
        let place = Place {
            topic: topic.name(),
            partition,
            key: &sample.key,
        };
        let opened = lock(&self.keyring)
            .open(clock::now(), &place, &sample.sealed)
            .map_err(|error| match error {
                OpenError::UnknownEpoch { epoch, newest } if epoch > newest => {
                    Refusal::Ahead(epoch)
                }
                OpenError::UnknownEpoch { .. }
                | OpenError::Retired { .. }
                | OpenError::Tampered { .. }
                | OpenError::Replayed { .. }
                | OpenError::Crowded { .. }
                | OpenError::Malformed { .. } => Refusal::Final(error.to_string()),
            })?;
        let report: Result<Report, DecodeError> = wire::decode(&opened.plaintext);
        let report = report.map_err(|error| Refusal::Final(error.to_string()))?;
        Ok(Taken {
            report,
            source_time_ns: sample.source_time_ns,
            writer: opened.writer,
        })
    }
}

/// Reads one room: opens what it can, holds back what is ahead of this node's key epoch.
pub struct RoomReader {
    space: Arc<SealedSpace>,
    partition: String,
    parking: Parking<Sample>,
}

impl RoomReader {
    /// For samples of `partition`.
    pub fn new(space: Arc<SealedSpace>, partition: &str) -> Self {
        Self {
            space,
            partition: partition.to_owned(),
            parking: Parking::new(AHEAD_LIMIT),
        }
    }

    /// A sample came. `None`: held back or refused (counted).
    pub fn take(&mut self, sample: Sample) -> Option<Taken> {
        match self.space.open(&self.partition, &sample) {
            Ok(taken) => {
                let count = &self.space.board.count;
                count.dds_received.fetch_add(1, Relaxed);
                count
                    .readings
                    .fetch_add(taken.report.readings.len() as u64, Relaxed);
                if taken.writer != self.space.me {
                    count.dds_received_remote.fetch_add(1, Relaxed);
                }
                Some(taken)
            }
            Err(Refusal::Ahead(epoch)) => {
                if self.parking.park(clock::now(), epoch, sample).is_some() {
                    self.refused("held back too many samples of a key epoch not reached");
                }
                None
            }
            Err(Refusal::Final(reason)) => {
                self.refused(&reason);
                None
            }
        }
    }

    /// The key epoch moved: what was held back may open now.
    pub fn retry(&mut self) -> Vec<Taken> {
        let reached = *self.space.epoch.borrow();
        let given_up = self.parking.give_up(clock::now()).len();
        (0..given_up).for_each(|_| self.refused("its key epoch did not arrive in time"));
        self.parking
            .release(reached)
            .into_iter()
            .filter_map(|sample| self.take(sample))
            .collect()
    }

    fn refused(&self, reason: &str) {
        self.space.board.count.dds_refused.fetch_add(1, Relaxed);
        tracing::debug!(room = self.partition, "sample refused: {reason}");
    }
}
