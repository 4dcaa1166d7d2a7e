//! Literals and figurative constants, as VALUE clauses and condition names hold them.

use super::CopybookError;
use super::Decimal;
use super::lexer::Word;
use crate::ebcdic::CodePage;

/// A value written in the copybook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Literal {
    /// `'text'`.
    Text(String),
    /// `X'C1C2'`: bytes of the record.
    Hex(Vec<u8>),
    /// `-12.50`.
    Number(Decimal),
    /// `ALL 'text'`: again and again until the field is full.
    All(String),
    /// A byte that fills the field: `SPACES`, `LOW-VALUES`, `HIGH-VALUES`, `QUOTES`, and `ZEROS` as text.
    Fill(u8),
}

/// `None`: the word is no literal. Does not look at what the word stands for.
pub(super) fn literal(word: &Word) -> Option<Result<Literal, CopybookError>> {
    let upper = word.upper();
    let fill = |byte| Some(Ok(Literal::Fill(byte)));
    match upper.as_str() {
        // The bytes are the same in all code pages that we know.
        "ZERO" | "ZEROS" | "ZEROES" => return fill(0xF0),
        "SPACE" | "SPACES" => return fill(0x40),
        "HIGH-VALUE" | "HIGH-VALUES" => return fill(0xFF),
        "LOW-VALUE" | "LOW-VALUES" | "NULL" | "NULLS" => return fill(0x00),
        "QUOTE" | "QUOTES" => return fill(0x7F),
        _ => {}
    }
    if let Some(at) = word.text.find(['\'', '"']) {
        return Some(quoted(word, &upper[..at], &word.text[at..]));
    }
    upper.parse().ok().map(Literal::Number).map(Ok)
}

fn quoted(word: &Word, prefix: &str, text: &str) -> Result<Literal, CopybookError> {
    let quote = &text[..1];
    let inner = text
        .get(1..text.len().saturating_sub(1))
        .unwrap_or_default()
        .replace(&quote.repeat(2), quote);
    match prefix {
        "" => Ok(Literal::Text(inner)),
        "X" => hex(&inner).map(Literal::Hex).ok_or_else(|| {
            word.refuse(
                "a hexadecimal literal has an even number of the digits 0 to 9 and A to F",
                "write two digits for each byte",
            )
        }),
        // Null-terminated.
        "Z" => Ok(Literal::Text(inner + "\0")),
        _ => Err(word.refuse(
            "national, double-byte and UTF-8 literals are not supported",
            "write the bytes as X'…'",
        )),
    }
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.is_ascii() {
        return None;
    }
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).ok())
        .collect()
}

impl Literal {
    /// The number, where the literal has one: `ZERO` does.
    pub(super) fn as_number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Fill(0xF0) => Some(Decimal::default()),
            Self::Fill(_) | Self::Text(_) | Self::All(_) | Self::Hex(_) => None,
        }
    }

    /// The bytes of a text field of `len` bytes that holds the literal; `None` for characters that the
    /// code page does not have.
    pub(super) fn as_bytes(&self, page: CodePage, len: usize) -> Option<Vec<u8>> {
        let mut bytes = match self {
            Self::Text(text) => page.encode(text).ok()?,
            Self::All(text) => page
                .encode(text)
                .ok()?
                .into_iter()
                .cycle()
                .take(len)
                .collect(),
            Self::Hex(bytes) => bytes.clone(),
            Self::Number(number) => page.encode(&number.to_string()).ok()?,
            Self::Fill(byte) => vec![*byte; len],
        };
        while bytes.len() < len {
            bytes.push(page.blank());
        }
        Some(bytes)
    }
}

impl std::fmt::Display for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "'{text}'"),
            Self::All(text) => write!(f, "ALL '{text}'"),
            Self::Hex(bytes) => write!(f, "{}", super::error::HexBytes(bytes.clone())),
            Self::Number(number) => write!(f, "{number}"),
            Self::Fill(0x40) => f.write_str("SPACES"),
            Self::Fill(0xF0) => f.write_str("ZEROS"),
            Self::Fill(0xFF) => f.write_str("HIGH-VALUES"),
            Self::Fill(0x00) => f.write_str("LOW-VALUES"),
            Self::Fill(_) => f.write_str("QUOTES"),
        }
    }
}
