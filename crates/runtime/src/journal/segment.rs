//! A segment file: `magic | first seq u64 | salt u32 | crc32c u32`, then records. Its name is the
//! sequence number of its first record, so that a listing of the directory is the table of
//! contents.

use super::error::OpenError;
use std::fs;
use std::path::{Path, PathBuf};

/// Name of the format and its version; other bytes here mean "not ours" or "from a later build".
const MAGIC: &[u8; 8] = b"ghjrnl\0\x01";

/// Bytes before the first record.
pub(super) const HEADER: usize = 24;

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

    /// The file's header with this salt.
    pub(super) fn header(&self, salt: u32) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(MAGIC);
        header[8..16].copy_from_slice(&self.first.to_le_bytes());
        header[16..20].copy_from_slice(&salt.to_le_bytes());
        let crc = crc32c::crc32c(&header[..20]);
        header[20..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// The salt in the file's header, if `bytes` begins with a sound header of this segment.
    pub(super) fn salt(&self, bytes: &[u8]) -> Option<u32> {
        let salt = u32::from_le_bytes(bytes.get(16..20)?.try_into().ok()?);
        bytes.starts_with(&self.header(salt)).then_some(salt)
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
