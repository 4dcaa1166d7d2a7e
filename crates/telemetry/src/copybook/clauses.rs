//! The clauses of a data description entry.
//!
//! IBM Enterprise COBOL for z/OS Language Reference, "Data Division – data description entry". A clause
//! that is not known is refused by name: one that is silently skipped would shift every byte after it.

use super::lexer::Word;
use super::parser::{self, Item, Occurs, UsageClause};
use super::{CopybookError, MAX_RECORD, SignPlace, picture};

/// Most occurrences of one item; unrolled, they must fit the longest record anyway.
const MAX_OCCURS: usize = MAX_RECORD;

pub(super) type Words<'a> = std::iter::Peekable<std::slice::Iter<'a, Word>>;

/// Does the word begin a clause, and so cannot be the item's name?
pub(super) fn begins(word: &Word) -> bool {
    const KEYWORDS: [&str; 21] = [
        "PIC",
        "PICTURE",
        "USAGE",
        "OCCURS",
        "VALUE",
        "VALUES",
        "REDEFINES",
        "SIGN",
        "LEADING",
        "TRAILING",
        "SYNC",
        "SYNCHRONIZED",
        "JUST",
        "JUSTIFIED",
        "BLANK",
        "EXTERNAL",
        "GLOBAL",
        "VOLATILE",
        "IS",
        "GROUP-USAGE",
        "DYNAMIC",
    ];
    let upper = word.upper();
    word.is(&KEYWORDS) || usage(&upper).is_some() || address(&upper) || national(&upper)
}

fn usage(word: &str) -> Option<UsageClause> {
    match word {
        "DISPLAY" => Some(UsageClause::Display),
        "COMP" | "COMP-4" | "COMPUTATIONAL" | "COMPUTATIONAL-4" | "BINARY" => {
            Some(UsageClause::Binary)
        }
        "COMP-5" | "COMPUTATIONAL-5" => Some(UsageClause::Native),
        "COMP-3" | "COMPUTATIONAL-3" | "PACKED-DECIMAL" => Some(UsageClause::Packed),
        "COMP-6" | "COMPUTATIONAL-6" => Some(UsageClause::UnsignedPacked),
        "COMP-1" | "COMPUTATIONAL-1" => Some(UsageClause::Float),
        "COMP-2" | "COMPUTATIONAL-2" => Some(UsageClause::Double),
        _ => None,
    }
}

/// Usages that hold an address of the program that wrote the record.
fn address(word: &str) -> bool {
    matches!(
        word,
        "INDEX" | "POINTER" | "POINTER-32" | "PROCEDURE-POINTER" | "FUNCTION-POINTER" | "OBJECT"
    )
}

fn national(word: &str) -> bool {
    matches!(word, "NATIONAL" | "DISPLAY-1" | "UTF-8")
}

fn refuse_usage(word: &Word) -> CopybookError {
    let upper = word.upper();
    if address(&upper) {
        word.refuse(
            "an index or pointer is an address within the program that wrote it and means nothing in a record",
            "write PIC X(4) for INDEX, POINTER and FUNCTION-POINTER, PIC X(8) for PROCEDURE-POINTER and under LP(64)",
        )
    } else if national(&upper) {
        word.refuse(
            "national, double-byte and UTF-8 items are not supported",
            "write PIC X with the number of bytes",
        )
    } else {
        word.refuse(
            "USAGE is DISPLAY, BINARY, PACKED-DECIMAL or COMP, COMP-1 to COMP-6",
            "write one of these",
        )
    }
}

pub(super) fn clause(
    word: &Word,
    words: &mut Words<'_>,
    item: &mut Item,
) -> Result<(), CopybookError> {
    let upper = word.upper();
    if let Some(usage) = usage(&upper) {
        return set_usage(word, usage, item);
    }
    if address(&upper) || national(&upper) {
        return Err(refuse_usage(word));
    }
    match upper.as_str() {
        "PIC" | "PICTURE" => {
            let text = argument(word, words)?;
            if item.picture.is_some() {
                return Err(twice(word));
            }
            item.picture = Some((picture::parse(text)?, text.clone()));
            Ok(())
        }
        "USAGE" => {
            let text = argument(word, words)?;
            let usage = usage(&text.upper()).ok_or_else(|| refuse_usage(text))?;
            set_usage(text, usage, item)
        }
        "OCCURS" => occurs(word, words, item),
        "REDEFINES" => {
            let target = argument(word, words)?;
            match item.redefines.replace(target.clone()) {
                None => Ok(()),
                Some(_) => Err(twice(word)),
            }
        }
        "SIGN" => {
            let place = argument(word, words)?;
            sign(place, words, item)
        }
        "LEADING" | "TRAILING" => sign(word, words, item),
        "SYNC" | "SYNCHRONIZED" => {
            words.next_if(|next| next.is(&["LEFT", "RIGHT"]));
            item.synchronized = Some(word.clone());
            Ok(())
        }
        "JUST" | "JUSTIFIED" => {
            words.next_if(|next| next.is(&["RIGHT"]));
            item.justified = true;
            Ok(())
        }
        "BLANK" => {
            words.next_if(|next| next.is(&["WHEN"]));
            let zero = argument(word, words)?;
            if !zero.is(&["ZERO", "ZEROS", "ZEROES"]) {
                return Err(zero.refuse(
                    "the clause is BLANK WHEN ZERO",
                    "complete it",
                ));
            }
            item.blank_when_zero = Some(word.clone());
            Ok(())
        }
        // An initial value takes no room and says nothing of the records that come in.
        "VALUE" | "VALUES" => {
            let first = argument(word, words)?;
            parser::value(first, words).map(drop)
        }
        // Where the storage is shared; the record looks the same.
        "EXTERNAL" | "GLOBAL" | "VOLATILE" => Ok(()),
        "IS" => Ok(()),
        _ => Err(word.refuse(
            "this clause is not known",
            "known are PICTURE, USAGE, OCCURS, REDEFINES, SIGN, SYNCHRONIZED, JUSTIFIED, BLANK WHEN ZERO and VALUE; or end the entry before it with a period",
        )),
    }
}

