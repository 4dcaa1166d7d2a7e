//! Picture character-strings: `X(8)`, `S9(7)V99`, `Z,ZZ9.99-`.
//!
//! IBM Enterprise COBOL for z/OS Language Reference, "PICTURE clause".

use super::lexer::Word;
use super::parser::UsageClause;
use super::{CopybookError, FloatSize, Kind, MAX_RECORD, Number, SignPlace, Usage};

/// Most digits of a number, the P's of its scaling included (ARITH(EXTEND)).
const MAX_DIGITS: usize = 31;
/// Most digits of a binary number: eight bytes.
const MAX_BINARY_DIGITS: usize = 18;

/// What a picture says, before the usage is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Picture {
    /// Characters: X, A, or edited for printing.
    Text { len: usize, edited: bool },
    Number {
        digits: usize,
        /// Digits behind the point; negative: zeros between the last digit and the point.
        scale: i8,
        signed: bool,
    },
}

/// Counts of the symbols seen.
#[derive(Default)]
struct Symbols {
    alphanumeric: usize,
    nines: usize,
    /// Nines behind V.
    fraction: usize,
    /// P's before the first and behind the last nine.
    leading_p: usize,
    trailing_p: usize,
    signed: bool,
    point: bool,
    /// Characters of all symbols but V, P and S.
    width: usize,
    edited: bool,
}

pub(super) fn parse(word: &Word) -> Result<Picture, CopybookError> {
    let text = word.upper();
    let mut characters = text.chars().peekable();
    let mut seen = Symbols::default();
    let mut first = true;
    while let Some(symbol) = characters.next() {
        // CR and DB are two characters.
        let pair = match symbol {
            'C' => characters.next_if_eq(&'R').is_some(),
            'D' => characters.next_if_eq(&'B').is_some(),
            _ => false,
        };
        let count = repetition(word, &mut characters)?;
        seen.symbol(word, symbol, pair, count, first)?;
        first = false;
    }
    seen.picture(word)
}

impl Symbols {
    fn symbol(
        &mut self,
        word: &Word,
        symbol: char,
        pair: bool,
        count: usize,
        first: bool,
    ) -> Result<(), CopybookError> {
        let add = |sum: &mut usize| *sum = sum.saturating_add(count);
        match symbol {
            'X' | 'A' => {
                add(&mut self.alphanumeric);
                add(&mut self.width);
            }
            '9' => {
                if self.trailing_p > 0 && self.nines > 0 {
                    return Err(word.refuse(
                        "P stands at one end of the digits only",
                        "move the P's to the left or the right of all nines",
                    ));
                }
                add(&mut self.nines);
                add(&mut self.width);
                if self.point {
                    add(&mut self.fraction);
                }
            }
            'P' if self.nines == 0 => add(&mut self.leading_p),
            'P' => add(&mut self.trailing_p),
            'S' if first && count == 1 => self.signed = true,
            'S' => {
                return Err(word.refuse(
                    "S stands once, at the left end",
                    "write S before the first digit",
                ));
            }
            'V' if !self.point && count == 1 => self.point = true,
            'V' => return Err(word.refuse("V stands once", "keep one V")),
            'N' | 'G' | 'U' => {
                return Err(word.refuse(
                    "national, double-byte and UTF-8 items are not supported",
                    "write PIC X with the number of bytes",
                ));
            }
            'C' | 'D' if pair => {
                self.edited = true;
                self.width = self.width.saturating_add(count.saturating_mul(2));
            }
            // E: an external floating-point number, which is text as well.
            'Z' | '*' | '+' | '-' | ',' | '.' | '$' | 'B' | '0' | '/' | 'E' => {
                self.edited = true;
                add(&mut self.width);
            }
            _ => {
                return Err(word.refuse(
                    "the symbols of a picture are X A 9 S V P, and for editing Z * + - , . $ B 0 / CR DB E",
                    "correct the picture; another currency sign is written $",
                ));
            }
        }
        Ok(())
    }

