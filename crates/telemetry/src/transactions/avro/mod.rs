//! Avro values by the schema that they were written with.
//!
//! `apache-avro` reads schemas. Values are read here, with a bound on everything: the library takes what is cut
//! off for null, and goes as deep as the bytes ask it to (`docs/decisions/`). What comes out is JSON, so that
//! fields are found and read as those of JSON values are. Numbers lose nothing by it: decimals become text, times
//! become numbers that `moment` reads as the same millisecond.

mod datum;
mod plan;
#[cfg(test)]
mod tests;

use plan::Plan;
use serde_json::Value;

/// Bytes of a schema's text. Those of banks' records have some tens of kilobytes.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// A schema, ready to read values by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AvroSchema(Plan);

/// Why a schema is none, or none that is read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SchemaError {
    /// More text than [`MAX_SCHEMA_BYTES`].
    #[error("the schema has {bytes} bytes; at most {MAX_SCHEMA_BYTES} are read")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The library refuses it.
    #[error("the schema is not Avro: {0}")]
    NoSchema(String),
    /// More types than `plan::MAX_TYPES`.
    #[error("the schema has more than {} types", plan::MAX_TYPES)]
    TooManyTypes,
    /// A name or symbol that would be copied into each value.
    #[error(
        "the schema has a name of {bytes} bytes; at most {} are read",
        plan::MAX_NAME
    )]
    LongName {
        /// Its length.
        bytes: usize,
    },
    /// A type that is defined nowhere.
    #[error("the schema names {0}, and defines it nowhere")]
    Undefined(String),
    /// A logical type with another scale in each value.
    #[error("the schema has a big-decimal; use decimal, whose scale the schema says")]
    BigDecimal,
    /// More digits behind the point than an amount can have.
    #[error(
        "the schema has a decimal of scale {scale}; at most {} is read",
        plan::MAX_SCALE
    )]
    Scale {
        /// Its scale.
        scale: usize,
    },
}

/// Why bytes are no value of their schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("at byte {at}: {problem}")]
pub struct DatumError {
    /// Where reading ended.
    pub at: usize,
    /// What is wrong there.
    pub problem: DatumProblem,
}

/// What is wrong with a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DatumProblem {
    /// The bytes end within it.
    #[error("the value is cut off")]
    CutOff,
    /// Bytes are left: it was written by another schema.
    #[error("the value ends here and bytes follow; it was written by another schema")]
    Left,
    /// A number of more than 64 bits.
    #[error("a number is longer than its type")]
    Number,
    /// Neither 0 nor 1.
    #[error("a boolean is neither 0 nor 1")]
    Boolean,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    Text,
    /// A branch or symbol that its type does not have.
    #[error("a union has no such branch, or an enum no such symbol")]
    Choice,
    /// A size below 0.
    #[error("a length is negative")]
    Length,
    /// Deeper than `datum::MAX_DEPTH`.
    #[error("values lie in each other more than {} deep", datum::MAX_DEPTH)]
    Deep,
    /// More values than `datum::MAX_VALUES`.
    #[error("it holds more than {} values", datum::MAX_VALUES)]
    Many,
}

impl AvroSchema {
    /// Reads a schema. What it refers to has to be defined in it.
    pub fn parse(text: &str) -> Result<Self, SchemaError> {
        let bytes = text.len();
        if bytes > MAX_SCHEMA_BYTES {
            return Err(SchemaError::TooLong { bytes });
        }
        let schema = apache_avro::Schema::parse_str(text)
            .map_err(|error| SchemaError::NoSchema(error.to_string()))?;
        Plan::of(&schema).map(Self)
    }

    /// Reads one value. `zone_minutes`: how far local timestamps are ahead of UTC.
    pub fn read(&self, datum: &[u8], zone_minutes: i32) -> Result<Value, DatumError> {
        datum::read(&self.0, datum, zone_minutes)
    }
}
