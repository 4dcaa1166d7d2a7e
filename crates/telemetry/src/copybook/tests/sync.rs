//! Slack bytes.

use super::*;

fn offsets(source: &str) -> (Vec<(String, usize)>, usize) {
    let copybook = Copybook::parse(source).unwrap_or_else(|error| panic!("{error}"));
    let fields = copybook.fields().iter();
    let places = fields
        .map(|field| (field.path.clone(), field.offset))
        .collect();
    (places, copybook.record_len())
}

fn check(source: &str, expected: &[(&str, usize)], len: usize) {
    let (found, found_len) = offsets(source);
    let found: Vec<(&str, usize)> = found
        .iter()
        .map(|(path, at)| (path.as_str(), *at))
        .collect();
    let (head, _) = found.split_at(expected.len().min(found.len()));
    assert_eq!(head, expected, "{source}");
    assert_eq!(found_len, len, "{source}");
}

/// The three examples of IBM Enterprise COBOL for z/OS Language Reference, "Slack bytes within records".
#[test]
fn examples_of_the_language_reference() {
    check(
        "01 FIELD-A. 05 FIELD-B PIC X(5). 05 FIELD-C. 10 FIELD-D PIC XX. 10 FIELD-E PIC S9(6) COMP SYNC.",
        &[
            ("FIELD-B", 0),
            ("FIELD-C.FIELD-D", 5),
            ("FIELD-C.FIELD-E", 8),
        ],
        12,
    );
    check(
        "01 FIELD-L. 05 FIELD-M PIC X(5). 05 FIELD-N PIC XX. 05 FIELD-O. 10 FIELD-P PIC S9(6) COMP SYNC.",
        &[("FIELD-M", 0), ("FIELD-N", 5), ("FIELD-O.FIELD-P", 8)],
        12,
    );
    // Two slack bytes within each occurrence, two behind it.
    check(
        "01 WORK-RECORD. 05 WORK-CODE PIC X. 05 COMP-TABLE OCCURS 10 TIMES. 10 COMP-TYPE PIC X.
         10 COMP-PAY PIC S9(4)V99 COMP SYNC. 10 COMP-HRS PIC S9(3) COMP SYNC. 10 COMP-NAME PIC X(5).",
        &[
            ("WORK-CODE", 0),
            ("COMP-TABLE(1).COMP-TYPE", 1),
            ("COMP-TABLE(1).COMP-PAY", 4),
            ("COMP-TABLE(1).COMP-HRS", 8),
            ("COMP-TABLE(1).COMP-NAME", 10),
            ("COMP-TABLE(2).COMP-TYPE", 17),
            ("COMP-TABLE(2).COMP-PAY", 20),
        ],
        161,
    );
}

#[test]
fn boundaries_by_usage() {
    // Halfword, fullword, and for doublewords of binary digits a fullword as well.
    check(
        "01 R SYNCHRONIZED. 05 A PIC X. 05 B PIC 9(4) COMP. 05 C PIC X. 05 D PIC 9(9) COMP. 05 E PIC X. 05 F PIC 9(18) COMP. 05 G PIC X. 05 H COMP-1. 05 I PIC X. 05 J COMP-2. 05 K PIC 9 COMP-3.",
        &[
            ("A", 0),
            ("B", 2),
            ("C", 4),
            ("D", 8),
            ("E", 12),
            ("F", 16),
            ("G", 24),
            ("H", 28),
            ("I", 32),
            ("J", 40),
            ("K", 48),
        ],
        49,
    );
    // The slack stands before the group, so that all occurrences are alike.
    check(
        "01 R. 05 A PIC X. 05 T OCCURS 2. 10 B PIC 9(9) COMP SYNC. 10 C PIC X.",
        &[
            ("A", 0),
            ("T(1).B", 4),
            ("T(1).C", 8),
            ("T(2).B", 12),
            ("T(2).C", 16),
        ],
        20,
    );
}

#[test]
fn layouts_show_the_slack() {
    let copybook =
        Copybook::parse("01 R. 05 A PIC X. 05 T OCCURS 2. 10 B PIC 9(9) COMP SYNC. 10 C PIC X.")
            .unwrap();
    let entries: Vec<_> = copybook
        .entries()
        .iter()
        .map(|entry| {
            (
                entry.level,
                entry.offset,
                entry.len,
                entry.slack,
                entry.tail,
            )
        })
        .collect();
    assert_eq!(
        entries,
        [
            (1, 0, 20, 0, 0),
            (5, 0, 1, 0, 0),
            (5, 4, 5, 3, 3),
            (10, 4, 4, 0, 0),
            (10, 8, 1, 0, 0)
        ]
    );
}
