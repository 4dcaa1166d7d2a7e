//! Sentences → entries: data items, with the condition names (88) that stand below them.

use super::clauses::{self, Words};
use super::lexer::Word;
use super::literal::{Literal, literal};
use super::picture::Picture;
use super::{Condition, CopybookError, SignPlace};

/// Longest COBOL word.
const MAX_NAME: usize = 30;
/// Level 88 and the ranges of one condition: more than any program tests, and a bound.
const MAX_VALUES: usize = 1_000;

/// What a USAGE clause names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum UsageClause {
    Display,
    Binary,
    Native,
    Packed,
    UnsignedPacked,
    Float,
    Double,
}

/// An OCCURS clause.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Occurs {
    pub(super) min: usize,
    pub(super) max: usize,
    /// Name of the field that holds the number, with its qualifiers behind it.
    pub(super) depending: Option<Vec<Word>>,
}

/// One data item, not yet placed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Item {
    pub(super) level: u8,
    /// `None`: FILLER.
    pub(super) name: Option<String>,
    pub(super) picture: Option<(Picture, Word)>,
    pub(super) usage: Option<UsageClause>,
    pub(super) occurs: Option<Occurs>,
    pub(super) redefines: Option<Word>,
    pub(super) sign: Option<SignPlace>,
    pub(super) synchronized: Option<Word>,
    pub(super) justified: bool,
    pub(super) blank_when_zero: Option<Word>,
    pub(super) conditions: Vec<Condition>,
    /// The level number, for messages.
    pub(super) at: Word,
}

/// `66 name RENAMES first THRU last`.
pub(super) struct Renames {
    pub(super) names: Vec<Word>,
}

/// All entries of a copybook.
pub(super) struct Entries {
    pub(super) items: Vec<Item>,
    pub(super) renames: Vec<Renames>,
}

pub(super) fn entries(sentences: &[Vec<Word>]) -> Result<Entries, CopybookError> {
    let mut entries = Entries {
        items: Vec::new(),
        renames: Vec::new(),
    };
    for sentence in sentences {
        let (first, rest) = sentence
            .split_first()
            .expect("the lexer makes no empty sentence");
        refuse_statements(first)?;
        match first.text.parse::<u8>() {
            Ok(level @ (1..=49 | 77)) if first.text.len() <= 2 => {
                entries.items.push(item(level, first, rest)?);
            }
            Ok(66) => entries.renames.push(renames(first, rest)?),
            Ok(88) => {
                let Some(item) = entries.items.last_mut() else {
                    return Err(first.refuse(
                        "a condition name (88) belongs to the item before it, and there is none",
                        "move the entry behind its item",
                    ));
                };
                item.conditions.push(condition(first, rest)?);
            }
            Ok(_) | Err(_) => {
                return Err(first.refuse(
                    "an entry begins with a level number: 01 to 49, 66, 77 or 88",
                    "check that the entry before it ends with a period",
                ));
            }
        }
    }
    Ok(entries)
}

/// Statements that somebody else has to resolve before the text is a copybook.
fn refuse_statements(word: &Word) -> Result<(), CopybookError> {
    match word.upper().as_str() {
        "COPY" | "++INCLUDE" | "-INC" | "BASIS" => Err(word.refuse(
            "COPY statements are resolved by the compiler, which knows the libraries",
            "put the text of the member in the place of the statement",
        )),
        "REPLACE" => Err(word.refuse(
            "REPLACE statements are not supported",
            "write the text as it is after the replacement",
        )),
        "EXEC" => Err(word.refuse(
            "EXEC SQL INCLUDE is resolved by a precompiler",
            "put the included text in the place of the statement",
        )),
        "FD" | "SD" => Err(word.refuse(
            "file description entries describe no record",
            "begin the copybook with level 01",
        )),
        _ => Ok(()),
    }
}

fn item(level: u8, first: &Word, rest: &[Word]) -> Result<Item, CopybookError> {
    let mut item = Item {
        level,
        name: None,
        picture: None,
        usage: None,
        occurs: None,
        redefines: None,
        sign: None,
        synchronized: None,
        justified: false,
        blank_when_zero: None,
        conditions: Vec::new(),
        at: first.clone(),
    };
    let mut words = rest.iter().peekable();
    if let Some(word) = words.next_if(|word| !clauses::begins(word)) {
        item.name = name(word)?;
    }
    while let Some(word) = words.next() {
        clauses::clause(word, &mut words, &mut item)?;
    }
    Ok(item)
}

