//! Record batches, version 2 (<https://kafka.apache.org/documentation/#recordbatch>): pure, bounded,
//! both directions.

mod compress;
mod decode;
mod encode;
mod lz4;
mod piece;
#[cfg(test)]
mod tests;

pub use compress::Codec;
pub(super) use decode::{Control, end_of, next};
pub use encode::{EncodeError, encode};

use bytes::Bytes;
use compress::Workspace;

/// Bytes before the records, from the base offset to the record count.
const HEADER: usize = 61;
/// Bytes before the part that the batch length counts.
const LENGTH_END: usize = 12;
/// Where the checksummed part begins.
const CRC_END: usize = 21;

/// Bytes that may be decompressed at a time. A batch is a mebibyte at most unless somebody raised that; thirty-fold compression is
/// generous for records, and a bomb stops here.
const MAX_DECOMPRESSED: usize = 128 << 20;

/// After so many bytes of records a reader takes what it has, and the rest of a response stays packed. Small enough for the caches near
/// the core, and for an allocator to give the same memory again: with a mebibyte at a time glibc's gave it back to the system in
/// between, and page faults cost more than the decompression.
pub(super) const PORTION: usize = 256 << 10;

/// One record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its offset in the partition.
    pub offset: i64,
    /// Milliseconds since 1970, by the producer or by the broker as the topic is configured; −1 if
    /// there is none.
    pub timestamp: i64,
    /// Key.
    pub key: Option<Bytes>,
    /// Value.
    pub value: Option<Bytes>,
    /// Headers, in order, names may repeat.
    pub headers: Vec<Header>,
}

/// A record header.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    /// Name.
    pub key: String,
    /// Value.
    pub value: Option<Bytes>,
}

/// Why a batch was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchError {
    /// A message set from before Kafka 0.11.
    #[error(
        "batch at offset {offset} has format version {found}; only version 2 is read, let the broker rewrite the topic (message formats 0 and 1 are gone since Kafka 4)"
    )]
    Version {
        /// Its first offset.
        offset: i64,
        /// Its version.
        found: i8,
    },
    /// Bytes changed on the way or on the disk.
    #[error("batch at offset {offset} has checksum {found:08x}, its bytes give {computed:08x}")]
    Checksum {
        /// Its first offset.
        offset: i64,
        /// Stored.
        found: u32,
        /// Computed.
        computed: u32,
    },
    /// An unknown compression.
    #[error(
        "batch at offset {offset} is compressed by codec {codec}; known are 0 to 4 (none, gzip, snappy, lz4, zstd)"
    )]
    Codec {
        /// Its first offset.
        offset: i64,
        /// The codec's number.
        codec: i16,
    },
    /// Compressed bytes that are none.
    #[error("batch at offset {offset} cannot be decompressed: {reason}")]
    Decompress {
        /// Its first offset.
        offset: i64,
        /// Why.
        reason: String,
    },
    /// Over `MAX_DECOMPRESSED`.
    #[error(
        "batch at offset {offset} takes what is decompressed at a time over {MAX_DECOMPRESSED} bytes; its producer has to send smaller ones"
    )]
    TooLarge {
        /// Its first offset.
        offset: i64,
    },
    /// It does not follow the format.
    #[error("batch at offset {offset} is malformed at its {item}")]
    Malformed {
        /// Its first offset.
        offset: i64,
        /// Where.
        item: &'static str,
    },
}

/// What may be decompressed yet, and what batches are decompressed with.
pub(super) struct Budget {
    /// Of [`MAX_DECOMPRESSED`].
    left: usize,
    taken: usize,
    portion: usize,
    workspace: Workspace,
}

impl Budget {
    fn of(left: usize) -> Self {
        Self {
            left,
            taken: 0,
            portion: usize::MAX,
            workspace: Workspace::default(),
        }
    }

    /// For one portion after the other, each of the batch that reaches so many bytes and those before.
    pub(super) fn in_portions_of(portion: usize) -> Self {
        Self {
            portion,
            ..Self::default()
        }
    }

    /// The next portion may be unpacked: the one before is in other hands.
    pub(super) fn renew(&mut self) {
        (self.left, self.taken) = (MAX_DECOMPRESSED, 0);
    }

    /// The portion is there.
    pub(super) const fn is_enough(&self) -> bool {
        self.taken >= self.portion
    }

    /// Takes so many bytes; `None` if there are not so many.
    fn take(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        self.taken += bytes;
        Some(())
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::of(MAX_DECOMPRESSED)
    }
}
