//! Against the library, which writes and reads the same values, and against bytes by hand.

use super::*;
use apache_avro::Schema;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use serde_json::json;

fn schema(text: Value) -> AvroSchema {
    AvroSchema::parse(&text.to_string()).unwrap()
}

fn to_avro_datum(schema: &Schema, value: Avro) -> Result<Vec<u8>, apache_avro::Error> {
    let writer = GenericDatumWriter::builder(schema).build()?;
    writer.write_value_to_vec(value)
}

/// One value as the library writes it, read by us.
fn through(text: Value, value: Avro) -> Value {
    let theirs = Schema::parse_str(&text.to_string()).unwrap();
    let datum = to_avro_datum(&theirs, value).unwrap();
    let ours = schema(text);
    for cut in 0..datum.len() {
        let refused = ours.read(&datum[..cut], 0);
        assert!(refused.is_err(), "cut at {cut}: {refused:?}");
    }
    let more = [datum.as_slice(), &[0]].concat();
    let left = DatumError {
        at: datum.len(),
        problem: DatumProblem::Left,
    };
    assert_eq!(ours.read(&more, 0), Err(left));
    ours.read(&datum, 0).unwrap()
}

#[test]
fn values_are_what_the_library_wrote() {
    let check = |kind: Value, value: Avro, expected: Value| {
        assert_eq!(through(kind.clone(), value), expected, "{kind}");
    };
    check(json!("boolean"), Avro::Boolean(true), json!(true));
    for number in [0, -1, 63, -64, 64, i32::MAX, i32::MIN] {
        check(json!("int"), Avro::Int(number), json!(number));
    }
    for number in [0, i64::MAX, i64::MIN, 1 << 40] {
        check(json!("long"), Avro::Long(number), json!(number));
    }
    check(json!("float"), Avro::Float(0.1), json!(0.1));
    check(json!("double"), Avro::Double(-2.5), json!(-2.5));
    check(json!("double"), Avro::Double(f64::NAN), Value::Null);
    check(json!("string"), Avro::String("grün".into()), json!("grün"));
    check(
        json!("bytes"),
        Avro::Bytes(vec![0x12, 0xAB]),
        json!("0x12ab"),
    );
    check(
        json!(["null", "string"]),
        Avro::Union(1, Box::new(Avro::String("x".into()))),
        json!("x"),
    );
    check(
        json!(["null", "string"]),
        Avro::Union(0, Box::new(Avro::Null)),
        Value::Null,
    );
    check(
        json!({"type": "enum", "name": "E", "symbols": ["PURC", "WDRL"]}),
        Avro::Enum(1, "WDRL".into()),
        json!("WDRL"),
    );
    check(
        json!({"type": "map", "values": {"type": "array", "items": "int"}}),
        Avro::Map(
            [(
                "a".to_owned(),
                Avro::Array(vec![Avro::Int(1), Avro::Int(2)]),
            )]
            .into(),
        ),
        json!({"a": [1, 2]}),
    );
    // Near 1970 in seconds, later in milliseconds: both are read as the same moment.
    let timestamp =
        |unit: &str| json!({"type": "long", "logicalType": format!("timestamp-{unit}")});
    check(
        timestamp("millis"),
        Avro::TimestampMillis(1_772_366_400_500),
        json!(1_772_366_400_500i64),
    );
    check(
        timestamp("micros"),
        Avro::TimestampMicros(1_772_366_400_500_999),
        json!(1_772_366_400_500i64),
    );
    check(
        timestamp("millis"),
        Avro::TimestampMillis(1_500),
        json!(1.5),
    );
    check(
        json!({"type": "int", "logicalType": "date"}),
        Avro::Date(1),
        json!(86_400.0),
    );
    let local = schema(json!({"type": "long", "logicalType": "local-timestamp-millis"}));
    let datum = to_avro_datum(&Schema::Long, Avro::Long(1_772_366_400_500)).unwrap();
    assert_eq!(local.read(&datum, 60), Ok(json!(1_772_362_800_500i64)));
}

