//! The header of a sealed payload, in clear but authenticated:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version, [`VERSION`] |
//! | 8 | key epoch, big endian |
//! | 8 | sequence number, big endian; also the nonce |
//! | 16 | the writer's salt |
//! | 1 | length n of the writer's name |
//! | n | the writer's name, UTF-8 |

use super::place::Place;
use chacha20poly1305::Nonce;
use hkdf::Hkdf;
use sha2::Sha256;
use wire::{KeyEpoch, NodeId};
use zeroize::Zeroizing;

/// The only version there is.
const VERSION: u8 = 1;
const FIXED: usize = 1 + 8 + 8 + 16 + 1;
/// Poly1305's tag.
pub(super) const TAG: usize = 16;

/// One process's life as a writer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Writer {
    pub(super) node: NodeId,
    pub(super) salt: [u8; 16],
}

impl Writer {
    /// The writer's key for one epoch.
    pub(super) fn subkey(&self, data_key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let mut info = b"glasshouse payload 1".to_vec();
        info.extend_from_slice(self.node.as_str().as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(&self.salt), data_key)
            .expand(&info, &mut *key)
            .expect("32 bytes are within HKDF's limit of 255 blocks");
        key
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) epoch: KeyEpoch,
    pub(super) sequence: u64,
    pub(super) writer: Writer,
}

impl Header {
    /// The name's length fits: [`super::Sealer::new`] checks it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let name = self.writer.node.as_str().as_bytes();
        let mut out = Vec::with_capacity(FIXED + name.len());
        out.push(VERSION);
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.writer.salt);
        out.push(u8::try_from(name.len()).expect("writer names are limited to 255 bytes"));
        out.extend_from_slice(name);
        out
    }

    /// Header and ciphertext of a sealed payload, or what is wrong with it.
    pub(super) fn split(bytes: &[u8]) -> Result<(Self, &[u8], &[u8]), String> {
        let short = || format!("{} bytes are too few for a sealed payload", bytes.len());
        let (fixed, rest) = bytes.split_first_chunk::<FIXED>().ok_or_else(short)?;
        if fixed[0] != VERSION {
            return Err(format!("version {} instead of {VERSION}", fixed[0]));
        }
        let name_len = usize::from(fixed[FIXED - 1]);
        let (name, ciphertext) = rest.split_at_checked(name_len).ok_or_else(short)?;
        if ciphertext.len() < TAG {
            return Err(short());
        }
        let name =
            std::str::from_utf8(name).map_err(|_| "the writer's name is not UTF-8".to_owned())?;
        let u64_at = |at: usize| {
            let mut field = [0; 8];
            field.copy_from_slice(&fixed[at..at + 8]);
            u64::from_be_bytes(field)
        };
        let mut salt = [0; 16];
        salt.copy_from_slice(&fixed[17..33]);
        let header = Self {
            epoch: KeyEpoch(u64_at(1)),
            sequence: u64_at(9),
            writer: Writer {
                node: NodeId::from(name),
                salt,
            },
        };
        Ok((header, &bytes[..FIXED + name_len], ciphertext))
    }

    /// Four zero bytes and the sequence number.
    pub(super) fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.sequence.to_be_bytes());
        nonce.into()
    }

    /// What the tag covers besides the ciphertext.
    pub(super) fn associated_data(encoded: &[u8], place: &Place<'_>) -> Vec<u8> {
        let mut aad = Vec::new();
        place.encode(&mut aad);
        aad.extend_from_slice(encoded);
        aad
    }
}
