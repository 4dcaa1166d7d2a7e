//! Values in Confluent's wire format: a magic 0, the id of a schema, and a value by that schema, Avro or JSON.
//!
//! Schemas lie in a registry. Nothing here asks for one: [`Schemas::wanted`] says which is missing, and who can
//! reach the registry hands it in ([`Schemas::learn`]).

use super::TransactionError;
use super::avro::{AvroSchema, DatumError};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::UnixMillis;

/// First byte.
const MAGIC: u8 = 0;
/// Magic byte and schema id.
const PREFIX: usize = 5;
/// Schemas kept. A topic has a handful; the one that came first makes room.
pub const MAX_SCHEMAS: usize = 256;
/// For so long an id that the registry does not know is not asked for again. Registries are replicas of each
/// other, and one may lag behind.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);

/// What a registry says about an id (`GET /schemas/ids/{id}`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Its schema.
    Schema {
        /// `AVRO`, `JSON`, `PROTOBUF`.
        kind: String,
        /// The schema itself.
        text: String,
        /// How many other schemas it refers to.
        references: usize,
    },
    /// There is none of this id.
    Unknown,
}

/// An answer of a registry that is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the answer is not a registry's: {0}")]
pub struct NoAnswer(pub String);

impl Answer {
    /// Reads what a registry sends with status 200.
    pub fn parse(body: &[u8]) -> Result<Self, NoAnswer> {
        let body: Value =
            serde_json::from_slice(body).map_err(|error| NoAnswer(error.to_string()))?;
        let text = |name| body.get(name).and_then(Value::as_str).map(str::to_owned);
        let references = body.get("references").and_then(Value::as_array);
        Ok(Self::Schema {
            // Registries leave the type out where it is Avro.
            kind: text("schemaType").unwrap_or_else(|| "AVRO".to_owned()),
            text: text("schema").ok_or_else(|| NoAnswer("it has no schema".to_owned()))?,
            references: references.map_or(0, Vec::len),
        })
    }
}

impl Answer {
    /// The number that says more than the status of a refusal (`{"error_code": 40403, …}`).
    pub fn error_code(body: &[u8]) -> Option<u64> {
        let body: Value = serde_json::from_slice(body).ok()?;
        body.get("error_code")?.as_u64()
    }
}

/// Why a value in the wire format cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegisteredError {
    /// No magic byte, or no whole id.
    #[error(
        "the value does not begin with a 0 and a schema id; producers that use no registry need feed.format = \"json\""
    )]
    Unframed,
    /// The registry does not know the id.
    #[error("the registry has no schema {id}")]
    Unknown {
        /// The id.
        id: u32,
    },
    /// A schema that is not read.
    #[error("schema {id}: {reason}")]
    Schema {
        /// Its id.
        id: u32,
        /// Why not.
        reason: String,
    },
    /// The value does not follow its schema.
    #[error("the value does not follow schema {id}, {error}")]
    Datum {
        /// The schema's id.
        id: u32,
        /// Where and why.
        error: DatumError,
    },
    /// Nobody has handed the schema in.
    #[error("schema {id} was not fetched")]
    Missing {
        /// Its id.
        id: u32,
    },
}

#[derive(Clone, PartialEq, Debug)]
enum Known {
    Avro(Arc<AvroSchema>),
    Json,
    /// Not read, for this reason.
    Refused(String),
    Unknown {
        until: UnixMillis,
    },
}

/// The schemas that were handed in.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Schemas {
    known: BTreeMap<u32, (u64, Known)>,
    learned: u64,
}

impl Schemas {
    /// The id of the schema that this value needs and that is not known.
    pub fn wanted(&self, now: UnixMillis, value: &[u8]) -> Option<u32> {
        let (id, _) = split(value)?;
        match self.known.get(&id) {
            Some((_, Known::Unknown { until })) => (now >= *until).then_some(id),
            Some((_, Known::Avro(_) | Known::Json | Known::Refused(_))) => None,
            None => Some(id),
        }
    }

    /// What the registry said.
    pub fn learn(&mut self, now: UnixMillis, id: u32, answer: Answer) {
        let known = match answer {
            Answer::Unknown => Known::Unknown {
                until: UnixMillis(now.0.saturating_add(UNKNOWN_FOR.as_millis() as u64)),
            },
            Answer::Schema {
                kind,
                text,
                references,
            } => understood(&kind, &text, references),
        };
        if self.known.len() >= MAX_SCHEMAS && !self.known.contains_key(&id) {
            let oldest = self.known.iter().min_by_key(|(_, (learned, _))| *learned);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                self.known.remove(&oldest);
            }
        }
        self.learned += 1;
        self.known.insert(id, (self.learned, known));
    }

    /// The value as JSON.
    pub(super) fn read(&self, value: &[u8], zone_minutes: i32) -> Result<Value, TransactionError> {
        let (id, datum) = split(value).ok_or(RegisteredError::Unframed)?;
        let known = self.known.get(&id).map(|(_, known)| known);
        Ok(match known.ok_or(RegisteredError::Missing { id })? {
            Known::Avro(schema) => schema
                .read(datum, zone_minutes)
                .map_err(|error| RegisteredError::Datum { id, error })?,
            Known::Json => {
                serde_json::from_slice(datum).map_err(|error| TransactionError::NoJson {
                    error: error.to_string(),
                })?
            }
            Known::Refused(reason) => {
                let reason = reason.clone();
                return Err(RegisteredError::Schema { id, reason }.into());
            }
            Known::Unknown { .. } => return Err(RegisteredError::Unknown { id }.into()),
        })
    }
}

fn understood(kind: &str, text: &str, references: usize) -> Known {
    match kind {
        "AVRO" if references > 0 => Known::Refused(format!(
            "it refers to {references} other schemas; register it with their definitions in it"
        )),
        "AVRO" => match AvroSchema::parse(text) {
            Ok(schema) => Known::Avro(Arc::new(schema)),
            Err(error) => Known::Refused(error.to_string()),
        },
        // JSON says of itself what it holds; the schema is not needed.
        "JSON" => Known::Json,
        other => Known::Refused(format!(
            "its type is {other:?}; values by AVRO and JSON schemas are read"
        )),
    }
}

fn split(value: &[u8]) -> Option<(u32, &[u8])> {
    let (prefix, datum) = value.split_at_checked(PREFIX)?;
    let [MAGIC, id @ ..] = prefix else {
        return None;
    };
    Some((u32::from_be_bytes(id.try_into().ok()?), datum))
}
