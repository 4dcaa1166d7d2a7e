//! Raft's log and vote on the disk.
//!
//! `raft.log` starts with a frame that says what was purged and, unless it is the founding one,
//! which store it is of; each further frame is an entry. It is cut at a conflict and rewritten
//! (rarely: see `purge_batch_size`) when its head is purged.
//!
//! `closed` is there while the node is stopped in order, and says how long the log was: without it
//! a log that was cut short would look like one whose last write was torn.

use super::frames::{self, Frames, HEADER, Stop};
use super::types::{Entry, LogId, StorageError, Types, Vote};
use super::{StoreError, disk};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, RaftLogReader, StorageIOError};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::ops::{Bound, RangeBounds};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wire::StoreId;

pub(super) const LOG: &str = "raft.log";
pub(super) const VOTE: &str = "vote";
pub(super) const CLOSED: &str = "closed";

/// Bytes of entries handed to replication at once. With `wire::codec::MAX_ENCODED` as the limit
/// of one message this leaves room for the largest single entry on top.
const MAX_READ: u64 = 4 << 20;

/// Of a founding store, as the first release writes it.
#[derive(Serialize, Deserialize)]
struct Head {
    purged: Option<LogId>,
}

/// Of any other store. In the log itself, so that votes and entries cannot come under the name of
/// another store.
#[derive(Serialize, Deserialize)]
struct StoreHead {
    purged: Option<LogId>,
    store: StoreId,
}

#[derive(Clone, Copy)]
struct Slot {
    log_id: LogId,
    offset: u64,
}

struct LogFile {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    store: StoreId,
    purged: Option<LogId>,
    /// Ascending by index.
    slots: Vec<Slot>,
    end: u64,
    vote: Option<Vote>,
}

/// The log store; clones share the file.
#[derive(Clone)]
pub(super) struct RaftLog(Arc<Mutex<LogFile>>);

impl RaftLog {
    /// A new log without entries.
    pub(super) fn create(dir: &Path, store: StoreId) -> Result<Self, StoreError> {
        disk::replace(dir, LOG, &head(None, store))?;
        Self::open(dir)
    }

    /// The log in `dir`. What a torn write left at its end is cut off.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOG);
        let Scanned {
            store,
            purged,
            slots,
            end,
        } = scan(&path)?;
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        let len = file
            .metadata()
            .map_err(StoreError::io("read", &path))?
            .len();
        expect_closed(dir, &path, end)?;
        if len > end {
            tracing::warn!(file = %path.display(), bytes = len - end, "cut off a torn write at the end");
            file.set_len(end)
                .and_then(|()| file.sync_all())
                .map_err(StoreError::io("cut", &path))?;
        }
        let vote = read_vote(dir)?;
        expect_vote(dir, vote, &slots, purged)?;
        let marker = dir.join(CLOSED);
        if marker.exists() {
            // From here on the log grows.
            fs::remove_file(&marker).map_err(StoreError::io("remove", &marker))?;
            disk::sync_dir(dir)?;
        }
        let dir = dir.to_owned();
        Ok(Self(Arc::new(Mutex::new(LogFile {
            dir,
            path,
            file,
            store,
            purged,
            slots,
            end,
            vote,
        }))))
    }

    /// Which store this is the log of.
    pub(super) fn store(&self) -> StoreId {
        self.lock().store
    }

    /// Has consensus been started on it?
    pub(super) fn begun(&self) -> bool {
        let log = self.lock();
        log.vote.is_some() || log.last().is_some()
    }

    /// What was purged, and the last entry.
    pub(super) fn ends(&self) -> (Option<LogId>, Option<LogId>) {
        let log = self.lock();
        (log.purged, log.last())
    }

    /// Forgets all up to an entry that is applied.
    pub(super) fn shorten(&self, upto: LogId) -> Result<(), StoreError> {
        self.lock().purge(upto)
    }

    /// Says how long the log is; after the last write.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        let log = self.lock();
        let mut bytes = Vec::new();
        frames::encode(0, &wire::encode(&log.end), &mut bytes);
        disk::replace(&log.dir, CLOSED, &bytes)
    }

    fn lock(&self) -> MutexGuard<'_, LogFile> {
        // Each method leaves the fields consistent before anything in it can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the whole log for its sake: is every frame intact and in place?