/// `None`: FILLER.
pub(super) fn name(word: &Word) -> Result<Option<String>, CopybookError> {
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
        Err(word.refuse(
            "a data name has up to 30 letters, digits and inner hyphens, at least one of them a letter",
            "rename the item, or resolve the prefix that COPY … REPLACING would give it",
        ))
    }
}

fn renames(first: &Word, rest: &[Word]) -> Result<Renames, CopybookError> {
    let form = |word: &Word| {
        word.refuse(
            "level 66 is: 66 NAME RENAMES FIRST [THRU LAST]",
            "complete the entry, or delete it: it takes no room",
        )
    };
    let mut words = rest.iter();
    let new = words.next().ok_or_else(|| form(first))?;
    name(new)?.ok_or_else(|| form(new))?;
    let keyword = words.next().ok_or_else(|| form(new))?;
    if !keyword.is(&["RENAMES"]) {
        return Err(form(keyword));
    }
    let mut names = Vec::new();
    // Qualifiers do not matter here: what is renamed only has to exist.
    let mut qualifier = false;
    for word in words {
        if word.is(&["OF", "IN"]) {
            qualifier = true;
        } else if !word.is(&["THRU", "THROUGH"]) {
            if !qualifier {
                names.push(word.clone());
            }
            qualifier = false;
        }
    }
    match names.len() {
        1 | 2 => Ok(Renames { names }),
        _ => Err(form(keyword)),
    }
}

fn condition(first: &Word, rest: &[Word]) -> Result<Condition, CopybookError> {
    let form = |word: &Word| {
        word.refuse(
            "level 88 is: 88 NAME VALUE LITERAL [THRU LITERAL] …",
            "complete the entry, or delete it: it takes no room",
        )
    };
    let mut words = rest.iter().peekable();
    let named = words.next().ok_or_else(|| form(first))?;
    let name = name(named)?.ok_or_else(|| form(named))?;
    let keyword = words.next().ok_or_else(|| form(named))?;
    if !keyword.is(&["VALUE", "VALUES"]) {
        return Err(form(keyword));
    }
    words.next_if(|word| word.is(&["IS", "ARE"]));
    let mut ranges = Vec::new();
    while let Some(word) = words.next() {
        // WHEN SET TO FALSE IS …: what a program writes, not what it reads.
        if word.is(&["WHEN", "FALSE"]) {
            break;
        }
        let from = value(word, &mut words)?;
        let to = match words.next_if(|word| word.is(&["THRU", "THROUGH"])) {
            None => None,
            Some(thru) => {
                let word = words.next().ok_or_else(|| form(thru))?;
                Some(value(word, &mut words)?)
            }
        };
        ranges.push((from, to));
        if ranges.len() > MAX_VALUES {
            return Err(word.refuse(
                "a condition has at most 1,000 values",
                "write ranges with THRU",
            ));
        }
    }
    if ranges.is_empty() {
        return Err(form(keyword));
    }
    Ok(Condition { name, ranges })
}

/// A literal, with ALL before it or not.
pub(super) fn value(word: &Word, words: &mut Words<'_>) -> Result<Literal, CopybookError> {
    let refuse = |word: &Word| {
        word.refuse(
            "a literal or a figurative constant was expected",
            "quote text; write numbers with up to 31 digits and a decimal point",
        )
    };
    if word.is(&["ALL"]) {
        let next = words.next().ok_or_else(|| refuse(word))?;
        return match literal(next).ok_or_else(|| refuse(next))?? {
            Literal::Text(text) => Ok(Literal::All(text)),
            fill @ Literal::Fill(_) => Ok(fill),
            Literal::Hex(_) | Literal::Number(_) | Literal::All(_) => Err(next.refuse(
                "ALL is followed by text or a figurative constant",
                "quote the text",
            )),
        };
    }
    literal(word).ok_or_else(|| refuse(word))?
}
