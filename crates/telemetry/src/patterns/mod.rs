//! Formats that an operator describes in a file of his own: conditions by which a mail is known,
//! and rules that find numbers and events in its lines. `docs/formats.md` teaches it.
//!
//! Where a description does not suffice, a [`function`](crate::functions) takes the place of a file.
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
use crate::functions::{self, Function, MAX_FUNCTIONS, Named};
use parts::{Conditions, Rule, Words};

pub use error::PatternError;
pub use trial::{Fit, Trial, trial};

/// Most files, functions among them: a house has a dozen kinds of gear that nobody foresaw.
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

/// A file of the operator's, as it was found.
#[derive(Debug)]
pub enum File<'t> {
    /// A pattern file.
    Pattern {
        /// Its name.
        file: &'t str,
        /// Its text.
        text: &'t str,
    },
    /// A module, already loaded by whoever will run it.
    Function {
        /// Its name, which ends in `.wasm`.
        file: &'t str,
        /// The module, or what is wrong with it as the end of a sentence.
        loaded: Result<Box<dyn Function>, String>,
    },
}

/// A format of the operator's.
#[derive(Debug)]
pub enum Own {
    /// Described by a pattern file.
    Pattern(Box<Pattern>),
    /// Read by a function.
    Function(Named),
}

impl Own {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Pattern(pattern) => pattern.name(),
            Self::Function(function) => function.name(),
        }
    }
}

/// The operator's own formats, pattern files and [`functions`], in the order in which they
/// are tried.
#[derive(Debug, Default)]
pub struct Patterns {
    all: Vec<Own>,
}

impl Patterns {
    /// None.
    pub const NONE: Self = Self { all: Vec::new() };

    /// Of `(file name, text)` pairs of pattern files, tried in this order. All that is wrong with any
    /// of them is told at once.
    pub fn parse<'t>(
        files: impl IntoIterator<Item = (&'t str, &'t str)>,
    ) -> Result<Self, Vec<PatternError>> {
        Self::of(
            files
                .into_iter()
                .map(|(file, text)| File::Pattern { file, text }),
        )
    }

    /// Of files of both kinds, tried in this order. All that is wrong with any of them is told at once.
    pub fn of<'t>(files: impl IntoIterator<Item = File<'t>>) -> Result<Self, Vec<PatternError>> {
        let mut all: Vec<Own> = Vec::new();
        let mut errors = Vec::new();
        let mut functions = 0;
        for file in files {
            let (name, compiled) = match file {
                File::Pattern { file, text } => (
                    file,
                    compile::pattern(file, text).map(|pattern| Own::Pattern(Box::new(pattern))),
                ),
                File::Function { file, loaded } => {
                    functions += 1;
                    (
                        file,
                        function(file, loaded, functions).map_err(|error| vec![error]),
                    )
                }
            };
            if all.len() == MAX_FILES {
                errors.push(PatternError::whole(
                    name,
                    format!("there are more than {MAX_FILES} pattern files and functions"),
                    "put formats of one maker into one file",
                ));
                break;
            }
            match compiled {
                Ok(own) if all.iter().any(|other| other.name() == own.name()) => {
                    errors.push(PatternError::whole(
                        name,
                        format!("another file has the format \"{}\", too", own.name()),
                        "give it another `name`, or a function's file another one",
                    ));
                }
                Ok(own) => all.push(own),
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
    pub fn all(&self) -> impl Iterator<Item = &Own> {
        self.all.iter()
    }

    /// The pattern files among them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.all.iter().filter_map(|own| match own {
            Own::Pattern(pattern) => Some(&**pattern),
            Own::Function(_) => None,
        })
    }

    /// Whether any of them is a function, which may take a while.
    pub fn have_functions(&self) -> bool {
        self.all.iter().any(|own| matches!(own, Own::Function(_)))
    }
}

impl Pattern {
    /// Whether this mail of this sender is known by it.
    pub(crate) fn fits(&self, letter: &Letter, sender: &DeviceId) -> bool {
        self.conditions.all_hold(letter, Some(sender))
    }
}

fn function(
    file: &str,
    loaded: Result<Box<dyn Function>, String>,
    number: usize,
) -> Result<Own, PatternError> {
    let whole = |problem, remedy| PatternError::whole(file, problem, remedy);
    if number > MAX_FUNCTIONS {
        return Err(whole(
            format!(
                "there are more than {MAX_FUNCTIONS} functions, and each is asked about mails that are not its own"
            ),
            "let one function read what is alike, or use pattern files",
        ));
    }
    let Some(name) = functions::name_of(file) else {
        return Err(whole(
            "the file's name is the function's, and is not usable".to_owned(),
            "use 1 to 63 letters, digits or `-` before `.wasm`",
        ));
    };
    match loaded {
        Ok(function) => Ok(Own::Function(Named::new(name, function))),
        Err(problem) => Err(whole(
            format!("the function {problem}"),
            "docs/formats.md says what a function is and how to build one",
        )),
    }
}

#[cfg(test)]
mod tests;