pub(super) fn check(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(LOG);
    let scanned = scan(&path)?;
    expect_closed(dir, &path, scanned.end)?;
    expect_vote(dir, read_vote(dir)?, &scanned.slots, scanned.purged)
}

/// A log that was closed in order is as long as it was then.
fn expect_closed(dir: &Path, path: &Path, end: u64) -> Result<(), StoreError> {
    let marker = dir.join(CLOSED);
    let Some(bytes) = frames::read_single(&marker)? else {
        return Ok(());
    };
    let closed: u64 = wire::decode(&bytes)
        .map_err(|error| StoreError::damaged(&marker, HEADER, error.to_string()))?;
    if closed == end {
        return Ok(());
    }
    let what = format!("the log ends here, yet it had {closed} bytes when the node was stopped");
    Err(StoreError::damaged(path, end, what))
}

/// Whoever holds entries has voted: a vote that is gone would be cast again. Only the entry that
/// founds a cluster is written before the first vote.
fn expect_vote(
    dir: &Path,
    vote: Option<Vote>,
    slots: &[Slot],
    purged: Option<LogId>,
) -> Result<(), StoreError> {
    let last = slots.last().map(|slot| slot.log_id).or(purged);
    let term = last.map_or(0, |last| last.leader_id.term);
    let voted = vote.map_or(0, |vote| vote.leader_id.term);
    if voted >= term {
        return Ok(());
    }
    let what = format!("the log has entries of term {term}, the vote is of term {voted}");
    Err(StoreError::damaged(&dir.join(VOTE), 0, what))
}

fn read_vote(dir: &Path) -> Result<Option<Vote>, StoreError> {
    let path = dir.join(VOTE);
    let Some(bytes) = frames::read_single(&path)? else {
        return Ok(None);
    };
    let vote = wire::decode(&bytes);
    vote.map(Some)
        .map_err(|error| StoreError::damaged(&path, HEADER, error.to_string()))
}

fn head(purged: Option<LogId>, store: StoreId) -> Vec<u8> {
    let payload = if store == StoreId::FOUNDING {
        wire::encode(&Head { purged })
    } else {
        wire::encode(&StoreHead { purged, store })
    };
    let mut out = Vec::new();
    frames::encode(0, &payload, &mut out);
    out
}

struct Scanned {
    store: StoreId,
    purged: Option<LogId>,
    slots: Vec<Slot>,
    end: u64,
}

fn scan(path: &Path) -> Result<Scanned, StoreError> {
    let mut frames = Frames::open(path)?;
    let malformed =
        |offset, error: wire::DecodeError| StoreError::damaged(path, offset, error.to_string());
    let head = match frames.next()? {
        Ok(frame) => frame,
        Err(Stop::Damaged { offset, what }) => return Err(StoreError::damaged(path, offset, what)),
        Err(Stop::End | Stop::Torn { .. }) => {
            return Err(StoreError::damaged(path, 0, "its head is cut off"));
        }
    };
    let mut end = head.end();
    let (purged, store) = match wire::decode::<StoreHead>(&head.payload) {
        Ok(StoreHead { purged, store }) => (purged, store),
        Err(_) => {
            let Head { purged } =
                wire::decode(&head.payload).map_err(|error| malformed(0, error))?;
            (purged, StoreId::FOUNDING)
        }
    };
    let mut slots: Vec<Slot> = Vec::new();
    loop {
        let frame = match frames.next()? {
            Ok(frame) => frame,
            Err(Stop::End | Stop::Torn { .. }) => {
                return Ok(Scanned {
                    store,
                    purged,
                    slots,
                    end,
                });
            }
            Err(Stop::Damaged { offset, what }) => {
                return Err(StoreError::damaged(path, offset, what));
            }
        };
        let entry: Entry =
            wire::decode(&frame.payload).map_err(|error| malformed(frame.offset, error))?;
        let last = slots.last().map(|slot| slot.log_id).or(purged);
        let expected = last.map_or(0, |last| last.index + 1);
        if entry.log_id.index != expected {
            let found = entry.log_id.index;
            return Err(StoreError::damaged(
                path,
                frame.offset,
                format!("entry {found} stands where {expected} belongs"),
            ));
        }
        slots.push(Slot {
            log_id: entry.log_id,
            offset: frame.offset,
        });
        end = frame.end();
    }
}