    fn picture(self, word: &Word) -> Result<Picture, CopybookError> {
        let refuse = |rule, remedy| Err(word.refuse(rule, remedy));
        if self.width == 0 {
            return refuse(
                "a picture names at least one character",
                "write X, A, 9 or an editing symbol",
            );
        }
        if self.alphanumeric > 0 || self.edited {
            // V and P move a point that text does not have; in a numeric-edited item they are digits'
            // business and take no room.
            if self.alphanumeric > 0
                && (self.signed || self.point || self.leading_p + self.trailing_p > 0)
            {
                return refuse(
                    "a picture is either text (X, A) or a number (9, S, V, P)",
                    "split the item in two",
                );
            }
            if self.width > MAX_RECORD {
                return refuse("a record has at most 32760 bytes", "check the repetition");
            }
            return Ok(Picture::Text {
                len: self.width,
                edited: self.edited,
            });
        }
        if self.leading_p > 0 && self.trailing_p > 0 {
            return refuse(
                "P stands at one end of the digits only",
                "move the P's to the left or the right of all nines",
            );
        }
        if self.trailing_p > 0 && self.fraction > 0 {
            return refuse(
                "P behind the digits puts the point behind them, and V puts it between them",
                "delete the V or the P's",
            );
        }
        let places = self
            .nines
            .saturating_add(self.leading_p)
            .saturating_add(self.trailing_p);
        if places > MAX_DIGITS {
            return refuse(
                "a number has at most 31 digits, P's included",
                "check the repetition",
            );
        }
        // All are at most 31 now.
        let scale = match (self.leading_p, self.trailing_p) {
            (0, 0) => self.fraction as i8,
            (leading, 0) => (leading + self.nines) as i8,
            (_, trailing) => -(trailing as i8),
        };
        Ok(Picture::Number {
            digits: self.nines,
            scale,
            signed: self.signed,
        })
    }
}

/// `(n)` after a symbol; 1 if there is none. A repeated symbol (`999`) is several of one.
fn repetition(
    word: &Word,
    symbols: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<usize, CopybookError> {
    let refuse = || {
        word.refuse(
            "a repetition is a whole number from 1 to 32760 in parentheses",
            "write it behind the symbol: X(8)",
        )
    };
    if symbols.next_if_eq(&'(').is_none() {
        return Ok(1);
    }
    let mut digits = String::new();
    loop {
        match symbols.next() {
            Some(')') => break,
            Some(c) if c.is_ascii_digit() => digits.push(c),
            Some(_) | None => return Err(refuse()),
        }
    }
    digits
        .parse()
        .ok()
        .filter(|count| (1..=MAX_RECORD).contains(count))
        .ok_or_else(refuse)
}

/// What else decides about a field's bytes.
#[derive(Clone, Copy)]
pub(super) struct Clauses {
    pub(super) usage: UsageClause,
    pub(super) sign: Option<SignPlace>,
    pub(super) blank_when_zero: bool,
}

/// The field's kind and its length in bytes.
pub(super) fn storage(
    picture: Picture,
    clauses: Clauses,
    word: &Word,
) -> Result<(Kind, usize), CopybookError> {
    let (digits, scale, signed) = match picture {
        Picture::Text { len, .. } if clauses.usage == UsageClause::Display => {
            return Ok((Kind::Text, len));
        }
        Picture::Text { .. } => {
            return Err(word.refuse("text is always DISPLAY", "delete the usage"));
        }
        Picture::Number {
            digits,
            scale,
            signed,
        } => (digits, scale, signed),
    };
    let mut sign = SignPlace::Trailing;
    let (usage, len) = match clauses.usage {
        UsageClause::Display => {
            sign = clauses.sign.filter(|_| signed).unwrap_or(sign);
            let extra = match sign {
                SignPlace::LeadingSeparate | SignPlace::TrailingSeparate => 1,
                SignPlace::Leading | SignPlace::Trailing => 0,
            };
            (Usage::Display, digits + extra)
        }
        UsageClause::Packed => (Usage::Packed, digits / 2 + 1),
        UsageClause::UnsignedPacked if signed => {
            return Err(word.refuse(
                "COMP-6 has no room for a sign",
                "delete the S, or use COMP-3",
            ));
        }
        UsageClause::UnsignedPacked => (Usage::UnsignedPacked, digits.div_ceil(2)),
        UsageClause::Binary | UsageClause::Native => {
            let len = match digits {
                0..=4 => 2,
                5..=9 => 4,
                10..=MAX_BINARY_DIGITS => 8,
                _ => {
                    return Err(word.refuse(
                        "a binary number has at most 18 digits",
                        "use COMP-3 for more",
                    ));
                }
            };
            let native = clauses.usage == UsageClause::Native;
            (if native { Usage::Native } else { Usage::Binary }, len)
        }
        UsageClause::Float | UsageClause::Double => {
            return Err(word.refuse("COMP-1 and COMP-2 take no picture", "delete the picture"));
        }
    };
    let number = Number {
        // At most 31 (checked by `parse`).
        digits: digits as u8,
        scale,
        signed,
        usage,
        sign,
        blank_when_zero: clauses.blank_when_zero,
    };
    Ok((Kind::Number(number), len))
}

/// COMP-1 and COMP-2 have no picture.
pub(super) const fn float(usage: UsageClause) -> Option<(Kind, usize)> {
    match usage {
        UsageClause::Float => Some((Kind::Float(FloatSize::Short), 4)),
        UsageClause::Double => Some((Kind::Float(FloatSize::Long), 8)),
        UsageClause::Display
        | UsageClause::Binary
        | UsageClause::Native
        | UsageClause::Packed
        | UsageClause::UnsignedPacked => None,
    }
}
