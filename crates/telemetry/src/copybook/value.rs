//! Values that own their text.

use super::{Decimal, Item};

/// The value of one field.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Characters, padding included.
    Text(String),
    /// An exact number.
    Number(Decimal),
    /// A floating-point number.
    Float(f64),
    /// An occurrence that the record does not have, or an alternative that its bytes do not fit.
    Absent,
}

impl Value {
    pub(super) fn of(item: Option<Item<'_>>) -> Self {
        match item {
            Some(Item::Text(text)) => Self::Text(text.to_owned()),
            Some(Item::Number(number)) => Self::Number(number),
            Some(Item::Float(float)) => Self::Float(float),
            None => Self::Absent,
        }
    }

    /// The text without trailing blanks; `None` for what is no text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.trim_end()),
            Self::Number(_) | Self::Float(_) | Self::Absent => None,
        }
    }

    /// The exact number; `None` for what is none.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Float(_) | Self::Absent => None,
        }
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Float(float) => write!(f, "{float}"),
            Self::Absent => f.write_str("nothing"),
        }
    }
}
