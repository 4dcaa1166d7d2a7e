//! A segment file: a header, then frames. Its name is the sequence number of its first record, so that a
//! listing of the directory is the table of contents.
//!
//! Header of a plain segment: `magic | first seq u64 | salt u32 | crc32c u32`. Of a sealed one: `magic |
//! first seq u64 | salt u32 | shred 32 | crc32c u32`.

use super::cipher::Shred;
use super::error::OpenError;
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the format and its version; other bytes here mean "not ours" or "from a later build".
const PLAIN: &[u8; 8] = b"ghjrnl\0\x01";
const SEALED: &[u8; 8] = b"ghjrnl\0\x02";

/// Bytes before the first frame of a plain segment.
pub(super) const PLAIN_HEADER: usize = 24;
/// Bytes before the first frame of a sealed segment.
pub(super) const SEALED_HEADER: usize = 56;

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) salt: u32,
    /// `None`: records stand here as they are.
    pub(super) shred: Option<Shred>,
}

impl Head {
    /// Bytes before the first frame.
    pub(super) const fn len(&self) -> usize {
        match self.shred {
            None => PLAIN_HEADER,
            Some(_) => SEALED_HEADER,
        }
    }
}

/// A segment in the directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl Segment {
    pub(super) fn new(dir: &Path, first: u64) -> Self {
        Self {
            first,
            path: dir.join(format!("{first:020}.journal")),
        }
    }

    /// The file's header.
    pub(super) fn header(&self, head: Head) -> Vec<u8> {
        let mut header = Vec::with_capacity(head.len());
        header.extend_from_slice(head.shred.map_or(PLAIN, |_| SEALED));
        header.extend_from_slice(&self.first.to_le_bytes());
        header.extend_from_slice(&head.salt.to_le_bytes());
        header.extend(head.shred.iter().flatten());
        let crc = crc32c::crc32c(&header);
        header.extend_from_slice(&crc.to_le_bytes());
        header
    }

    /// The file's header, if `bytes` begins with a sound one of this segment.
    pub(super) fn head(&self, bytes: &[u8]) -> Option<Head> {
        let salt = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
        let shred = match bytes.starts_with(SEALED) {
            true => Some(bytes.get(20..52)?.try_into().ok()?),
            false => None,
        };
        let head = Head { salt, shred };
        bytes.starts_with(&self.header(head)).then_some(head)
    }

    /// The file's bytes.
    pub(super) fn load(&self) -> Result<Vec<u8>, OpenError> {
        fs::read(&self.path).map_err(OpenError::io("read", &self.path))
    }

    /// An error that names this file.
    pub(super) fn corrupt(&self, offset: usize, what: impl Into<String>) -> OpenError {
        OpenError::Corrupt {
            file: self.path.clone(),
            offset: offset as u64,
            what: what.into(),
        }
    }
}

/// Whether an unsound header of a last segment is an unfinished one: nothing is written behind a header
/// that is not durable. A plain one is as short as that, and so may the first record behind it be.
pub(super) fn is_unfinished(bytes: &[u8]) -> bool {
    bytes.len() <= PLAIN_HEADER || (bytes.len() <= SEALED_HEADER && !bytes.starts_with(PLAIN))
}

/// Whether `bytes`, up to a segment's end, are nothing but space that the writer had in advance, if anything. No
/// record begins with so many zeros: numbers start at 1.
pub(super) fn is_reserve(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

/// Whether `bytes` begin as a sealed segment does.
pub(super) fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(SEALED)
}

/// All segments in `dir`, in order. Files with other names are none of ours.
pub(super) fn list(dir: &Path) -> Result<Vec<Segment>, OpenError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(OpenError::io("list", dir))? {
        let path = entry.map_err(OpenError::io("list", dir))?.path();
        let first = path
            .file_name()
            .and_then(|name| name.to_str()?.strip_suffix(".journal")?.parse().ok());
        if let Some(first) = first {
            found.push(Segment { first, path });
        }
    }
    found.sort_by_key(|segment| segment.first);
    Ok(found)
}
