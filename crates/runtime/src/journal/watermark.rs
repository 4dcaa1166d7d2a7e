//! How far the reader of the journal has got: one small checksummed file, replaced atomically.

use super::error::OpenError;
use std::fs;
use std::io;
use std::path::Path;

const NAME: &str = "processed";
const MAGIC: &[u8; 8] = b"ghproc\0\x01";
const LEN: usize = 20;

/// What the file says.
pub(super) enum Mark {
    /// The last sequence number worked off; 0 for none.
    Sound(u64),
    /// Nothing any more.
    Damaged(OpenError),
}

/// The mark in `dir`.
pub(super) fn load(dir: &Path) -> Result<Mark, OpenError> {
    let path = dir.join(NAME);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Mark::Sound(0)),
        Err(error) => return Err(OpenError::io("read", &path)(error)),
    };
    let seq = bytes
        .get(8..16)
        .and_then(|seq| Some(u64::from_le_bytes(seq.try_into().ok()?)));
    Ok(match seq {
        Some(seq) if bytes == encode(seq) => Mark::Sound(seq),
        _ => Mark::Damaged(damaged(dir, "not a sound processed mark of this version")),
    })
}

/// An error that names the file.
pub(super) fn damaged(dir: &Path, what: &str) -> OpenError {
    OpenError::Corrupt {
        file: dir.join(NAME),
        offset: 0,
        what: format!("{what} (without this file every record counts as not yet processed)"),
    }
}

/// At any moment either the old or the new mark.
pub(super) fn store(dir: &Path, seq: u64) -> io::Result<()> {
    crate::durable::replace(&dir.join(NAME), &encode(seq))
}

fn encode(seq: u64) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&seq.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    bytes
}
