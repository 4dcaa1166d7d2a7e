//! A real COBOL compiler writes records by a copybook, and we read them: the same values, and written
//! again the same bytes.
//!
//! GnuCOBOL keeps text in ASCII; with `-fsign=EBCDIC` its zoned signs are the ASCII characters that stand
//! where the EBCDIC ones do, so that a translation of the DISPLAY fields gives the mainframe's bytes. Not
//! compared: COMP-1 and COMP-2, which GnuCOBOL keeps in IEEE format, COMP-5, which it keeps in the byte
//! order of this machine, doublewords under SYNCHRONIZED, which it aligns on eight bytes where IBM's
//! compiler aligns on four, and packed numbers with P's before their digits, which GnuCOBOL 3.1 garbles
//! (it DISPLAYs 0.00321 in PIC PP9(3) COMP-3 as `003?1`).

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::path::Path;
use std::process::Command;
use telemetry::copybook::framing::{Framing, read_all};
use telemetry::copybook::{Copybook, Decimal, Item, Kind, Row, Usage, Value};
use telemetry::ebcdic::CodePage;

const PAGE: CodePage = CodePage::Cp1047;

/// Compiles and runs a program that writes `out.dat` in `dir`.
fn written(dir: &Path, copybook: &str, varying: &str, moves: &str) -> Vec<u8> {
    let source = format!(
        "       IDENTIFICATION DIVISION.
       PROGRAM-ID. WRITER.
       ENVIRONMENT DIVISION.
       INPUT-OUTPUT SECTION.
       FILE-CONTROL.
           SELECT OUT-FILE ASSIGN TO \"out.dat\"
               ORGANIZATION IS SEQUENTIAL.
       DATA DIVISION.
       FILE SECTION.
       FD  OUT-FILE{varying}.
{copybook}
       PROCEDURE DIVISION.
           OPEN OUTPUT OUT-FILE.
{moves}
           CLOSE OUT-FILE.
           STOP RUN.
"
    );
    std::fs::write(dir.join("writer.cob"), source).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(dir)
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}; `cargo xtask setup` brings it"));
        assert!(
            output.status.success(),
            "{program}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    run(
        "cobc",
        &[
            "-x",
            "-std=ibm",
            "-fsign=EBCDIC",
            "-fbinary-byteorder=big-endian",
            "writer.cob",
        ],
    );
    run("./writer", &[]);
    std::fs::read(dir.join("out.dat")).unwrap()
}

/// A folder of the test's own, empty.
fn folder(name: &str) -> std::path::PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn is_display(kind: Kind) -> bool {
    match kind {
        Kind::Text => true,
        Kind::Number(number) => number.usage == Usage::Display,
        Kind::Float(_) => false,
    }
}

/// DISPLAY bytes from ASCII to EBCDIC, the others as they are; `fields` of the record as it is.
fn to_ebcdic(places: &[(usize, usize, Kind)], record: &[u8]) -> Vec<u8> {
    let mut bytes = record.to_vec();
    for (offset, len, _) in places.iter().filter(|(.., kind)| is_display(*kind)) {
        for byte in &mut bytes[*offset..offset + len] {
            *byte = PAGE.encode(&char::from(*byte).to_string()).unwrap()[0];
        }
    }
    bytes
}

