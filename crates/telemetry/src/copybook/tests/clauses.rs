//! Clause by clause: bytes as IBM's manuals show them.

use super::*;

fn one(clauses: &str) -> Copybook {
    let source = format!("       01  R.\n           05  F  {clauses}.\n");
    Copybook::parse(&source).unwrap_or_else(|error| panic!("{error}"))
}

/// IBM Enterprise COBOL for z/OS Programming Guide, "Internal representation of numeric items"; those
/// marked (by hand) follow from the rules beside that table.
#[test]
fn numbers_as_in_the_programming_guide() {
    let both_ways: &[(&str, &[u8], &str)] = &[
        ("PIC S9999 DISPLAY", b"\xF1\xF2\xF3\xC4", "1234"),
        ("PIC S9999 DISPLAY", b"\xF1\xF2\xF3\xD4", "-1234"),
        ("PIC 9999", b"\xF1\xF2\xF3\xF4", "1234"),
        ("PIC S9999 SIGN LEADING", b"\xC1\xF2\xF3\xF4", "1234"),
        ("PIC S9999 SIGN IS LEADING", b"\xD1\xF2\xF3\xF4", "-1234"),
        (
            "PIC S9999 SIGN LEADING SEPARATE",
            b"\x4E\xF1\xF2\xF3\xF4",
            "1234",
        ),
        (
            "PIC S9999 LEADING SEPARATE CHARACTER",
            b"\x60\xF1\xF2\xF3\xF4",
            "-1234",
        ),
        (
            "PIC S9999 SIGN TRAILING SEPARATE",
            b"\xF1\xF2\xF3\xF4\x4E",
            "1234",
        ),
        (
            "PIC S9999 TRAILING SEPARATE",
            b"\xF1\xF2\xF3\xF4\x60",
            "-1234",
        ),
        ("PIC S9999 BINARY", b"\x04\xD2", "1234"),
        ("PIC S9999 COMP-4", b"\xFB\x2E", "-1234"),
        ("PIC S9999 COMP-5", b"\x30\x39", "12345"),
        ("PIC S9999 COMP-5", b"\xCF\xC7", "-12345"),
        ("PIC 9999 COMP-5", b"\xEA\x60", "60000"),
        ("PIC S9999 PACKED-DECIMAL", b"\x01\x23\x4C", "1234"),
        ("PIC S9999 COMP-3", b"\x01\x23\x4D", "-1234"),
        ("PIC 9999 COMP-3", b"\x01\x23\x4F", "1234"),
        // By hand.
        ("PIC 9(5) COMP-6", b"\x01\x23\x45", "12345"),
        ("PIC 9(4) COMP-6", b"\x12\x34", "1234"),
        ("PIC 9(3)PP", b"\xF1\xF2\xF3", "12300"),
        ("PIC S9(3)P(3) COMP-3", b"\x12\x3D", "-123000"),
        ("PIC VPP99", b"\xF4\xF2", "0.0042"),
        ("PIC P(3)9 COMP-3", b"\x7F", "0.0007"),
        ("PIC PP9(4) COMP", b"\x04\xD2", "0.001234"),
        ("PIC 9(3) BLANK WHEN ZERO", b"\x40\x40\x40", "0"),
        ("PIC 9(3) BLANK WHEN ZEROS", b"\xF0\xF0\xF7", "7"),
        (
            "PIC S9(29)V99 COMP-3",
            b"\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x99\x9D",
            "-99999999999999999999999999999.99",
        ),
        (
            "PIC S9(18) COMP-5",
            b"\x80\x00\x00\x00\x00\x00\x00\x00",
            "-9223372036854775808",
        ),
        (
            "PIC 9(18) COMP-5",
            b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
            "18446744073709551615",
        ),
    ];
    for (clauses, bytes, shown) in both_ways {
        let (copybook, value) = (one(clauses), number(shown));
        assert_eq!(
            copybook.decode(CodePage::Cp037, bytes),
            Ok(vec![value.clone()]),
            "{clauses}"
        );
        let written = copybook.encode(CodePage::Cp037, &[value]).unwrap();
        assert_eq!(written, *bytes, "{clauses}");
    }
}

