use super::header::{Form, Header, Parts};
use super::origin::{self, Doubt, Origin};
use super::place::{Place, PlaceKey};
use super::replay::{MAX_STREAMS, REPLAY_WINDOW, Replay, Verdict};
use crate::secrets::EpochSecrets;
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use machine::Instant;
use machine::mistakes::{self, Mistake};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::{KeyEpoch, NodeId};

/// How long a superseded epoch stays readable: until either limit is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grace {
    /// Epochs kept besides the current one. Bounds memory when epochs follow each other fast.
    pub epochs: usize,
    /// Time since it was superseded.
    pub time: Duration,
}

impl Default for Grace {
    /// Half a minute covers a node that is cut off for a short while; a round of some seconds
    /// makes that a dozen epochs.
    fn default() -> Self {
        Self {
            epochs: 64,
            time: Duration::from_secs(30),
        }
    }
}

/// A payload that opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What was sealed.
    pub plaintext: Vec<u8>,
    /// Under which epoch.
    pub epoch: KeyEpoch,
    /// By whom; as true as the members of the group are, see the crate's docs.
    pub writer: NodeId,
    /// The writer's sequence number.
    pub sequence: u64,
}

/// Why a payload did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// An epoch this node has not reached, or was not a member in.
    #[error(
        "sealed under key epoch {epoch}, which this node does not hold (newest here: {newest}); if it is newer, park the payload until the custodian gets there"
    )]
    UnknownEpoch {
        /// In the header.
        epoch: KeyEpoch,
        /// Newest one held here; 0: none.
        newest: KeyEpoch,
    },
    /// Its grace is over.
    #[error("sealed under key epoch {epoch}, whose grace is over; the writer must use a newer one")]
    Retired {
        /// In the header.
        epoch: KeyEpoch,
    },
    /// The tag does not fit: changed, moved to another place, or of another cluster.
    #[error(
        "payload under key epoch {epoch} said to be of {writer} is not authentic for this topic, partition and device"
    )]
    Tampered {
        /// In the header, unproven.
        epoch: KeyEpoch,
        /// In the header, unproven.
        writer: NodeId,
    },
    /// Seen before, or so late that it cannot be told.
    #[error(
        "payload {sequence} of {writer} was opened before or is more than {REPLAY_WINDOW} behind its stream; dropped"
    )]
    Replayed {
        /// Its writer.
        writer: NodeId,
        /// Its sequence number.
        sequence: u64,
    },
    /// Its topic asks for the writer's signature.
    #[error(
        "payload of {writer} is not signed, as its topic asks; is that node of an older release?"
    )]
    Unsigned {
        /// In the header.
        writer: NodeId,
    },
    /// Signed by somebody else, or of no member.
    #[error("payload said to be of {writer} is not signed by that member's key on the ledger")]
    Forged {
        /// In the header, disproven.
        writer: NodeId,
    },
    /// Too many streams to remember.
    #[error(
        "payload of {writer} refused: {MAX_STREAMS} streams are remembered already; shorten the keys' grace or spread the rooms over more nodes"
    )]
    Crowded {
        /// Its writer.
        writer: NodeId,
    },
    /// Not a sealed payload.
    #[error("not a sealed payload: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

struct Held {
    secrets: EpochSecrets,
    /// When a newer one started.
    superseded: Option<Instant>,
}

/// The epochs a node can read, with the memory of what it has read.
pub struct Keyring {
    grace: Grace,
    held: BTreeMap<KeyEpoch, Held>,
    /// The first epoch ever held here: what is older was never ours to read.
    first: Option<KeyEpoch>,
    replay: Replay,
}

impl Keyring {
    /// An empty one.
    pub fn new(grace: Grace) -> Self {
        Self {
            grace,
            held: BTreeMap::new(),
            first: None,
            replay: Replay::default(),
        }
    }

    /// A new epoch's secrets, from [`crate::Output::EpochStarted`]. All older ones are superseded.
    pub fn start(&mut self, now: Instant, secrets: EpochSecrets) {
        let epoch = secrets.epoch;
        for held in self
            .held
            .values_mut()
            .filter(|held| held.secrets.epoch < epoch)
        {
            held.superseded.get_or_insert(now);
        }
        self.first.get_or_insert(epoch);
        self.held.insert(
            epoch,
            Held {
                secrets,
                superseded: None,
            },
        );
        self.expire(now);
    }

