//! The file of the log: entries in order, and which of them are durable.

use super::super::types::{Entry, LogId, Vote};
use super::super::{StoreError, disk, frames};
use super::scan::head;
use super::{LOG, Slot, VOTE, marked};
use machine::mistakes::{self, Mistake};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::ops::{Bound, Range, RangeBounds};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::time::Instant;
use wire::StoreId;

/// Bytes that may wait for the disk before a leader, too, waits for it: eight full entries, so that
/// a slow disk slows the proposers and not the memory or the next start.
const EARLY: u64 = 8 << 20;

/// Most bytes that a crash can leave behind the last durable one: [`EARLY`], and one append on
/// top, which comes in one message.
pub(super) const MAX_UNSYNCED: u64 = EARLY + 2 * wire::codec::MAX_ENCODED as u64;

/// A write that waits for the disk.
struct Unsynced {
    /// Index of its first entry, and where that begins.
    first: u64,
    offset: u64,
    /// Its number among all writes.
    write: u64,
    since: Instant,
}

pub(super) struct LogFile {
    pub(super) dir: PathBuf,
    pub(super) path: PathBuf,
    file: Arc<File>,
    pub(super) store: StoreId,
    pub(super) purged: Option<LogId>,
    /// Ascending by index.
    pub(super) slots: Vec<Slot>,
    pub(super) end: u64,
    pub(super) vote: Option<Vote>,
    /// Raft's number of this replica, once it takes part.
    pub(super) id: Option<u64>,
    /// Was everything durable when it was opened, by an orderly stop?
    pub(super) closed: bool,
    /// Writes so far: unlike places in the file these are never used twice.
    writes: u64,
    /// In order. What is not here is durable.
    unsynced: VecDeque<Unsynced>,
    /// Somebody is about to make it durable.
    pub(super) syncing: bool,
}

/// What is read from an existing file.
pub(super) struct Opened {
    pub(super) dir: PathBuf,
    pub(super) path: PathBuf,
    pub(super) file: File,
    pub(super) store: StoreId,
    pub(super) purged: Option<LogId>,
    pub(super) slots: Vec<Slot>,
    pub(super) end: u64,
    pub(super) vote: Option<Vote>,
    pub(super) closed: bool,
}

impl LogFile {
    pub(super) fn new(opened: Opened) -> Self {
        let Opened {
            dir,
            path,
            file,
            store,
            purged,
            slots,
            end,
            vote,
            closed,
        } = opened;
        Self {
            dir,
            path,
            file: Arc::new(file),
            store,
            purged,
            slots,
            end,
            vote,
            id: None,
            closed,
            writes: 0,
            unsynced: VecDeque::new(),
            syncing: false,
        }
    }

    pub(super) fn last(&self) -> Option<LogId> {
        self.slots.last().map(|slot| slot.log_id).or(self.purged)
    }

    /// Does this replica lead, by its vote? Then what it appends is its own.
    pub(super) fn leads(&self) -> bool {
        let led_by = |vote: &Vote| vote.committed.then_some(vote.leader_id.node_id);
        self.id.is_some() && self.vote.as_ref().and_then(led_by) == self.id
    }

    /// Position in `slots` of the entry with this index, or of where it would be.
    fn position(&self, index: u64) -> usize {
        self.slots.partition_point(|slot| slot.log_id.index < index)
    }

    /// Appends without waiting for the disk.
    pub(super) fn write(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let Some(first) = entries.first() else {
            return Ok(());
        };
        let durable = self.unsynced.front().map_or(self.end, |first| first.offset);
        let mut bytes = Vec::new();
        let mut slots = Vec::new();
        for entry in entries {
            let offset = self.end + bytes.len() as u64;
            frames::encode(offset, &marked::encode(entry, offset, durable), &mut bytes);
            slots.push(Slot {
                log_id: entry.log_id,
                offset,
            });
        }
        self.file
            .write_all_at(&bytes, self.end)
            .map_err(StoreError::io("append to", &self.path))?;
        self.writes += 1;
        self.unsynced.push_back(Unsynced {
            first: first.log_id.index,
            offset: self.end,
            write: self.writes,
            since: Instant::now(),
        });
        self.end += bytes.len() as u64;
        self.slots.append(&mut slots);
        Ok(())
    }

    /// May more be written before the disk has confirmed this?
    pub(super) fn may_run_ahead(&self) -> bool {
        let first = self.unsynced.front();
        first.is_none_or(|first| self.end - first.offset <= EARLY)
    }

