mod json;
mod registered;
mod windows;

use super::*;
use crate::copybook::framing::Framing;
use crate::copybook::{Copybook, Decimal, Item};
use crate::ebcdic::CodePage;
use wire::UnixMillis;

const COPYBOOK: &str = include_str!("../../../../deploy/copybooks/transaction.cpy");

fn layout() -> TransactionLayout {
    TransactionLayout::new(
        Copybook::parse(COPYBOOK).unwrap(),
        CodePage::Cp037,
        &FieldNames::default(),
        0,
    )
    .unwrap()
}

/// A whole record, byte by byte.
fn record_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    // 2026-03-01-12.00.00.500000
    bytes.extend(b"\xF2\xF0\xF2\xF6\x60\xF0\xF3\x60\xF0\xF1\x60\xF1\xF2\x4B\xF0\xF0\x4B\xF0\xF0\x4B\xF5\xF0\xF0\xF0\xF0\xF0");
    bytes.extend(b"\xF0\xF0\xF0\xF0\xF0\xF0\xF0\xF0\xF0\xF0\xF4\xF2"); // 42
    bytes.extend(b"\xD7\xE4\xD9\xC3"); // PURC
    bytes.extend(b"\xC3\xC9\xC3\xE2\xD7\xD9\xC4\xF1"); // CICSPRD1
    bytes.extend(b"\xE3\xF0\xF0\xF7\x40\x40\x40\x40"); // T007, FILLER
    bytes.extend(b"\xF4\xF0\xF0\xF0\x5C\x5C\x5C\x5C\x5C\x5C\x5C\x5C\xF1\xF2\xF3\xF4"); // 4000********1234
    bytes.extend(b"\x00\x00\x00\x12\x34\x5C"); // 123.45
    bytes.extend(b"\xC5\xE4\xD9"); // EUR
    bytes.extend(b"\xF0\xF0\xF0\xF0\xF0\xF0\xF0\xF0\xF9\xF8\xF7\xF6\xD5"); // -987.65
    bytes.extend(b"\xF0\xF0"); // 00
    bytes.extend(b"\x00\x00\x00\x57"); // 87 ms
    bytes.extend(b"\x00\x0A\x00\x14\x00\x39"); // 10, 20, 57
    bytes.extend([0x40; 12]);
    bytes
}

#[test]
fn a_record_by_hand_becomes_a_transaction() {
    let transaction = layout().read(&record_bytes()).unwrap();
    assert_eq!(
        transaction,
        Transaction {
            time: UnixMillis(1_772_366_400_500),
            kind: "PURC".to_owned(),
            key: "CICSPRD1".to_owned(),
            amount: Decimal::new(12345, 2),
            response: "00".to_owned(),
            latency_ms: 87,
            terminal: String::new(),
        }
    );
}

#[test]
fn broken_records_are_refused_with_their_place() {
    let check = |change: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut bytes = record_bytes();
        change(&mut bytes);
        assert_eq!(layout().read(&bytes).unwrap_err().to_string(), expected);
    };
    check(
        &|b| b.truncate(80),
        "record of 80 bytes is truncated: CARD-TRANSACTION needs 120; the first field cut is CURRENCY-CODE at offset 80",
    );
    check(
        &|b| b.push(0),
        "record of 121 bytes is over-long: CARD-TRANSACTION ends after 120",
    );
    check(
        &|b| b[75] = 0xF1,
        "field AMOUNT at offset 74, bytes X'00F10012345C': a packed digit is 0 to 9",
    );
    check(
        &|b| b[5] = 0xF9,
        "field TXN-TIMESTAMP: timestamp \"2026-93-01-12.00.00.500000\" is not a moment in the form YYYY-MM-DD-hh.mm.ss[.ffffff]",
    );
    check(
        &|b| b[42..50].fill(0x40),
        "field ORIGIN.CICS-REGION is blank: the key names a region or terminal",
    );
}

#[test]
fn configured_names_are_checked_against_the_copybook() {
    let check = |names: FieldNames, expected: &str| {
        let error = TransactionLayout::new(
            Copybook::parse(COPYBOOK).unwrap(),
            CodePage::Cp037,
            &names,
            0,
        )
        .unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    };
    let names = FieldNames::default;
    check(
        FieldNames {
            key: "REGION".into(),
            ..names()
        },
        "field of the key: record CARD-TRANSACTION has no field REGION; it has: TXN-TIMESTAMP, TXN-ID",
    );
    check(
        FieldNames {
            timestamp: "TXN-TYPE".into(),
            ..names()
        },
        "field TXN-TYPE cannot be the timestamp: it should be PIC X(19)",
    );
    check(
        FieldNames {
            amount: "CURRENCY-CODE".into(),
            ..names()
        },
        "field CURRENCY-CODE cannot be the amount: it should be an exact number",
    );
    check(
        FieldNames {
            response: "AMOUNT".into(),
            ..names()
        },
        "field AMOUNT cannot be the response code: it should be text or a whole number",
    );
}