#[test]
fn text_and_edited_pictures() {
    let cases: &[(&str, &[u8], &str)] = &[
        ("PIC X(3) JUSTIFIED RIGHT", b"\x40\xC1\xC2", " AB"),
        ("PIC A(2)9", b"\xC1\xC2\xF1", "AB1"),
        ("PIC XXBXX", b"\xC1\xC2\x40\xC3\xC4", "AB CD"),
        (
            "PIC Z,ZZ9.99-",
            b"\x40\x40\x40\xF1\xF2\x4B\xF5\xF0\x60",
            "   12.50-",
        ),
        (
            "PIC $$9.99CR",
            b"\x40\x5B\xF1\x4B\xF0\xF0\xC3\xD9",
            " $1.00CR",
        ),
        ("PIC **9DB", b"\x5C\x5C\xF7\xC4\xC2", "**7DB"),
        (
            "PIC 99/99/9999",
            b"\xF3\xF1\x61\xF0\xF1\x61\xF2\xF0\xF2\xF6",
            "31/01/2026",
        ),
        // External floating point, from the Programming Guide.
        (
            "PIC +9(2).9(2)E+99",
            b"\x4E\xF1\xF2\x4B\xF3\xF4\xC5\x4E\xF0\xF2",
            "+12.34E+02",
        ),
        ("PIC ZZ9 BLANK WHEN ZERO", b"\x40\x40\x40", "   "),
    ];
    for (clauses, bytes, shown) in cases {
        let copybook = one(clauses);
        assert_eq!(
            copybook.decode(CodePage::Cp037, bytes),
            Ok(vec![text(shown)]),
            "{clauses}"
        );
    }
    let justified = one("PIC X(4) JUST");
    assert_eq!(
        justified.encode(CodePage::Cp037, &[text("AB")]).unwrap(),
        b"\x40\x40\xC1\xC2"
    );
}

#[test]
fn usage_and_sign_of_a_group_are_handed_down() {
    let copybook = Copybook::parse(
        "01 R SIGN LEADING SEPARATE. 05 G COMP-3. 10 A PIC S9(3). 10 B PIC 9. 05 C PIC S9(2). 05 D PIC X.",
    )
    .unwrap();
    let values = copybook.decode(CodePage::Cp037, b"\x12\x3D\x7F\x60\xF4\xF2\xC1");
    assert_eq!(
        values,
        Ok(vec![number("-123"), number("7"), number("-42"), text("A")])
    );
}

#[test]
fn tables_of_variable_length() {
    let copybook = Copybook::parse(
        "01 R.
            05 N PIC 9. 05 M PIC 99 COMP-3.
            05 ROWS OCCURS 0 TO 3 TIMES DEPENDING ON N INDEXED BY I J.
               10 CODE-X PIC X.
               10 CELL PIC 9 OCCURS 1 TO 2 DEPENDING ON M OF R.
            05 TAIL PIC XX.",
    );
    // The qualifier names the record itself, which paths leave out.
    assert!(copybook.is_err());
    let copybook = Copybook::parse(
        "01 R.
            05 N PIC 9. 05 H. 10 M PIC 99 COMP-3.
            05 LINES-X OCCURS 0 TO 3 TIMES DEPENDING ON N INDEXED BY I J.
               10 CODE-X PIC X.
               10 CELL PIC 9 OCCURS 1 TO 2 DEPENDING ON M OF H.
            05 TAIL PIC XX.",
    )
    .unwrap();
    assert_eq!((copybook.least_len(), copybook.record_len()), (5, 14));
    assert!(!copybook.is_fixed());
    let check = |bytes: &[u8], present: &[(&str, &str)]| {
        let mut row = Row::new();
        assert_eq!(
            copybook.read(CodePage::Cp037, bytes, &mut row),
            Ok(bytes.len())
        );
        let found: Vec<(&str, String)> = copybook
            .fields()
            .iter()
            .enumerate()
            .filter_map(|(index, field)| Some((field.path.as_str(), row.get(index)?.to_string())))
            .collect();
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|(path, shown)| (*path, shown.as_str()))
            .collect();
        assert_eq!(found, present);
        // And back.
        let values = copybook.decode(CodePage::Cp037, bytes).unwrap();
        assert_eq!(copybook.encode(CodePage::Cp037, &values).unwrap(), bytes);
    };
    check(
        b"\xF0\x00\x1F\xC1\xC2",
        &[("N", "0"), ("H.M", "1"), ("TAIL", "AB")],
    );
    check(
        b"\xF2\x00\x2F\xE7\xF1\xF2\xE8\xF3\xF4\xC1\xC2",
        &[
            ("N", "2"),
            ("H.M", "2"),
            ("LINES-X(1).CODE-X", "X"),
            ("LINES-X(1).CELL(1)", "1"),
            ("LINES-X(1).CELL(2)", "2"),
            ("LINES-X(2).CODE-X", "Y"),
            ("LINES-X(2).CELL(1)", "3"),
            ("LINES-X(2).CELL(2)", "4"),
            ("TAIL", "AB"),
        ],
    );
    let refused = |bytes: &[u8], expected: &str| {
        let error = copybook.decode(CodePage::Cp037, bytes).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    refused(
        b"\xF4\x00\x1F\xC1\xC2",
        "field N at offset 0, bytes X'F4': the number of occurrences lies within the bounds of OCCURS",
    );
    refused(
        b"\xF1\x00\x1F\xC1",
        "record of 4 bytes is truncated: R needs 5; the first field cut is LINES-X(1).CELL(1) at offset 4",
    );
    refused(
        b"\xF0\x00\x1F\xC1\xC2\xC3",
        "record of 6 bytes is over-long: R ends after 5",
    );
    refused(
        b"\xF1\x00\x1F\xC1\xD2\x40\x40",
        "field LINES-X(1).CELL(1) at offset 4, bytes X'D2': the sign is minus and the picture has no S",
    );
}

