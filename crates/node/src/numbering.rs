//! What a mail is called in the house: by a number that no mail of this node had before.
//!
//! A journal counts from 1. A node whose disk was lost begins a new one, while the house still knows the
//! old one's numbers: the ledger would take mails with those for accounted for, and rooms their reports
//! for repetitions. So the mails of a new journal are numbered from behind whatever the former one can
//! have used, and where they begin is kept beside the journal.

use runtime::durable::number::{self, Kept, NumberError};
use std::io;
use std::path::{Path, PathBuf};

/// In the journal's folder, twice: nothing else knows it, and the journal is worth nothing without it.
const FILES: [&str; 2] = ["numbers", "numbers.copy"];
/// What a lost journal can have handed out behind the last number on the ledger, with room to spare: a
/// hundred days of ten thousand mails a second would not use it up while the ledger does not answer.
const GAP: u64 = 1 << 37;

/// Why it is not known what this node's mails are called.
#[derive(Debug, thiserror::Error)]
pub enum NumberingError {
    /// Neither copy can be used.
    #[error(
        "{error}, and so is its copy: which mails of this journal the ledger accounts for already \
         cannot be told. Restore one of the two, or move the journal's folder away to give up the \
         mails in it that are not published yet"
    )]
    Lost {
        /// What is wrong with the one.
        error: NumberError,
    },
    /// It cannot be kept.
    #[error("cannot keep where this journal's numbers begin in {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// From a journal's numbers to the house's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbering {
    /// Before the first one.
    before: u64,
}

impl Numbering {
    /// Of the journal in `dir`. `begun`: some of it was worked off before; `recorded`: the last number of
    /// this node that the ledger knows. On the disk before any number is used.
    ///
    /// # Errors
    /// The folder cannot be read or written; both copies are damaged.
    pub fn of(dir: &Path, begun: bool, recorded: u64) -> Result<Self, NumberingError> {
        let [first, second] = FILES.map(|name| number::read(&dir.join(name)));
        let both_sound = matches!(
            (&first, &second),
            (Ok(Some(Kept::Sound(_))), Ok(Some(Kept::Sound(_))))
        );
        let before = match (first, second) {
            // What is checked goes before what is not; and where there was one copy only, there is none.
            (Ok(Some(Kept::Sound(before))), _) | (_, Ok(Some(Kept::Sound(before)))) => before,
            (Ok(Some(Kept::Unchecked(before))), _) | (_, Ok(Some(Kept::Unchecked(before)))) => {
                before
            }
            (Err(error), _) | (_, Err(error)) => return Err(NumberingError::Lost { error }),
            // A journal from before there was this file has the house's numbers.
            (Ok(None), Ok(None)) if begun || recorded == 0 => 0,
            (Ok(None), Ok(None)) => recorded.saturating_add(GAP),
        };
        if !both_sound {
            for path in FILES.map(|name| dir.join(name)) {
                number::write(&path, before)
                    .map_err(|error| NumberingError::Write { path, error })?;
            }
        }
        Ok(Self { before })
    }

    /// The house's number of a record.
    pub fn number(self, record: u64) -> u64 {
        self.before.saturating_add(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_journal_counts_from_one_and_stays_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Numbering::of(dir.path(), false, 0).unwrap();
        assert_eq!(first.number(1), 1);
        // Killed before it had worked anything off, and others of its mails are on the ledger.
        assert_eq!(Numbering::of(dir.path(), false, 40).unwrap(), first);
    }

    #[test]
    fn a_journal_after_a_lost_one_uses_none_of_its_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let second = Numbering::of(dir.path(), false, 40).unwrap();
        assert_eq!(second.number(1), 41 + GAP);
        assert_eq!(Numbering::of(dir.path(), true, 41 + GAP).unwrap(), second);
    }

    #[test]
    fn a_journal_of_an_older_release_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        let old = Numbering::of(dir.path(), true, 40).unwrap();
        assert_eq!(old.number(41), 41);
    }

    #[test]
    fn one_copy_is_enough_and_the_other_is_mended() {
        let dir = tempfile::tempdir().unwrap();
        let second = Numbering::of(dir.path(), false, 40).unwrap();
        for (broken, content) in [(0, Some("4")), (1, Some("")), (0, None), (1, None)] {
            let path = dir.path().join(FILES[broken]);
            let whole = std::fs::read(&path).unwrap();
            match content {
                // Digits alone: cut off, or of an older release.
                Some(content) => std::fs::write(&path, content).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            assert_eq!(Numbering::of(dir.path(), true, 50).unwrap(), second);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_number_of_an_older_release_is_kept_with_a_checksum_from_now_on() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILES[0]), "40").unwrap();
        let old = Numbering::of(dir.path(), true, 60).unwrap();
        assert_eq!(old.number(1), 41);
        for name in FILES {
            let kept = number::read(&dir.path().join(name)).unwrap();
            assert_eq!(kept, Some(Kept::Sound(40)));
        }
    }

    #[test]
    fn damage_to_both_is_told_and_not_guessed_around() {
        let dir = tempfile::tempdir().unwrap();
        for name in FILES {
            std::fs::write(dir.path().join(name), "4x").unwrap();
        }
        let error = Numbering::of(dir.path(), true, 40).unwrap_err();
        assert!(error.to_string().contains("numbers is damaged"), "{error}");
    }
}
