use super::{DataKey, KeyEntropy, Place};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

const VERSION: u8 = 1;
const ID: usize = 8;
const NONCE: usize = 12;
const KEY: usize = 32;
/// Bytes of a wrapped key: version, the wrapping key's id, nonce, sealed key, tag.
pub const WRAPPED: usize = 1 + ID + NONCE + KEY + super::TAG;

/// What a wrapping key is called, in files and sentences; tells nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct KeyId([u8; ID]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The node's key that wraps data keys. Wiped from memory on drop; never printed.
pub struct WrappingKey {
    key: Zeroizing<[u8; KEY]>,
    id: KeyId,
}

impl WrappingKey {
    /// Of 32 random bytes; the argument is wiped.
    pub fn new(mut bytes: [u8; KEY]) -> Self {
        let key = Zeroizing::new(bytes);
        bytes.zeroize();
        let mut id = [0; ID];
        Hkdf::<Sha256>::new(None, &*key)
            .expand(b"glasshouse wrapping key id 1", &mut id)
            .expect("8 bytes are within HKDF's limit of 255 blocks");
        Self { key, id: KeyId(id) }
    }

    /// What it is called.
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// The cipher for one place.
    fn cipher(&self, place: &Place) -> ChaCha20Poly1305 {
        let mut key = Zeroizing::new([0; KEY]);
        Hkdf::<Sha256>::new(Some(&place.shred), &*self.key)
            .expand(&place.info(), &mut *key)
            .expect("32 bytes are within HKDF's limit of 255 blocks");
        ChaCha20Poly1305::new((&*key).into())
    }
}

impl fmt::Debug for WrappingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappingKey({}, redacted)", self.id)
    }
}

/// Why a data key could not be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Not what [`Keychain::fresh`] gives.
    #[error("{len} bytes are no wrapped data key of version {VERSION}")]
    Malformed {
        /// Length of what was found.
        len: usize,
    },
    /// Wrapped by a key that is not held here.
    #[error("the data key is wrapped by wrapping key {wrapped_by}, and those held are {held}")]
    OtherKey {
        /// By which.
        wrapped_by: KeyId,
        /// Ids of those held.
        held: String,
    },
    /// The tag does not fit: changed, or of another place.
    #[error("the data key that wrapping key {wrapped_by} wrapped has been changed or moved here")]
    Tampered {
        /// By which, as it says itself.
        wrapped_by: KeyId,
    },
}

/// The wrapping keys of a node: the newest wraps, the former ones unwrap what is still there.
#[derive(Debug)]
pub struct Keychain {
    newest: WrappingKey,
    former: Vec<WrappingKey>,
}

impl Keychain {
    /// `newest` wraps.
    pub const fn new(newest: WrappingKey, former: Vec<WrappingKey>) -> Self {
        Self { newest, former }
    }

    /// Id of the key that wraps.
    pub const fn newest(&self) -> KeyId {
        self.newest.id
    }

    /// Ids of all, the newest first.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.all().map(WrappingKey::id)
    }

    /// A data key of fresh entropy for `place`, and what to keep there of it.
    pub fn fresh(&self, place: &Place, mut entropy: KeyEntropy) -> (DataKey, [u8; WRAPPED]) {
        let (key, nonce) = entropy
            .split_first_chunk::<KEY>()
            .expect("the entropy is longer than a key");
        let data_key = DataKey::new(key);
        let mut wrapped = [0; WRAPPED];
        wrapped[0] = VERSION;
        wrapped[1..][..ID].copy_from_slice(&self.newest.id.0);
        wrapped[1 + ID..][..NONCE].copy_from_slice(nonce);
        let (head, body) = wrapped.split_at_mut(1 + ID + NONCE);
        let (sealed, tag) = body.split_at_mut(KEY);
        sealed.copy_from_slice(key);
        let made = self
            .newest
            .cipher(place)
            .encrypt_inout_detached(&nonce_of(head), &head[..1 + ID], sealed.into())
            .expect("32 bytes are within the cipher's limit");
        tag.copy_from_slice(&made);
        entropy.zeroize();
        (data_key, wrapped)
    }

    /// The data key that was kept at `place`.
    ///
    /// # Errors
    /// See [`UnwrapError`].
    pub fn unwrap(&self, place: &Place, wrapped: &[u8]) -> Result<DataKey, UnwrapError> {
        let malformed = UnwrapError::Malformed { len: wrapped.len() };
        let Ok(wrapped) = <&[u8; WRAPPED]>::try_from(wrapped) else {
            return Err(malformed);
        };
        if wrapped[0] != VERSION {
            return Err(malformed);
        }
        let (head, body) = wrapped.split_at(1 + ID + NONCE);
        let (sealed, tag) = body.split_at(KEY);
        let wrapped_by = wrapped_by(wrapped);
        let Some(wrapping) = self.all().find(|key| key.id == wrapped_by) else {
            let held: Vec<String> = self.all().map(|key| key.id.to_string()).collect();
            return Err(UnwrapError::OtherKey {
                wrapped_by,
                held: held.join(", "),
            });
        };
        let mut key = Zeroizing::new([0; KEY]);
        key.copy_from_slice(sealed);
        let mut stored = [0; super::TAG];
        stored.copy_from_slice(tag);
        wrapping
            .cipher(place)
            .decrypt_inout_detached(
                &nonce_of(head),
                &head[..1 + ID],
                (&mut key[..]).into(),
                &stored.into(),
            )
            .map_err(|_| UnwrapError::Tampered { wrapped_by })?;
        Ok(DataKey::new(&key))
    }

    fn all(&self) -> impl Iterator<Item = &WrappingKey> {
        std::iter::once(&self.newest).chain(&self.former)
    }
}

/// Id of the wrapping key, as `wrapped` says itself.
pub(super) fn wrapped_by(wrapped: &[u8; WRAPPED]) -> KeyId {
    let mut id = [0; ID];
    id.copy_from_slice(&wrapped[1..=ID]);
    KeyId(id)
}

fn nonce_of(head: &[u8]) -> Nonce {
    let mut nonce = [0; NONCE];
    nonce.copy_from_slice(&head[1 + ID..]);
    nonce.into()
}
