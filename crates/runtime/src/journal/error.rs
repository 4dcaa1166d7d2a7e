use std::io;
use std::path::{Path, PathBuf};

/// Why an append was not made durable. Nothing of it is in the journal then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// No space left for the record (`ENOSPC`, `EDQUOT`, or a file size limit).
    #[error("the disk that holds the journal {dir} is full; free space and try again")]
    Full {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// Over [`MAX_PAYLOAD`](super::MAX_PAYLOAD).
    #[error("a record of {len} bytes is over the journal's limit of {limit}; split it")]
    TooLarge {
        /// Length of the payload.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Writing or syncing failed in a way that leaves the state of the file's cached pages
    /// unknown: the journal refuses everything until it is opened again.
    #[error("the journal {dir} failed ({cause}); open it again to recover")]
    Failed {
        /// The journal's directory.
        dir: PathBuf,
        /// What the system said.
        cause: String,
    },
    /// The writer has ended.
    #[error("the journal is closed")]
    Closed,
}

/// Why a journal could not be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused an operation on a file.
    #[error("cannot {action} {file}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something that had been durable is damaged.
    #[error(
        "journal file {file} is damaged at offset {offset}: {what}; restore the file from a copy, \
         or move it away to give up the records from there on"
    )]
    Corrupt {
        /// The segment.
        file: PathBuf,
        /// Byte offset of the first record that cannot be read.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The key of sealed records cannot be had. Nothing was changed.
    #[error(
        "the records from {seq} on in the journal file {file} are sealed, and their key cannot be had: {reason}"
    )]
    Key {
        /// The segment.
        file: PathBuf,
        /// First record under the key.
        seq: u64,
        /// Why, and what helps.
        reason: String,
    },
    /// Another process holds the journal.
    #[error("journal {dir} is in use by another process; stop that one first")]
    Locked {
        /// The journal's directory.
        dir: PathBuf,
    },
}

impl OpenError {
    pub(super) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            file: file.to_owned(),
            source,
        }
    }
}

/// Whether the system says "no space": also a quota or a limit on file size, which the operator
/// cures in the same way.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
