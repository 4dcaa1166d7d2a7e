//! The file of a failure: everything to see it again, small enough for a bug report.

use super::plans::{self, PlanError};
use super::write;
use crate::outcome::{Outcome, Violation};
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What the file calls itself.
const FORMAT: &str = "glasshouse-failure";
/// Version of the format. A reader knows one: a failure is worth nothing if it is read wrongly.
const VERSION: u32 = 1;
/// Bytes of a file, at most: a plan of [`plans::FAULTS_MOST`] faults takes a tenth.
const BYTES_MOST: u64 = 256 << 10;

/// A plan that broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What ran.
    pub plan: Plan,
    /// The first invariant that broke.
    pub violation: Violation,
    /// Hash over everything observed, as in [`Outcome::trace`].
    pub trace: String,
    /// Hash over every byte between processes, as in [`Outcome::wire`].
    pub wire: String,
}

/// The file: what it is, then the failure.
#[derive(Serialize)]
struct Written<'a> {
    format: &'a str,
    version: u32,
    failure: &'a Failure,
}

#[derive(Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Deserialize)]
struct Read {
    failure: Failure,
}

/// Why a file is no failure.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Files.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Io(PathBuf, io::Error),
    /// Size.
    #[error("{path} is larger than {BYTES_MOST} bytes; a failure never is", path = .0.display())]
    Large(PathBuf),
    /// JSON of another kind, or none.
    #[error("{path} is not the file of a failure, or was cut: {error}", path = .0.display(), error = .1)]
    Corrupt(PathBuf, serde_json::Error),
    /// Something else.
    #[error("{path} calls itself `{found}`, and only `{FORMAT}` can be read here", path = .0.display(), found = .1)]
    Format(PathBuf, String),
    /// Another version.
    #[error(
        "{path} has version {found} of the format and this program reads version {VERSION}: \
         use the program that wrote it", path = .0.display(), found = .1
    )]
    Version(PathBuf, u32),
    /// A plan beyond the bounds.
    #[error("{path} holds something that is no plan: {error}", path = .0.display(), error = .1)]
    Plan(PathBuf, PlanError),
}

impl Failure {
    /// The first violation of an outcome, if it has one.
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let violation = outcome.violations.first()?.clone();
        Some(Self {
            plan: outcome.plan.clone(),
            violation,
            trace: outcome.trace.clone(),
            wire: outcome.wire.clone(),
        })
    }

    /// `<invariant>-seed<N>.json`.
    pub fn file_name(&self) -> String {
        format!("{}-seed{}.json", safe(&self.violation.id), self.plan.seed)
    }

    /// As a file holds it.
    pub fn to_json(&self) -> String {
        let written = Written {
            format: FORMAT,
            version: VERSION,
            failure: self,
        };
        let mut text = serde_json::to_string_pretty(&written)
            .expect("structs of numbers and strings with string keys always serialize");
        text.push('\n');
        text
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        write::whole(path, self.to_json().as_bytes())
    }

    /// Reads it.
    ///
    /// # Errors
    /// [`ReadError`]: nothing is guessed.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let io = |error| ReadError::Io(path.into(), error);
        if fs::metadata(path).map_err(io)?.len() > BYTES_MOST {
            return Err(ReadError::Large(path.into()));
        }
        Self::from_json(&fs::read(path).map_err(io)?, path)
    }

    /// From a file's bytes; `path` is for the sentences.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn from_json(bytes: &[u8], path: &Path) -> Result<Self, ReadError> {
        let corrupt = |error| ReadError::Corrupt(path.into(), error);
        let head: Head = serde_json::from_slice(bytes).map_err(corrupt)?;
        if head.format != FORMAT {
            return Err(ReadError::Format(path.into(), head.format));
        }
        if head.version != VERSION {
            return Err(ReadError::Version(path.into(), head.version));
        }
        let Read { failure } = serde_json::from_slice(bytes).map_err(corrupt)?;
        plans::check(&failure.plan).map_err(|error| ReadError::Plan(path.into(), error))?;
        Ok(failure)
    }

    /// What a run of the plan says about the failure.
    pub fn compare(&self, again: &Outcome) -> Again {
        let same = |violation: &Violation| violation.id == self.violation.id;
        if again.trace == self.trace && again.wire == self.wire {
            Again::Identical
        } else if again.violations.iter().any(same) {
            Again::SameInvariant
        } else if let Some(other) = again.violations.first() {
            Again::Other(other.id.clone())
        } else {
            Again::Holds
        }
    }
}

