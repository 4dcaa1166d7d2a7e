//! COBOL record descriptions ("copybooks") and the fixed-length records they describe.
//!
//! [`Copybook::parse`] reads the data description entries of one level-01 record (IBM Enterprise
//! COBOL for z/OS Language Reference, "Data division"); [`Copybook::decode`] and
//! [`Copybook::encode`] move between the record's bytes and exact [`Value`]s.
//!
//! The subset: levels 01–49, `PIC X(n)`/`A(n)`, `9(n)`, `S9(n)V9(m)`, usages `DISPLAY` (zoned),
//! `COMP`/`COMP-4`/`BINARY` and `COMP-3`/`PACKED-DECIMAL`, `FILLER`, fixed `OCCURS`, `VALUE`
//! (no effect on the layout). Everything else is refused by name: a clause that is silently skipped
//! would shift every byte after it.

mod codec;
mod decimal;
mod error;
mod layout;
mod lexer;
mod number;
mod parser;
mod picture;
#[cfg(test)]
mod tests;

pub use decimal::Decimal;
pub use error::{CopybookError, FieldError, LookupError, RecordError};

use crate::ebcdic::CodePage;

/// Longest record, in bytes: the largest LRECL of a fixed-length data set on z/OS.
pub const MAX_RECORD: usize = 32_760;

/// Most elementary fields after `OCCURS` is unrolled; a one-byte field in each place of the longest
/// record stays under it, and a hostile copybook cannot make us allocate more.
pub const MAX_FIELDS: usize = MAX_RECORD;

/// Longest copybook text, in bytes. Real ones hold a few hundred lines of 80 columns.
pub const MAX_SOURCE: usize = 1 << 20;

/// One record's description: where each elementary field lies and how to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copybook {
    name: String,
    record_len: usize,
    fields: Vec<Field>,
}

/// One elementary item; an `OCCURS` item appears once per occurrence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Field {
    /// Qualified name below the record, outermost first, with subscripts from 1:
    /// `TERMINAL.REGION`, `STEP(2).ELAPSED`.
    pub path: String,
    /// First byte within the record, from 0.
    pub offset: usize,
    /// Bytes taken.
    pub len: usize,
    /// How the bytes are read.
    pub kind: Kind,
    /// A `FILLER`: takes room, carries no value.
    pub filler: bool,
}

/// How a field's bytes are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// `PIC X(n)`: characters of the code page.
    Text,
    /// A number.
    Number(Number),
}

/// The shape of a numeric field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Number {
    /// Digits in all, 1 to 31.
    pub digits: u8,
    /// Digits behind the implied decimal point (`V`).
    pub scale: u8,
    /// The picture has an `S`.
    pub signed: bool,
    /// Representation.
    pub usage: Usage,
}

/// Representation of a number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// Zoned decimal: a digit per byte, the sign in the zone of the last one.
    Display,
    /// Big-endian two's complement of 2, 4 or 8 bytes.
    Binary,
    /// Packed decimal: two digits a byte, the sign in the last nibble.
    Packed,
}

/// The value of one field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Value {
    /// Characters, padding included.
    Text(String),
    /// An exact number.
    Number(Decimal),
}

impl Value {
    /// The text without trailing blanks; `None` for a number.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim_end()),
            Self::Number(_) => None,
        }
    }

    /// The number; `None` for text.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Text(_) => None,
            Self::Number(number) => Some(*number),
        }
    }
}

impl Copybook {
    /// Reads a copybook in fixed reference format (columns 8–72, `*` in column 7 is a comment) or in
    /// free format; which of the two is recognised by columns 1–7.
    pub fn parse(source: &str) -> Result<Self, CopybookError> {
        let sentences = lexer::sentences(source)?;
        let items = parser::items(&sentences)?;
        layout::lay_out(items)
    }

    /// Name of the level-01 record.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of every record, in bytes.
    pub fn record_len(&self) -> usize {
        self.record_len
    }

    /// All elementary fields in order of their offsets, `FILLER` included.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Index in [`fields`](Self::fields) of a named field: its whole path, or as much of the path's
    /// end as makes it unique (`REGION` for `TERMINAL.REGION`). Case does not matter.
    pub fn find(&self, name: &str) -> Result<usize, LookupError> {
        let wanted = name.to_ascii_uppercase();
        let ends_so = |path: &str| {
            path.strip_suffix(wanted.as_str())
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        };
        let mut found = self
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| !field.filler && ends_so(&field.path));
        match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(index),
            (None, _) => Err(LookupError::Unknown {
                name: name.to_owned(),
                record: self.name.clone(),
                known: self
                    .fields
                    .iter()
                    .filter(|field| !field.filler)
                    .map(|field| field.path.clone())
                    .collect::<Vec<_>>()
                    .join(", "),
            }),
            (Some((_, first)), Some((_, second))) => Err(LookupError::Ambiguous {
                name: name.to_owned(),
                first: first.path.clone(),
                second: second.path.clone(),
            }),
        }
    }

    /// Values of all fields that are not `FILLER`, in order. The record must have exactly
    /// [`record_len`](Self::record_len) bytes; a field that breaks its rule is named with its bytes.
    pub fn decode(&self, page: CodePage, record: &[u8]) -> Result<Vec<Value>, RecordError> {
        codec::check_len(self, record)?;
        self.fields
            .iter()
            .filter(|field| !field.filler)
            .map(|field| codec::decode_field(field, page, record))
            .collect()
    }

    /// The value of one field, by its index in [`fields`](Self::fields), of a record of the right
    /// length.
    pub fn decode_field(
        &self,
        page: CodePage,
        record: &[u8],
        index: usize,
    ) -> Result<Value, RecordError> {
        codec::check_len(self, record)?;
        codec::decode_field(&self.fields[index], page, record)
    }

    /// The inverse of [`decode`](Self::decode): one value per field that is not `FILLER`. Text is
    /// padded with blanks, numbers are brought to the field's scale if that loses nothing, `FILLER`
    /// becomes blanks.
    pub fn encode(&self, page: CodePage, values: &[Value]) -> Result<Vec<u8>, FieldError> {
        codec::encode(self, page, values)
    }
}
