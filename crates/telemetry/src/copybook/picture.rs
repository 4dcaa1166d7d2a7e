//! Picture character-strings: `X(8)`, `S9(7)V99`.

use super::lexer::Word;
use super::{CopybookError, Kind, MAX_RECORD, Number, Usage};

/// Most digits of a number (IBM's ARITH(EXTEND)).
const MAX_DIGITS: usize = 31;
/// Most digits of a binary number: eight bytes.
const MAX_BINARY_DIGITS: usize = 18;

/// What a picture says, before the usage is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Picture {
    Text {
        len: usize,
    },
    Number {
        digits: usize,
        scale: usize,
        signed: bool,
    },
}

pub(super) fn parse(word: &Word) -> Result<Picture, CopybookError> {
    let text = word.upper();
    let mut symbols = text.chars().peekable();
    let (mut alphanumeric, mut whole, mut fraction) = (0usize, 0usize, 0usize);
    let (mut signed, mut point) = (false, false);
    let mut position = 0;
    while let Some(symbol) = symbols.next() {
        let count = repetition(word, &mut symbols)?;
        match symbol {
            'X' | 'A' => alphanumeric = alphanumeric.saturating_add(count),
            '9' if point => fraction = fraction.saturating_add(count),
            '9' => whole = whole.saturating_add(count),
            'S' if position == 0 && count == 1 => signed = true,
            'S' => return Err(word.refuse("S stands once, at the left end")),
            'V' if !point && count == 1 => point = true,
            'V' => return Err(word.refuse("V stands once")),
            'P' => return Err(word.refuse("scaling by P is not supported")),
            'N' | 'G' | 'U' => return Err(word.refuse("national, double-byte and UTF-8 items are not supported")),
            _ => return Err(word.refuse("only X, A, 9, S and V are supported in a picture; edited items are for printing, not for records")),
        }
        position += 1;
    }
    let digits = whole.saturating_add(fraction);
    match (alphanumeric, digits) {
        (0, 0) => Err(word.refuse("a picture names at least one character")),
        (0, 1..=MAX_DIGITS) => Ok(Picture::Number {
            digits,
            scale: fraction,
            signed,
        }),
        (0, _) => Err(word.refuse("a number has at most 31 digits")),
        (1..=MAX_RECORD, 0) if !signed && !point => Ok(Picture::Text { len: alphanumeric }),
        (_, 0) if !signed && !point => Err(word.refuse("a record has at most 32760 bytes")),
        _ => Err(word.refuse("a picture is either text (X, A) or a number (9, S, V)")),
    }
}

/// `(n)` after a symbol; 1 if there is none.
fn repetition(
    word: &Word,
    symbols: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<usize, CopybookError> {
    const RULE: &str = "a repetition is a whole number from 1 to 32760 in parentheses";
    if symbols.next_if_eq(&'(').is_none() {
        return Ok(1);
    }
    let mut digits = String::new();
    loop {
        match symbols.next() {
            Some(')') => break,
            Some(c) if c.is_ascii_digit() => digits.push(c),
            Some(_) | None => return Err(word.refuse(RULE)),
        }
    }
    digits
        .parse()
        .ok()
        .filter(|count| (1..=MAX_RECORD).contains(count))
        .ok_or_else(|| word.refuse(RULE))
}

/// The field's kind and its length in bytes.
pub(super) fn storage(
    picture: Picture,
    usage: Usage,
    word: &Word,
) -> Result<(Kind, usize), CopybookError> {
    match (picture, usage) {
        (Picture::Text { len }, Usage::Display) => Ok((Kind::Text, len)),
        (Picture::Text { .. }, Usage::Binary | Usage::Packed) => {
            Err(word.refuse("text is always DISPLAY"))
        }
        (
            Picture::Number {
                digits,
                scale,
                signed,
            },
            usage,
        ) => {
            let len = match usage {
                Usage::Display => digits,
                Usage::Packed => digits / 2 + 1,
                Usage::Binary => match digits {
                    0..=4 => 2,
                    5..=9 => 4,
                    10..=MAX_BINARY_DIGITS => 8,
                    _ => return Err(word.refuse("a binary number has at most 18 digits")),
                },
            };
            // Both are at most 31 (checked by `parse`).
            let number = Number {
                digits: digits as u8,
                scale: scale as u8,
                signed,
                usage,
            };
            Ok((Kind::Number(number), len))
        }
    }
}
