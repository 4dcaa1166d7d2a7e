//! Movements of money as Avro values of a schema registry, in Confluent's framing: written by fastavro
//! (`telemetry/tests/avro/write.py`), which shares no code with what reads them.

use serde_json::Value;
use telemetry::transactions::FieldNames;

const WRITTEN: &str = include_str!("../../telemetry/tests/avro/fastavro.json");

/// What another implementation wrote.
pub struct Movements {
    /// The schema, as a registry has it.
    pub schema: String,
    /// The values without their framing.
    pub data: Vec<Vec<u8>>,
}

impl Movements {
    /// As they were written.
    ///
    /// # Panics
    /// If the file beside the script is not what the script writes.
    pub fn read() -> Self {
        let written: Value = serde_json::from_str(WRITTEN).expect("the script writes JSON");
        let text = |value: &Value| value.as_str().expect("it is text").to_owned();
        let records = written["records"].as_array().expect("it is a list").iter();
        Self {
            schema: text(&written["schema"]),
            data: records.map(|record| bytes(&text(&record["hex"]))).collect(),
        }
    }

    /// Which of their fields say what.
    pub fn fields() -> FieldNames {
        let name = str::to_owned;
        FieldNames {
            timestamp: name("at"),
            kind: name("kind"),
            key: name("origin.region"),
            amount: name("amount"),
            response: name("code"),
            latency: name("ms"),
            terminal: None,
        }
    }
}

/// A value by the schema with this id.
pub fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits of hex"))
        .collect()
}
