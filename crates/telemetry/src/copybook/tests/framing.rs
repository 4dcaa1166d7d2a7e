//! Records out of what arrives.

use super::super::framing::{Framing, read_all};
use super::*;

const FIXED: &str = "01 R. 05 A PIC X. 05 N PIC 9(3) COMP-3.";
const VARIABLE: &str = "01 R. 05 N PIC 9. 05 T PIC X OCCURS 0 TO 5 DEPENDING ON N.";

fn told(copybook: &str, framing: Framing, bytes: &[u8]) -> Vec<String> {
    let copybook = Copybook::parse(copybook).unwrap();
    let mut told = Vec::new();
    read_all(
        &copybook,
        CodePage::Cp037,
        framing,
        bytes,
        &mut Row::new(),
        &mut |place, read| {
            told.push(match read {
                Ok(row) => format!("{place}: {}", row.get(0).unwrap()),
                Err(error) => format!("{place}: {error}"),
            });
        },
    );
    told
}

#[test]
fn records_of_fixed_length() {
    let check =
        |bytes: &[u8], expected: &[&str]| assert_eq!(told(FIXED, Framing::Fixed, bytes), expected);
    check(b"\xC1\x12\x3F", &["record 1 at byte 0: A"]);
    check(
        b"\xC1\x12\x3F\xC2\xAA\x3F\xC3\x12\x3F",
        &[
            "record 1 at byte 0: A",
            "record 2 at byte 3: field N at offset 1, bytes X'AA3F': a packed digit is 0 to 9",
            "record 3 at byte 6: C",
        ],
    );
    check(
        b"\xC1\x12\x3F\xC2\x12\x3F\xC3\x12",
        &[
            "record 1 at byte 0: A",
            "record 2 at byte 3: B",
            "record 3 at byte 6: record of 2 bytes is truncated: R needs 3; the first field cut is N at offset 1",
        ],
    );
    check(
        b"\xC1\x12\x3F\xC2",
        &["record 1 at byte 0: record of 4 bytes is over-long: R ends after 3"],
    );
    check(b"", &["record 1 at byte 0: there are no bytes"]);
}

#[test]
fn records_of_variable_length() {
    let check = |framing, bytes: &[u8], expected: &[&str]| {
        assert_eq!(told(VARIABLE, framing, bytes), expected)
    };
    check(
        Framing::Fixed,
        b"\xF1\xC1\xF0\xF2\xC1\xC2\xFB",
        &[
            "record 1 at byte 0: 1",
            "record 2 at byte 2: 0",
            "record 3 at byte 3: 2",
            "record 4 at byte 6: field N at offset 0, bytes X'FB': a zoned digit is F0 to F9",
        ],
    );
    check(
        Framing::Rdw,
        b"\x00\x06\x00\x00\xF1\xC1\x00\x05\x00\x00\xF2\x00\x06\x01\x00\xF1\xC1\x00\x05\x00\x00\xF0",
        &[
            "record 1 at byte 4: 1",
            "record 2 at byte 10: record of 1 bytes is truncated: R needs 2; the first field cut is T(1) at offset 1",
            "record 3 at byte 15: the record descriptor word has segment bits X'01': spanned records are not supported; write the data set as VB",
            "record 4 at byte 21: 0",
        ],
    );
    for (bytes, expected) in [
        (
            &b"\x00\x09\x00\x00\xF1\xC1"[..],
            "record 1 at byte 0: the descriptor word says 9 bytes, itself included, and 6 are left; what follows cannot be read",
        ),
        (
            b"\x00\x03\x00\x00",
            "record 1 at byte 0: the descriptor word says 3 bytes, itself included, and 4 are left; what follows cannot be read",
        ),
        (
            b"\x00\x05",
            "record 1 at byte 0: 2 bytes are left, too few for a descriptor word of 4; what follows cannot be read",
        ),
    ] {
        check(Framing::Rdw, bytes, &[expected]);
    }
    let block = b"\x00\x0F\x00\x00\x00\x06\x00\x00\xF1\xC1\x00\x05\x00\x00\xF0\x80\x00\x00\x09\x00\x05\x00\x00\xF0";
    check(
        Framing::Bdw,
        block,
        &[
            "record 1 at byte 8: 1",
            "record 2 at byte 14: 0",
            "record 3 at byte 23: 0",
        ],
    );
}
