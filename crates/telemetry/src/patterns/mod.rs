//! Formats that an operator describes in a file of his own: conditions by which a mail is known,
//! and rules that find numbers and events in its lines. `docs/formats.md` teaches it.
//!
//! Files are parsed and checked as a whole before any of them is used. At run time nothing can go
//! wrong but the mail: expressions are linear in the text (`regex`), the text is bounded, and what
//! does not fit becomes a [`Reason`](crate::Reason).

mod apply;
mod compile;
mod error;
mod file;
mod parts;
mod template;
mod trial;

use wire::DeviceId;

use crate::formats::Letter;
use parts::{Conditions, Rule, Words};

pub use error::PatternError;
pub use trial::{Fit, Trial, trial};

/// Most files: a house has a dozen kinds of gear that nobody foresaw.
pub const MAX_FILES: usize = 64;
/// Largest file; with every comment they are one or two kilobytes.
pub const MAX_FILE_BYTES: usize = 64 << 10;
/// Most rules in a file. Each looks at every line, so this times [`MAX_SCANNED_BYTES`] is the work
/// that one mail can cause: 16 MiB of text, some ten milliseconds.
pub const MAX_RULES: usize = 64;
/// Most text of one mail that rules look at. Logs that are longer are tables, for CSV.
pub const MAX_SCANNED_BYTES: usize = 256 << 10;
/// Longest line that rules look at; RFC 5322 allows 998 characters, decoded ones may be longer.
pub const MAX_LINE_BYTES: usize = 4 << 10;
/// Compiled size of one expression: stops `(\w{1000}){1000}` and nothing that a line needs.
const MAX_REGEX_BYTES: usize = 1 << 20;
/// Nesting of one expression; the parser recurses.
const MAX_REGEX_DEPTH: u32 = 50;

/// One format of the operator's.
#[derive(Debug)]
pub struct Pattern {
    name: String,
    about: String,
    conditions: Conditions,
    words: Words,
    /// Ids of devices, `*` at the end for any rest.
    speaks_for: Vec<String>,
    rules: Vec<Rule>,
}

impl Pattern {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in a line; empty if the file does not say.
    pub fn about(&self) -> &str {
        &self.about
    }

    /// Its number of rules.
    pub fn rules(&self) -> usize {
        self.rules.len()
    }
}

/// The operator's formats, in the order in which they are tried.
#[derive(Debug, Default)]
pub struct Patterns {
    all: Vec<Pattern>,
}

impl Patterns {
    /// None.
    pub const NONE: Self = Self { all: Vec::new() };

    /// Of `(file name, text)` pairs, tried in this order. All that is wrong with any of them is
    /// told at once.
    pub fn parse<'t>(
        files: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, Vec<PatternError>> {
        let mut all: Vec<Pattern> = Vec::new();
        let mut errors = Vec::new();
        for (file, text) in files {
            if all.len() == MAX_FILES {
                errors.push(PatternError::whole(
                    file,
                    format!("there are more than {MAX_FILES} pattern files"),
                    "put formats of one maker into one file",
                ));
                break;
            }
            match compile::pattern(file, text) {
                Ok(pattern) if all.iter().any(|other| other.name == pattern.name) => {
                    errors.push(PatternError::whole(
                        file,
                        format!("another file has the format \"{}\", too", pattern.name),
                        "give it another `name`",
                    ));
                }
                Ok(pattern) => all.push(pattern),
                Err(found) => errors.extend(found),
            }
        }
        if errors.is_empty() {
            Ok(Self { all })
        } else {
            Err(errors)
        }
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.all.iter()
    }

    /// The first that this mail of this sender is known by.
    pub(crate) fn find(&self, letter: &Letter, sender: &DeviceId) -> Option<&Pattern> {
        self.all
            .iter()
            .find(|pattern| pattern.conditions.all_hold(letter, Some(sender)))
    }
}

#[cfg(test)]
mod tests;
