//! What is kept of the post across a crash.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Hex digits of the checksum kept: it finds damage, nobody forges it.
const CHECKSUM: usize = 16;

/// Which leaves are dealt with, and how those are mailed that are not.
///
/// It is kept before a mail leaves and after the relay has answered. Below [`mark`](Self::mark)
/// everything is done; the rest says what a mail under way consists of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Every leaf below it is dealt with, but for those in `waiting`.
    pub(super) digested: u64,
    /// A digest under way is of the leaves from `digested` to before this one, but for those `apart`.
    pub(super) until: u64,
    /// Leaves with a mail of their own, which the relay does not have yet.
    pub(super) waiting: BTreeSet<u64>,
    /// Leaves from `digested` on that have, or had, a mail of their own.
    pub(super) apart: BTreeSet<u64>,
}

/// Why a progress cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProgressError {
    /// The checksum does not fit what follows it, or there is none.
    #[error("the checksum does not fit the content")]
    Checksum,
    /// Not what [`Progress::to_text`] writes.
    #[error("the content is nothing that a postman wrote")]
    Content,
}

impl Progress {
    /// Nothing is known but that all below `mark` is done.
    pub fn from_mark(mark: u64) -> Self {
        Self {
            digested: mark,
            ..Self::default()
        }
    }

    /// Every leaf below it is mailed or given up.
    pub fn mark(&self) -> u64 {
        let first = self.waiting.first().copied();
        first.map_or(self.digested, |first| first.min(self.digested))
    }

    /// One line with a checksum.
    pub fn to_text(&self) -> String {
        let mut content = format!("{} {}", self.digested, self.until);
        for (word, leaves) in [("waiting", &self.waiting), ("apart", &self.apart)] {
            let _ = write!(content, " {word}");
            for leaf in leaves {
                let _ = write!(content, " {leaf}");
            }
        }
        format!("{} {content}\n", checksum(&content))
    }

    /// Reads [`to_text`](Self::to_text).
    ///
    /// # Errors
    /// The text is damaged.
    pub fn from_text(text: &str) -> Result<Self, ProgressError> {
        let line = text.strip_suffix('\n').ok_or(ProgressError::Checksum)?;
        let (sum, content) = line.split_once(' ').ok_or(ProgressError::Checksum)?;
        if sum != checksum(content) {
            return Err(ProgressError::Checksum);
        }
        read(content).ok_or(ProgressError::Content)
    }

    /// Everything below `leaf` that has no mail of its own is dealt with.
    pub(super) fn advance(&mut self, leaf: u64) {
        if leaf > self.digested {
            self.digested = leaf;
            self.apart = self.apart.split_off(&leaf);
        }
    }
}

fn read(content: &str) -> Option<Progress> {
    let (numbers, leaves) = content.split_once(" waiting")?;
    let (digested, until) = numbers.split_once(' ')?;
    let (waiting, apart) = leaves.split_once(" apart")?;
    let set = |text: &str| -> Option<BTreeSet<u64>> {
        let leaves = text.split_whitespace();
        leaves.map(|leaf| leaf.parse().ok()).collect()
    };
    Some(Progress {
        digested: digested.parse().ok()?,
        until: until.parse().ok()?,
        waiting: set(waiting)?,
        apart: set(apart)?,
    })
}

fn checksum(content: &str) -> String {
    let digest = Sha256::digest(content.as_bytes());
    let mut hex = String::new();
    for byte in digest.iter().take(CHECKSUM / 2) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