fn number(mantissa: i128, scale: u8) -> Value {
    Value::Number(Decimal::new(mantissa, scale))
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

const FIXED: &str = "       01  REC.
           05  NAME                PIC X(10).
           05  LETTERS             PIC A(3) JUSTIFIED RIGHT.
           05  ZONED               PIC 9(5).
           05  ZONED-SIGNED        PIC S9(5)V99.
           05  LEAD                PIC S9(3) SIGN LEADING.
           05  LEAD-SEP            PIC S9(3) SIGN LEADING SEPARATE.
           05  TRAIL-SEP           PIC S9(3)V9 SIGN TRAILING SEPARATE.
           05  HALF                PIC S9(4) COMP.
           05  FULL                PIC S9(7)V99 BINARY.
           05  DOUBLE-X            PIC S9(18) COMP-4.
           05  UNSIGNED-FULL       PIC 9(9) COMP.
           05  PACKED              PIC S9(9)V99 COMP-3.
           05  PACKED-EVEN         PIC S9(4) PACKED-DECIMAL.
           05  PACKED-UNSIGNED     PIC 9(5) COMP-3.
           05  PACKED-BARE         PIC 9(5) COMP-6.
           05  THOUSANDS           PIC 9(3)P(3).
           05  SMALL               PIC VPP9(3).
           05  ODD-BYTE            PIC X.
           05  SYNC-HALF           PIC 9(4) COMP SYNC.
           05  SYNC-FULL           PIC S9(9) COMP SYNC.
           05  EDITED              PIC Z,ZZ9.99-.
           05  GROUP-X COMP-3.
               10  IN-GROUP        PIC S9(3).
           05  STEP OCCURS 2 TIMES.
               10  STEP-CODE       PIC XX.
               10  STEP-MS         PIC S9(4) COMP OCCURS 2 TIMES.
           05  EITHER              PIC X(4).
           05  OR-ELSE REDEFINES EITHER.
               10  OR-A            PIC 9(2).
               10  OR-B            PIC X(2).
           05  LAST-ONE            PIC X(2).
";

const MOVES: &str = "           MOVE \"GLASSHOUSE\" TO NAME.
           MOVE \"AB\" TO LETTERS.
           MOVE 12345 TO ZONED.
           MOVE -123.45 TO ZONED-SIGNED.
           MOVE -42 TO LEAD.
           MOVE 7 TO LEAD-SEP.
           MOVE -99.9 TO TRAIL-SEP.
           MOVE -1234 TO HALF.
           MOVE 12345.67 TO FULL.
           MOVE -123456789012345678 TO DOUBLE-X.
           MOVE 987654321 TO UNSIGNED-FULL.
           MOVE -123456789.01 TO PACKED.
           MOVE 1234 TO PACKED-EVEN.
           MOVE 54321 TO PACKED-UNSIGNED.
           MOVE 54321 TO PACKED-BARE.
           MOVE 123000 TO THOUSANDS.
           MOVE 0.00321 TO SMALL.
           MOVE \"O\" TO ODD-BYTE.
           MOVE 9999 TO SYNC-HALF.
           MOVE -1 TO SYNC-FULL.
           MOVE -1234.5 TO EDITED.
           MOVE -5 TO IN-GROUP.
           MOVE \"S1\" TO STEP-CODE(1).
           MOVE 1 TO STEP-MS(1 1).
           MOVE -2 TO STEP-MS(1 2).
           MOVE \"S2\" TO STEP-CODE(2).
           MOVE 3 TO STEP-MS(2 1).
           MOVE 4 TO STEP-MS(2 2).
           MOVE \"17XY\" TO EITHER.
           MOVE \"ZZ\" TO LAST-ONE.
           WRITE REC.
           MOVE 0 TO ZONED-SIGNED LEAD LEAD-SEP PACKED HALF FULL.
           MOVE \"[]^|~!\" TO NAME.
           MOVE 5 TO LEAD.
           MOVE 100.01 TO ZONED-SIGNED.
           WRITE REC.
";

#[test]
fn every_fixed_clause_as_gnucobol_writes_it() {
    let dir = folder("gnucobol-fixed");
    let file = written(&dir, FIXED, "", MOVES);
    let copybook = Copybook::parse(FIXED).unwrap();
    let len = copybook.record_len();
    assert_eq!(file.len(), 2 * len, "two records of {len} bytes");
    let mut places: Vec<_> = copybook
        .fields()
        .iter()
        .map(|field| (field.offset, field.len, field.kind))
        .collect();
    // Alternatives are the same bytes: translate them once.
    places.sort_by_key(|(offset, len, _)| (*offset, std::cmp::Reverse(*len)));
    let mut end = 0;
    places.retain(|(offset, len, _)| {
        let fresh = *offset >= end;
        end = end.max(offset + len);
        fresh
    });
    let expected = vec![
        text("GLASSHOUSE"),
        text(" AB"),
        number(12345, 0),
        number(-12345, 2),
        number(-42, 0),
        number(7, 0),
        number(-999, 1),
        number(-1234, 0),
        number(1_234_567, 2),
        number(-123_456_789_012_345_678, 0),
        number(987_654_321, 0),
        number(-12_345_678_901, 2),
        number(1234, 0),
        number(54321, 0),
        number(54321, 0),
        number(123_000, 0),
        number(321, 5),
        text("O"),
        number(9999, 0),
        number(-1, 0),
        text("1,234.50-"),
        number(-5, 0),
        text("S1"),
        number(1, 0),
        number(-2, 0),
        text("S2"),
        number(3, 0),
        number(4, 0),
        text("17XY"),
        number(17, 0),
        text("XY"),
        text("ZZ"),
    ];
    let first = to_ebcdic(&places, &file[..len]);
    assert_eq!(copybook.decode(PAGE, &first).unwrap(), expected);
    let mut changed = expected.clone();
    changed[0] = text("[]^|~!    ");
    changed[3] = number(10_001, 2);
    changed[4] = number(5, 0);
    for (field, scale) in [(5, 0), (7, 0), (8, 2), (11, 2)] {
        changed[field] = number(0, scale);
    }
    let second = to_ebcdic(&places, &file[len..]);
    assert_eq!(copybook.decode(PAGE, &second).unwrap(), changed);

    for (values, theirs) in [(&expected, &first), (&changed, &second)] {
        let mut ours = copybook.encode(PAGE, values).unwrap();
        // Slack bytes are of no value: GnuCOBOL leaves there what was in storage.
        for entry in copybook.entries() {
            let slack = entry.offset - entry.slack..entry.offset;
            ours[slack.clone()].copy_from_slice(&theirs[slack]);
        }
        assert_eq!(ours, *theirs);
    }
}

const VARIABLE: &str = "       01  REC.
           05  ITEMS               PIC 9(2).
           05  ITEM OCCURS 0 TO 5 TIMES DEPENDING ON ITEMS.
               10  SKU             PIC X(3).
               10  PRICE           PIC S9(5)V99 COMP-3.
";

#[test]
fn variable_records_as_gnucobol_writes_them() {
    let moves: String = [2, 0, 5]
        .iter()
        .map(|items| {
            let rows: String = (1..=*items)
                .map(|item| {
                    format!(
                        "           MOVE \"A{item}\" TO SKU({item}).\n           MOVE -{item}.25 TO PRICE({item}).\n"
                    )
                })
                .collect();
            format!("           MOVE {items} TO ITEMS.\n{rows}           WRITE REC.\n")
        })
        .collect();
    let dir = folder("gnucobol-variable");
    let varying = " RECORD IS VARYING IN SIZE FROM 2 TO 37";
    let file = written(&dir, VARIABLE, varying, &moves);
    // GnuCOBOL's own length word does not count itself; a record descriptor word does.
    let mut described = Vec::new();
    let mut rest = file.as_slice();
    let mut lengths = Vec::new();
    while let Some((word, behind)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([word[0], word[1]]));
        let (record, next) = behind.split_at(len);
        let mut places = vec![(0, 2, Kind::Text)];
        places.extend((2..len).step_by(7).map(|offset| (offset, 3, Kind::Text)));
        described.extend((len as u16 + 4).to_be_bytes());
        described.extend([0, 0]);
        described.extend(to_ebcdic(&places, record));
        lengths.push(len);
        rest = next;
    }
    assert_eq!(lengths, [16, 2, 37]);
    let copybook = Copybook::parse(VARIABLE).unwrap();
    let mut read = Vec::new();
    read_all(
        &copybook,
        PAGE,
        Framing::Rdw,
        &described,
        &mut Row::new(),
        &mut |place, row| {
            let row = row.unwrap_or_else(|error| panic!("{place}: {error}"));
            let fields = copybook.fields().iter().enumerate();
            read.push(
                fields
                    .filter_map(|(index, field)| {
                        Some(format!("{}={}", field.path, row.get(index)?))
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
            );
            assert!(matches!(row.get(0), Some(Item::Number(_))));
        },
    );
    assert_eq!(
        read,
        [
            "ITEMS=2 ITEM(1).SKU=A1 ITEM(1).PRICE=-1.25 ITEM(2).SKU=A2 ITEM(2).PRICE=-2.25",
            "ITEMS=0",
            "ITEMS=5 ITEM(1).SKU=A1 ITEM(1).PRICE=-1.25 ITEM(2).SKU=A2 ITEM(2).PRICE=-2.25 \
             ITEM(3).SKU=A3 ITEM(3).PRICE=-3.25 ITEM(4).SKU=A4 ITEM(4).PRICE=-4.25 \
             ITEM(5).SKU=A5 ITEM(5).PRICE=-5.25",
        ]
    );
}
