//! Code of source lines → sentences of words with their places.

use super::source::{self, Code};
use super::{CopybookError, Reference};

/// A word and where it stands (both from 1).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Word {
    pub(super) fn refuse(&self, rule: &'static str, remedy: &'static str) -> CopybookError {
        self.refuse_owned(self.text.clone(), rule, remedy)
    }

    pub(super) fn refuse_owned(
        &self,
        found: String,
        rule: &'static str,
        remedy: &'static str,
    ) -> CopybookError {
        CopybookError {
            line: self.line,
            column: self.column,
            found,
            rule,
            remedy,
        }
    }

    /// Keywords and names are the same in either case.
    pub(super) fn upper(&self) -> String {
        self.text.to_ascii_uppercase()
    }

    /// One of these keywords?
    pub(super) fn is(&self, keywords: &[&str]) -> bool {
        keywords
            .iter()
            .any(|keyword| self.text.eq_ignore_ascii_case(keyword))
    }
}

/// The words of each entry, without the period that ends it. No sentence is empty.
pub(super) fn sentences(text: &str, reference: Reference) -> Result<Vec<Vec<Word>>, CopybookError> {
    let mut reader = Reader::default();
    for code in source::lines(text, reference)? {
        reader.line(&code)?;
    }
    reader.finish()
}

/// A literal that the end of a line cut: its word so far and the quote that ends it.
struct Cut {
    word: Word,
    quote: u8,
}

#[derive(Default)]
struct Reader {
    open: Vec<Word>,
    done: Vec<Vec<Word>>,
    cut: Option<Cut>,
}

impl Reader {
    fn line(&mut self, code: &Code<'_>) -> Result<(), CopybookError> {
        let mut at = 0;
        if code.continues {
            at = self.resume(code)?;
        } else if let Some(cut) = &self.cut {
            return Err(unclosed(&cut.word));
        }
        let bytes = code.text.as_bytes();
        while at < bytes.len() {
            if is_separator(bytes, at) {
                at += 1;
                continue;
            }
            let (end, cut) = end_of_word(bytes, at);
            if end > at {
                let word = code.word(at, end);
                match cut {
                    Some(quote) => self.cut = Some(Cut { word, quote }),
                    None => self.open.push(word),
                }
            }
            at = self.period(code, end)?;
        }
        Ok(())
    }

    /// What a line continues: a literal behind a quote, or a word at once. Returns how far it went.
    fn resume(&mut self, code: &Code<'_>) -> Result<usize, CopybookError> {
        const REMEDY: &str = "begin the continued line with the literal's quote, or write the entry on lines of its own";
        let bytes = code.text.as_bytes();
        let begin = bytes
            .iter()
            .position(|byte| *byte != b' ')
            .unwrap_or(bytes.len());
        let Some(Cut { mut word, quote }) = self.cut.take() else {
            let (end, cut) = end_of_word(bytes, begin);
            if matches!(bytes.get(begin), Some(b'\'' | b'"')) || cut.is_some() {
                return Ok(begin);
            }
            let Some(last) = self.open.last_mut() else {
                return Err(code.word(begin, end.max(begin)).refuse(
                    "there is nothing that this line could continue",
                    "remove the hyphen in column 7",
                ));
            };
            last.text.push_str(&code.text[begin..end]);
            return self.period(code, end);
        };
        if bytes.get(begin) != Some(&quote) {
            return Err(code
                .word(begin, bytes.len())
                .refuse("a continued literal goes on behind another quote", REMEDY));
        }
        let (end, closed) = end_of_literal(bytes, begin, quote);
        word.text.push_str(&code.text[begin + 1..end]);
        if closed {
            self.open.push(word);
        } else {
            self.cut = Some(Cut { word, quote });
        }
        self.period(code, end)
    }

    /// Ends the entry if a period stands at `at`.
    fn period(&mut self, code: &Code<'_>, at: usize) -> Result<usize, CopybookError> {
        if !(at < code.text.len() && is_period(code.text.as_bytes(), at)) {
            return Ok(at);
        }
        if self.open.is_empty() {
            return Err(code.word(at, at + 1).refuse(
                "a period ends an entry, and there is none",
                "remove the period",
            ));
        }
        self.done.push(std::mem::take(&mut self.open));
        Ok(at + 1)
    }

    fn finish(self) -> Result<Vec<Vec<Word>>, CopybookError> {
        if let Some(cut) = self.cut {
            return Err(unclosed(&cut.word));
        }
        match self.open.first() {
            Some(word) => Err(word.refuse(
                "every entry ends with a period",
                "put a period behind the entry's last word",
            )),
            None => Ok(self.done),
        }
    }
}

fn unclosed(word: &Word) -> CopybookError {
    word.refuse(
        "a literal ends with the quote it begins with",
        "close it, or continue it in fixed format by a hyphen in column 7 and another quote",
    )
}

/// End of the word that begins here; with the quote if it is a literal that does not end.
fn end_of_word(bytes: &[u8], start: usize) -> (usize, Option<u8>) {
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            // X'C1', "text": a literal with or without a prefix.
            quote @ (b'\'' | b'"') => {
                let (end, closed) = end_of_literal(bytes, at, quote);
                return (end, (!closed).then_some(quote));
            }
            _ if is_separator(bytes, at) || is_period(bytes, at) => break,
            _ => at += 1,
        }
    }
    (at, None)
}

/// Behind the closing quote; a doubled quote stands for one and closes nothing.
fn end_of_literal(bytes: &[u8], start: usize, quote: u8) -> (usize, bool) {
    let mut at = start + 1;
    while at < bytes.len() {
        if bytes[at] == quote {
            if bytes.get(at + 1) != Some(&quote) {
                return (at + 1, true);
            }
            at += 1;
        }
        at += 1;
    }
    (bytes.len(), false)
}

/// Blanks, and commas or semicolons that are followed by a blank.
fn is_separator(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b' ' || (matches!(bytes[at], b',' | b';') && ends_here(bytes, at + 1))
}

/// A period counts only before a blank: `9(5).99` is one (edited) picture.
fn is_period(bytes: &[u8], at: usize) -> bool {
    bytes[at] == b'.' && ends_here(bytes, at + 1)
}

fn ends_here(bytes: &[u8], at: usize) -> bool {
    bytes.get(at).is_none_or(|byte| *byte == b' ')
}
