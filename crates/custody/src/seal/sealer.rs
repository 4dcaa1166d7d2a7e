use super::header::{Header, Writer};
use super::place::Place;
use crate::secrets::EpochSecrets;
use chacha20poly1305::{
    ChaCha20Poly1305,
    aead::{Aead, KeyInit, Payload},
};
use wire::{KeyEpoch, NodeId};

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
    /// The last epoch's cipher; deriving it anew each time would double the cost of a small payload.
    cipher: Option<(KeyEpoch, ChaCha20Poly1305)>,
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
            cipher: None,
        })
    }

    /// The sequence number that the next payload will carry; `None`: used up.
    pub fn next_sequence(&self) -> Option<u64> {
        self.sequence
    }

    /// Seal `plaintext` for `place` with the newest secrets (`Keyring::current`). Adds 50 bytes
    /// and the node's name.
    pub fn seal(
        &mut self,
        secrets: Option<&EpochSecrets>,
        place: &Place<'_>,
        plaintext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let secrets = secrets.ok_or(SealError::NoKey)?;
        let sequence = self.sequence.ok_or(SealError::Exhausted)?;
        let header = Header {
            epoch: secrets.epoch,
            sequence,
            writer: self.writer.clone(),
        };
        if self
            .cipher
            .as_ref()
            .is_none_or(|(epoch, _)| *epoch != secrets.epoch)
        {
            let key = self.writer.subkey(&secrets.data);
            self.cipher = Some((secrets.epoch, ChaCha20Poly1305::new((&*key).into())));
        }
        let Some((_, cipher)) = &self.cipher else {
            return Err(SealError::NoKey);
        };
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
