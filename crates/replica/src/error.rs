//! What can be wrong with the ledger's files.

use std::io;
use std::path::{Path, PathBuf};

/// A file of the ledger cannot be used. Each sentence names the file, the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused.
    #[error("cannot {what} {path}: {error}; check space, rights and the disk, then start again")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// Bytes that were written once are not what they were.
    #[error(
        "{path} is damaged at byte {offset}: {what}. The disk or somebody altered it; move the whole \
         ledger directory away for examination and start the node with an empty one: it fetches \
         the log from its peers"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What was found and what should be.
        what: String,
    },
    /// Files that do not belong together.
    #[error("{path} does not fit: {what}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What does not fit, and what to do.
        what: String,
    },
}

impl StoreError {
    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::Io { what, path, error }
    }

    pub(super) fn damaged(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            offset,
            what: what.into(),
        }
    }

    pub(super) fn mismatch(path: &Path, what: impl Into<String>) -> Self {
        Self::Mismatch {
            path: path.to_owned(),
            what: what.into(),
        }
    }
}
