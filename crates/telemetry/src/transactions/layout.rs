//! Which fields of a record make a transaction.

use super::registered::RegisteredError;
use super::timestamp::{TimestampError, TimestampFormat};
use crate::copybook::framing::{self, FrameError, Framing, Place};
use crate::copybook::{Copybook, Decimal, Kind, LookupError, Row};
use crate::ebcdic::CodePage;
use wire::UnixMillis;

/// The configured field names, as in the copybook.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldNames {
    /// When the transaction happened.
    pub timestamp: String,
    /// Its type (purchase, withdrawal, …).
    pub kind: String,
    /// What the windows are keyed by: region, terminal, terminal group.
    pub key: String,
    /// The amount.
    pub amount: String,
    /// The response code.
    pub response: String,
    /// Milliseconds it took.
    pub latency: String,
    /// The terminal, where windows are kept per terminal.
    pub terminal: Option<String>,
}

impl Default for FieldNames {
    /// The names in `deploy/copybooks/transaction.cpy`.
    fn default() -> Self {
        Self {
            timestamp: "TXN-TIMESTAMP".to_owned(),
            kind: "TXN-TYPE".to_owned(),
            key: "CICS-REGION".to_owned(),
            amount: "AMOUNT".to_owned(),
            response: "RESPONSE-CODE".to_owned(),
            latency: "ELAPSED-MS".to_owned(),
            terminal: None,
        }
    }
}

/// What a window needs of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Transaction {
    /// Event time.
    pub time: UnixMillis,
    /// Type.
    pub kind: String,
    /// The window's key.
    pub key: String,
    /// Amount.
    pub amount: Decimal,
    /// Response code.
    pub response: String,
    /// Milliseconds it took.
    pub latency_ms: u64,
    /// Terminal; empty where no field is configured.
    pub terminal: String,
}

/// Configured fields that the copybook does not bear out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LayoutError {
    /// A name leads to no field.
    #[error("field of the {role}: {error}")]
    Lookup {
        /// What the field is for.
        role: &'static str,
        /// Why not.
        error: LookupError,
    },
    /// The field has the wrong shape.
    #[error("field {field} cannot be the {role}: it should be {expected}")]
    Shape {
        /// What the field is for.
        role: &'static str,
        /// The field's path.
        field: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// A record that is no transaction.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TransactionError {
    /// The copybook refuses it, or it cannot be told where it ends.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// It is not JSON, where it should be.
    #[error("the value is not JSON: {error}")]
    NoJson {
        /// Where and why.
        error: String,
    },
    /// It cannot be read by a registry's schema.
    #[error(transparent)]
    Registered(#[from] RegisteredError),
    /// Its timestamp is none.
    #[error("field {field}: {error}")]
    Timestamp {
        /// The field's path.
        field: String,
        /// Why.
        error: TimestampError,
    },
    /// A field's value makes no sense for its role.
    #[error("field {field} is {value}: {rule}")]
    Value {
        /// The field's path.
        field: String,
        /// Its value.
        value: String,
        /// What it should be.
        rule: &'static str,
    },
}

/// A copybook with the places of the fields that make a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionLayout {
    copybook: Copybook,
    page: CodePage,
    framing: Framing,
    utc_offset_minutes: i32,
    format: TimestampFormat,
    timestamp: usize,
    kind: usize,
    key: usize,
    amount: usize,
    response: usize,
    latency: usize,
    terminal: Option<usize>,
}

