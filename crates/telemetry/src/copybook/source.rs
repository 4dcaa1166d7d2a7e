//! Source text → lines of code, in fixed or free reference format.
//!
//! IBM Enterprise COBOL for z/OS Language Reference, "Reference format": columns 1–6 sequence
//! number, 7 indicator, 8–72 code, 73–80 program identification.

use super::lexer::Word;
use super::{CopybookError, MAX_SOURCE, Reference};
use std::borrow::Cow;

/// Columns 1–6 hold the sequence number.
const SEQUENCE: usize = 6;
/// Columns 73–80 hold the program identification.
const CODE_END: usize = 72;
/// Statements that steer the compiler's listing and stand on a line of their own.
const LISTING: [&str; 5] = ["EJECT", "SKIP1", "SKIP2", "SKIP3", "TITLE"];

/// The code of one line.
pub(super) struct Code<'a> {
    pub(super) text: Cow<'a, str>,
    /// Line, from 1.
    line: usize,
    /// Column of the first character, from 1.
    column: usize,
    /// A hyphen in column 7.
    pub(super) continues: bool,
}

impl Code<'_> {
    pub(super) fn word(&self, start: usize, end: usize) -> Word {
        Word {
            text: self.text[start..end].to_owned(),
            line: self.line,
            column: self.column + start,
        }
    }
}

/// All lines that hold code.
pub(super) fn lines(text: &str, reference: Reference) -> Result<Vec<Code<'_>>, CopybookError> {
    if text.len() > MAX_SOURCE {
        return Err(CopybookError {
            line: 1,
            column: 1,
            found: format!("{} bytes", text.len()),
            rule: "a copybook of more than 1 MiB is not one",
            remedy: "cut what does not describe the record",
        });
    }
    let fixed = match reference {
        Reference::Fixed => true,
        Reference::Free => false,
        Reference::Detect => is_fixed(text),
    };
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        let number = index + 1;
        let code = if is_comment(line, fixed) {
            None
        } else {
            printable(line, number)?;
            if fixed {
                fixed_code(line, number)?
            } else {
                free_code(line, number)
            }
        };
        let first = |code: &Code<'_>| code.text.split_whitespace().next().map(str::to_owned);
        lines.extend(code.filter(|code| {
            first(code).is_some_and(|word| {
                let word = word.trim_end_matches('.');
                !LISTING
                    .iter()
                    .any(|listing| word.eq_ignore_ascii_case(listing))
            })
        }));
    }
    Ok(lines)
}

fn indicator(line: &str) -> Option<u8> {
    // Bytes: what stands before column 7 of a fixed line is ASCII, or the line is refused anyway.
    line.as_bytes().get(SEQUENCE).copied()
}

/// `*` and `/` in column 7 mark comments, `D` lines that count only under DEBUGGING MODE.
fn is_comment(line: &str, fixed: bool) -> bool {
    let free = line.trim_start().starts_with('*');
    match fixed {
        true => free || matches!(indicator(line), Some(b'*' | b'/' | b'D' | b'd')),
        false => free,
    }
}

fn printable(line: &str, number: usize) -> Result<(), CopybookError> {
    // An inline comment may be in any language.
    let code = line.find("*>").map_or(line, |at| &line[..at]);
    let odd = code
        .chars()
        .position(|c| !c.is_ascii() || c.is_ascii_control());
    match odd {
        None => Ok(()),
        Some(at) => Err(CopybookError {
            line: number,
            column: at + 1,
            found: format!("{:?}", code.chars().nth(at).unwrap_or_default()),
            rule: "only printable ASCII outside comments, no tabs",
            remedy: "replace tabs by blanks, and write names and literals in ASCII",
        }),
    }
}

/// Cuts `*> …`, but not within a literal.
fn without_inline_comment(code: &str) -> &str {
    let bytes = code.as_bytes();
    let mut quote = None;
    for (at, byte) in bytes.iter().enumerate() {
        match (quote, byte) {
            (None, b'\'' | b'"') => quote = Some(*byte),
            (Some(open), _) if open == *byte => quote = None,
            (None, b'*') if bytes.get(at + 1) == Some(&b'>') => return &code[..at],
            (None | Some(_), _) => {}
        }
    }
    code
}

fn free_code(line: &str, number: usize) -> Option<Code<'_>> {
    let text = without_inline_comment(line);
    (!text.trim().is_empty()).then_some(Code {
        text: text.into(),
        line: number,
        column: 1,
        continues: false,
    })
}

fn fixed_code(line: &str, number: usize) -> Result<Option<Code<'_>>, CopybookError> {
    let continues = match indicator(line) {
        None => return Ok(None),
        Some(b' ') => false,
        Some(b'-') => true,
        Some(other) => {
            return Err(CopybookError {
                line: number,
                column: SEQUENCE + 1,
                found: char::from(other).to_string(),
                rule: "column 7 is blank or holds one of * / - D",
                remedy: "begin the code in column 8, or name the free format",
            });
        }
    };
    let whole = line
        .get(SEQUENCE + 1..line.len().min(CODE_END))
        .unwrap_or_default();
    let text = without_inline_comment(whole);
    if text.trim().is_empty() {
        return Ok(None);
    }
    // A literal that goes on in the next line reaches to column 72, blanks included.
    let width = CODE_END - SEQUENCE - 1;
    let text = match text.len() == whole.len() {
        true if text.len() < width && text.contains(['\'', '"']) => format!("{text:width$}").into(),
        true | false => text.into(),
    };
    Ok(Some(Code {
        text,
        line: number,
        column: SEQUENCE + 2,
        continues,
    }))
}

/// Fixed reference format: each line has an indicator in column 7, and six columns of digits or blanks
/// before it; or, for those who mark changes in columns 1–6, of anything that makes no sense as code.
fn is_fixed(text: &str) -> bool {
    let lines = || text.lines().filter(|line| !line.trim().is_empty());
    let indicated = |line: &str| {
        indicator(line)
            .is_none_or(|byte| matches!(byte, b' ' | b'\r' | b'*' | b'/' | b'-' | b'D' | b'd'))
    };
    let numbered = |line: &str| {
        let mut sequence = line.bytes().take(SEQUENCE);
        sequence.all(|byte| byte.is_ascii_digit() || byte == b' ')
    };
    let commented = |line: &str| {
        matches!(indicator(line), Some(b'*' | b'/')) || line.trim_start().starts_with('*')
    };
    if !lines().all(indicated) {
        return false;
    }
    // In free format the first word of code is a level number of one or two digits.
    let first = lines().find(|line| !commented(line));
    let tagged = first
        .and_then(|line| line.split_whitespace().next())
        .is_some_and(|word| word.len() == SEQUENCE && word.parse::<u8>().is_err());
    lines().all(numbered) || tagged
}
