//! Transactions as JSON: an object, or an array of objects.

use super::layout::{FieldNames, Transaction, TransactionError};
use super::registered::Schemas;
use crate::copybook::Decimal;
use crate::moment;
use serde_json::Value;
use wire::UnixMillis;

/// First byte of Confluent's wire format: then four bytes of schema id, then the value.
const MAGIC: u8 = 0;
/// Magic byte and schema id.
const PREFIX: usize = 5;
/// Characters of a wrong value that an error shows.
const SHOWN: usize = 60;

/// Which members of an object make a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonLayout {
    names: FieldNames,
    utc_offset_minutes: i32,
}

impl JsonLayout {
    /// The names lead to members, through nested objects with dots: `payment.amount`.
    /// `utc_offset_minutes`: of times that say nothing of their zone.
    pub fn new(names: FieldNames, utc_offset_minutes: i32) -> Self {
        Self {
            names,
            utc_offset_minutes,
        }
    }

    /// All transactions of a value, each for itself. Confluent's five bytes before a value (a magic 0 and
    /// a schema id) are passed over: JSON says of itself what it holds.
    pub fn read_all(
        &self,
        value: &[u8],
        each: &mut dyn FnMut(Result<Transaction, TransactionError>),
    ) {
        let text = match value {
            [MAGIC, ..] => value.get(PREFIX..).unwrap_or_default(),
            _ => value,
        };
        match serde_json::from_slice(text) {
            Ok(value) => self.all_of(&value, each),
            Err(error) => each(Err(TransactionError::NoJson {
                error: error.to_string(),
            })),
        }
    }

    /// All transactions of a value in Confluent's wire format, by its schema.
    pub fn read_registered(
        &self,
        schemas: &Schemas,
        value: &[u8],
        each: &mut dyn FnMut(Result<Transaction, TransactionError>),
    ) {
        match schemas.read(value, self.utc_offset_minutes) {
            Ok(value) => self.all_of(&value, each),
            Err(error) => each(Err(error)),
        }
    }

    fn all_of(&self, value: &Value, each: &mut dyn FnMut(Result<Transaction, TransactionError>)) {
        match value {
            Value::Array(objects) => objects
                .iter()
                .for_each(|object| each(self.transaction(object))),
            object => each(self.transaction(object)),
        }
    }

    fn transaction(&self, object: &Value) -> Result<Transaction, TransactionError> {
        let names = &self.names;
        let text = |name: &str| match member(object, name) {
            Some(Value::String(text)) => Ok(text.trim().to_owned()),
            Some(Value::Number(number)) if number.is_i64() || number.is_u64() => {
                Ok(number.to_string())
            }
            other => Err(refuse(name, other, "it is a string or a whole number")),
        };
        let key = text(&names.key)?;
        if key.is_empty() {
            let found = member(object, &names.key);
            return Err(refuse(
                &names.key,
                found,
                "the key names a region or terminal",
            ));
        }
        let latency = number(object, &names.latency)?;
        let whole = latency.mantissa / 10i128.pow(u32::from(latency.scale));
        let latency_ms = u64::try_from(whole).map_err(|_| {
            let found = member(object, &names.latency);
            refuse(&names.latency, found, "a duration is not negative")
        })?;
        Ok(Transaction {
            time: self.time(object)?,
            kind: text(&names.kind)?,
            key,
            amount: number(object, &names.amount)?,
            response: text(&names.response)?,
            latency_ms,
            terminal: names.terminal.as_deref().map_or(Ok(String::new()), text)?,
        })
    }

    fn time(&self, object: &Value) -> Result<UnixMillis, TransactionError> {
        let name = &self.names.timestamp;
        let found = member(object, name);
        let time = match found {
            Some(Value::String(text)) => {
                moment::parse(text.trim(), i64::from(self.utc_offset_minutes))
            }
            Some(Value::Number(number)) => number.as_f64().and_then(moment::from_number),
            Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
        };
        time.ok_or_else(|| {
            refuse(
                name,
                found,
                "it is a time (RFC 3339), or seconds or milliseconds since 1970",
            )
        })
    }
}

/// Through nested objects.
fn member<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    // A name with dots may be one member, too.
    object.get(name).or_else(|| {
        name.split('.')
            .try_fold(object, |object, name| object.get(name))
    })
}

/// A number, or a string that holds one: producers that care for cents write strings.
fn number(object: &Value, name: &str) -> Result<Decimal, TransactionError> {
    let found = member(object, name);
    let decimal = match found {
        Some(Value::String(text)) => text.trim().parse().ok(),
        // The shortest digits that mean this double: those that were sent, up to 15 of them.
        Some(Value::Number(number)) => number.to_string().parse().ok(),
        Some(Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_)) | None => None,
    };
    decimal.ok_or_else(|| {
        refuse(
            name,
            found,
            "it is a decimal number of at most 31 digits without an exponent, or a string with one",
        )
    })
}

fn refuse(name: &str, found: Option<&Value>, rule: &'static str) -> TransactionError {
    let value = match found {
        Some(value) => value.to_string().chars().take(SHOWN).collect(),
        None => "not there".to_owned(),
    };
    TransactionError::Value {
        field: name.to_owned(),
        value,
        rule,
    }
}
