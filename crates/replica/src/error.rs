//! What can be wrong with the ledger's files.

use std::io;
use std::path::{Path, PathBuf};
use wire::Level;

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
        "{path} is damaged at byte {offset}: {what}. The disk or somebody altered it; with a majority \
         of the other members up and linked the node sets the ledger directory aside and fetches the \
         log from them"
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
    /// A file of another cluster's ledger.
    #[error("{path} does not belong here: {what}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Whose it is.
        what: String,
    },
    /// A ledger that members with newer programs have gone on with.
    #[error(
        "{path}: the ledger has level {ledger}, and this node speaks level {own} only, so it would not          understand all that is written there. Nothing was changed: put the newer program back, or, if          `cluster.level` in the configuration holds the node back, take that line out"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// The ledger's level.
        ledger: Level,
        /// The node's.
        own: Level,
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

    /// Is it something that a fresh copy from the peers heals? A disk that refuses is not, nor is
    /// the directory of another cluster, or one that waits for its program.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::Mismatch { .. } => true,
            Self::Io { .. } | Self::Foreign { .. } | Self::Newer { .. } => false,
        }
    }

    pub(super) fn foreign(path: &Path, what: impl Into<String>) -> Self {
        Self::Foreign {
            path: path.to_owned(),
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