/// A failure, run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Again {
    /// To the byte.
    Identical,
    /// The same invariant breaks in another way: the program is not the one that wrote the file.
    SameInvariant,
    /// Another one breaks.
    Other(String),
    /// Nothing breaks.
    Holds,
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identical => f.write_str("the failure repeats, identical to the byte"),
            Self::SameInvariant => f.write_str(
                "the same invariant breaks, in a run that differs from the recorded one: the \
                 program has changed since",
            ),
            Self::Other(id) => write!(f, "another invariant breaks now: {id}"),
            Self::Holds => f.write_str("nothing breaks any more: the program has changed since"),
        }
    }
}

/// An id as a part of a file's name.
pub(crate) fn safe(id: &str) -> String {
    id.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::story::toy::{Toy, deadly};

    fn failure() -> Failure {
        Failure::of(&Toy::default().go(&deadly(), false)).expect("the deadly plan kills")
    }

    fn refused(bytes: &str) -> String {
        Failure::from_json(bytes.as_bytes(), Path::new("f.json"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn a_file_gives_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let failure = failure();
        let path = folder.path().join("failures").join(failure.file_name());
        failure.write(&path).unwrap();
        assert_eq!(Failure::read(&path).unwrap(), failure);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert_eq!(failure.file_name(), "TOY-1-seed5.json");
    }

    #[test]
    fn version_one_is_read_for_ever() {
        let text = include_str!("failure/version1.json");
        let failure = Failure::from_json(text.as_bytes(), Path::new("version1.json")).unwrap();
        assert_eq!(failure.to_json(), text, "the format changed: raise VERSION");
    }

    #[test]
    fn what_is_unknown_or_damaged_is_refused_with_a_sentence() {
        let text = failure().to_json();
        for cut in [0, 1, text.len() / 2, text.len() - 3] {
            let says = refused(&text[..cut]);
            assert!(
                says.starts_with("f.json is not the file of a failure, or was cut"),
                "{says}"
            );
        }
        assert_eq!(
            refused(&text.replace("\"version\": 1", "\"version\": 2")),
            "f.json has version 2 of the format and this program reads version 1: use the program \
             that wrote it"
        );
        assert_eq!(
            refused(&text.replace(FORMAT, "recipe")),
            "f.json calls itself `recipe`, and only `glasshouse-failure` can be read here"
        );
        assert_eq!(
            refused(&text.replace("\"nodes\": 3", "\"nodes\": 200")),
            "f.json holds something that is no plan: a plan has 1 to 9 nodes, this one 200"
        );
    }

    #[test]
    fn a_file_that_is_too_large_is_not_even_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.json");
        fs::write(&path, vec![b' '; BYTES_MOST as usize + 1]).unwrap();
        assert!(matches!(Failure::read(&path), Err(ReadError::Large(_))));
    }

    #[test]
    fn ids_make_safe_names() {
        assert_eq!(safe("../LIVE 1/ä"), ".._LIVE_1__");
    }

    #[test]
    fn another_run_is_compared() {
        let failure = failure();
        let again = Toy::default().go(&deadly(), true);
        assert_eq!(failure.compare(&again), Again::Identical);
        let mut other = again.clone();
        other.trace = "other".into();
        assert_eq!(failure.compare(&other), Again::SameInvariant);
        other.violations[0].id = "TOY-9".into();
        assert_eq!(failure.compare(&other), Again::Other("TOY-9".into()));
        other.violations.clear();
        assert_eq!(failure.compare(&other), Again::Holds);
    }
}
