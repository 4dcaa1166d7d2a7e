use super::*;

fn names() -> FieldNames {
    let name = str::to_owned;
    FieldNames {
        timestamp: name("at"),
        kind: name("type"),
        key: name("origin.region"),
        amount: name("payment.amount"),
        response: name("code"),
        latency: name("ms"),
        terminal: Some(name("origin.terminal")),
    }
}

fn read(value: &[u8]) -> Vec<Result<Transaction, String>> {
    let mut all = Vec::new();
    JsonLayout::new(names(), 60).read_all(value, &mut |read| {
        all.push(read.map_err(|error| error.to_string()));
    });
    all
}

const GOOD: &str = r#"{"at":"2026-03-01T12:00:00.500Z","type":"PURC","origin":{"region":"CICSPRD1","terminal":7},
    "payment":{"amount":"123.45"},"code":"00","ms":87,"more":[1,2]}"#;

fn expected() -> Transaction {
    Transaction {
        time: UnixMillis(1_772_366_400_500),
        kind: "PURC".to_owned(),
        key: "CICSPRD1".to_owned(),
        amount: Decimal::new(12345, 2),
        response: "00".to_owned(),
        latency_ms: 87,
        terminal: "7".to_owned(),
    }
}

#[test]
fn objects_and_arrays_become_transactions() {
    assert_eq!(read(GOOD.as_bytes()), [Ok(expected())]);
    let changed = |from: &str, to: &str| read(GOOD.replace(from, to).as_bytes());
    // A number, a time without a zone, seconds and milliseconds, a flat name with a dot.
    for (from, to) in [
        ("\"123.45\"", "123.45"),
        ("2026-03-01T12:00:00.500Z", "2026-03-01T13:00:00.500"),
        ("\"2026-03-01T12:00:00.500Z\"", "1772366400500"),
        ("\"2026-03-01T12:00:00.500Z\"", "1772366400.5"),
        ("{\"amount\":\"123.45\"}", "0,\"payment.amount\":\"123.45\""),
    ] {
        assert_eq!(changed(from, to), [Ok(expected())], "{to}");
    }
    let framed = [b"\0\0\0\0\x2A", GOOD.as_bytes()].concat();
    assert_eq!(read(&framed), [Ok(expected())]);
    let several = format!("[{GOOD}, 5, {GOOD}]");
    let all = read(several.as_bytes());
    assert_eq!(
        (all.len(), &all[0], &all[2]),
        (3, &Ok(expected()), &Ok(expected()))
    );
}

#[test]
fn what_is_wrong_is_said() {
    let check = |from: &str, to: &str, expected: &str| {
        let value = GOOD.replace(from, to);
        assert_eq!(read(value.as_bytes()), [Err(expected.to_owned())]);
    };
    check(
        "\"code\":\"00\",",
        "",
        "field code is not there: it is a string or a whole number",
    );
    check(
        "\"00\"",
        "true",
        "field code is true: it is a string or a whole number",
    );
    check(
        "CICSPRD1",
        " ",
        "field origin.region is \" \": the key names a region or terminal",
    );
    check("87", "-1", "field ms is -1: a duration is not negative");
    check(
        "\"123.45\"",
        "1e300",
        "field payment.amount is 1e+300: it is a decimal number of at most 31 digits without an exponent, or a string with one",
    );
    check(
        "2026-03-01",
        "2026-13-01",
        "field at is \"2026-13-01T12:00:00.500Z\": it is a time (RFC 3339), or seconds or milliseconds since 1970",
    );
    for broken in [&b"{\"at\":"[..], b"", b"\0\0\0", b"\xC1\xC2"] {
        let all = read(broken);
        assert!(
            matches!(&all[..], [Err(error)] if error.starts_with("the value is not JSON: ")),
            "{all:?}"
        );
    }
}

#[test]
fn a_broken_object_of_a_value_is_named_and_the_others_count() {
    let mut pipeline = Pipeline::new(PipelineConfig {
        topic: "txn".to_owned(),
        layout: Layout::Json(JsonLayout::new(names(), 0)),
        windows: windows::config(),
    });
    let value = format!("[{GOOD}, {{}}, {GOOD}]");
    let now = UnixMillis(1_772_366_401_000);
    let refused = pipeline.record(now, 0, 0, Some(value.as_bytes()), &mut Vec::new());
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].place.unwrap().record, 2);
    assert_eq!(refused[0].bytes, 0..value.len());
    assert_eq!(pipeline.counters().counted, 2);
}
