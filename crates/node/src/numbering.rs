//! What a mail is called in the house: by a number that no mail of this node had before.
//!
//! A journal counts from 1. A node whose disk was lost begins a new one, while the house still knows the
//! old one's numbers: the ledger would take mails with those for accounted for, and rooms their reports
//! for repetitions. So the mails of a new journal are numbered from behind whatever the former one can
//! have used, and where they begin is kept beside the journal.

use runtime::durable;
use std::io;
use std::path::Path;

/// In the journal's folder.
const FILE: &str = "numbers";
/// What a lost journal can have handed out behind the last number on the ledger, with room to spare: a
/// hundred days of ten thousand mails a second would not use it up while the ledger does not answer.
const GAP: u64 = 1 << 37;

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
    /// The folder cannot be read or written; what stands there is no number.
    pub fn of(dir: &Path, begun: bool, recorded: u64) -> io::Result<Self> {
        let path = dir.join(FILE);
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let number = text.trim().parse();
                let number = number.map_err(|error| {
                    io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!("{} is damaged: {error}", path.display()),
                    )
                });
                return number.map(|before| Self { before });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        // A journal from before there was this file has the house's numbers.
        let before = if begun || recorded == 0 {
            0
        } else {
            recorded.saturating_add(GAP)
        };
        durable::replace(&path, before.to_string().as_bytes())?;
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
    fn damage_is_told_and_not_guessed_around() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), "4x").unwrap();
        let error = Numbering::of(dir.path(), true, 40).unwrap_err();
        assert!(error.to_string().contains("numbers is damaged"), "{error}");
    }
}