impl TransactionLayout {
    /// Finds the named fields. `utc_offset_minutes`: how far the records' wall clock is ahead of UTC.
    pub fn new(
        copybook: Copybook,
        page: CodePage,
        names: &FieldNames,
        utc_offset_minutes: i32,
    ) -> Result<Self, LayoutError> {
        let find = |role, name: &str| {
            copybook
                .find(name)
                .map_err(|error| LayoutError::Lookup { role, error })
        };
        let shaped = |role, index: usize, right: bool, expected| {
            let field = copybook.fields()[index].path.clone();
            if right {
                Ok(index)
            } else {
                Err(LayoutError::Shape {
                    role,
                    field,
                    expected,
                })
            }
        };
        let text = |role, name: &str| {
            let index = find(role, name)?;
            let is_whole = |kind| matches!(kind, Kind::Number(number) if number.scale == 0);
            let kind = copybook.fields()[index].kind;
            shaped(
                role,
                index,
                kind == Kind::Text || is_whole(kind),
                "text or a whole number",
            )
        };
        let is_exact = |kind| matches!(kind, Kind::Number(_));
        let timestamp = find("timestamp", &names.timestamp)?;
        let format = TimestampFormat::of(&copybook.fields()[timestamp]);
        const TIMESTAMPS: &str = "PIC X(19) to X(26), or a whole number of 14, 17 or 18 digits";
        shaped("timestamp", timestamp, format.is_some(), TIMESTAMPS)?;
        let amount = find("amount", &names.amount)?;
        shaped(
            "amount",
            amount,
            is_exact(copybook.fields()[amount].kind),
            "an exact number",
        )?;
        let latency = find("latency", &names.latency)?;
        shaped(
            "latency",
            latency,
            is_exact(copybook.fields()[latency].kind),
            "an exact number of milliseconds",
        )?;
        let terminal = match &names.terminal {
            Some(name) => Some(text("terminal", name)?),
            None => None,
        };
        Ok(Self {
            page,
            framing: Framing::default(),
            terminal,
            utc_offset_minutes,
            format: format.unwrap_or(TimestampFormat::Text),
            timestamp,
            kind: text("type", &names.kind)?,
            key: text("key", &names.key)?,
            amount,
            response: text("response code", &names.response)?,
            latency,
            copybook,
        })
    }

    /// The copybook.
    pub fn copybook(&self) -> &Copybook {
        &self.copybook
    }

    /// The same for records that lie otherwise in what arrives.
    #[must_use]
    pub fn framed(self, framing: Framing) -> Self {
        Self { framing, ..self }
    }

    /// Reads one record. Every field must obey the copybook, not only those that are used: a record
    /// that is broken anywhere may be shifted everywhere.
    pub fn read(&self, record: &[u8]) -> Result<Transaction, TransactionError> {
        let mut row = Row::new();
        self.copybook
            .read_whole(self.page, record, &mut row)
            .map_err(FrameError::Record)?;
        self.transaction(&row)
    }

    /// Reads all records of a value, in order, each for itself: after a broken one come the others, as
    /// far as it can be told where they begin.
    pub fn read_all(
        &self,
        value: &[u8],
        row: &mut Row,
        each: &mut dyn FnMut(Place, Result<Transaction, TransactionError>),
    ) {
        let mut one = |place: Place, read: Result<&Row, FrameError>| {
            let read = read.map_err(TransactionError::Frame);
            each(place, read.and_then(|row| self.transaction(row)));
        };
        framing::read_all(
            &self.copybook,
            self.page,
            self.framing,
            value,
            row,
            &mut one,
        );
    }

    fn transaction(&self, row: &Row) -> Result<Transaction, TransactionError> {
        let path = |index: usize| self.copybook.fields()[index].path.clone();
        let missing = |index: usize| TransactionError::Value {
            field: path(index),
            value: "not there".to_owned(),
            rule: "every transaction has this field; it stands in no alternative and no table that may be shorter",
        };
        let item = |index: usize| row.get(index).ok_or_else(|| missing(index));
        let text =
            |index: usize| Ok::<_, TransactionError>(item(index)?.to_string().trim().to_owned());
        let number = |index: usize| row.number(index).ok_or_else(|| missing(index));
        let key = text(self.key)?;
        if key.is_empty() {
            return Err(TransactionError::Value {
                field: path(self.key),
                value: "blank".to_owned(),
                rule: "the key names a region or terminal",
            });
        }
        let time = self
            .format
            .read(item(self.timestamp)?, self.utc_offset_minutes)
            .map_err(|error| TransactionError::Timestamp {
                field: path(self.timestamp),
                error,
            })?;
        let latency = number(self.latency)?;
        // Tenths of a millisecond are below what the windows tell apart.
        let whole = latency.mantissa / 10i128.pow(u32::from(latency.scale));
        let latency_ms = u64::try_from(whole).map_err(|_| TransactionError::Value {
            field: path(self.latency),
            value: latency.to_string(),
            rule: "a duration is not negative",
        })?;
        Ok(Transaction {
            time,
            kind: text(self.kind)?,
            key,
            amount: number(self.amount)?,
            response: text(self.response)?,
            latency_ms,
            terminal: self.terminal.map_or_else(|| Ok(String::new()), text)?,
        })
    }
}
