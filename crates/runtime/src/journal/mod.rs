//! An append-only journal with group commit: what [`Journal::append`] has answered is on disk.
//!
//! A directory of segments, each a run of checksummed records (`record`). One writer (`desk`)
//! takes whatever appends are waiting, writes them at once, calls `fdatasync` once and answers
//! them all, so that the price of durability is shared by everyone who waited. `recover` brings a
//! journal back after any crash: every whole record is kept, a torn tail is cut off and reported,
//! and damage to something that had been durable is an error and never silently skipped.
//!
//! What the reader of the journal has worked off is told by [`Journal::mark_processed`]
//! (`watermark`); [`Journal::release`] gives back the segments that nobody needs any more.
//!
//! With a [`RecordCipher`] (`cipher`) new segments are sealed; plain ones from before are still read.

mod cipher;
mod desk;
mod disk;
mod error;
mod handle;
mod reader;
mod record;
mod recover;
mod segment;
mod unseal;
mod watermark;
mod writer;

pub use cipher::{KeyPlace, MAX_KEPT, RecordCipher, RecordKey, Shred, TAG};
pub use error::{JournalError, OpenError};
pub use handle::{Journal, LOCK_PAUSE, LOCK_TRIES, Pending, holds_sealed};
pub use reader::Records;
pub use record::{MAX_PAYLOAD, Record};
pub use recover::{Recovery, TornTail};

use std::sync::Arc;
use std::time::Duration;

/// Sizes and bounds of a journal.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// A segment is closed when it has grown past this many bytes.
    pub segment_bytes: u64,
    /// Most records in one commit.
    pub max_batch: usize,
    /// Most payload bytes in one commit; a single larger record still goes through, alone.
    pub max_batch_bytes: usize,
    /// Most appends that wait for the writer. Further callers wait before they hand over their
    /// payload, so memory stays bounded by their number.
    pub queue: usize,
    /// Seals new segments; `None`: they are plain, and sealed ones are not opened.
    pub cipher: Option<Arc<dyn RecordCipher>>,
}

impl JournalOptions {
    /// 64 MiB: some ten seconds of mail at full rate, so that files neither pile up nor keep
    /// worked-off data for long.
    pub const SEGMENT_BYTES: u64 = 64 << 20;
    /// A thousand waiting senders share one sync; more would not make it cheaper.
    pub const MAX_BATCH: usize = 1_024;
    /// 4 MiB is written in a few milliseconds, about as long as the sync that follows.
    pub const MAX_BATCH_BYTES: usize = 4 << 20;
    /// Two batches: one being written, one gathering.
    pub const QUEUE: usize = 2_048;
}

impl Default for JournalOptions {
    fn default() -> Self {
        Self {
            segment_bytes: Self::SEGMENT_BYTES,
            max_batch: Self::MAX_BATCH,
            max_batch_bytes: Self::MAX_BATCH_BYTES,
            queue: Self::QUEUE,
            cipher: None,
        }
    }
}

/// A segment gets its space in steps of this: some 1,500 mails, and little to read over where a crash left zeros.
const RESERVE_BYTES: u64 = 1 << 20;

/// How long a full disk is taken for full before the next append is let through to find out.
pub const FULL_HOLD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
