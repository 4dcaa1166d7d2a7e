//! The file of leaves: each frame holds the Raft log id that committed the leaf, and its bytes.
//! A snapshot is a prefix of this file.

use super::frames::{self, Frames, Stop};
use super::types::LogId;
use super::{StoreError, disk};
use serde::{Deserialize, Serialize};
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

/// Reads stored leaves in order, for start, snapshots and verification alike.
pub(super) struct LeafReader {
    path: PathBuf,
    frames: Frames,
}

impl LeafReader {
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self {
            path: path.to_owned(),
            frames: Frames::open(path)?,
        })
    }

    /// The next leaf with its offset and end, or why there is none.
    pub(super) fn next(&mut self) -> Result<Result<(StoredLeaf, u64, u64), Stop>, StoreError> {
        let frame = match self.frames.next()? {
            Ok(frame) => frame,
            Err(stop) => return Ok(Err(stop)),
        };
        match wire::decode(&frame.payload) {
            Ok(leaf) => Ok(Ok((leaf, frame.offset, frame.end()))),
            Err(error) => Err(StoreError::damaged(
                &self.path,
                frame.offset,
                error.to_string(),
            )),
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
                Stop::Damaged { offset, what } => (offset, what),
            };
            let what = format!(
                "leaf {have} is gone ({what}), yet {trusted} leaves were made durable and signed"
            );
            return Err(StoreError::damaged(&opened.path, offset, what));
        }
        if let Stop::Torn { offset } | Stop::Damaged { offset, .. } = stop {
            // These leaves were never signed; Raft's log still has them and applies them again.
            tracing::warn!(file = %opened.path.display(), offset, "cut off leaves that were not yet durable");
            let cut = opened
                .file
                .set_len(offset)
                .and_then(|()| opened.file.sync_all());
            cut.map_err(StoreError::io("cut", &opened.path))?;
        }
        Ok(opened)
    }

    /// Appends without waiting for the disk; see [`sync`](Self::sync).
    pub(super) fn append(&mut self, leaves: &[StoredLeaf]) -> Result<(), StoreError> {
        let (mut bytes, mut offsets) = (Vec::new(), Vec::with_capacity(leaves.len()));
        for leaf in leaves {
            let offset = self.end + bytes.len() as u64;
            frames::encode(offset, &wire::encode(leaf), &mut bytes);
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
        self.file
            .sync_data()
            .map_err(StoreError::io("sync", &self.path))
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
        wire::decode(&payload)
            .map_err(|error| StoreError::damaged(&self.path, offset, error.to_string()))
    }
}