    /// Forget what is past its grace. [`open`](Self::open) does it too.
    pub fn expire(&mut self, now: Instant) {
        if mistakes::on(Mistake::StaleEpochAccepted) {
            return;
        }
        let time = self.grace.time;
        self.held
            .retain(|_, held| held.superseded.is_none_or(|since| now.since(since) < time));
        while self.held.len() > self.grace.epochs.saturating_add(1) {
            self.held.pop_first();
        }
        if let Some(oldest) = self.held.keys().next().copied() {
            self.replay.retire_before(oldest);
        }
    }

    /// The newest secrets: what to seal with.
    pub fn current(&self) -> Option<&EpochSecrets> {
        self.held.last_key_value().map(|(_, held)| &held.secrets)
    }

    /// The secrets of one epoch, if still readable.
    pub fn get(&self, epoch: KeyEpoch) -> Option<&EpochSecrets> {
        self.held.get(&epoch).map(|held| &held.secrets)
    }

    /// Epochs readable now, oldest first.
    pub fn epochs(&self) -> impl Iterator<Item = KeyEpoch> + '_ {
        self.held.keys().copied()
    }

    /// The keys of `place`'s topic and partition in each epoch that is readable now, oldest first: what a
    /// reader outside may be given.
    pub fn place_keys(&self, place: &Place<'_>) -> Vec<(KeyEpoch, PlaceKey)> {
        let held = self.held.iter();
        held.map(|(epoch, held)| (*epoch, place.place_key(&held.secrets.data)))
            .collect()
    }

    /// Open `bytes` found at `place`. Nothing is remembered of a payload that does not open.
    pub fn open(
        &mut self,
        now: Instant,
        place: &Place<'_>,
        bytes: &[u8],
    ) -> Result<Opened, OpenError> {
        self.open_from(now, place, bytes, Origin::Unasked)
    }

    /// As [`open`](Self::open), and the origin must be as asked.
    pub fn open_from(
        &mut self,
        now: Instant,
        place: &Place<'_>,
        bytes: &[u8],
        origin: Origin<'_>,
    ) -> Result<Opened, OpenError> {
        self.expire(now);
        let Parts {
            header,
            encoded,
            ciphertext,
            signature,
        } = Header::split(bytes).map_err(|reason| OpenError::Malformed { reason })?;
        let epoch = header.epoch;
        let secrets = self.get(epoch).ok_or_else(|| self.why_not(epoch))?;
        let key = match header.form {
            Form::Plain => header.writer.subkey(&secrets.data),
            Form::Placed { .. } => header.writer.key_at(&place.place_key(&secrets.data)),
        };
        let cipher = ChaCha20Poly1305::new((&*key).into());
        let aad = Header::associated_data(encoded, place);
        let plaintext = cipher
            .decrypt(
                &header.nonce(),
                Payload {
                    msg: ciphertext,
                    aad: &aad,
                },
            )
            .map_err(|_| OpenError::Tampered {
                epoch,
                writer: header.writer.node.clone(),
            })?;
        let Header {
            sequence, writer, ..
        } = header;
        let node = writer.node.clone();
        origin::check(origin, &node, signature, &aad, ciphertext).map_err(|doubt| {
            let writer = node.clone();
            match doubt {
                Doubt::Unsigned => OpenError::Unsigned { writer },
                Doubt::Forged => OpenError::Forged { writer },
            }
        })?;
        let stream = (writer, place.digest());
        match self.replay.judge(&stream, sequence) {
            Verdict::Fresh => {}
            Verdict::Replayed if mistakes::on(Mistake::ReplayAccepted) => {}
            Verdict::Replayed => {
                return Err(OpenError::Replayed {
                    writer: node,
                    sequence,
                });
            }
            Verdict::Crowded => return Err(OpenError::Crowded { writer: node }),
        }
        self.replay.remember(stream, sequence, epoch);
        Ok(Opened {
            plaintext,
            epoch,
            writer: node,
            sequence,
        })
    }

    fn why_not(&self, epoch: KeyEpoch) -> OpenError {
        let newest = self.current().map_or(KeyEpoch(0), |secrets| secrets.epoch);
        match self.first {
            Some(first) if (first..newest).contains(&epoch) => OpenError::Retired { epoch },
            Some(_) | None => OpenError::UnknownEpoch { epoch, newest },
        }
    }
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyring")
            .field("epochs", &self.held.keys())
            .finish_non_exhaustive()
    }
}