#[test]
fn decimals_are_exact() {
    let check = |scale: usize, bytes: &[u8], expected: &str| {
        let bytes_type =
            json!({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": scale});
        let datum = to_avro_datum(&Schema::Bytes, Avro::Bytes(bytes.to_vec())).unwrap();
        assert_eq!(schema(bytes_type).read(&datum, 0), Ok(json!(expected)));
        let size = bytes.len();
        if size > 0 {
            let inner = json!({"type": "fixed", "name": "D", "size": size, "logicalType": "decimal", "precision": 1, "scale": 0});
            let whole = schema(inner).read(bytes, 0).unwrap();
            let digits: i128 = expected.replace('.', "").parse().unwrap();
            assert_eq!(whole, json!(digits.to_string()));
        }
    };
    check(2, &[0x30, 0x39], "123.45");
    check(2, &[0x00, 0x00, 0x30, 0x39], "123.45");
    check(2, &[0xCF, 0xC7], "-123.45");
    check(0, &[0x7F], "127");
    check(3, &[0xFF, 0x80], "-0.128");
    check(
        2,
        &999_999_999_999_999_999_999_999_999_999_999_999i128.to_be_bytes(),
        "9999999999999999999999999999999999.99",
    );
    let mut beyond = [0u8; 17];
    beyond[0] = 1;
    check_hex(&beyond);
    // Sixteen bytes with another sign than the seventeenth says.
    let mut sign = [0xFFu8; 17];
    sign[1] = 0x7F;
    check_hex(&sign);
}

fn check_hex(bytes: &[u8]) {
    let kind = json!({"type": "bytes", "logicalType": "decimal", "precision": 50, "scale": 2});
    let datum = to_avro_datum(&Schema::Bytes, Avro::Bytes(bytes.to_vec())).unwrap();
    let read = schema(kind).read(&datum, 0).unwrap();
    assert!(read.as_str().unwrap().starts_with("0x"), "{read}");
}

#[test]
fn names_lead_through_namespaces_and_back_to_themselves() {
    let list = json!({"type": "record", "name": "bank.List", "fields": [
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
        {"name": "again", "type": "bank.Kind"},
        {"name": "next", "type": ["null", "List"]},
    ]});
    let read = |bytes: &[u8]| schema(list.clone()).read(bytes, 0);
    assert_eq!(
        read(&[0, 2, 2, 2, 0, 0]),
        Ok(json!({"kind": "A", "again": "B", "next": {"kind": "B", "again": "A", "next": null}}))
    );
    // Bytes that go on for ever, as deep as they like.
    let deep = [0u8, 0, 2].repeat(100_000);
    let problem = read(&deep).unwrap_err().problem;
    assert_eq!(problem, DatumProblem::Deep);
}

#[test]
fn hostile_values_are_refused_before_they_cost() {
    let check = |kind: Value, bytes: &[u8], expected: DatumProblem| {
        let refused = schema(kind.clone()).read(bytes, 0).unwrap_err();
        assert_eq!(refused.problem, expected, "{kind}");
    };
    const ENDLESS: [u8; 10] = [0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01];
    // 2^63 - 1 nulls, which take no byte.
    check(
        json!({"type": "array", "items": "null"}),
        &ENDLESS,
        DatumProblem::Many,
    );
    check(json!("bytes"), &ENDLESS, DatumProblem::CutOff);
    check(json!("string"), &[1], DatumProblem::Length);
    check(json!("string"), &[2, 0xFF], DatumProblem::Text);
    check(json!("boolean"), &[2], DatumProblem::Boolean);
    check(json!("int"), &ENDLESS, DatumProblem::Number);
    check(json!("long"), &[0xFF; 11], DatumProblem::Number);
    check(json!(["null", "int"]), &[4], DatumProblem::Choice);
    check(json!(["null", "int"]), &[1], DatumProblem::Choice);
    check(
        json!({"type": "enum", "name": "E", "symbols": ["A"]}),
        &[2],
        DatumProblem::Choice,
    );
    check(
        json!({"type": "fixed", "name": "F", "size": 1_000_000_000_000u64}),
        &[0],
        DatumProblem::CutOff,
    );
}

#[test]
fn schemas_that_are_none_are_refused_with_a_sentence() {
    let check = |text: &str, expected: &str| {
        let refused = AvroSchema::parse(text).unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    };
    check("{", "the schema is not Avro: ");
    check("\"Missing\"", "the schema is not Avro: ");
    check(
        &" ".repeat(MAX_SCHEMA_BYTES + 1),
        "the schema has 1048577 bytes",
    );
    let long = "A".repeat(300);
    let record = json!({"type": "record", "name": "R", "fields": [{"name": long, "type": "int"}]});
    check(&record.to_string(), "the schema has a name of 300 bytes");
    let decimal = json!({"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 40});
    check(&decimal.to_string(), "the schema has a decimal of scale 40");
    let big = json!({"type": "bytes", "logicalType": "big-decimal"});
    check(&big.to_string(), "the schema has a big-decimal");
    let deep = "{\"type\":\"array\",\"items\":".repeat(5_000);
    check(&deep, "the schema is not Avro: ");
}