/// Expected values from `date -u -d … +%s`.
#[test]
fn timestamps() {
    let text = Item::Text;
    let number = |n: i128| Item::Number(Decimal::new(n, 0));
    let cases = [
        (
            TimestampFormat::Text,
            text("1970-01-01-00.00.00.000000"),
            0,
            Some(0),
        ),
        (
            TimestampFormat::Text,
            text("2024-02-29-23.59.59.999999"),
            0,
            Some(1_709_251_199_999),
        ),
        (
            TimestampFormat::Text,
            text("2000-03-01T00:00:00"),
            0,
            Some(951_868_800_000),
        ),
        (
            TimestampFormat::Text,
            text("2026-03-01 13:00:00.5   "),
            60,
            Some(1_772_366_400_500),
        ),
        (
            TimestampFormat::Text,
            text("2023-02-29-00.00.00.000000"),
            0,
            None,
        ),
        (
            TimestampFormat::Text,
            text("2026-03-01-24.00.00.000000"),
            0,
            None,
        ),
        (TimestampFormat::Text, text("1970-01-01-00.00.00"), 60, None),
        (
            TimestampFormat::Text,
            text("2026-03-01-12.00.00.5x0000"),
            0,
            None,
        ),
        (
            TimestampFormat::Seconds14,
            number(20_260_301_120_000),
            0,
            Some(1_772_366_400_000),
        ),
        (
            TimestampFormat::Millis17,
            number(20_260_301_120_000_007),
            0,
            Some(1_772_366_400_007),
        ),
        (
            TimestampFormat::Seconds14,
            number(20_261_301_120_000),
            0,
            None,
        ),
        (
            TimestampFormat::UnixMillis,
            number(1_772_366_400_000),
            0,
            Some(1_772_366_400_000),
        ),
        (TimestampFormat::UnixMillis, number(-1), 0, None),
    ];
    for (format, value, offset, expected) in cases {
        assert_eq!(
            format.read(value, offset).ok(),
            expected.map(UnixMillis),
            "{value:?}"
        );
    }
}

#[test]
fn a_poison_record_does_not_stop_its_partition() {
    let mut pipeline = Pipeline::new(PipelineConfig {
        topic: "txn".to_owned(),
        layout: layout().into(),
        windows: windows::config(),
    });
    let now = UnixMillis(1_772_366_401_000);
    let mut out = Vec::new();
    let record = record_bytes();
    assert_eq!(pipeline.record(now, 0, 0, Some(&record), &mut out), []);
    let refused = pipeline.record(now, 0, 1, Some(&[0x40; 3]), &mut out);
    assert!(
        refused[0]
            .to_string()
            .starts_with("record of 3 bytes is truncated: CARD-TRANSACTION"),
        "{refused:?}"
    );
    assert_eq!(
        (refused.len(), refused[0].place, &refused[0].bytes),
        (1, None, &(0..3))
    );
    let refused = pipeline.record(now, 0, 2, None, &mut out);
    assert_eq!(refused[0].reason, RefusedReason::NoValue);
    assert_eq!(pipeline.record(now, 1, 0, Some(&record), &mut out), []);
    assert_eq!(pipeline.counters().counted, 2);
    let seen: Vec<_> = pipeline
        .checkpoints()
        .iter()
        .map(|(partition, checkpoint)| (*partition, checkpoint.seen))
        .collect();
    assert_eq!(seen, [(0, 3), (1, 1)]);
    pipeline.idle(UnixMillis(now.0 + 60_000), &mut out);
    assert_eq!(out.len(), 2);
}

fn several(framing: Framing) -> Pipeline {
    Pipeline::new(PipelineConfig {
        topic: "txn".to_owned(),
        layout: layout().framed(framing).into(),
        windows: windows::config(),
    })
}

#[test]
fn the_good_records_of_a_value_count_and_the_bad_ones_are_named() {
    let now = UnixMillis(1_772_366_401_000);
    let (good, mut bad) = (record_bytes(), record_bytes());
    bad[75] = 0xF1;
    let value = [good.clone(), bad.clone(), good.clone()].concat();
    let mut pipeline = several(Framing::Fixed);
    let refused = pipeline.record(now, 0, 7, Some(&value), &mut Vec::new());
    assert_eq!(refused.len(), 1);
    let place = refused[0].place.unwrap();
    assert_eq!(place.to_string(), "record 2 at byte 120");
    assert_eq!(&value[refused[0].bytes.clone()], bad);
    assert_eq!(
        refused[0].to_string(),
        "field AMOUNT at offset 74, bytes X'00F10012345C': a packed digit is 0 to 9"
    );
    assert_eq!(pipeline.counters().counted, 2);
    assert_eq!(pipeline.checkpoints()[0].1.seen, 8);

    let described: Vec<u8> = [&good, &bad, &good]
        .iter()
        .flat_map(|record| [b"\x00\x7C\x00\x00".as_slice(), record].concat())
        .collect();
    let mut pipeline = several(Framing::Rdw);
    let refused = pipeline.record(now, 0, 0, Some(&described), &mut Vec::new());
    assert_eq!(
        refused[0].place.unwrap().to_string(),
        "record 2 at byte 128"
    );
    assert_eq!(pipeline.counters().counted, 2);
}

#[test]
fn a_flood_of_broken_records_is_told_of_in_few_words() {
    let value = [record_bytes(), vec![0; 120 * 1_000]].concat();
    let mut pipeline = several(Framing::Fixed);
    let refused = pipeline.record(
        UnixMillis(1_772_366_401_000),
        0,
        0,
        Some(&value),
        &mut Vec::new(),
    );
    assert_eq!(refused.len(), 17);
    let last = refused.last().unwrap();
    assert_eq!(last.records, 984);
    assert_eq!(
        last.to_string(),
        "984 further records of the same value are no transactions either"
    );
    assert_eq!(refused.iter().map(|one| one.records).sum::<usize>(), 1_000);
    assert_eq!(pipeline.counters().counted, 1);
}
