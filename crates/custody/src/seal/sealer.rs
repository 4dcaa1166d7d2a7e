use super::header::{Form, Header, Writer};
use super::origin;
use super::place::Place;
use crate::secrets::EpochSecrets;
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use wire::{KeyEpoch, NodeId};

/// Places whose ciphers are at hand; a node writes to its rooms and a few topics more. Beyond it they are
/// derived anew.
const MAX_CIPHERS: usize = 1_024;

/// How to seal.
#[derive(Clone, Copy)]
pub enum SealForm<'a> {
    /// As all releases read it, under a key for all places.
    Plain,
    /// Under the key of topic and partition, with the writer's signature if a key is given.
    Placed(Option<&'a SigningKey>),
}

/// Why a payload was not sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The header has one byte for the name's length.
    #[error("writer name of {len} bytes is too long; a node's name may have 255")]
    NameTooLong {
        /// Its length.
        len: usize,
    },
    /// Every nonce was used.
    #[error("writer used up its 2^64 sequence numbers; make a new one with a fresh salt")]
    Exhausted,
    /// Nothing to seal with.
    #[error("no key epoch has started yet; wait for the custodian to join the key group")]
    NoKey,
    /// Beyond the cipher's limit of 256 GiB.
    #[error("payload of {len} bytes is more than the cipher takes")]
    TooLong {
        /// Its length.
        len: usize,
    },
}

/// Seals payloads. One per process, since the sequence number must never repeat under one salt.
pub struct Sealer {
    writer: Writer,
    /// The next nonce; `None`: used up. It goes on across epochs.
    sequence: Option<u64>,
    /// The last epoch's ciphers by form, topic and partition; deriving one anew each time would double the
    /// cost of a small payload.
    ciphers: BTreeMap<Option<(String, String)>, ChaCha20Poly1305>,
    /// Their epoch.
    epoch: KeyEpoch,
}

impl Sealer {
    /// A writer of `node`. `salt` must be fresh entropy at each start of the process.
    pub fn new(node: NodeId, salt: [u8; 16]) -> Result<Self, SealError> {
        let len = node.as_str().len();
        if len > usize::from(u8::MAX) {
            return Err(SealError::NameTooLong { len });
        }
        Ok(Self {
            writer: Writer { node, salt },
            sequence: Some(0),
            ciphers: BTreeMap::new(),
            epoch: KeyEpoch(0),
        })
    }

    /// The sequence number that the next payload will carry; `None`: used up.
    pub fn next_sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Seal `plaintext` for `place` with the newest secrets (`Keyring::current`) in the first form. Adds
    /// 50 bytes and the node's name.
    pub fn seal(
        &mut self,
        secrets: Option<&EpochSecrets>,
        place: &Place<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        self.seal_as(SealForm::Plain, secrets, place, plaintext)
    }

    /// Seal `plaintext` for `place` with the newest secrets. Adds 51 bytes and the node's name in the
    /// second form, and 64 more with a signature.
    pub fn seal_as(
        &mut self,
        form: SealForm<'_>,
        secrets: Option<&EpochSecrets>,
        place: &Place<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let secrets = secrets.ok_or(SealError::NoKey)?;
        let sequence = self.sequence.ok_or(SealError::Exhausted)?;
        let (form, signer) = match form {
            SealForm::Plain => (Form::Plain, None),
            SealForm::Placed(signer) => {
                let signed = signer.is_some();
                (Form::Placed { signed }, signer)
            }
        };
        let header = Header {
            form,
            epoch: secrets.epoch,
            sequence,
            writer: self.writer.clone(),
        };
        if self.epoch != secrets.epoch || self.ciphers.len() >= MAX_CIPHERS {
            self.ciphers.clear();
            self.epoch = secrets.epoch;
        }
        let writer = &self.writer;
        let (at, key) = match form {
            Form::Plain => (None, None),
            Form::Placed { .. } => {
                let at = (place.topic.to_owned(), place.partition.to_owned());
                (Some(at), Some(place))
            }
        };
        let cipher = self.ciphers.entry(at).or_insert_with(|| {
            let key = match key {
                None => writer.subkey(&secrets.data),
                Some(place) => writer.key_at(&place.place_key(&secrets.data)),
            };
            ChaCha20Poly1305::new((&*key).into())
        });
        // Counted before use: whatever happens below, this nonce is gone.
        self.sequence = sequence.checked_add(1);
        let mut bytes = header.encode();
        let aad = Header::associated_data(&bytes, place);
        let ciphertext = cipher
            .encrypt(
                &header.nonce(),
                Payload {
                    msg: plaintext,
                    aad: &aad,
                },
            )
            .map_err(|_| SealError::TooLong {
                len: plaintext.len(),
            })?;
        bytes.extend_from_slice(&ciphertext);
        if let Some(signer) = signer {
            bytes.extend_from_slice(&origin::sign(signer, &aad, &ciphertext));
        }
        Ok(bytes)
    }

    #[cfg(test)]
    pub(super) fn at_sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("writer", &self.writer)
            .field("sequence", &self.sequence)
            .finish_non_exhaustive()
    }
}
