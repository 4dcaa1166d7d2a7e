//! Reading the log from its start: what is there, and is it whole?

use super::super::StoreError;
use super::super::frames::{self, Frames, HEADER, Stop};
use super::super::types::{LogId, Vote};
use super::file::MAX_UNSYNCED;
use super::{CLOSED, LOG, Slot, VOTE, marked};
use machine::mistakes::{self, Mistake};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use wire::StoreId;

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

pub(super) fn head(purged: Option<LogId>, store: StoreId) -> Vec<u8> {
    let payload = if store == StoreId::FOUNDING {
        wire::encode(&Head { purged })
    } else {
        wire::encode(&StoreHead { purged, store })
    };
    let mut out = Vec::new();
    frames::encode(0, &payload, &mut out);
    out
}

pub(super) struct Scanned {
    pub(super) store: StoreId,
    pub(super) purged: Option<LogId>,
    pub(super) slots: Vec<Slot>,
    pub(super) end: u64,
}

/// Reads every frame. What a crash left behind the last durable one ends the log.
pub(super) fn scan(path: &Path) -> Result<Scanned, StoreError> {
    let mut frames = Frames::open(path)?;
    let malformed =
        |offset, error: wire::DecodeError| StoreError::damaged(path, offset, error.to_string());
    let head = match frames.next()? {
        Ok(frame) => frame,
        Err(Stop::Damaged { offset, what } | Stop::Hole { offset, what }) => {
            return Err(StoreError::damaged(path, offset, what));
        }
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
            Err(stop) => {
                expect_unsynced(path, stop)?;
                return Ok(Scanned {
                    store,
                    purged,
                    slots,
                    end,
                });
            }
        };
        let marked::Marked { entry, .. } = marked::decode(&frame.payload, frame.offset)
            .map_err(|error| malformed(frame.offset, error))?;
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

/// May the log end here? It may where writes were waiting for the disk, and nothing behind this
/// place was written in the knowledge that this place is durable.
fn expect_unsynced(path: &Path, stop: Stop) -> Result<(), StoreError> {
    let (offset, what) = match stop {
        Stop::End | Stop::Torn { .. } => return Ok(()),
        Stop::Damaged { offset, what } => return Err(StoreError::damaged(path, offset, what)),
        Stop::Hole { offset, what } => (offset, what),
    };
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let len = file.metadata().map_err(StoreError::io("read", path))?.len();
    let behind = len - offset;
    if behind > MAX_UNSYNCED {
        return Err(StoreError::damaged(path, offset, what));
    }
    let mut bytes = vec![0; behind as usize];
    file.read_exact_at(&mut bytes, offset)
        .map_err(StoreError::io("read", path))?;
    let attested = frames::intact_among(offset, &bytes).find(|frame| {
        // What is intact and yet no entry attests as well: crashes do not write such things.
        marked::decode(&frame.payload, frame.offset).map_or(true, |marked| marked.durable > offset)
    });
    match attested {
        None => Ok(()),
        Some(frame) => {
            let what = format!(
                "{what}, and it was durable when what stands at byte {} was written",
                frame.offset
            );
            Err(StoreError::damaged(path, offset, what))
        }
    }
}

/// Reads the whole log for its sake: is every frame intact and in place?
pub(in super::super) fn check(dir: &Path) -> Result<(), StoreError> {
    let path = dir.join(LOG);
    let scanned = scan(&path)?;
    expect_closed(dir, &path, scanned.end)?;
    expect_vote(dir, read_vote(dir)?, &scanned.slots, scanned.purged)
}

/// A log that was closed in order is as long as it was then. Was it closed in order?
pub(super) fn expect_closed(dir: &Path, path: &Path, end: u64) -> Result<bool, StoreError> {
    let marker = dir.join(CLOSED);
    let Some(bytes) = frames::read_single(&marker)? else {
        return Ok(false);
    };
    let closed: u64 = wire::decode(&bytes)
        .map_err(|error| StoreError::damaged(&marker, HEADER, error.to_string()))?;
    if closed == end {
        return Ok(true);
    }
    let what = format!("the log ends here, yet it had {closed} bytes when the node was stopped");
    Err(StoreError::damaged(path, end, what))
}

/// Whoever holds entries has voted: a vote that is gone would be cast again. Only the entry that
/// founds a cluster is written before the first vote.
pub(super) fn expect_vote(
    dir: &Path,
    vote: Option<Vote>,
    slots: &[Slot],
    purged: Option<LogId>,
) -> Result<(), StoreError> {
    let last = slots.last().map(|slot| slot.log_id).or(purged);
    let term = last.map_or(0, |last| last.leader_id.term);
    let voted = vote.map_or(0, |vote| vote.leader_id.term);
    if voted >= term || mistakes::on(Mistake::DoubleVote) {
        return Ok(());
    }
    let what = format!("the log has entries of term {term}, the vote is of term {voted}");
    Err(StoreError::damaged(&dir.join(VOTE), 0, what))
}

pub(super) fn read_vote(dir: &Path) -> Result<Option<Vote>, StoreError> {
    let path = dir.join(VOTE);
    let Some(bytes) = frames::read_single(&path)? else {
        return Ok(None);
    };
    let vote = wire::decode(&bytes);
    vote.map(Some)
        .map_err(|error| StoreError::damaged(&path, HEADER, error.to_string()))
}