impl LogFile {
    fn last(&self) -> Option<LogId> {
        self.slots.last().map(|slot| slot.log_id).or(self.purged)
    }

    /// Position in `slots` of the entry with this index, or of where it would be.
    fn position(&self, index: u64) -> usize {
        self.slots.partition_point(|slot| slot.log_id.index < index)
    }

    fn append(&mut self, entries: impl Iterator<Item = Entry>) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        let mut slots = Vec::new();
        for entry in entries {
            let offset = self.end + bytes.len() as u64;
            frames::encode(offset, &wire::encode(&entry), &mut bytes);
            slots.push(Slot {
                log_id: entry.log_id,
                offset,
            });
        }
        let write = self
            .file
            .write_all_at(&bytes, self.end)
            .and_then(|()| self.file.sync_data());
        write.map_err(StoreError::io("append to", &self.path))?;
        self.end += bytes.len() as u64;
        self.slots.append(&mut slots);
        Ok(())
    }

    fn truncate(&mut self, since: u64) -> Result<(), StoreError> {
        let at = self.position(since);
        let Some(slot) = self.slots.get(at).copied() else {
            return Ok(());
        };
        let cut = self
            .file
            .set_len(slot.offset)
            .and_then(|()| self.file.sync_all());
        cut.map_err(StoreError::io("cut", &self.path))?;
        self.slots.truncate(at);
        self.end = slot.offset;
        Ok(())
    }

    fn purge(&mut self, upto: LogId) -> Result<(), StoreError> {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return Ok(());
        }
        let keep = self.slots.split_off(self.position(upto.index + 1));
        let mut bytes = head(Some(upto), self.store);
        let mut slots = Vec::with_capacity(keep.len());
        for slot in keep {
            let payload = frames::read_at(&self.file, &self.path, slot.offset)?;
            let offset = bytes.len() as u64;
            frames::encode(offset, &payload, &mut bytes);
            slots.push(Slot { offset, ..slot });
        }
        disk::replace(&self.dir, LOG, &bytes)?;
        let file = OpenOptions::new().read(true).write(true).open(&self.path);
        self.file = file.map_err(StoreError::io("open", &self.path))?;
        self.purged = Some(upto);
        self.slots = slots;
        self.end = bytes.len() as u64;
        Ok(())
    }

    fn read(&self, range: impl RangeBounds<u64>, most: u64) -> Result<Vec<Entry>, StoreError> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        let mut entries = Vec::new();
        let mut bytes = 0;
        for slot in &self.slots[self.position(from)..] {
            if slot.log_id.index >= to || bytes >= most {
                break;
            }
            let payload = frames::read_at(&self.file, &self.path, slot.offset)?;
            bytes += payload.len() as u64;
            let entry = wire::decode(&payload);
            entries.push(entry.map_err(|error| {
                StoreError::damaged(&self.path, slot.offset, error.to_string())
            })?);
        }
        Ok(entries)
    }

    fn save_vote(&mut self, vote: &Vote) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        frames::encode(0, &wire::encode(vote), &mut bytes);
        disk::replace(&self.dir, VOTE, &bytes)?;
        self.vote = Some(*vote);
        Ok(())
    }
}

fn read_failed(error: StoreError) -> StorageError {
    StorageIOError::read_logs(AnyError::error(error)).into()
}

fn write_failed(error: StoreError) -> StorageError {
    StorageIOError::write_logs(AnyError::error(error)).into()
}

impl RaftLogReader<Types> for RaftLog {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + Send>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, StorageError> {
        disk::blocking(|| self.lock().read(range, u64::MAX)).map_err(read_failed)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        disk::blocking(|| self.lock().read(start..end, MAX_READ)).map_err(read_failed)
    }
}

impl RaftLogStorage<Types> for RaftLog {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let log = self.lock();
        Ok(LogState {
            last_purged_log_id: log.purged,
            last_log_id: log.last(),
        })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let saved = disk::blocking(|| self.lock().save_vote(vote));
        saved.map_err(|error| StorageIOError::write_vote(AnyError::error(error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().vote)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        disk::blocking(|| self.lock().append(entries.into_iter())).map_err(write_failed)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        disk::blocking(|| self.lock().truncate(log_id.index)).map_err(write_failed)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        disk::blocking(|| self.lock().purge(log_id)).map_err(write_failed)
    }
}

#[cfg(test)]
mod tests;
