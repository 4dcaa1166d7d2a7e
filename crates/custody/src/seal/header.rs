//! The header of a sealed payload, in clear but authenticated:
//!
//! | bytes | field |
//! |---|---|
//! | 1 | version: 1 or 2 ([`Form`]) |
//! | 1 | version 2 only: flags; 1: the writer's signature follows the ciphertext |
//! | 8 | key epoch, big endian |
//! | 8 | sequence number, big endian; also the nonce |
//! | 16 | the writer's salt |
//! | 1 | length n of the writer's name |
//! | n | the writer's name, UTF-8 |

use super::place::{Place, PlaceKey};
use chacha20poly1305::Nonce;
use hkdf::Hkdf;
use sha2::Sha256;
use wire::{KeyEpoch, NodeId};
use zeroize::Zeroizing;

const FIXED: usize = 8 + 8 + 16 + 1;
/// The only flag there is.
const SIGNED: u8 = 1;
/// An ed25519 signature's length (RFC 8032).
pub(super) const SIGNATURE: usize = 64;
/// Poly1305's tag.
pub(super) const TAG: usize = 16;

/// One process's life as a writer.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Writer {
    pub(super) node: NodeId,
    pub(super) salt: [u8; 16],
}

impl Writer {
    /// The writer's key for one epoch in the first form: one for all places.
    pub(super) fn subkey(&self, data_key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        self.derive(b"glasshouse payload 1", data_key)
    }

    /// The writer's key for one epoch at one place.
    pub(super) fn key_at(&self, place: &PlaceKey) -> Zeroizing<[u8; 32]> {
        self.derive(b"glasshouse payload 2", &place.0)
    }

    fn derive(&self, label: &[u8], from: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let mut info = label.to_vec();
        info.extend_from_slice(self.node.as_str().as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(&self.salt), from)
            .expand(&info, &mut *key)
            .expect("32 bytes are within HKDF's limit of 255 blocks");
        key
    }
}

/// How a payload is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// Version 1: the writer's key comes from the epoch's data key.
    Plain,
    /// Version 2: it comes from the key of topic and partition.
    Placed {
        /// The writer signed it.
        signed: bool,
    },
}

/// A sealed payload, taken apart.
pub(super) struct Parts<'a> {
    pub(super) header: Header,
    /// The header's bytes.
    pub(super) encoded: &'a [u8],
    pub(super) ciphertext: &'a [u8],
    pub(super) signature: Option<&'a [u8; SIGNATURE]>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) form: Form,
    pub(super) epoch: KeyEpoch,
    pub(super) sequence: u64,
    pub(super) writer: Writer,
}

impl Header {
    /// The name's length fits: [`super::Sealer::new`] checks it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let name = self.writer.node.as_str().as_bytes();
        let mut out = Vec::with_capacity(2 + FIXED + name.len());
        match self.form {
            Form::Plain => out.push(1),
            Form::Placed { signed } => out.extend([2, u8::from(signed)]),
        }
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        out.extend_from_slice(&self.sequence.to_be_bytes());
        out.extend_from_slice(&self.writer.salt);
        out.push(u8::try_from(name.len()).expect("writer names are limited to 255 bytes"));
        out.extend_from_slice(name);
        out
    }

    /// A sealed payload in its parts, or what is wrong with it.
    pub(super) fn split(bytes: &[u8]) -> Result<Parts<'_>, String> {
        let short = || format!("{} bytes are too few for a sealed payload", bytes.len());
        let (form, rest) = match bytes {
            [1, rest @ ..] => (Form::Plain, rest),
            [2, flags, rest @ ..] if *flags <= SIGNED => {
                let signed = *flags == SIGNED;
                (Form::Placed { signed }, rest)
            }
            [2, flags, ..] => return Err(format!("flags {flags} instead of 0 or {SIGNED}")),
            [] | [2] => return Err(short()),
            [version, ..] => return Err(format!("version {version} instead of 1 or 2")),
        };
        let (fixed, rest) = rest.split_first_chunk::<FIXED>().ok_or_else(short)?;
        let name_len = usize::from(fixed[FIXED - 1]);
        let (name, ciphertext) = rest.split_at_checked(name_len).ok_or_else(short)?;
        let (ciphertext, signature) = match form {
            Form::Plain | Form::Placed { signed: false } => (ciphertext, None),
            Form::Placed { signed: true } => {
                let (ciphertext, signature) = ciphertext
                    .split_last_chunk::<SIGNATURE>()
                    .ok_or_else(short)?;
                (ciphertext, Some(signature))
            }
        };
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
        salt.copy_from_slice(&fixed[16..32]);
        let header = Self {
            form,
            epoch: KeyEpoch(u64_at(0)),
            sequence: u64_at(8),
            writer: Writer {
                node: NodeId::from(name),
                salt,
            },
        };
        let tail = ciphertext.len() + signature.map_or(0, |_| SIGNATURE);
        Ok(Parts {
            header,
            encoded: &bytes[..bytes.len() - tail],
            ciphertext,
            signature,
        })
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