    /// What is to be synced, and up to which write it then is.
    pub(super) fn to_sync(&self) -> Option<(Arc<File>, PathBuf, u64)> {
        let last = self.unsynced.back()?;
        Some((self.file.clone(), self.path.clone(), last.write))
    }

    /// The disk has confirmed everything up to a write.
    pub(super) fn confirmed(&mut self, write: u64) {
        while self
            .unsynced
            .pop_front_if(|first| first.write <= write)
            .is_some()
        {}
    }

    /// The last write so far.
    pub(super) fn writes(&self) -> u64 {
        self.writes
    }

    /// The write that must be durable before entry `index` and all in front of it are; `None` if
    /// they are.
    pub(super) fn write_of(&self, index: u64) -> Option<u64> {
        let of = self.unsynced.partition_point(|write| write.first <= index);
        of.checked_sub(1).map(|at| self.unsynced[at].write)
    }

    /// Since when the disk has been owing an answer.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.unsynced.front().map(|first| first.since)
    }

    /// The last entry that is durable with all in front of it.
    pub(super) fn durable(&self) -> Option<LogId> {
        let Some(first) = self.unsynced.front() else {
            return self.last();
        };
        let before = self.slots[..self.position(first.first)].last();
        before.map(|slot| slot.log_id).or(self.purged)
    }

    /// Durable when it returns, together with all writes before.
    pub(super) fn truncate(&mut self, since: u64) -> Result<(), StoreError> {
        let at = self.position(since);
        let Some(slot) = self.slots.get(at).copied() else {
            return Ok(());
        };
        disk::cut(&self.file, &self.path, slot.offset)?;
        self.slots.truncate(at);
        self.end = slot.offset;
        self.unsynced.clear();
        Ok(())
    }

    /// Durable when it returns, together with all writes before: they are in the new file.
    pub(super) fn purge(&mut self, upto: LogId) -> Result<(), StoreError> {
        if self.purged.is_some_and(|purged| purged.index >= upto.index) {
            return Ok(());
        }
        let keep = &self.slots[self.position(upto.index + 1)..];
        let mut bytes = head(Some(upto), self.store);
        let mut slots = Vec::with_capacity(keep.len());
        for slot in keep {
            let entry = self.entry(slot)?.0;
            let offset = bytes.len() as u64;
            // Places change, so marks would not be true any more; and none is needed.
            frames::encode(offset, &marked::encode(&entry, offset, offset), &mut bytes);
            slots.push(Slot { offset, ..*slot });
        }
        disk::replace(&self.dir, LOG, &bytes)?;
        let file = OpenOptions::new().read(true).write(true).open(&self.path);
        self.file = Arc::new(file.map_err(StoreError::io("open", &self.path))?);
        self.purged = Some(upto);
        self.slots = slots;
        self.end = bytes.len() as u64;
        self.unsynced.clear();
        Ok(())
    }

    /// An entry and the length of its frame's payload.
    fn entry(&self, slot: &Slot) -> Result<(Entry, u64), StoreError> {
        let payload = frames::read_at(&self.file, &self.path, slot.offset)?;
        let entry = marked::decode(&payload, slot.offset)
            .map_err(|error| StoreError::damaged(&self.path, slot.offset, error.to_string()))?;
        Ok((entry.entry, payload.len() as u64))
    }

    /// The entries of `range` among `slots`.
    fn within(&self, range: &impl RangeBounds<u64>) -> Range<usize> {
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
        let from = self.position(from);
        from..self.position(to).max(from)
    }

    /// Bytes of the file that hold the entries of `range`.
    pub(super) fn extent(&self, range: &impl RangeBounds<u64>) -> u64 {
        let Range { start, end } = self.within(range);
        let offset = |at: usize| self.slots.get(at).map_or(self.end, |slot| slot.offset);
        offset(end) - offset(start)
    }

    pub(super) fn read(
        &self,
        range: impl RangeBounds<u64>,
        most: u64,
    ) -> Result<Vec<Entry>, StoreError> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for slot in &self.slots[self.within(&range)] {
            if bytes >= most {
                break;
            }
            let (entry, len) = self.entry(slot)?;
            bytes += len;
            entries.push(entry);
        }
        Ok(entries)
    }

    pub(super) fn save_vote(&mut self, vote: &Vote) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        frames::encode(0, &wire::encode(vote), &mut bytes);
        if !mistakes::on(Mistake::DoubleVote) {
            disk::replace(&self.dir, VOTE, &bytes)?;
        }
        self.vote = Some(*vote);
        Ok(())
    }
}