const PAYMENT: &str = "01 R.
    05 KIND PIC X.
    05 CARD. 10 PAN PIC 9(4). 10 LIMIT PIC S9(3) COMP-3.
    05 BANK REDEFINES CARD. 10 IBAN PIC X(6).
    05 CASH REDEFINES CARD PIC S9(7)V9(4) COMP-3.
    05 FILLER PIC X.";

#[test]
fn alternatives_are_read_where_their_bytes_fit() {
    let copybook = Copybook::parse(PAYMENT).unwrap();
    assert_eq!(copybook.record_len(), 8);
    let card = b"\xC3\xF1\xF2\xF3\xF4\x12\x3C\x40";
    let cash = b"\xD4\x00\x00\x12\x34\x50\x0C\x40";
    let decode = |bytes: &[u8]| copybook.decode(CodePage::Cp037, bytes).unwrap();
    // Everything is text, and this is no packed number.
    let iban: Value = decode(card)[3].clone();
    assert_eq!(
        decode(card),
        [
            text("C"),
            number("1234"),
            number("123"),
            iban,
            Value::Absent
        ]
    );
    let found = decode(cash);
    assert_eq!(found[1..3], [Value::Absent, Value::Absent]);
    assert_eq!(found[4], number("123.4500"));
    for bytes in [card, cash] {
        assert_eq!(
            copybook.encode(CodePage::Cp037, &decode(bytes)).unwrap(),
            bytes
        );
    }
}

