//! What a record held: one cell per field, text in one string. Reused from record to record, it
//! allocates nothing.

use super::Decimal;

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Cell {
    Absent,
    /// Range of [`Row::text`].
    Text {
        start: u32,
        end: u32,
    },
    Number(Decimal),
    Float(f64),
}

/// The values of one record, by index of the field.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Row {
    pub(super) text: String,
    pub(super) cells: Vec<Cell>,
}

/// The value of one field, borrowed from its [`Row`].
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Item<'a> {
    /// Characters, padding included.
    Text(&'a str),
    /// An exact number.
    Number(Decimal),
    /// A hexadecimal floating-point number (COMP-1, COMP-2).
    Float(f64),
}

impl Row {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a field, by its index in [`Copybook::fields`](super::Copybook::fields). `None`:
    /// `FILLER`, an occurrence that the record does not have, or an alternative that its bytes do not fit.
    pub fn get(&self, field: usize) -> Option<Item<'_>> {
        match *self.cells.get(field)? {
            Cell::Absent => None,
            Cell::Text { start, end } => {
                self.text.get(start as usize..end as usize).map(Item::Text)
            }
            Cell::Number(number) => Some(Item::Number(number)),
            Cell::Float(float) => Some(Item::Float(float)),
        }
    }

    /// Text of a field; `None` for numbers and what is not there.
    pub fn text(&self, field: usize) -> Option<&str> {
        match self.get(field)? {
            Item::Text(text) => Some(text),
            Item::Number(_) | Item::Float(_) => None,
        }
    }

    /// Number of a field; `None` for text and what is not there.
    pub fn number(&self, field: usize) -> Option<Decimal> {
        match self.get(field)? {
            Item::Number(number) => Some(number),
            Item::Text(_) | Item::Float(_) => None,
        }
    }

    pub(super) fn clear(&mut self, fields: usize) {
        self.text.clear();
        self.cells.clear();
        self.cells.resize(fields, Cell::Absent);
    }
}

impl std::fmt::Display for Item<'_> {
    /// Text without trailing blanks.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text.trim_end()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Float(float) => write!(f, "{float}"),
        }
    }
}
