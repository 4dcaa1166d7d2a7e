//! The sealed way onto the data space and off it: what `custody` seals and `dds` carries.

mod batch;
mod reader;
mod refused;

pub use batch::Entered;
pub use reader::{RoomReader, Taken, TopicReader, Unsealed};
pub use refused::Refused;

use crate::board::Board;
use custody::{EpochSecrets, Grace, Keyring, Place, PlaceKey, SealError, SealForm, Sealer};
use dds::{DataSpace, PublishError, Sample, Topic};
use ed25519_dalek::SigningKey;
use runtime::clock;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use wire::xcdr::{self, Member};
use wire::{KeyEpoch, Level, NodeId, Report};

/// The partition of what crosses rooms: scores, alerts, models, nodes. Readings stay in their room's.
pub const HOUSE: &str = "house";
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

/// What the ledger says that sealing goes by, asked anew each time.
pub trait Rules: Send + Sync + 'static {
    /// The level of the ledger: what all members read.
    fn level(&self) -> Level;
    /// A member's identity key.
    fn identity(&self, node: &NodeId) -> Option<[u8; 32]>;
}

impl Rules for replica::Ledger {
    fn level(&self) -> Level {
        self.state().level
    }

    fn identity(&self, node: &NodeId) -> Option<[u8; 32]> {
        let state = self.state();
        state.members.get(node).map(|member| member.identity)
    }
}

/// What proves where a sample is from.
pub struct Proofs {
    /// This node's identity key.
    pub key: SigningKey,
    /// Topics whose samples are signed, and refused without.
    pub topics: BTreeSet<String>,
    /// Whose key is whose.
    pub rules: Arc<dyn Rules>,
}

/// Shared by everything that publishes or reads.
pub struct SealedSpace {
    me: NodeId,
    space: Arc<dyn DataSpace>,
    keyring: Mutex<Keyring>,
    sealer: Mutex<Sealer>,
    epoch: watch::Sender<KeyEpoch>,
    board: Arc<Board>,
    proofs: Proofs,
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
        proofs: Proofs,
    ) -> Arc<Self> {
        Arc::new(Self {
            me,
            space,
            keyring: Mutex::new(Keyring::new(grace)),
            sealer: Mutex::new(sealer),
            epoch: watch::Sender::new(KeyEpoch(0)),
            board,
            proofs,
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

    /// Whether all members read the types of the IDL, each topic under a key of its own.
    pub fn typed(&self) -> bool {
        self.proofs.rules.level() >= Level::TYPED
    }

    /// Whether something can be said of what the house knows: there is a key, and all members read it.
    pub fn ready(&self) -> bool {
        self.epoch.borrow().0 > 0 && self.typed()
    }

    /// The keys of a topic in a partition, of each epoch readable now, oldest first.
    pub fn place_keys(&self, topic: &str, partition: &str) -> Vec<(KeyEpoch, PlaceKey)> {
        let place = Place {
            topic,
            partition,
            key: "",
        };
        let mut keyring = lock(&self.keyring);
        keyring.expire(clock::now());
        keyring.place_keys(&place)
    }

    /// Seals and publishes one report in its room's partition; waits for room in the queue.
    pub async fn publish(&self, report: Report, at_ns: i64) -> Result<(), PublishFailure> {
        self.publish_all(vec![Entered { report, at_ns }]).await
    }

    /// Seals and publishes reports that are there at once, those of one device in as few samples as the
    /// batch's limits allow and in their order.
    pub async fn publish_all(&self, reports: Vec<Entered>) -> Result<(), PublishFailure> {
        for group in batch::samples(reports, self.typed()) {
            let (room, device) = (group.room.as_str(), group.device.as_str());
            self.publish_bytes(
                &Topic::READINGS,
                room,
                device,
                &group.plaintext,
                group.at_ns,
            )
            .await?;
        }
        Ok(())
    }

    /// Seals and publishes something that crosses rooms.
    pub async fn announce<T: Member>(
        &self,
        topic: &Topic,
        key: &str,
        value: &T,
    ) -> Result<(), PublishFailure> {
        self.publish_bytes(
            topic,
            HOUSE,
            key,
            &xcdr::encode(value),
            clock::unix_now_ns(),
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
            let signed = self.proofs.topics.contains(topic.name());
            let form = if self.typed() {
                SealForm::Placed(signed.then_some(&self.proofs.key))
            } else {
                SealForm::Plain
            };
            let sealed = sealer.seal_as(form, secrets, &place, plaintext)?;
            (epoch, sequence, sealed)
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
        if *topic == Topic::READINGS {
            self.board.count.dds_published.fetch_add(1, Relaxed);
        }
        self.board.count.sealed_bytes.fetch_add(bytes, Relaxed);
        self.board.topic(topic.name(), |topic| topic.published += 1);
        Ok(())
    }
}
