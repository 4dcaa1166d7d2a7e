//! What a journal needs to keep its records secret: a seam. It knows no keys; who opens it brings them.
//!
//! A sealed segment's header has a shred, random bytes without which none of its keys can be had again. Key
//! frames stand between its records, each with a wrapped data key for the records behind it. A frame is
//! written in front of the first record that uses its key, in the same write, and made durable by the
//! same sync: there is no moment at which a record is durable and its key is not.

use std::fmt::Debug;

/// Bytes of a tag behind a sealed record.
pub const TAG: usize = 16;

/// Most bytes that may be kept of a key.
pub const MAX_KEPT: usize = 1_024;

/// Most records under one key, whole batches aside. The cipher would bear more; this bounds what one key
/// gives away, for a frame of a hundred bytes.
pub(super) const KEY_RECORDS: u64 = 1 << 20;

/// Random bytes in a segment's header. They are overwritten when the segment is given back, and all keys
/// in it are gone with them.
pub type Shred = [u8; 32];

/// Where a key is kept. It must open there and nowhere else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPlace {
    /// First record of the segment.
    pub segment: u64,
    /// First record under the key.
    pub seq: u64,
    /// The segment's.
    pub shred: Shred,
}

/// Where keys come from.
pub trait RecordCipher: Debug + Send + Sync + 'static {
    /// When this changes, the next record has a fresh key.
    fn generation(&self) -> u64;

    /// A fresh, random key, and what is to be kept of it, [`MAX_KEPT`] bytes at most.
    fn fresh(&self, place: &KeyPlace) -> (Box<dyn RecordKey>, Vec<u8>);

    /// The key of which `kept` was kept.
    ///
    /// # Errors
    /// A sentence: why not, and what a person can do.
    fn again(&self, place: &KeyPlace, kept: &[u8]) -> Result<Box<dyn RecordKey>, String>;
}

/// Seals records, none of them under a number that it had before.
pub trait RecordKey: Debug + Send + Sync {
    /// Seals in place; the tag. `bound` must be the same when the record is opened.
    fn seal(&self, seq: u64, bound: &[u8], payload: &mut [u8]) -> [u8; TAG];

    /// Opens in place; false if this is not what was sealed.
    #[must_use]
    fn open(&self, seq: u64, bound: &[u8], payload: &mut [u8], tag: &[u8; TAG]) -> bool;
}

/// A key in use in its segment.
#[derive(Debug)]
pub(super) struct Under {
    pub(super) key: Box<dyn RecordKey>,
    pub(super) segment: u64,
}

impl Under {
    /// What the tag covers besides the payload: the segment, and the record's header but for the checksum.
    pub(super) fn bound(&self, header: &[u8; super::record::HEADER]) -> [u8; 28] {
        let mut bound = [0; 28];
        bound[..8].copy_from_slice(&self.segment.to_le_bytes());
        bound[8..12].copy_from_slice(&header[..4]);
        bound[12..].copy_from_slice(&header[8..]);
        bound
    }
}
