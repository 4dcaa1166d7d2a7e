//! The writer: gather, write once, sync once, answer all. Where it runs is `desk`'s to say.

use super::disk::Disk;
use super::error::{JournalError, is_full};
use super::record;
use super::segment::{self, Segment};
use super::{FULL_HOLD, JournalOptions};
use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::time::Instant;

/// Hears what became of an append.
pub(super) type Answer = Box<dyn FnOnce(Result<u64, JournalError>) + Send>;

/// One append on its way to the disk.
pub(super) struct Append {
    pub(super) payload: Vec<u8>,
    pub(super) answer: Answer,
}

/// What handles and the writer both see.
#[derive(Default)]
pub(super) struct Shared {
    /// Last durable sequence number.
    pub(super) durable: AtomicU64,
    /// Commits (one `fdatasync` each) since the start.
    pub(super) commits: AtomicU64,
    /// Set once the writer refuses everything.
    pub(super) failed: AtomicBool,
    /// When a commit last failed for lack of space; cleared by the next that succeeds.
    full_at: Mutex<Option<Instant>>,
}

impl Shared {
    /// Whether an append would now most likely fail for lack of space. After [`FULL_HOLD`] the
    /// answer is no again: somebody has to try.
    pub(super) fn is_full(&self) -> bool {
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        full_at.is_some_and(|at| at.elapsed() < FULL_HOLD)
    }

    fn set_full(&self, at: Option<Instant>) {
        *self.full_at.lock().unwrap_or_else(PoisonError::into_inner) = at;
    }
}

/// The segment being written.
pub(super) struct Active {
    pub(super) file: File,
    pub(super) salt: u32,
    /// Durable length.
    pub(super) len: u64,
}

pub(super) struct Writer<D> {
    pub(super) disk: D,
    pub(super) dir: PathBuf,
    pub(super) options: JournalOptions,
    pub(super) shared: Arc<Shared>,
    /// Sequence number of the next record.
    pub(super) next: u64,
    /// `None`: the next commit starts a new segment.
    pub(super) active: Option<Active>,
    /// Set once the state of the disk is unknown; answers everything from then on.
    pub(super) failed: Option<JournalError>,
}

impl<D: Disk> Writer<D> {
    /// Makes the batch durable as far as the disk lets it, and answers everyone in it.
    pub(super) fn answer(&mut self, batch: &mut Vec<Append>) {
        let outcome = match &self.failed {
            Some(error) => Err(error.clone()),
            None => self.commit(batch),
        };
        for (append, index) in batch.drain(..).zip(0..) {
            (append.answer)(outcome.clone().map(|first: u64| first + index));
        }
    }

    /// Makes the batch durable; returns the sequence number of its first record.
    pub(super) fn commit(&mut self, batch: &[Append]) -> Result<u64, JournalError> {
        let first = self.next;
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.len >= self.options.segment_bytes)
        {
            self.active = None;
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.start_segment().map_err(|error| self.refuse(error))?,
        };
        let mut bytes = Vec::new();
        for (append, seq) in batch.iter().zip(first..) {
            record::write(active.salt, seq, first - 1, &append.payload, &mut bytes);
        }
        let written = self.disk.write_at(&active.file, &bytes, active.len);
        if let Err(error) = written {
            // Nothing durable was touched: cut off what did get through, and go on behind it.
            if let Err(error) = self.disk.truncate(&active.file, active.len) {
                return Err(self.fail(&error));
            }
            self.active = Some(active);
            return Err(self.refuse(error));
        }
        if let Err(error) = self.disk.sync(&active.file) {
            return Err(self.unsynced(&active, error));
        }
        active.len += bytes.len() as u64;
        self.active = Some(active);
        self.next += batch.len() as u64;
        self.shared.durable.store(self.next - 1, Ordering::Release);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.set_full(None);
        Ok(first)
    }

    /// A new segment, durable with its name before anything is written into it.
    fn start_segment(&mut self) -> io::Result<Active> {
        let mut salt = [0; 4];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let salt = u32::from_le_bytes(salt);
        let segment = Segment::new(&self.dir, self.next);
        let created = self.disk.create(&segment.path).and_then(|file| {
            self.disk.write_at(&file, &segment.header(salt), 0)?;
            self.disk.sync(&file)?;
            self.disk.sync_dir(&self.dir)?;
            Ok(Active {
                file,
                salt,
                len: segment::HEADER as u64,
            })
        });
        if created.is_err() {
            // What stays behind if this fails too is an empty last segment: recovery knows that.
            let _ = fs::remove_file(&segment.path);
        }
        created
    }

    /// A failed sync: the kernel may have marked the pages clean although they are not on disk, so
    /// this file is not written again. With space as the cause it is cut back to what is durable
    /// and a new segment goes on; with any other cause the disk is not to be trusted.
    fn unsynced(&mut self, active: &Active, error: io::Error) -> JournalError {
        if is_full(&error) {
            let cut = self.disk.truncate(&active.file, active.len);
            if let Err(error) = cut.and_then(|()| self.disk.sync(&active.file)) {
                return self.fail(&error);
            }
        }
        self.refuse(error)
    }

    fn refuse(&mut self, error: io::Error) -> JournalError {
        if is_full(&error) {
            self.shared.set_full(Some(Instant::now()));
            return JournalError::Full {
                dir: self.dir.clone(),
            };
        }
        self.fail(&error)
    }

    fn fail(&mut self, error: &io::Error) -> JournalError {
        let error = JournalError::Failed {
            dir: self.dir.clone(),
            cause: error.to_string(),
        };
        self.failed = Some(error.clone());
        self.shared.failed.store(true, Ordering::Release);
        error
    }
}
