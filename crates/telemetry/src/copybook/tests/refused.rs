//! What is refused, with line, column, rule and remedy.

use super::*;

#[test]
fn refused_copybooks_name_line_column_rule_and_remedy() {
    for (source, expected) in CASES {
        let error = Copybook::parse(source).expect_err(source).to_string();
        assert_eq!(error, *expected, "{source}");
    }
}

const CASES: &[(&str, &str)] = &[
    (
        "",
        "copybook line 1, column 1: the end of the text: a copybook describes one record, beginning with level 01; write the record's entry: 01 NAME.",
    ),
    (
        "05 A PIC X.",
        "copybook line 1, column 1: 05: the first entry has level 01; write a record around it: 01 NAME.",
    ),
    (
        "01 R.\n 05 A PIC X(2)",
        "copybook line 2, column 2: 05: every entry ends with a period; put a period behind the entry's last word",
    ),
    (
        "       01  R.\n           05  A PIC X(0).",
        "copybook line 2, column 22: X(0): a repetition is a whole number from 1 to 32760 in parentheses; write it behind the symbol: X(8)",
    ),
    (
        "01 R.\n 05 A PIC 9(32).",
        "copybook line 2, column 11: 9(32): a number has at most 31 digits, P's included; check the repetition",
    ),
    (
        "01 R.\n 05 A PIC S9(19) COMP.",
        "copybook line 2, column 11: S9(19): a binary number has at most 18 digits; use COMP-3 for more",
    ),
    (
        "01 R.\n 05 A PIC X COMP-3.",
        "copybook line 2, column 11: X: text is always DISPLAY; delete the usage",
    ),
    (
        "01 R.\n 05 A PIC 9 COMP-1.",
        "copybook line 2, column 11: 9: COMP-1 and COMP-2 take no picture; delete the picture",
    ),
    (
        "01 R.\n 05 A.\n 88 OK VALUE 'Y'.",
        "copybook line 2, column 2: 05: an item without items below it has a picture; write PIC, or the items of the group",
    ),
    (
        "01 R.\n 05 A.\n 05 B PIC X.",
        "copybook line 2, column 2: 05: an item without items below it has a picture; write PIC, or the items of the group",
    ),
    (
        "01 R.\n 05 A.\n  10 B PIC X.\n 07 C PIC X.",
        "copybook line 4, column 2: 07: the level number matches none of the groups that are open here; give it the level number of the items that it stands beside",
    ),
    (
        "01 R.\n 05 A PIC X.\n  10 B PIC X.",
        "copybook line 3, column 3: 10: an item with a picture has no items below it; delete the picture of the group, or raise the level number",
    ),
    (
        "01 R.\n 05 A PIC X.\n 05 A PIC X.",
        "copybook line 1, column 1: A: two fields have the same qualified name; rename one of them",
    ),
    (
        "01 R.\n 05 A PIC X.\n01 S.\n 05 B PIC X.",
        "copybook line 3, column 1: 01: a copybook describes one record; a second one begins here; give each record a file of its own, or put both below one level 01 with REDEFINES",
    ),
    (
        "01 R.\n 05 A COMP.\n  10 B PIC S9 COMP-3.",
        "copybook line 3, column 3: 10: an item's usage may not contradict its group's; delete one of the two usages",
    ),
    (
        "01 R.\n 05 A OCCURS 32760 PIC XX.",
        "copybook line 2, column 2: 05: a record has at most 32760 bytes; check pictures and OCCURS",
    ),
    (
        "01 R.\n\t05 A PIC X.",
        "copybook line 2, column 1: '\\t': only printable ASCII outside comments, no tabs; replace tabs by blanks, and write names and literals in ASCII",
    ),
    (
        "01 R. 05 A PIC X VALUE 'a.",
        "copybook line 1, column 24: 'a.: a literal ends with the quote it begins with; close it, or continue it in fixed format by a hyphen in column 7 and another quote",
    ),
    (
        "01 R.\n 05 A PIC 9(3)N.",
        "copybook line 2, column 11: 9(3)N: national, double-byte and UTF-8 items are not supported; write PIC X with the number of bytes",
    ),
    (
        "01 R.\n 05 A POINTER.",
        "copybook line 2, column 7: POINTER: an index or pointer is an address within the program that wrote it and means nothing in a record; write PIC X(4) for INDEX, POINTER and FUNCTION-POINTER, PIC X(8) for PROCEDURE-POINTER and under LP(64)",
    ),
    (
        "01 R.\n 05 A USAGE INDEX.",
        "copybook line 2, column 13: INDEX: an index or pointer is an address within the program that wrote it and means nothing in a record; write PIC X(4) for INDEX, POINTER and FUNCTION-POINTER, PIC X(8) for PROCEDURE-POINTER and under LP(64)",
    ),
    (
        "01 R.\n COPY MEMBER.",
        "copybook line 2, column 2: COPY: COPY statements are resolved by the compiler, which knows the libraries; put the text of the member in the place of the statement",
    ),
    (
        "01 R.\n 05 A PIC S9 COMP-6.",
        "copybook line 2, column 11: S9: COMP-6 has no room for a sign; delete the S, or use COMP-3",
    ),
    (
        "01 R.\n 05 A PIC 9 COMP-1.",
        "copybook line 2, column 11: 9: COMP-1 and COMP-2 take no picture; delete the picture",
    ),
    (
        "01 R.\n 05 A PIC X OCCURS 1 TO 5.",
        "copybook line 2, column 13: OCCURS: OCCURS n TO m takes DEPENDING ON and the field that holds the number; add it, or write the one number that all records have",
    ),
    (
        "01 R.\n 05 N PIC X.\n 05 B OCCURS 1 TO 5 DEPENDING ON N PIC X.",
        "copybook line 3, column 34: N: DEPENDING ON names a whole number; correct the name, or the field's picture",
    ),
    (
        "01 R.\n 05 B OCCURS 1 TO 5 DEPENDING ON N PIC X.\n 05 N PIC 9.",
        "copybook line 2, column 34: N: DEPENDING ON names one field that stands before the table and in no table; move the field to the front, or qualify its name with OF",
    ),
    (
        "01 R.\n 05 A PIC X OCCURS UNBOUNDED DEPENDING ON N.",
        "copybook line 2, column 20: UNBOUNDED: a table without a greatest number has no layout; write the most occurrences that a record of 32,760 bytes has room for",
    ),
    (
        "01 R.\n 05 A PIC X.\n 05 B PIC X.\n 05 C REDEFINES A PIC X.",
        "copybook line 4, column 17: A: REDEFINES names the item before it, or the one that the item before it redefines; move the entry directly behind the item that it redefines",
    ),
    (
        "01 R.\n 05 N PIC 9.\n 05 A PIC X(9).\n 05 B REDEFINES A OCCURS 1 TO 3 DEPENDING ON N PIC X.",
        "copybook line 4, column 2: B: a table of variable length neither redefines nor is redefined; describe the alternative as PIC X, or as a copybook of its own",
    ),
    (
        "01 R.\n 05 N PIC 9.\n 05 T OCCURS 1 TO 3 DEPENDING ON N PIC X.\n 05 B PIC 9 COMP SYNC.",
        "copybook line 4, column 2: B: a synchronized item behind a table of variable length has no fixed boundary; delete SYNCHRONIZED and write the slack bytes that the program has as FILLER",
    ),
    (
        "01 R.\n 05 A PIC 9P9.",
        "copybook line 2, column 11: 9P9: P stands at one end of the digits only; move the P's to the left or the right of all nines",
    ),
    (
        "01 R.\n 05 A PIC 9V9P.",
        "copybook line 2, column 11: 9V9P: P behind the digits puts the point behind them, and V puts it between them; delete the V or the P's",
    ),
    (
        "01 R.\n 05 A PIC 9 SIGN LEADING.",
        "copybook line 2, column 11: 9: SIGN stands at DISPLAY numbers with an S in their picture; delete the SIGN clause, or write the S",
    ),
    (
        "01 R.\n 05 A PIC S9 BLANK WHEN ZERO.",
        "copybook line 2, column 14: BLANK: BLANK WHEN ZERO stands at DISPLAY numbers without S, or edited ones; delete it",
    ),
    (
        "01 R.\n 05 A PIC 9 JUSTIFIED.",
        "copybook line 2, column 2: 05: JUSTIFIED stands at text; delete it",
    ),
    (
        "01 R.\n 05 A PIC X.\n 88 OK.",
        "copybook line 3, column 5: OK: level 88 is: 88 NAME VALUE LITERAL [THRU LITERAL] …; complete the entry, or delete it: it takes no room",
    ),
    (
        "01 R.\n 05 A PIC X.\n 66 B RENAMES C.",
        "copybook line 3, column 15: C: level 66 renames items of the record, and it has none of this name; correct the name, or delete the entry: it takes no room",
    ),
    (
        "88 OK VALUE 1.",
        "copybook line 1, column 1: 88: a condition name (88) belongs to the item before it, and there is none; move the entry behind its item",
    ),
    (
        "01 R.\n 05 A PIC X VALUE G'x'.",
        "copybook line 2, column 19: G'x': national, double-byte and UTF-8 literals are not supported; write the bytes as X'…'",
    ),
    (
        "01 R.\n 05 A PIC X COLUMN 5.",
        "copybook line 2, column 13: COLUMN: this clause is not known; known are PICTURE, USAGE, OCCURS, REDEFINES, SIGN, SYNCHRONIZED, JUSTIFIED, BLANK WHEN ZERO and VALUE; or end the entry before it with a period",
    ),
    (
        "01 R.\n 05 G SYNC.\n  10 A PIC 9 COMP.",
        "copybook line 2, column 7: SYNC: SYNCHRONIZED stands at level 01 or at elementary items; write it at the items that are aligned",
    ),
    (
        "FD FILE-X.",
        "copybook line 1, column 1: FD: file description entries describe no record; begin the copybook with level 01",
    ),
    (
        "01 R.\n 05 A PIC X.\n 05 B PIC X.\n 05 C PIC 9 COMP SYNC.\n 05 D PIC X.\n 05 E PIC X(8).\n 05 F REDEFINES E PIC 9(9) COMP SYNC.",
        "copybook line 7, column 2: F: a synchronized redefinition begins on a boundary that the redefined item does not have; delete SYNCHRONIZED, or align the redefined item",
    ),
    (
        "000100 01  R.\n000200X    05 A PIC X.",
        "copybook line 1, column 1: 000100: an entry begins with a level number: 01 to 49, 66, 77 or 88; check that the entry before it ends with a period",
    ),
    (
        "000100 01  R.\n000200-    05 A PIC X.",
        "copybook line 2, column 12: 05: there is nothing that this line could continue; remove the hyphen in column 7",
    ),
];

#[test]
fn bounds_hold() {
    let long = format!("01 R. 05 A PIC X. {}", "*".repeat(MAX_SOURCE));
    assert!(Copybook::parse(&long).unwrap_err().rule.contains("1 MiB"));
    let deep = "01 R. 02 A OCCURS 2. 03 B OCCURS 2. 04 C OCCURS 2. 05 D OCCURS 2. 06 E OCCURS 2. 07 F OCCURS 2. 08 G OCCURS 2. 09 H OCCURS 2 PIC X.";
    assert!(
        Copybook::parse(deep)
            .unwrap_err()
            .rule
            .contains("seven deep")
    );
    // A thousand times a thousand.
    let wide = "01 R. 02 A OCCURS 32760. 03 B OCCURS 32760. 04 C OCCURS 32760 PIC X.";
    assert!(
        Copybook::parse(wide)
            .unwrap_err()
            .rule
            .contains("32760 bytes")
    );
}
