mod clauses;
mod floats;
mod framing;
mod properties;
mod refused;
mod sync;

use super::*;

fn number(text: &str) -> Value {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let scale = digits
        .split_once('.')
        .map_or(0, |(_, fraction)| fraction.len());
    let mantissa: i128 = digits.replace('.', "").parse().unwrap();
    Value::Number(Decimal::new(sign * mantissa, scale as u8))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// Bytes by hand after IBM Enterprise COBOL for z/OS, Programming Guide, "Formats for numeric data".
#[test]
fn clauses_and_bytes() {
    let both_ways: &[(&str, &[u8], Value)] = &[
        ("PIC X(4)", b"\xC1\xC2\xC3\x40", text("ABC ")),
        ("PIC XX", b"\xF0\x81", text("0a")),
        ("PIC 9(4)", b"\xF1\xF2\xF3\xF4", number("1234")),
        ("PIC S9(4)", b"\xF1\xF2\xF3\xC4", number("1234")),
        ("PIC S9(4)", b"\xF1\xF2\xF3\xD4", number("-1234")),
        ("PIC S9(4) DISPLAY", b"\xF0\xF0\xF0\xC0", number("0000")),
        ("PIC 9(2)V9(2)", b"\xF1\xF2\xF3\xF4", number("12.34")),
        ("PIC V99", b"\xF0\xF5", number("0.05")),
        ("PIC S9(4) COMP", b"\x04\xD2", number("1234")),
        ("PIC S9(4) BINARY", b"\xFB\x2E", number("-1234")),
        ("PIC 9(4) COMP-4", b"\x04\xD2", number("1234")),
        ("PIC S9(9) COMP", b"\xFF\xFF\xFF\xFF", number("-1")),
        (
            "PIC S9(7)V99 USAGE IS COMP",
            b"\x00\x00\x04\xD2",
            number("12.34"),
        ),
        (
            "PIC S9(18) COMP",
            b"\x00\x00\x00\x00\x00\x01\xE2\x40",
            number("123456"),
        ),
        ("PIC 9(3) COMP-3", b"\x12\x3F", number("123")),
        ("PIC S9(3) COMP-3", b"\x12\x3C", number("123")),
        (
            "PIC S9(5) PACKED-DECIMAL",
            b"\x12\x34\x5D",
            number("-12345"),
        ),
        ("PIC S9(4) COMP-3", b"\x01\x23\x4C", number("1234")),
        (
            "PIC S9(9)V99 COMP-3",
            b"\x00\x00\x00\x12\x34\x5D",
            number("-123.45"),
        ),
        (
            "PIC S9(31) COMP-3",
            b"\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x9C",
            number("9999999999999999999999999999999"),
        ),
    ];
    let read_only: &[(&str, &[u8], Value)] = &[
        ("PIC S9(4)", b"\xF1\xF2\xF3\xF4", number("1234")),
        ("PIC S9(4)", b"\xF1\xF2\xF3\xB4", number("-1234")),
        ("PIC S9(3) COMP-3", b"\x12\x3F", number("123")),
        ("PIC 9(3) COMP-3", b"\x12\x3C", number("123")),
        ("PIC 9(4) COMP", b"\xFF\xFF", number("65535")),
        ("PIC S9(3) COMP-3", b"\x00\x0D", number("0")),
    ];
    for (written, cases) in [(true, both_ways), (false, read_only)] {
        for (clause, bytes, value) in cases {
            let copybook =
                Copybook::parse(&format!("       01  R.\n           05  F  {clause}.\n")).unwrap();
            assert_eq!(
                copybook.decode(CodePage::Cp037, bytes),
                Ok(vec![value.clone()]),
                "{clause}"
            );
            if written {
                assert_eq!(
                    copybook
                        .encode(CodePage::Cp037, std::slice::from_ref(value))
                        .unwrap(),
                    *bytes,
                    "{clause}"
                );
            }
        }
    }
}

#[test]
fn broken_fields_are_named_with_their_bytes() {
    let check = |clause: &str, bytes: &[u8], expected: &str| {
        let copybook = Copybook::parse(&format!("01 R. 05 PIC XX. 05 G. 10 F {clause}.")).unwrap();
        let mut record = vec![0x40, 0x40];
        record.extend(bytes);
        assert_eq!(
            copybook
                .decode(CodePage::Cp037, &record)
                .unwrap_err()
                .to_string(),
            expected
        );
    };
    check(
        "PIC S9(3) COMP-3",
        b"\x1A\x3C",
        "field G.F at offset 2, bytes X'1A3C': a packed digit is 0 to 9",
    );
    check(
        "PIC S9(3) COMP-3",
        b"\x12\x34",
        "field G.F at offset 2, bytes X'1234': the last half-byte of a packed number is a sign code, A to F",
    );
    check(
        "PIC 9(3) COMP-3",
        b"\x12\x3D",
        "field G.F at offset 2, bytes X'123D': the sign is minus and the picture has no S",
    );
    check(
        "PIC S9(2) COMP-3",
        b"\x12\x3C",
        "field G.F at offset 2, bytes X'123C': the spare first half-byte of packed digits is 0",
    );
    check(
        "PIC 9(3)",
        b"\x40\x40\x40",
        "field G.F at offset 2, bytes X'404040': a zoned digit is F0 to F9",
    );
    check(
        "PIC S9(2)",
        b"\xFA\xC0",
        "field G.F at offset 2, bytes X'FAC0': a zoned digit is F0 to F9",
    );
    check(
        "PIC S9(2)",
        b"\xF1\x41",
        "field G.F at offset 2, bytes X'F141': the zone of the digit with the sign is a sign code, A to F",
    );
    check(
        "PIC X(4)",
        b"\xC1",
        "record of 3 bytes is truncated: R needs 6; the first field cut is G.F at offset 2",
    );
    check(
        "PIC X(4)",
        b"",
        "record of 2 bytes is truncated: R needs 6; the first field cut is G.F at offset 2",
    );
    check(
        "PIC X(1)",
        b"\xC1\xC2",
        "record of 4 bytes is over-long: R ends after 3",
    );
}

#[test]
fn groups_nest_and_occurrences_unroll() {
    let copybook = Copybook::parse(
        "000100*  a comment with an umlaut: ä                                     IGNORED1
000200 01  CARD-TXN.                                                    IGNORED2
000300     05  TERMINAL.
000400         10  REGION        PIC X(8).
000500         10  FILLER        PIC X(2) VALUE SPACES.
000600     05  STEP OCCURS 2 TIMES COMP-3.
000700         10  ELAPSED       PIC S9(5).
000800         10  TRY           PICTURE IS 9(1) OCCURS 2.
000900     05  amount            PIC S9(9)V99
001000                           USAGE COMP-3.
",
    )
    .unwrap();
    let fields: Vec<_> = copybook
        .fields()
        .iter()
        .map(|f| (f.path.as_str(), f.offset, f.len, f.filler))
        .collect();
    assert_eq!(
        fields,
        [
            ("TERMINAL.REGION", 0, 8, false),
            ("TERMINAL.FILLER", 8, 2, true),
            ("STEP(1).ELAPSED", 10, 3, false),
            ("STEP(1).TRY(1)", 13, 1, false),
            ("STEP(1).TRY(2)", 14, 1, false),
            ("STEP(2).ELAPSED", 15, 3, false),
            ("STEP(2).TRY(1)", 18, 1, false),
            ("STEP(2).TRY(2)", 19, 1, false),
            ("AMOUNT", 20, 6, false),
        ]
    );
    assert_eq!((copybook.name(), copybook.record_len()), ("CARD-TXN", 26));
    assert_eq!(copybook.find("region"), Ok(0));
    assert_eq!(copybook.find("STEP(2).ELAPSED"), Ok(5));
    assert!(matches!(
        copybook.find("ELAPSED"),
        Err(LookupError::Ambiguous { .. })
    ));
    assert!(matches!(
        copybook.find("TRY(1)"),
        Err(LookupError::Ambiguous { .. })
    ));
    assert!(matches!(
        copybook.find("FILLER"),
        Err(LookupError::Unknown { .. })
    ));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let copybook = Copybook::parse("01 R. 05 A PIC 9(3)V9. 05 B PIC XX.").unwrap();
    let check = |a: Value, b: Value, expected: &str| {
        assert_eq!(
            copybook
                .encode(CodePage::Cp037, &[a, b])
                .unwrap_err()
                .to_string(),
            expected
        );
    };
    check(
        number("1000"),
        text(""),
        "field A cannot hold 1000: the picture has fewer digits",
    );
    check(
        number("-1"),
        text(""),
        "field A cannot hold -1: the picture has no S, so the number is not negative",
    );
    check(
        number("1.25"),
        text(""),
        "field A cannot hold 1.25: the picture has fewer digits behind the point",
    );
    check(
        number("1"),
        text("ABC"),
        "field B cannot hold ABC: the text is longer than the field",
    );
    check(
        number("1"),
        text("€"),
        "field B cannot hold €: a character is not in the code page",
    );
    check(
        text("1"),
        text("A"),
        "field A cannot hold 1: the field holds a number",
    );
    check(
        Value::Absent,
        text("A"),
        "field A cannot hold nothing: the field is part of the record",
    );
    assert!(copybook.encode(CodePage::Cp037, &[number("1")]).is_err());
}

#[test]
fn decimals_print_and_rescale() {
    for (mantissa, scale, shown) in [
        (0, 2, "0.00"),
        (-5, 2, "-0.05"),
        (12345, 2, "123.45"),
        (7, 0, "7"),
    ] {
        assert_eq!(Decimal::new(mantissa, scale).to_string(), shown);
    }
    assert_eq!(Decimal::new(150, 2).rescale(1), Some(Decimal::new(15, 1)));
    assert_eq!(Decimal::new(155, 2).rescale(1), None);
    assert_eq!(
        Decimal::new(15, 1).checked_add(Decimal::new(25, 2)),
        Some(Decimal::new(175, 2))
    );
    assert_eq!(Decimal::new(-12345, 2).to_f64(), -123.45);
}
