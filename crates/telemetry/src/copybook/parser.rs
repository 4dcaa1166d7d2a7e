//! Sentences → data description entries.

use super::lexer::Word;
use super::picture::{self, Picture};
use super::{CopybookError, Usage};

/// Most occurrences of one item; unrolled, they must fit the longest record anyway.
const MAX_OCCURS: usize = super::MAX_RECORD;
/// Longest COBOL word.
const MAX_NAME: usize = 30;

/// One entry, not yet placed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) level: u8,
    /// `None`: FILLER.
    pub(super) name: Option<String>,
    pub(super) picture: Option<(Picture, Word)>,
    pub(super) usage: Option<Usage>,
    pub(super) occurs: Option<usize>,
    /// The level number, for messages.
    pub(super) at: Word,
}

pub(super) fn items(sentences: &[Vec<Word>]) -> Result<Vec<Item>, CopybookError> {
    sentences.iter().map(|sentence| item(sentence)).collect()
}

fn item(sentence: &[Word]) -> Result<Item, CopybookError> {
    let (first, rest) = sentence
        .split_first()
        .expect("the lexer makes no empty sentence");
    let mut item = Item {
        level: level(first)?,
        name: None,
        picture: None,
        usage: None,
        occurs: None,
        at: first.clone(),
    };
    let mut words = rest.iter().peekable();
    if let Some(word) = words.next_if(|word| !is_clause(&word.upper())) {
        item.name = name(word)?;
    }
    while let Some(word) = words.next() {
        clause(word, &mut words, &mut item)?;
    }
    Ok(item)
}

fn level(word: &Word) -> Result<u8, CopybookError> {
    match word.text.parse::<u8>() {
        Ok(level @ 1..=49) => Ok(level),
        Ok(66) => Err(word.refuse("level 66 (RENAMES) is not supported")),
        Ok(77) => Err(word.refuse("level 77 describes no record")),
        Ok(88) => Err(word.refuse(
            "level 88 (condition names) is not supported; delete the entry, it takes no room",
        )),
        Ok(_) | Err(_) => Err(word.refuse("an entry begins with a level number from 01 to 49")),
    }
}

fn name(word: &Word) -> Result<Option<String>, CopybookError> {
    let name = word.upper();
    if name == "FILLER" {
        return Ok(None);
    }
    let shaped = name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && name.bytes().any(|byte| byte.is_ascii_alphabetic())
        && !name.starts_with('-')
        && !name.ends_with('-');
    if shaped && name.len() <= MAX_NAME {
        Ok(Some(name))
    } else {
        Err(word.refuse("a data name has up to 30 letters, digits and inner hyphens, at least one of them a letter"))
    }
}

fn is_clause(word: &str) -> bool {
    usage(word).is_some()
        || refused(word).is_some()
        || matches!(
            word,
            "PIC" | "PICTURE" | "USAGE" | "OCCURS" | "VALUE" | "VALUES" | "DISPLAY"
        )
}

fn usage(word: &str) -> Option<Usage> {
    match word {
        "DISPLAY" => Some(Usage::Display),
        "COMP" | "COMP-4" | "COMPUTATIONAL" | "COMPUTATIONAL-4" | "BINARY" => Some(Usage::Binary),
        "COMP-3" | "COMPUTATIONAL-3" | "PACKED-DECIMAL" => Some(Usage::Packed),
        _ => None,
    }
}

/// Clauses that change the layout or the meaning and that this parser does not know.
fn refused(word: &str) -> Option<&'static str> {
    match word {
        "REDEFINES" => Some("REDEFINES is not supported"),
        "DEPENDING" => {
            Some("OCCURS DEPENDING ON is not supported; only a fixed number of occurrences")
        }
        "SIGN" | "LEADING" | "TRAILING" | "SEPARATE" => {
            Some("the SIGN clause is not supported; the sign is the zone of the last digit")
        }
        "SYNC" | "SYNCHRONIZED" => Some("SYNCHRONIZED is not supported; it inserts slack bytes"),
        "COMP-1" | "COMP-2" | "COMPUTATIONAL-1" | "COMPUTATIONAL-2" => {
            Some("floating point is not supported")
        }
        "COMP-5" | "COMPUTATIONAL-5" => {
            Some("COMP-5 is not supported; its byte order is the machine's")
        }
        "INDEX" | "POINTER" | "JUST" | "JUSTIFIED" | "BLANK" | "RENAMES" | "INDEXED"
        | "ASCENDING" | "DESCENDING" => Some("this clause is not supported"),
        _ => None,
    }
}

type Words<'a> = std::iter::Peekable<std::slice::Iter<'a, Word>>;

fn clause(word: &Word, words: &mut Words<'_>, item: &mut Item) -> Result<(), CopybookError> {
    let upper = word.upper();
    if let Some(rule) = refused(&upper) {
        return Err(word.refuse(rule));
    }
    if let Some(usage) = usage(&upper) {
        return set_usage(word, usage, item);
    }
    match upper.as_str() {
        "PIC" | "PICTURE" => {
            let text = argument(word, words, "PIC is followed by a picture")?;
            if item.picture.is_some() {
                return Err(word.refuse("an entry has one picture"));
            }
            item.picture = Some((picture::parse(text)?, text.clone()));
        }
        "USAGE" => {
            let text = argument(word, words, "USAGE is followed by DISPLAY, COMP or COMP-3")?;
            let upper = text.upper();
            if let Some(rule) = refused(&upper) {
                return Err(text.refuse(rule));
            }
            let usage = usage(&upper).ok_or_else(|| {
                text.refuse("USAGE is DISPLAY, COMP, BINARY, COMP-3 or PACKED-DECIMAL")
            })?;
            set_usage(text, usage, item)?;
        }
        "OCCURS" => occurs(word, words, item)?,
        "VALUE" | "VALUES" => {
            // An initial value takes no room and says nothing of the records that come in.
            argument(word, words, "VALUE is followed by a literal")?;
        }
        _ => {
            return Err(
                word.refuse("a PIC, USAGE, OCCURS or VALUE clause, or a period, was expected")
            );
        }
    }
    Ok(())
}

fn occurs(word: &Word, words: &mut Words<'_>, item: &mut Item) -> Result<(), CopybookError> {
    let count = argument(word, words, "OCCURS is followed by a number")?;
    let times = count
        .text
        .parse()
        .ok()
        .filter(|times| (1..=MAX_OCCURS).contains(times));
    if item.level == 1 {
        return Err(word.refuse("OCCURS is not allowed at level 01"));
    }
    if item.occurs.is_some() {
        return Err(word.refuse("an entry has one OCCURS"));
    }
    item.occurs =
        Some(times.ok_or_else(|| count.refuse("OCCURS takes a whole number from 1 to 32760"))?);
    if let Some(to) = words.next_if(|next| next.upper() == "TO") {
        return Err(
            to.refuse("OCCURS DEPENDING ON is not supported; only a fixed number of occurrences")
        );
    }
    words.next_if(|next| next.upper() == "TIMES");
    Ok(())
}

/// The word after a keyword and an optional IS.
fn argument<'a>(
    keyword: &Word,
    words: &mut Words<'a>,
    rule: &'static str,
) -> Result<&'a Word, CopybookError> {
    words.next_if(|next| matches!(next.upper().as_str(), "IS" | "ARE"));
    words.next().ok_or_else(|| keyword.refuse(rule))
}

fn set_usage(word: &Word, usage: Usage, item: &mut Item) -> Result<(), CopybookError> {
    if item.usage.replace(usage).is_some() {
        return Err(word.refuse("an entry has one usage"));
    }
    Ok(())
}
