//! The small file `applied`: how far the leaves are complete, and what they do not tell.

use super::super::types::{LogId, Membership};
use super::super::{StoreError, disk, frames, log};
use serde::{Deserialize, Serialize};
use std::path::Path;

pub(in super::super) const APPLIED: &str = "applied";

/// What cannot be told from the leaves: Raft's own entries leave none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Floor {
    /// Applied up to here, with `leaves` leaves, all durable.
    pub(super) applied: Option<LogId>,
    pub(super) leaves: u64,
    pub(super) membership: Membership,
}

impl Floor {
    /// The leaves that it counts must be durable already.
    pub(super) fn write(&self, dir: &Path) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        frames::encode(0, &wire::encode(self), &mut bytes);
        disk::replace(dir, APPLIED, &bytes)
    }
}

pub(super) fn read_floor(dir: &Path) -> Result<Option<Floor>, StoreError> {
    let path = dir.join(APPLIED);
    let Some(bytes) = frames::read_single(&path)? else {
        return Ok(None);
    };
    let floor = wire::decode(&bytes);
    floor
        .map(Some)
        .map_err(|error| StoreError::damaged(&path, frames::HEADER, error.to_string()))
}

/// Is the small file `applied` intact, and are its leaves there?
pub(in super::super) fn check_floor(dir: &Path, leaves: u64) -> Result<(), StoreError> {
    match read_floor(dir)? {
        Some(floor) if floor.leaves > leaves => {
            let what = format!(
                "it counts {} durable leaves, {leaves} are there",
                floor.leaves
            );
            Err(StoreError::mismatch(&dir.join(APPLIED), what))
        }
        Some(_) | None => Ok(()),
    }
}

/// Does `raft.log`, which begins behind `purged` and ends with `last`, go with what is applied?
pub(in super::super) fn check_applied(
    dir: &Path,
    purged: Option<LogId>,
    last: Option<LogId>,
    applied: Option<LogId>,
) -> Result<(), StoreError> {
    let log = dir.join(log::LOG);
    let index = |id: Option<LogId>| id.map_or(0, |id| id.index + 1);
    if last < applied {
        let what = format!(
            "it ends after {} entries, yet {} were applied: entries that were acknowledged are gone",
            index(last),
            index(applied)
        );
        return Err(StoreError::mismatch(&log, what));
    }
    if applied < purged {
        let what = format!(
            "it begins behind entry {}, yet only {} were applied: leaves or the file {APPLIED} are gone",
            index(purged),
            index(applied)
        );
        return Err(StoreError::mismatch(&log, what));
    }
    Ok(())
}
