//! Source lines → sentences of words with their places.

use super::{CopybookError, MAX_SOURCE};

/// Columns 1–6 hold the sequence number.
const SEQUENCE: usize = 6;
/// Columns 73–80 hold the program identification.
const CODE_END: usize = 72;

/// A word and where it stands (both from 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Word {
    pub(super) fn refuse(&self, rule: &'static str) -> CopybookError {
        CopybookError {
            line: self.line,
            column: self.column,
            found: self.text.clone(),
            rule,
        }
    }

    /// Keywords and names are the same in either case.
    pub(super) fn upper(&self) -> String {
        self.text.to_ascii_uppercase()
    }
}

/// The words of each entry, without the period that ends it. No sentence is empty.
pub(super) fn sentences(source: &str) -> Result<Vec<Vec<Word>>, CopybookError> {
    if source.len() > MAX_SOURCE {
        return Err(CopybookError {
            line: 1,
            column: 1,
            found: format!("{} bytes", source.len()),
            rule: "a copybook of more than 1 MiB is not one",
        });
    }
    let fixed = is_fixed(source);
    let mut sentences = Vec::new();
    let mut open: Vec<Word> = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let place = Place {
            line: index + 1,
            first_column: if fixed { SEQUENCE + 2 } else { 1 },
        };
        if let Some(code) = code_of(line, fixed, index + 1)? {
            read_line(code, place, &mut open, &mut sentences)?;
        }
    }
    match open.first() {
        Some(word) => Err(word.refuse("every entry ends with a period")),
        None => Ok(sentences),
    }
}

#[derive(Clone, Copy)]
struct Place {
    line: usize,
    first_column: usize,
}

/// Fixed reference format: each line starts with six columns of digits or blanks and an indicator.
fn is_fixed(source: &str) -> bool {
    source
        .lines()
        .filter(|line| !line.trim().is_empty())
        .all(|line| {
            let mut characters = line.chars();
            let sequence_fits = characters
                .by_ref()
                .take(SEQUENCE)
                .all(|c| c.is_ascii_digit() || c == ' ');
            sequence_fits
                && characters
                    .next()
                    .is_none_or(|indicator| matches!(indicator, ' ' | '*' | '/' | '-' | 'D' | 'd'))
        })
}

/// The part of a line that holds code; `None` for blank lines and comments.
fn code_of(line: &str, fixed: bool, number: usize) -> Result<Option<&str>, CopybookError> {
    let refuse = |column, found: &str, rule| CopybookError {
        line: number,
        column,
        found: found.to_owned(),
        rule,
    };
    if let Some((at, c)) = line
        .char_indices()
        .find(|(_, c)| !c.is_ascii() || (c.is_ascii_control() && *c != '\r'))
    {
        let comment = line
            .get(SEQUENCE..)
            .is_some_and(|rest| rest.starts_with(['*', '/']))
            || line.trim_start().starts_with('*');
        if !comment {
            return Err(refuse(
                at + 1,
                &format!("{c:?}"),
                "only printable ASCII outside comments, no tabs",
            ));
        }
        return Ok(None);
    }
    if !fixed {
        let code = line.split("*>").next().unwrap_or_default();
        return Ok(
            (!code.trim().is_empty() && !code.trim_start().starts_with('*')).then_some(code),
        );
    }
    match line.as_bytes().get(SEQUENCE) {
        None | Some(b'*' | b'/') => Ok(None),
        Some(b'-') => Err(refuse(
            SEQUENCE + 1,
            "-",
            "continued lines are not supported; write the entry on lines of its own",
        )),
        Some(_) => Ok(line
            .get(SEQUENCE + 1..line.len().min(CODE_END))
            .filter(|code| !code.trim().is_empty())),
    }
}

fn read_line(
    code: &str,
    place: Place,
    open: &mut Vec<Word>,
    done: &mut Vec<Vec<Word>>,
) -> Result<(), CopybookError> {
    let bytes = code.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if is_separator(bytes, at) {
            at += 1;
            continue;
        }
        let start = at;
        let end = match bytes[at] {
            quote @ (b'\'' | b'"') => end_of_literal(bytes, at, quote),
            _ => (at..bytes.len())
                .find(|&i| is_separator(bytes, i) || is_period(bytes, i))
                .or(Some(bytes.len())),
        };
        let word = |end: usize| Word {
            text: code[start..end].to_owned(),
            line: place.line,
            column: place.first_column + start,
        };
        let Some(end) = end else {
            return Err(word(bytes.len()).refuse("a literal ends on the line it begins"));
        };
        if end > start {
            open.push(word(end));
        }
        at = end;
        if at < bytes.len() && is_period(bytes, at) {
            if open.is_empty() {
                return Err(CopybookError {
                    line: place.line,
                    column: place.first_column + at,
                    found: ".".to_owned(),
                    rule: "a period ends an entry, and there is none",
                });
            }
            done.push(std::mem::take(open));
            at += 1;
        }
    }
    Ok(())
}

/// Blanks, and commas or semicolons that are followed by a blank.
fn is_separator(bytes: &[u8], at: usize) -> bool {
    matches!(bytes[at], b' ' | b'\r')
        || (matches!(bytes[at], b',' | b';') && ends_here(bytes, at + 1))
}

/// A period counts only before a blank: `9(5).99` is one (edited) picture.
fn is_period(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b'.' && ends_here(bytes, at + 1)
}

fn ends_here(bytes: &[u8], at: usize) -> bool {
    bytes
        .get(at)
        .is_none_or(|byte| matches!(byte, b' ' | b'\r'))
}

fn end_of_literal(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    (start + 1..bytes.len())
        .find(|&i| bytes[i] == quote)
        .map(|i| i + 1)
}
