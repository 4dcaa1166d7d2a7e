//! Formats that an operator brings as a function: foreign code that is shown a mail and answers with
//! reports, with an error, or that the mail is not its own. `docs/formats.md` has its side of it.
//!
//! Here is what goes in (`letter`) and what comes out (`answer`); who runs it stands behind
//! [`Function`], so that nothing here knows what a sandbox is.

mod answer;
mod letter;
mod trial;

use std::fmt;
use wire::{DeviceId, UnixMillis};

use crate::formats::{Draft, Letter};
use crate::mail::quoted;
use crate::quarantine::Reason;
pub(crate) use answer::Answered;

pub use trial::{FunctionTrial, Verdict, trial};

/// Most functions: each is asked about every mail that those before it did not want.
pub const MAX_FUNCTIONS: usize = 16;
/// Largest mail that a function is asked about, as it is handed over. Beyond it built-in formats are
/// tried; a log of that size is a table, for CSV.
pub const MAX_LETTER_BYTES: usize = 2 << 20;

/// Somebody's code. It must give the same answer to the same letter, and come to an end.
pub trait Function: fmt::Debug + Send + Sync {
    /// Shows it a letter. `Err` is what is wrong with the function, as the end of a sentence about it.
    ///
    /// # Errors
    /// It trapped, used up what it may use, or gave nothing that could be taken.
    fn call(&self, letter: &[u8]) -> Result<Called, String>;
}

/// What a call gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Called {
    /// Its answer; empty: the letter is not its own.
    pub output: Vec<u8>,
    /// What it cost, in whatever its host counts.
    pub fuel: u64,
    /// The memory that it had in the end, in bytes.
    pub memory: usize,
}

/// A function under the name that its file gave it.
#[derive(Debug)]
pub struct Named {
    name: String,
    function: Box<dyn Function>,
}

/// What became of a letter that was shown to a function.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Asked {
    /// It is somebody else's.
    NotMine,
    /// Too large to ask: as it would have been handed over.
    TooLarge(usize),
    Read(Vec<Draft>),
}

impl Named {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn new(name: String, function: Box<dyn Function>) -> Self {
        Self { name, function }
    }

    /// Shows it a letter.
    pub(crate) fn ask(
        &self,
        letter: &Letter,
        sender: &DeviceId,
        arrival: UnixMillis,
    ) -> Result<Asked, Reason> {
        let shown = letter::shown(letter, sender, arrival);
        if shown.len() > MAX_LETTER_BYTES {
            return Ok(Asked::TooLarge(shown.len()));
        }
        let called = self.function.call(&shown);
        let called = called.map_err(|problem| self.problem(&problem))?;
        match answer::read(&called.output, letter.zone()) {
            Ok(Answered::NotMine) => Ok(Asked::NotMine),
            Ok(Answered::Error(text)) => Err(self.problem(&format!("says: {text}"))),
            Ok(Answered::Reports(drafts)) => Ok(Asked::Read(drafts)),
            Err(problem) => Err(self.problem(&problem)),
        }
    }

    fn problem(&self, problem: &str) -> Reason {
        Reason::Function {
            function: self.name.clone(),
            problem: problem
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect(),
        }
    }

    pub(crate) fn too_large(&self, bytes: usize) -> Reason {
        self.problem(&format!(
            "is not asked about a mail that is {bytes} bytes when it is handed over, over the limit of {MAX_LETTER_BYTES}, and nothing else fits it"
        ))
    }
}

/// The name that a file gives its function: what stands before `.wasm`.
pub(crate) fn name_of(file: &str) -> Option<String> {
    let last = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let name = last.strip_suffix(".wasm")?;
    let is_name = (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    is_name.then(|| quoted(name))
}

#[cfg(test)]
mod tests;
