//! Values by a registry's schemas, the Avro ones as fastavro writes them (`tests/avro/write.py`).

use super::*;
use crate::transactions::{Answer, MAX_SCHEMAS};
use serde_json::Value;

const FIXTURE: &str = include_str!("../../../tests/avro/fastavro.json");
const NOW: UnixMillis = UnixMillis(1_772_366_405_000);

fn names() -> FieldNames {
    let name = str::to_owned;
    FieldNames {
        timestamp: name("at"),
        kind: name("kind"),
        key: name("origin.region"),
        amount: name("amount"),
        response: name("code"),
        latency: name("ms"),
        terminal: Some(name("origin.terminal")),
    }
}

fn pipeline() -> Pipeline {
    Pipeline::new(PipelineConfig {
        topic: "txn".to_owned(),
        layout: Layout::Registered(JsonLayout::new(names(), 0)),
        windows: windows::config(),
    })
}

fn schema(kind: &str, text: &str, references: usize) -> Answer {
    Answer::Schema {
        kind: kind.to_owned(),
        text: text.to_owned(),
        references,
    }
}

fn framed(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

/// What became of one value: its refusals.
fn refused(pipeline: &mut Pipeline, offset: i64, value: &[u8]) -> Vec<String> {
    let refused = pipeline.record(NOW, 0, offset, Some(value), &mut Vec::new());
    refused.iter().map(ToString::to_string).collect()
}

struct Written {
    schema: String,
    records: Vec<(Vec<u8>, Value)>,
}

fn written() -> Written {
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let bytes = |hex: &str| -> Vec<u8> {
        let digits = (0..hex.len()).step_by(2);
        digits
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect()
    };
    let records = fixture["records"].as_array().unwrap().iter();
    Written {
        schema: fixture["schema"].as_str().unwrap().to_owned(),
        records: records
            .map(|record| {
                (
                    bytes(record["hex"].as_str().unwrap()),
                    record["says"].clone(),
                )
            })
            .collect(),
    }
}

#[test]
fn another_implementations_records_say_what_it_wrote() {
    let written = written();
    let mut schemas = Schemas::default();
    schemas.learn(NOW, 7, schema("AVRO", &written.schema, 0));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (datum, says) in &written.records {
        let mut read = Vec::new();
        let value = framed(7, datum);
        JsonLayout::new(names(), 0).read_registered(&schemas, &value, &mut |one| read.push(one));
        let expected = Transaction {
            time: UnixMillis(says["at"].as_u64().unwrap()),
            kind: text(&says["kind"]),
            key: text(&says["region"]),
            amount: text(&says["amount"]).parse().unwrap(),
            response: text(&says["code"]),
            latency_ms: says["ms"].as_u64().unwrap(),
            terminal: text(&says["terminal"]),
        };
        assert_eq!(read, [Ok(expected)]);
    }
}

#[test]
fn a_value_says_which_schema_it_needs() {
    let (written, mut pipeline) = (written(), pipeline());
    let value = framed(7, &written.records[0].0);
    assert_eq!(pipeline.wanted(NOW, Some(&value)), Some(7));
    pipeline.learn(NOW, 7, schema("AVRO", &written.schema, 0));
    assert_eq!(pipeline.wanted(NOW, Some(&value)), None);
    assert_eq!(refused(&mut pipeline, 0, &value), [""; 0]);
    let json = framed(8, br#"{"at":1772366401,"kind":"PURC","origin":{"region":"A","terminal":1},"amount":"1.00","code":"00","ms":1}"#);
    assert_eq!(pipeline.wanted(NOW, Some(&json)), Some(8));
    pipeline.learn(NOW, 8, schema("JSON", "{}", 3));
    assert_eq!(refused(&mut pipeline, 1, &json), [""; 0]);
    assert_eq!(pipeline.counters().counted, 2);
    // Nothing is to be asked for where no id stands.
    for unframed in [None, Some(&b""[..]), Some(b"\0\0\0\0"), Some(b"{\"at\":1}")] {
        assert_eq!(pipeline.wanted(NOW, unframed), None);
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_a_sentence() {
    let mut pipeline = pipeline();
    let mut check = |answer: Option<Answer>, expected: &str| {
        let value = framed(9, b"\x02");
        if let Some(answer) = answer {
            pipeline.learn(NOW, 9, answer);
        }
        let refused = refused(&mut pipeline, 0, &value);
        assert!(refused[0].starts_with(expected), "{refused:?}");
        assert_eq!(refused.len(), 1);
    };
    check(None, "schema 9 was not fetched");
    check(Some(Answer::Unknown), "the registry has no schema 9");
    check(
        Some(schema("PROTOBUF", "syntax = \"proto3\";", 0)),
        "schema 9: its type is \"PROTOBUF\"; values by AVRO and JSON schemas are read",
    );
    check(
        Some(schema("AVRO", "\"int\"", 2)),
        "schema 9: it refers to 2 other schemas; register it with their definitions in it",
    );
    check(
        Some(schema("AVRO", "{", 0)),
        "schema 9: the schema is not Avro: ",
    );
    check(
        Some(schema("AVRO", "\"string\"", 0)),
        "the value does not follow schema 9, at byte 1: the value is cut off",
    );
    check(
        Some(schema("AVRO", "\"int\"", 0)),
        "field origin.region is not there: ",
    );
    check(Some(schema("JSON", "{}", 0)), "the value is not JSON: ");
    let refused = refused(&mut pipeline, 1, b"{}");
    assert!(
        refused[0].starts_with("the value does not begin with a 0 and a schema id"),
        "{refused:?}"
    );
}

#[test]
fn an_id_that_nobody_knew_is_asked_for_again_and_room_is_bounded() {
    let mut schemas = Schemas::default();
    schemas.learn(NOW, 1, Answer::Unknown);
    let value = framed(1, b"");
    assert_eq!(schemas.wanted(UnixMillis(NOW.0 + 59_999), &value), None);
    assert_eq!(schemas.wanted(UnixMillis(NOW.0 + 60_000), &value), Some(1));
    let most = MAX_SCHEMAS as u32;
    for id in 2..=most {
        schemas.learn(NOW, id, schema("AVRO", "\"int\"", 0));
    }
    // It is known again, as the latest.
    schemas.learn(NOW, 1, schema("AVRO", "\"int\"", 0));
    schemas.learn(NOW, most + 1, schema("AVRO", "\"int\"", 0));
    let wanted = |id| schemas.wanted(NOW, &framed(id, b""));
    assert_eq!((wanted(1), wanted(2), wanted(3)), (None, Some(2), None));
}

#[test]
fn answers_of_registries_are_read() {
    assert_eq!(
        Answer::parse(br#"{"schema":"\"int\""}"#),
        Ok(schema("AVRO", "\"int\"", 0))
    );
    let body = br#"{"schemaType":"PROTOBUF","schema":"x","references":[{"name":"a","subject":"b","version":1}]}"#;
    assert_eq!(Answer::parse(body), Ok(schema("PROTOBUF", "x", 1)));
    for broken in [&b"<html>"[..], b"{}", b"[]", br#"{"schema":5}"#] {
        assert!(Answer::parse(broken).is_err());
    }
    assert_eq!(Answer::error_code(br#"{"error_code":40403}"#), Some(40403));
    assert_eq!(Answer::error_code(b"Not Found"), None);
}
