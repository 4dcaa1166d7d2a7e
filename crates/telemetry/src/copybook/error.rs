use std::fmt;

/// A copybook that cannot be read, with the place, the rule it breaks and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("copybook line {line}, column {column}: {found}: {rule}; {remedy}")]
pub struct CopybookError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The word that breaks the rule.
    pub found: String,
    /// The rule.
    pub rule: &'static str,
    /// How to keep it.
    pub remedy: &'static str,
}

/// A name that does not lead to one field.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LookupError {
    /// No such field.
    #[error("record {record} has no field {name}; it has: {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The record.
        record: String,
        /// All its fields.
        known: String,
    },
    /// More than one.
    #[error("field name {name} is ambiguous ({first}, {second}, …); write more of its path")]
    Ambiguous {
        /// The name asked for.
        name: String,
        /// One candidate.
        first: String,
        /// Another.
        second: String,
    },
}

/// A rule for alternatives that does not fit the copybook.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChoiceError {
    /// Not in the form of a rule.
    #[error("rule {rule:?} is not of the form `ALTERNATIVE when FIELD is VALUE, VALUE`")]
    Form {
        /// The rule.
        rule: String,
    },
    /// Nothing redefines or is redefined under this name.
    #[error("{name} is no alternative; the items that redefine or are redefined are: {known}")]
    NoAlternative {
        /// The name asked for.
        name: String,
        /// All there are.
        known: String,
    },
    /// The deciding field is none.
    #[error(transparent)]
    Field(#[from] LookupError),
    /// The deciding field is not known when the alternative is read.
    #[error(
        "{field} cannot decide about {name}: the deciding field stands before it, in no table or in the same one"
    )]
    Order {
        /// The alternative.
        name: String,
        /// The field.
        field: String,
    },
}

/// A record that its copybook refuses.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Ends too early.
    #[error(
        "record of {found} bytes is truncated: {record} needs {needed}; the first field cut is {field} at offset {offset}"
    )]
    Truncated {
        /// The record's name.
        record: String,
        /// Bytes needed, as far as is known.
        needed: usize,
        /// Bytes there.
        found: usize,
        /// First field that is not there in full.
        field: String,
        /// Its offset.
        offset: usize,
    },
    /// Goes on too long.
    #[error("record of {found} bytes is over-long: {record} ends after {needed}")]
    OverLong {
        /// The record's name.
        record: String,
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// A field's bytes break its rule.
    #[error("field {field} at offset {offset}, bytes {bytes}: {rule}")]
    Field {
        /// The field's path.
        field: String,
        /// Its offset in the record.
        offset: usize,
        /// Its bytes.
        bytes: HexBytes,
        /// What they should be.
        rule: &'static str,
    },
}

/// A value that its field cannot hold.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("field {field} cannot hold {value}: {rule}")]
pub struct FieldError {
    /// The field's path.
    pub field: String,
    /// The value offered.
    pub value: String,
    /// What it should be.
    pub rule: &'static str,
}

/// Bytes that print as hexadecimal digits, as in a z/OS dump.
#[derive(Clone, PartialEq, Eq)]
pub struct HexBytes(pub Vec<u8>);

impl fmt::Display for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Enough to see what is wrong; a text field may be 32,000 bytes long.
        const SHOWN: usize = 32;
        f.write_str("X'")?;
        self.0
            .iter()
            .take(SHOWN)
            .try_for_each(|byte| write!(f, "{byte:02X}"))?;
        f.write_str(if self.0.len() > SHOWN { "…'" } else { "'" })
    }
}

impl fmt::Debug for HexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
