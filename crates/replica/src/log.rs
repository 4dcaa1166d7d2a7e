//! Raft's log and vote on the disk.
//!
//! `raft.log` starts with a frame that says what was purged and, unless it is the founding one,
//! which store it is of; each further frame is an entry. It is cut at a conflict and rewritten
//! (rarely: see `purge_batch_size`) when its head is purged.
//!
//! A follower acknowledges entries when they are durable. A leader goes on as soon as its own are
//! written; whatever counts its copy waits ([`durable`]).
//!
//! `closed` is there while the node is stopped in order, and says how long the log was: without it
//! a log that was cut short would look like one whose last write was torn.

mod durable;
mod file;
mod marked;
mod scan;

use super::types::{Entry, LogId, StorageError, Types, Vote};
use super::{StoreError, disk, frames, types};
use durable::Progress;
use file::{LogFile, Opened};
use openraft::storage::{LogFlushed, LogState, RaftLogStorage};
use openraft::{AnyError, RaftLogReader, StorageIOError};
use runtime::blocking::in_place;
use scan::Scanned;
use std::fmt::Debug;
use std::fs::{self, OpenOptions};
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use wire::StoreId;

pub(super) use scan::check;

pub(super) const LOG: &str = "raft.log";
pub(super) const VOTE: &str = "vote";
pub(super) const CLOSED: &str = "closed";

/// Bytes of entries handed to replication at once. With `wire::codec::MAX_ENCODED` as the limit
/// of one message this leaves room for the largest single entry on top.
const MAX_READ: u64 = 4 << 20;

#[derive(Clone, Copy)]
struct Slot {
    log_id: LogId,
    offset: u64,
}

struct Shared {
    file: Mutex<LogFile>,
    /// Held while the disk is asked to make the file durable; taken before `file`.
    turn: Mutex<()>,
    progress: watch::Sender<Progress>,
}

/// The log store; clones share the file.
#[derive(Clone)]
pub(super) struct RaftLog(Arc<Shared>);

impl RaftLog {
    /// A new log without entries.
    pub(super) fn create(dir: &Path, store: StoreId) -> Result<Self, StoreError> {
        disk::replace(dir, LOG, &scan::head(None, store))?;
        Self::open(dir)
    }

    /// The log in `dir`. What a crash left behind the last durable entry is cut off; what is kept
    /// is durable, for a process that was killed may have left it to the system to write.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(LOG);
        let Scanned {
            store,
            purged,
            slots,
            end,
        } = scan::scan(&path)?;
        let file = OpenOptions::new().read(true).write(true).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        let len = file
            .metadata()
            .map_err(StoreError::io("read", &path))?
            .len();
        let closed = scan::expect_closed(dir, &path, end)?;
        if len > end {
            tracing::warn!(file = %path.display(), bytes = len - end, "cut off a torn write at the end");
            disk::cut(&file, &path, end)?;
        } else if !closed {
            disk::sync_data(&file, &path)?;
        }
        let vote = scan::read_vote(dir)?;
        scan::expect_vote(dir, vote, &slots, purged)?;
        let marker = dir.join(CLOSED);
        if closed {
            // From here on the log grows.
            fs::remove_file(&marker).map_err(StoreError::io("remove", &marker))?;
        }
        disk::sync_dir(dir)?;
        let file = LogFile::new(Opened {
            dir: dir.to_owned(),
            path,
            file,
            store,
            purged,
            slots,
            end,
            vote,
            closed,
        });
        Ok(Self(Arc::new(Shared {
            file: Mutex::new(file),
            turn: Mutex::default(),
            progress: watch::Sender::default(),
        })))
    }

    /// Says which replica takes part with this log, before it does.
    ///
    /// openraft goes on leading after a restart if its vote says so. A leader that a crash stopped
    /// may have sent out entries that its own log lost; in the same term it would give their
    /// places to others. So it starts as one that has merely voted for itself, and has to be
    /// elected anew.
    pub(super) fn take_part(&self, id: u64) {
        let mut log = self.lock();
        log.id = Some(id);
        if log.leads() && !log.closed {
            log.vote = log.vote.map(|vote| Vote {
                committed: false,
                ..vote
            });
        }
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
        self.replacing(|log| log.purge(upto))
    }

    /// Makes the log durable and says how long it is; after the last write.
    pub(super) fn close(&self) -> Result<(), StoreError> {
        self.sync_now()?;
        let log = self.lock();
        let mut bytes = Vec::new();
        frames::encode(0, &wire::encode(&log.end), &mut bytes);
        disk::replace(&log.dir, CLOSED, &bytes)
    }

    #[cfg(test)]
    fn path(&self) -> std::path::PathBuf {
        self.lock().path.clone()
    }

    fn lock(&self) -> MutexGuard<'_, LogFile> {
        // Each method leaves the fields consistent before anything in it can panic.
        self.0.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends. Durable when it returns, unless the entries are this leader's own.
    fn write(&self, entries: &[Entry]) -> Result<(), StoreError> {
        self.expect_intact()?;
        let ahead = disk::copying(types::weight(entries), || {
            let mut log = self.lock();
            log.write(entries)?;
            Ok::<_, StoreError>(log.leads() && log.may_run_ahead())
        });
        if let Err(error) = &ahead {
            // A piece of it may stand there. The next start cuts it off; nothing goes behind it.
            self.refuse(error);
        }
        if ahead? {
            self.sync_soon()
        } else {
            in_place(|| self.sync_now())
        }
    }

    fn read(&self, range: impl RangeBounds<u64>, most: u64) -> Result<Vec<Entry>, StoreError> {
        let bytes = self.lock().extent(&range).min(most);
        disk::copying(bytes, || self.lock().read(range, most))
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
        self.read(range, u64::MAX).map_err(read_failed)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        self.read(start..end, MAX_READ).map_err(read_failed)
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
        // Entries that wait for the disk need not be durable first: nobody was told that they are,
        // and a candidate whose tail is lost is a candidate no more.
        let saved = in_place(|| self.lock().save_vote(vote));
        saved.map_err(|error| StorageIOError::write_vote(AnyError::error(error)).into())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        Ok(self.lock().vote)
    }

    /// Calls back when the entries are durable, or at once if they are this leader's own.
    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + Send,
        I::IntoIter: Send,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        self.write(&entries).map_err(write_failed)?;
        callback.log_io_completed(Ok(()));
        Ok(())
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        in_place(|| self.replacing(|log| log.truncate(log_id.index))).map_err(write_failed)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        in_place(|| self.shorten(log_id)).map_err(write_failed)
    }
}

#[cfg(test)]
mod tests;
