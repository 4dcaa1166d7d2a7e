//! Which start of the node this is. Peers take a greater number for the newer process and refuse an
//! older one, so it has to grow from start to start, also when somebody sets the wall clock back.

use replica::{Ledger, View};
use runtime::clock;
use runtime::durable::number::{self, Kept, NumberError};
use std::io;
use std::path::{Path, PathBuf};

/// The last one, in the data folder.
const FILE: &str = "incarnation";

/// The number of this start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incarnation {
    /// The number.
    pub number: u64,
    /// What the last start's was is not known for certain: this one may be less.
    pub in_doubt: bool,
}

impl Incarnation {
    /// Waits until the ledger names a greater number of this node than a start whose number is in
    /// doubt has, and sees to it that the next start's is greater. Then this one must end: nobody takes
    /// it for up, and what its door takes in would wait for ever. Gives the reason.
    ///
    /// A number that is not in doubt stays whatever the ledger says: then two processes have one
    /// identity, and to outnumber each other in turn would serve neither.
    ///
    /// # Errors
    /// The folder `dir` cannot be written.
    pub async fn outnumbered(
        self,
        dir: &Path,
        ledger: &Ledger,
    ) -> Result<String, IncarnationError> {
        let known = |view: &View| {
            let member = view.state.members.get(ledger.me());
            member.map_or(0, |member| member.incarnation)
        };
        let mut views = ledger.watch();
        let found = views.wait_for(|view| self.in_doubt && known(view) > self.number);
        let Ok(known) = found.await.map(|view| known(&view)) else {
            // The ledger is gone, and says why itself.
            return std::future::pending().await;
        };
        raise(dir, known)?;
        Ok(format!(
            "this start has the number {}, and the ledger knows {known} of this node: the file that \
             keeps it was damaged or lost, and the wall clock is behind. The number is mended; this \
             node must be started again",
            self.number
        ))
    }
}

/// Why this start has no number.
#[derive(Debug, thiserror::Error)]
pub enum IncarnationError {
    /// The last one cannot be read.
    #[error("{error}, so this start cannot be numbered; see to it that this user may read it")]
    Read {
        /// Why not.
        error: NumberError,
    },
    /// This one cannot be kept.
    #[error("cannot keep this start's number in {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// The number of this start: the wall clock in milliseconds, or one more than the last start's if the
/// clock is behind that. On the disk before anybody hears it.
///
/// # Errors
/// The folder cannot be read or written.
pub fn next(dir: &Path) -> Result<Incarnation, IncarnationError> {
    let path = dir.join(FILE);
    let (last, in_doubt) = match number::read(&path) {
        Ok(Some(Kept::Sound(last))) => (last, false),
        Ok(Some(Kept::Unchecked(last))) => (last, true),
        Ok(None) => (0, true),
        // It says no more than none: then the clock has to do, and the ledger knows whether it did.
        Err(error @ NumberError::Damaged(_)) => {
            tracing::warn!("{error}; this start is numbered by the wall clock");
            (0, true)
        }
        Err(error @ NumberError::Io { .. }) => return Err(IncarnationError::Read { error }),
    };
    let number = clock::unix_now().0.max(last.saturating_add(1));
    keep(&path, number)?;
    Ok(Incarnation { number, in_doubt })
}

/// The next start will be numbered above `known`, which the ledger knows of this node.
///
/// # Errors
/// The folder cannot be written.
pub fn raise(dir: &Path, known: u64) -> Result<(), IncarnationError> {
    keep(&dir.join(FILE), known)
}

fn keep(path: &Path, number: u64) -> Result<(), IncarnationError> {
    let path = path.to_owned();
    number::write(&path, number).map_err(|error| IncarnationError::Write { path, error })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ahead() -> u64 {
        clock::unix_now().0 + 3_600_000
    }

    #[test]
    fn it_grows_even_if_the_clock_was_set_back() {
        let dir = tempfile::tempdir().unwrap();
        let now = clock::unix_now().0;
        let first = next(dir.path()).unwrap();
        assert!(first.in_doubt, "nobody knows whether it is the first");
        assert!(
            first.number >= now && first.number < now + 60_000,
            "the clock's own: {first:?}"
        );
        let ahead = ahead();
        raise(dir.path(), ahead).unwrap();
        for step in 1..=2 {
            let grown = Incarnation {
                number: ahead + step,
                in_doubt: false,
            };
            assert_eq!(next(dir.path()).unwrap(), grown);
        }
    }

    #[test]
    fn a_file_of_an_older_release_counts_and_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let ahead = ahead();
        std::fs::write(dir.path().join(FILE), ahead.to_string()).unwrap();
        let first = next(dir.path()).unwrap();
        assert_eq!((first.number, first.in_doubt), (ahead + 1, true));
        let second = next(dir.path()).unwrap();
        assert_eq!((second.number, second.in_doubt), (ahead + 2, false));
    }

    #[test]
    fn a_damaged_file_is_no_smaller_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let now = clock::unix_now().0;
        raise(dir.path(), ahead()).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let start = next(dir.path()).unwrap();
            assert!(start.in_doubt && start.number >= now, "{start:?}");
        }
    }
}