fn twice(word: &Word) -> CopybookError {
    word.refuse("an entry has each clause once", "delete one of the two")
}

fn set_usage(word: &Word, usage: UsageClause, item: &mut Item) -> Result<(), CopybookError> {
    match item.usage.replace(usage) {
        None => Ok(()),
        Some(_) => Err(twice(word)),
    }
}

fn sign(place: &Word, words: &mut Words<'_>, item: &mut Item) -> Result<(), CopybookError> {
    let leading = place.is(&["LEADING"]);
    if !leading && !place.is(&["TRAILING"]) {
        return Err(place.refuse(
            "the clause is SIGN LEADING or SIGN TRAILING, with SEPARATE or without",
            "complete it",
        ));
    }
    let separate = words.next_if(|next| next.is(&["SEPARATE"])).is_some();
    if separate {
        words.next_if(|next| next.is(&["CHARACTER"]));
    }
    let place_of_sign = match (leading, separate) {
        (true, true) => SignPlace::LeadingSeparate,
        (true, false) => SignPlace::Leading,
        (false, true) => SignPlace::TrailingSeparate,
        (false, false) => SignPlace::Trailing,
    };
    match item.sign.replace(place_of_sign) {
        None => Ok(()),
        Some(_) => Err(twice(place)),
    }
}

fn occurs(word: &Word, words: &mut Words<'_>, item: &mut Item) -> Result<(), CopybookError> {
    if matches!(item.level, 1 | 77) {
        return Err(word.refuse(
            "OCCURS is not allowed at level 01 or 77",
            "put the table below the record",
        ));
    }
    if item.occurs.is_some() {
        return Err(twice(word));
    }
    let first = argument(word, words)?;
    let second = match words.next_if(|next| next.is(&["TO"])) {
        None => None,
        Some(to) => Some(argument(to, words)?),
    };
    let (min, last) = match second {
        None => (None, first),
        Some(last) => (Some(number(first, 0)?), last),
    };
    let max = number(last, 1)?;
    words.next_if(|next| next.is(&["TIMES"]));
    let mut depending = None;
    while let Some(phrase) =
        words.next_if(|next| next.is(&["DEPENDING", "ASCENDING", "DESCENDING", "INDEXED"]))
    {
        words.next_if(|next| next.is(&["ON", "BY", "KEY"]));
        let name = argument(phrase, words)?;
        let mut names = vec![name.clone()];
        if phrase.is(&["DEPENDING"]) {
            while words.next_if(|next| next.is(&["OF", "IN"])).is_some() {
                names.push(argument(phrase, words)?.clone());
            }
            depending = Some(names);
        } else {
            // Keys and index names order and address the table; they take no room in it.
            while words
                .next_if(|next| {
                    !begins(next) && !next.is(&["DEPENDING", "ASCENDING", "DESCENDING", "INDEXED"])
                })
                .is_some()
            {}
        }
    }
    let min = match (min, &depending) {
        (Some(_), None) => {
            return Err(word.refuse(
                "OCCURS n TO m takes DEPENDING ON and the field that holds the number",
                "add it, or write the one number that all records have",
            ));
        }
        (Some(min), Some(_)) if min > max => {
            return Err(first.refuse(
                "the least number of occurrences is not above the greatest",
                "swap the two",
            ));
        }
        (Some(min), Some(_)) => min,
        // IBM: without the lower number, it is 1.
        (None, Some(_)) => 1,
        (None, None) => max,
    };
    item.occurs = Some(Occurs {
        min,
        max,
        depending,
    });
    Ok(())
}

fn number(word: &Word, least: usize) -> Result<usize, CopybookError> {
    if word.is(&["UNBOUNDED"]) {
        return Err(word.refuse(
            "a table without a greatest number has no layout",
            "write the most occurrences that a record of 32,760 bytes has room for",
        ));
    }
    word.text
        .parse()
        .ok()
        .filter(|times| (least..=MAX_OCCURS).contains(times))
        .ok_or_else(|| {
            word.refuse(
                "OCCURS takes whole numbers from 1 to 32760, the lower of two from 0",
                "write the number of occurrences",
            )
        })
}

/// The word after a keyword and an optional IS or ON.
fn argument<'a>(keyword: &Word, words: &mut Words<'a>) -> Result<&'a Word, CopybookError> {
    words.next_if(|next| next.is(&["IS", "ARE", "ON"]));
    words.next().ok_or_else(|| {
        keyword.refuse(
            "the clause ends too early",
            "complete it, or move the period behind it",
        )
    })
}
