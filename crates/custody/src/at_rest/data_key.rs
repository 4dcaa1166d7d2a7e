use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use std::fmt;

/// Poly1305's tag, behind what it is of.
pub const TAG: usize = 16;

/// Seals records, or one item. Wiped from memory on drop; never printed.
///
/// A record's sequence number is its nonce, so no key may seal two records of one number: a writer that
/// had to give a record up takes a fresh key before it uses the number again.
pub struct DataKey(ChaCha20Poly1305);

impl DataKey {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(ChaCha20Poly1305::new(key.into()))
    }

    /// Seals `payload` in place; the tag. `bound` has to be the same when it is opened.
    ///
    /// # Panics
    /// Beyond the cipher's limit of 256 GiB; callers' limits are far below.
    pub fn seal(&self, sequence: u64, bound: &[u8], payload: &mut [u8]) -> [u8; TAG] {
        self.0
            .encrypt_inout_detached(&nonce(sequence), bound, payload.into())
            .expect("a payload in memory is shorter than 256 GiB")
            .into()
    }

    /// Opens `payload` in place. False, with nothing of it shown, if it is not what was sealed with this
    /// key, this number and these bound bytes.
    #[must_use]
    pub fn open(&self, sequence: u64, bound: &[u8], payload: &mut [u8], tag: &[u8; TAG]) -> bool {
        self.0
            .decrypt_inout_detached(&nonce(sequence), bound, payload.into(), tag.into())
            .is_ok()
    }
}

/// Four zero bytes and the sequence number, as on the data space.
fn nonce(sequence: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&sequence.to_be_bytes());
    nonce.into()
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(redacted)")
    }
}
