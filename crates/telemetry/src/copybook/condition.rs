//! Condition names (level 88).

use super::{Copybook, Item, Literal, Row};
use crate::ebcdic::CodePage;
use std::cmp::Ordering;

/// A name for some values of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// The name.
    pub name: String,
    /// Single values, or from one to another.
    pub ranges: Vec<(Literal, Option<Literal>)>,
}

impl Copybook {
    /// Names of the conditions that hold for a field of a record. Conditions of groups are not looked at.
    pub fn conditions<'a>(
        &'a self,
        page: CodePage,
        row: &'a Row,
        field: usize,
    ) -> impl Iterator<Item = &'a str> {
        let item = row.get(field);
        let conditions = self
            .fields
            .get(field)
            .and_then(|field| self.entries.get(field.entry))
            .map(|entry| entry.conditions.as_slice())
            .unwrap_or_default();
        conditions
            .iter()
            .filter(move |condition| item.is_some_and(|item| condition.holds(page, item)))
            .map(|condition| condition.name.as_str())
    }
}

impl Condition {
    /// Numbers are compared by value, text byte by byte in the code page's order, the shorter one padded
    /// with blanks (IBM Enterprise COBOL for z/OS Language Reference, "Comparison of alphanumeric
    /// operands").
    pub fn holds(&self, page: CodePage, item: Item<'_>) -> bool {
        self.ranges.iter().any(|(from, to)| match to {
            None => compare(page, item, from) == Some(Ordering::Equal),
            Some(to) => {
                compare(page, item, from).is_some_and(Ordering::is_ge)
                    && compare(page, item, to).is_some_and(Ordering::is_le)
            }
        })
    }
}

/// `None`: they cannot be compared.
fn compare(page: CodePage, item: Item<'_>, literal: &Literal) -> Option<Ordering> {
    match item {
        Item::Number(number) => Some(number.compare(literal.as_number()?)),
        Item::Float(float) => float.partial_cmp(&literal.as_number()?.to_f64()),
        Item::Text(text) => {
            let mut bytes = page.encode(text).ok()?;
            let other = literal.as_bytes(page, bytes.len())?;
            while bytes.len() < other.len() {
                bytes.push(page.blank());
            }
            Some(bytes.cmp(&other))
        }
    }
}
