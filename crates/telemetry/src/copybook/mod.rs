//! COBOL record descriptions ("copybooks") and the records they describe.
//!
//! [`Copybook::parse`] reads the data description entries of one level-01 record (IBM Enterprise
//! COBOL for z/OS Language Reference, "Data division"). [`Copybook::read`] brings a record's bytes into
//! a reusable [`Row`] without allocating; [`Copybook::decode`] and [`Copybook::encode`] are the
//! convenient way between bytes and exact [`Value`]s. [`framing`] cuts what arrives into records.
//!
//! What each clause becomes stands in `docs/copybooks.md`. A clause that is not known is refused by
//! name, with a remedy: one that is silently skipped would shift every byte after it.

mod choice;
mod clauses;
mod condition;
mod decimal;
mod decode;
mod encode;
mod error;
mod float;
pub mod framing;
mod layout;
mod lexer;
mod literal;
mod lookup;
mod number;
mod parser;
mod picture;
mod plan;
mod row;
mod shape;
mod source;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub use condition::Condition;
pub use decimal::{Decimal, NoDecimal};
pub use error::{ChoiceError, CopybookError, FieldError, HexBytes, LookupError, RecordError};
pub use literal::Literal;
pub use row::{Item, Row};
pub use shape::{Entry, Field, FloatSize, Kind, Number, Repetition, SignPlace, Usage};
pub use value::Value;

use crate::ebcdic::CodePage;

/// Longest record, in bytes: the largest LRECL of a fixed-length data set on z/OS.
pub const MAX_RECORD: usize = 32_760;

/// Most elementary fields after `OCCURS` is unrolled; a one-byte field in each place of the longest
/// record stays under it, and a hostile copybook cannot make us allocate more.
pub const MAX_FIELDS: usize = MAX_RECORD;

/// Longest copybook text, in bytes. Real ones hold a few hundred lines of 80 columns.
pub const MAX_SOURCE: usize = 1 << 20;

/// How source lines are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reference {
    /// Told by columns 1–7 of all lines.
    #[default]
    Detect,
    /// Columns 8–72 hold code, `*` or `/` in column 7 is a comment, `-` continues.
    Fixed,
    /// All columns hold code, `*>` begins a comment.
    Free,
}

/// One record's description: where each elementary field lies and how to read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Copybook {
    name: String,
    record_len: usize,
    least_len: usize,
    fields: Vec<Field>,
    entries: Vec<Entry>,
    plan: Vec<plan::Part>,
}

impl Copybook {
    /// Reads a copybook in fixed or in free reference format; which of the two is recognised by
    /// columns 1–7.
    pub fn parse(source: &str) -> Result<Self, CopybookError> {
        Self::parse_as(source, Reference::Detect)
    }

    /// Reads a copybook in a known reference format.
    pub fn parse_as(source: &str, reference: Reference) -> Result<Self, CopybookError> {
        let sentences = lexer::sentences(source, reference)?;
        let entries = parser::entries(&sentences)?;
        layout::lay_out(&tree::tree(entries)?)
    }

    /// Name of the level-01 record.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Length of the longest record, in bytes: of every record, unless a table is `DEPENDING ON`.
    pub fn record_len(&self) -> usize {
        self.record_len
    }

    /// Length of the shortest record, in bytes.
    pub fn least_len(&self) -> usize {
        self.least_len
    }

    /// Have all records one length?
    pub fn is_fixed(&self) -> bool {
        // A table OCCURS 3 TO 3 DEPENDING ON does not vary either.
        self.least_len == self.record_len
    }

    /// All elementary fields in order of the text, `FILLER` included, tables at their greatest number.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// All data description entries, groups included, each with its first occurrence.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Reads one record from the front of `bytes` into `row`, and returns its length: where the next
    /// one would begin. A field that breaks its rule is named with its bytes.
    ///
    /// Of items that redefine each other all are read whose bytes are valid, or those that a rule
    /// chooses ([`choose`](Self::choose)).
    pub fn read(&self, page: CodePage, bytes: &[u8], row: &mut Row) -> Result<usize, RecordError> {
        decode::decode(self, page, bytes, row)
    }

    /// Reads a record that ends where `record` ends.
    pub fn read_whole(
        &self,
        page: CodePage,
        record: &[u8],
        row: &mut Row,
    ) -> Result<(), RecordError> {
        if record.len() > self.record_len {
            return Err(self.over_long(record, self.record_len));
        }
        match self.read(page, record, row)? {
            needed if needed < record.len() => Err(self.over_long(record, needed)),
            _ => Ok(()),
        }
    }

    fn over_long(&self, record: &[u8], needed: usize) -> RecordError {
        RecordError::OverLong {
            record: self.name.clone(),
            needed,
            found: record.len(),
        }
    }

    /// Values of all fields that are not `FILLER`, in order, of one whole record.
    pub fn decode(&self, page: CodePage, record: &[u8]) -> Result<Vec<Value>, RecordError> {
        let mut row = Row::new();
        self.read_whole(page, record, &mut row)?;
        let named = self
            .fields
            .iter()
            .enumerate()
            .filter(|(_, field)| !field.filler);
        Ok(named.map(|(index, _)| Value::of(row.get(index))).collect())
    }

    /// The inverse of [`decode`](Self::decode): one value per field that is not `FILLER`. Text is
    /// padded with blanks, numbers are brought to the field's scale if that loses nothing, `FILLER`
    /// becomes blanks. Of alternatives the first is written of which all values are there.
    pub fn encode(&self, page: CodePage, values: &[Value]) -> Result<Vec<u8>, FieldError> {
        encode::encode(self, page, values)
    }
}
