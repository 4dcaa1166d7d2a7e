//! ChaCha20-Poly1305 (RFC 8439) of records, by AWS-LC: its assembly encrypts and authenticates in one pass, and takes a
//! sixth of the time for a heartbeat and two thirds for a full record (docs/decisions/0034-large-buffers-stay-in-the-process.md).
//! The tests hold it against another implementation.

use super::resolver::TAG;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

/// The other end did not seal this under this key and number.
#[derive(Debug)]
pub(super) struct Forged;

/// One direction's key of one epoch.
pub(super) struct RecordCipher(LessSafeKey);

impl RecordCipher {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key);
        Self(LessSafeKey::new(key.expect("a key of the cipher's length")))
    }

    /// Encrypts in place and gives the tag. No two records of a key have one number: the callers count.
    pub(super) fn seal(&self, number: u64, data: &mut [u8]) -> [u8; TAG] {
        let sealed = self
            .0
            .seal_in_place_separate_tag(nonce(number), Aad::empty(), data);
        let tag = sealed.expect("a record is far below the cipher's limit of 256 GiB");
        let mut bytes = [0; TAG];
        bytes.copy_from_slice(tag.as_ref());
        bytes
    }

    /// Decrypts in place what stands before the tag.
    pub(super) fn open<'a>(
        &self,
        number: u64,
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], Forged> {
        self.0
            .open_in_place(nonce(number), Aad::empty(), sealed)
            .map_err(|_| Forged)
    }
}

fn nonce(number: u64) -> Nonce {
    Nonce::assume_unique_for_key(super::resolver::nonce(number).into())
}