#[test]
fn a_rule_chooses_the_alternative() {
    let mut copybook = Copybook::parse(PAYMENT).unwrap();
    for rule in [
        "CARD when KIND is C, D",
        "cash when kind is M",
        "BANK when KIND is B",
    ] {
        copybook.choose(rule).unwrap();
    }
    let card = b"\xC3\xF1\xF2\xF3\xF4\x12\x3C\x40";
    let values = copybook.decode(CodePage::Cp037, card).unwrap();
    assert_eq!(values[3..], [Value::Absent, Value::Absent]);
    // What the rule chooses has to be right.
    let refused = |bytes: &[u8], expected: &str| {
        let error = copybook.decode(CodePage::Cp037, bytes).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    refused(
        b"\xD4\xF1\xF2\xF3\xF4\x12\x3C\x40",
        "field CASH at offset 1, bytes X'F1F2F3F4123C': a packed digit is 0 to 9",
    );
    refused(
        b"\xE7\xF1\xF2\xF3\xF4\x12\x3C\x40",
        "field CARD.PAN at offset 1, bytes X'F1F2F3F4123C': one of the configured rules chooses an alternative",
    );
    let check = |rule: &str, expected: &str| {
        let error = Copybook::parse(PAYMENT).unwrap().choose(rule).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        "CARD if KIND is C",
        "rule \"CARD if KIND is C\" is not of the form `ALTERNATIVE when FIELD is VALUE, VALUE`",
    );
    check(
        "KIND when KIND is C",
        "KIND is no alternative; the items that redefine or are redefined are: CARD, BANK, CASH",
    );
    check(
        "CARD when CASH is 1",
        "CASH cannot decide about CARD: the deciding field stands before it, in no table or in the same one",
    );
}

#[test]
fn a_rule_decides_in_each_occurrence() {
    let mut copybook = Copybook::parse(
        "01 R. 05 N PIC 9. 05 T OCCURS 1 TO 3 DEPENDING ON N. 10 K PIC X. 10 A PIC XX. 10 B REDEFINES A PIC 9(3) COMP-3.",
    )
    .unwrap();
    copybook.choose("A when K is A").unwrap();
    copybook.choose("B when K is B").unwrap();
    let bytes = b"\xF2\xC2\x12\x3F\xC1\x12\x3F";
    let values = copybook.decode(CodePage::Cp037, bytes).unwrap();
    assert_eq!(values[2..4], [Value::Absent, number("123")]);
    assert_eq!(values[6], Value::Absent);
    assert!(matches!(values[5], Value::Text(_)));
}

#[test]
fn condition_names_hold_or_not() {
    let copybook = Copybook::parse(
        "01 R.
            05 A PIC 99. 88 LOW VALUES ARE 1 THRU 9, 12. 88 NONE-X VALUE ZERO.
            05 B PIC X(2). 88 BLANK-X VALUE SPACES. 88 LETTER VALUE 'A' THRU 'Z '. 88 TOP VALUE HIGH-VALUES. 88 HEX VALUE X'C1C2'. 88 STARS VALUE ALL '*'.
            05 C PIC S9V9 COMP-3. 88 MINUS VALUE -9.9 THRU -0.1.",
    )
    .unwrap();
    let check = |bytes: &[u8], expected: [&str; 3]| {
        let mut row = Row::new();
        copybook
            .read_whole(CodePage::Cp037, bytes, &mut row)
            .unwrap();
        let found = [0, 1, 2].map(|field| {
            let names: Vec<&str> = copybook.conditions(CodePage::Cp037, &row, field).collect();
            names.join(" ")
        });
        assert_eq!(found, expected);
    };
    check(b"\xF0\xF7\x40\x40\x00\x1D", ["LOW", "BLANK-X", "MINUS"]);
    check(b"\xF1\xF2\xC1\xC2\x00\x1C", ["LOW", "LETTER HEX", ""]);
    check(b"\xF0\xF0\xFF\xFF\x00\x0C", ["NONE-X", "TOP", ""]);
    check(b"\xF1\xF1\x5C\x5C\x00\x0C", ["", "STARS", ""]);
    // EBCDIC has characters between I and J.
    check(b"\xF1\xF1\xCA\x40\x00\x0C", ["", "LETTER", ""]);
    check(b"\xF1\xF1\x81\x40\x00\x0C", ["", "", ""]);
}

#[test]
fn what_takes_no_room() {
    let copybook = Copybook::parse(
        "      *  a comment
       01  R IS EXTERNAL.
           05  A PIC X VALUE 'it''s. a literal, '.
           05  B PIC X(3) VALUE ALL '*'.
           SKIP1
           EJECT
      D    05  DEBUG-X PIC X.
           05  C OCCURS 2 TIMES ASCENDING KEY IS D E INDEXED BY I
               PIC 9 COMP.                                              tail
       66  AB RENAMES A THRU B.
       77  OUTSIDE PIC X(100).
",
    )
    .unwrap();
    let paths: Vec<_> = copybook
        .fields()
        .iter()
        .map(|field| field.path.as_str())
        .collect();
    assert_eq!(paths, ["A", "B", "C(1)", "C(2)"]);
    assert_eq!(copybook.record_len(), 8);
    let alone = Copybook::parse("77 COUNTER PIC 9(4) COMP.").unwrap();
    assert_eq!((alone.name(), alone.record_len()), ("COUNTER", 2));
}

#[test]
fn reference_formats() {
    let check = |source: &str, reference, expected: Option<&[&str]>| {
        let parsed = Copybook::parse_as(source, reference);
        let paths = parsed.as_ref().ok().map(|copybook| {
            let fields = copybook.fields().iter();
            fields.map(|field| field.path.as_str()).collect::<Vec<_>>()
        });
        assert_eq!(paths.as_deref(), expected, "{source}\n{parsed:?}");
    };
    // Change marks in columns 1 to 6, text behind column 72, CR LF.
    let line = format!("{:<72}IGNORED", "CHG003     05  A  PIC X(2).");
    let tagged = format!("CHG001 01  R.\r\nCHG002*  remark\r\n{line}\r\n");
    check(&tagged, Reference::Detect, Some(&["A"]));
    check(&tagged, Reference::Free, None);
    // A word and a literal that go on in the next line.
    let continued = "       01  R.\n           05  LONG-\n      -        NAME PIC X(\n      -    4) VALUE 'begins here and\n      -    ' ends there'.\n";
    check(continued, Reference::Detect, Some(&["LONG-NAME"]));
    let free =
        "01 R. *> a remark with ä\n  05 A PIC X. *> another\n* a whole line\n  05 B\n  PIC X.";
    check(free, Reference::Detect, Some(&["A", "B"]));
    check(free, Reference::Fixed, None);
}
