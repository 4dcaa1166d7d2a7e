//! The file of leaves: each frame holds the Raft log id that committed the leaf, and its bytes.
//! A snapshot is a prefix of this file.

use super::frames::{self, Frames, Stop};
use super::types::LogId;
use super::{StoreError, disk};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(super) const LEAVES: &str = "leaves";

/// A committed leaf as it lies on the disk.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct StoredLeaf {
    /// Who committed it and at which index of Raft's log. Not part of the Merkle leaf.
    pub(super) log_id: LogId,
    /// The Merkle leaf.
    pub(super) bytes: Vec<u8>,
}

/// First byte of a stored leaf that shares its entry with others; a leaf alone is encoded as the
/// first release did, and begins with the codec's version.
const SHARED: u8 = 0xb1;

impl StoredLeaf {
    /// The payload of its frame. `place` is the leaf's place in its entry and how many there are:
    /// recovery must tell a whole entry from the torn beginning of one.
    pub(super) fn encode(&self, place: Place) -> Vec<u8> {
        let mut bytes = wire::encode(self);
        if place.of > 1 {
            let mut head = vec![SHARED];
            head.extend_from_slice(&place.at.to_le_bytes());
            head.extend_from_slice(&place.of.to_le_bytes());
            bytes.splice(0..0, head);
        }
        bytes
    }

    fn decode(payload: &[u8]) -> Result<(Self, Place), wire::DecodeError> {
        if payload.first() != Some(&SHARED) {
            return Ok((wire::decode(payload)?, Place::ALONE));
        }
        let short = || wire::DecodeError::Malformed("its place in the entry is cut off".to_owned());
        let (at, rest) = payload[1..].split_first_chunk().ok_or_else(short)?;
        let (of, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let place = Place {
            at: u32::from_le_bytes(*at),
            of: u32::from_le_bytes(*of),
        };
        Ok((wire::decode(rest)?, place))
    }
}

/// Place of a leaf among those of its entry, from 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place {
    pub(super) at: u32,
    pub(super) of: u32,
}

impl Place {
    pub(super) const ALONE: Self = Self { at: 0, of: 1 };
}

/// Reads stored leaves in order, for start, snapshots and verification alike. Leaves of one entry
/// come together or not at all.
pub(super) struct LeafReader {
    path: PathBuf,
    frames: Frames,
    /// Leaves of the present entry that are still to be given.
    whole: VecDeque<Read>,
}

struct Read {
    leaf: StoredLeaf,
    place: Place,
    offset: u64,
    end: u64,
}

impl LeafReader {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            path: path.to_owned(),
            frames: Frames::open(path)?,
            whole: VecDeque::new(),
        })
    }

    /// The next leaf with its offset and end, or why there is none.
    pub(super) fn next(&mut self) -> Result<Result<(StoredLeaf, u64, u64), Stop>, StoreError> {
        let read = self.next_read()?;
        Ok(read.map(|read| (read.leaf, read.offset, read.end)))
    }

    /// The next leaf with its place in its entry, or why there is none.
    pub(super) fn next_placed(&mut self) -> Result<Result<(StoredLeaf, Place), Stop>, StoreError> {
        let read = self.next_read()?;
        Ok(read.map(|read| (read.leaf, read.place)))
    }

    fn next_read(&mut self) -> Result<Result<Read, Stop>, StoreError> {
        if self.whole.is_empty()
            && let Err(stop) = self.read_entry()?
        {
            return Ok(Err(stop));
        }
        // An entry has a leaf, or `read_entry` would have stopped.
        Ok(self.whole.pop_front().ok_or(Stop::End))
    }

    fn read_entry(&mut self) -> Result<Result<(), Stop>, StoreError> {
        let mut start = None;
        loop {
            let frame = match self.frames.next()? {
                Ok(frame) => frame,
                Err(stop) => {
                    let Some((start, _)) = start else {
                        return Ok(Err(stop));
                    };
                    self.whole.clear();
                    return Ok(Err(match stop {
                        Stop::End | Stop::Torn { .. } => Stop::Torn { offset: start },
                        Stop::Hole { .. } | Stop::Damaged { .. } => stop,
                    }));
                }
            };
            let (leaf, place) = StoredLeaf::decode(&frame.payload).map_err(|error| {
                StoreError::damaged(&self.path, frame.offset, error.to_string())
            })?;
            let expected = self.whole.len() as u32;
            let (_, of) = *start.get_or_insert((frame.offset, place.of));
            let first = self.whole.front();
            let same = first.is_none_or(|first| first.leaf.log_id == leaf.log_id);
            if place.at != expected || place.of != of || of == 0 || !same {
                let what = format!(
                    "leaf {} of {} in its entry stands where leaf {expected} of {of} belongs",
                    place.at, place.of
                );
                return Err(StoreError::damaged(&self.path, frame.offset, what));
            }
            self.whole.push_back(Read {
                leaf,
                place,
                offset: frame.offset,
                end: frame.end(),
            });
            if place.at + 1 == of {
                return Ok(Ok(()));
            }
        }
    }
}

