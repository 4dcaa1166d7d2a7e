//! The writer: gather, write once, sync once, answer all. Where it runs is `desk`'s to say.

use super::cipher::{KEY_RECORDS, KeyPlace, Shred, Under};
use super::disk::Disk;
use super::error::{JournalError, is_full};
use super::record;
use super::segment::{Head, Segment};
use super::{FULL_HOLD, JournalOptions, RESERVE_BYTES};
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
    /// Number of its first record.
    pub(super) first: u64,
    pub(super) head: Head,
    /// What new records are sealed under; `None`: the next one needs a fresh key, or the segment is plain.
    pub(super) keyed: Option<Keyed>,
    /// Durable length. Behind it the file may have zeros.
    pub(super) len: u64,
    /// Up to here space was asked for, had or not.
    pub(super) asked: u64,
}

/// A key that this writer made.
pub(super) struct Keyed {
    under: Under,
    generation: u64,
    records: u64,
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
            self.give_back();
        }
        let mut active = match self.active.take() {
            Some(active) => active,
            None => self.start_segment().map_err(|error| self.refuse(error))?,
        };
        let mut bytes = Vec::new();
        // Put back once these records are durable: a record that is given up used up its number under its
        // key, and another payload will have that number.
        let keyed = self.key(&mut active, first, &mut bytes);
        let (salt, synced) = (active.head.salt, first - 1);
        for (append, seq) in batch.iter().zip(first..) {
            match &keyed {
                None => record::write(salt, seq, synced, &append.payload, &mut bytes),
                Some(keyed) => {
                    record::seal(salt, &keyed.under, seq, synced, &append.payload, &mut bytes);
                }
            }
        }
        self.reserve(&mut active, bytes.len() as u64);
        let written = self.disk.write_at(&active.file, &bytes, active.len);
        if let Err(error) = written {
            // Nothing durable was touched: cut off what did get through, and go on behind it.
            if let Err(error) = self.disk.truncate(&active.file, active.len) {
                return Err(self.fail(&error));
            }
            active.asked = active.len;
            self.active = Some(active);
            return Err(self.refuse(error));
        }
        if let Err(error) = self.disk.sync(&active.file) {
            return Err(self.unsynced(&active, error));
        }
        active.len += bytes.len() as u64;
        active.keyed = keyed.map(|keyed| Keyed {
            records: keyed.records + batch.len() as u64,
            ..keyed
        });
        self.active = Some(active);
        self.next += batch.len() as u64;
        self.shared.durable.store(self.next - 1, Ordering::Release);
        self.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.shared.set_full(None);
        Ok(first)
    }

    /// Space for the next `bytes`, and for what follows them: a sync within space that the file has already
    /// is quicker, for the file system need not make its own books durable for each. What cannot be had is no
    /// harm: a write takes its space itself, or says that there is none.
    fn reserve(&mut self, active: &mut Active, bytes: u64) {
        let end = active.len + bytes;
        if end <= active.asked {
            return;
        }
        let limit = self.options.segment_bytes;
        let to = end.next_multiple_of(RESERVE_BYTES).min(limit).max(end);
        if let Err(error) = self.disk.reserve(&active.file, active.len, to) {
            tracing::debug!(dir = %self.dir.display(), "no space in advance: {error}");
        }
        active.asked = to;
    }

    /// The segment is written to its end: what it did not use is given back. Should that fail, zeros stay,
    /// which recovery knows.
    pub(super) fn give_back(&mut self) {
        if let Some(active) = self.active.take()
            && active.asked > active.len
        {
            let _ = self.disk.truncate(&active.file, active.len);
        }
    }

    /// The key for records from `first` on; a fresh one goes into `bytes`, in front of them. `None` in a
    /// plain segment.
    fn key(&self, active: &mut Active, first: u64, bytes: &mut Vec<u8>) -> Option<Keyed> {
        let (cipher, shred) = (self.options.cipher.as_ref()?, active.head.shred?);
        let generation = cipher.generation();
        if let Some(keyed) = active.keyed.take()
            && keyed.generation == generation
            && keyed.records < KEY_RECORDS
        {
            return Some(keyed);
        }
        let place = KeyPlace {
            segment: active.first,
            seq: first,
            shred,
        };
        let (key, kept) = cipher.fresh(&place);
        record::write_key(active.head.salt, first, first - 1, &kept, bytes);
        Some(Keyed {
            under: Under {
                key,
                segment: active.first,
            },
            generation,
            records: 0,
        })
    }

    /// A new segment, durable with its name before anything is written into it.
    fn start_segment(&mut self) -> io::Result<Active> {
        let mut salt = [0; 4];
        getrandom::fill(&mut salt).map_err(io::Error::other)?;
        let head = Head {
            salt: u32::from_le_bytes(salt),
            shred: match &self.options.cipher {
                Some(_) => Some(shred()?),
                None => None,
            },
        };
        let segment = Segment::new(&self.dir, self.next);
        let created = self.disk.create(&segment.path).and_then(|file| {
            self.disk.write_at(&file, &segment.header(head), 0)?;
            self.disk.sync(&file)?;
            self.disk.sync_dir(&self.dir)?;
            Ok(Active {
                file,
                first: segment.first,
                head,
                keyed: None,
                len: head.len() as u64,
                asked: head.len() as u64,
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

fn shred() -> io::Result<Shred> {
    let mut shred = Shred::default();
    getrandom::fill(&mut shred).map_err(io::Error::other)?;
    Ok(shred)
}
