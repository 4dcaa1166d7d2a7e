//! Writing files whose mode matters, and files that must never be found half written.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file or folder could not be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path}: {source}; choose another place with --dir DIR, or mend this one")]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: std::io::Error,
}

impl FileError {
    /// For `map_err`.
    pub fn when(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self {
            action,
            path,
            source,
        }
    }
}

/// Mode of a file that everybody may read.
pub const PUBLIC: u32 = 0o644;
/// Mode of a file with a secret.
pub const SECRET: u32 = 0o600;

/// Writes `text` to `path`, with `mode` if the file is new.
pub fn write(path: &Path, text: &str, mode: u32) -> Result<(), FileError> {
    OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(FileError::when("write", path))
}

/// Replaces `path` as a whole: who reads it sees the former text or the new one, even if this
/// process is killed in between.
pub fn replace(path: &Path, text: &str) -> Result<(), FileError> {
    let aside = path.with_extension("new");
    write(&aside, text, PUBLIC)?;
    File::open(&aside)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(&aside, path))
        .map_err(FileError::when("write", path))
}

/// Makes a folder and those above it.
pub fn folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(FileError::when("create", path))
}