/// The file, open for appending.
pub(super) struct LeafFile {
    path: PathBuf,
    file: Arc<File>,
    offsets: Vec<u64>,
    end: u64,
}

impl LeafFile {
    /// Opens or creates the file, showing every intact leaf to `each`. Only the first `trusted`
    /// leaves must be there; a tail that a crash tore off is cut away.
    pub(super) fn open(
        dir: &Path,
        trusted: u64,
        mut each: impl FnMut(u64, StoredLeaf) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let path = dir.join(LEAVES);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = Arc::new(file.map_err(StoreError::io("open", &path))?);
        disk::sync_dir(dir)?;
        let mut opened = Self {
            path,
            file,
            offsets: Vec::new(),
            end: 0,
        };
        let mut reader = LeafReader::open(&opened.path)?;
        let stop = loop {
            match reader.next()? {
                Ok((leaf, offset, end)) => {
                    each(opened.offsets.len() as u64, leaf)?;
                    opened.offsets.push(offset);
                    opened.end = end;
                }
                Err(stop) => break stop,
            }
        };
        let have = opened.offsets.len() as u64;
        if have < trusted {
            let (offset, what) = match stop {
                Stop::End => (opened.end, "the file ends".to_owned()),
                Stop::Torn { offset } => (offset, "the frame is cut off".to_owned()),
                Stop::Hole { offset, what } | Stop::Damaged { offset, what } => (offset, what),
            };
            let what = format!(
                "leaf {have} is gone ({what}), yet {trusted} leaves were made durable and signed"
            );
            return Err(StoreError::damaged(&opened.path, offset, what));
        }
        if let Stop::Torn { .. } | Stop::Hole { .. } | Stop::Damaged { .. } = stop {
            // These leaves were never signed; Raft's log still has them and applies them again. An
            // entry that is there in part goes as a whole.
            let offset = opened.end;
            tracing::warn!(file = %opened.path.display(), offset, "cut off leaves that were not yet durable");
            disk::cut(&opened.file, &opened.path, offset)?;
        }
        Ok(opened)
    }

    /// Appends without waiting for the disk; see [`sync`](Self::sync).
    pub(super) fn append(&mut self, leaves: &[(StoredLeaf, Place)]) -> Result<(), StoreError> {
        let (mut bytes, mut offsets) = (Vec::new(), Vec::with_capacity(leaves.len()));
        for (leaf, place) in leaves {
            let offset = self.end + bytes.len() as u64;
            frames::encode(offset, &leaf.encode(*place), &mut bytes);
            offsets.push(offset);
        }
        self.file
            .write_all_at(&bytes, self.end)
            .map_err(StoreError::io("append to", &self.path))?;
        self.end += bytes.len() as u64;
        self.offsets.append(&mut offsets);
        Ok(())
    }

    /// A handle to wait for the disk with, without holding up appends.
    pub(super) fn syncer(&self) -> (Arc<File>, PathBuf) {
        (self.file.clone(), self.path.clone())
    }

    pub(super) fn sync(&self) -> Result<(), StoreError> {
        disk::sync_data(&self.file, &self.path)
    }

    pub(super) fn count(&self) -> u64 {
        self.offsets.len() as u64
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.end
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read(&self, index: u64) -> Result<StoredLeaf, StoreError> {
        let at = usize::try_from(index)
            .ok()
            .and_then(|index| self.offsets.get(index).copied());
        let Some(offset) = at else {
            return Err(StoreError::mismatch(
                &self.path,
                format!("there is no leaf {index} yet"),
            ));
        };
        let payload = frames::read_at(&self.file, &self.path, offset)?;
        StoredLeaf::decode(&payload)
            .map(|(leaf, _)| leaf)
            .map_err(|error| StoreError::damaged(&self.path, offset, error.to_string()))
    }
}
