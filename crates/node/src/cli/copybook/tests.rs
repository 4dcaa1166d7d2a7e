use super::*;

const COPYBOOK: &str = "01 R.
    05 A PIC X. 88 YES VALUE 'Y'. 88 NO-X VALUE 'N' 'P' THRU 'R'.
    05 T OCCURS 1 TO 3 DEPENDING ON N OF H.
       10 B PIC S9(3)V99 COMP-3.
    05 FILLER PIC X.";

fn copybook() -> Copybook {
    Copybook::parse(&COPYBOOK.replace(
        "05 T",
        "05 H. 10 N PIC 9. 05 U PIC 9(9) COMP SYNC. 05 V REDEFINES U PIC X(4).\n05 T",
    ))
    .unwrap()
}

#[test]
fn a_layout_is_a_table() {
    assert_eq!(
        layout::rendered(&copybook()),
        "\
offset length  picture   usage    name
     0     18                     01 R
     0      1  X         DISPLAY    05 A
                                       88 YES: 'Y'
                                       88 NO-X: 'N', 'P' thru 'R'
     1      1                       05 H
     1      1  9         DISPLAY      10 N
     2      2                     (slack bytes)
     4      4  9(9)      COMP       05 U
     4      4  X(4)      DISPLAY    05 V, redefines U
     8      3                       05 T, 1 to 3 times by N OF H
     8      3  S9(3)V99  COMP-3       10 B
    17      1  X         DISPLAY    05 FILLER
R: 12 to 18 bytes; offsets behind a table of variable length are those of full tables
"
    );
}

fn shown(json: bool) -> (String, usize) {
    let bytes = b"\xE8\xF2\x00\x00\x00\x00\xC1\xC2\x00\x12\x3C\x99\x99\x9D\x40\xD5\xF9\x00\x00\x00\x00\x00\x01\x00\x00\x1C\x40";
    let reading = Reading {
        page: CodePage::Cp037,
        framing: Framing::Fixed,
        json,
    };
    let mut out = Vec::new();
    let broken = decode(&copybook(), &reading, bytes, &mut out).unwrap();
    (String::from_utf8(out).unwrap(), broken)
}

#[test]
fn records_are_shown_with_conditions_and_refusals() {
    let (text, broken) = shown(false);
    assert_eq!(
        text,
        "\
record 1 at byte 0, 15 bytes
  A       \"Y\"  [YES]
  H.N     2
  U       49602
  V       \"\u{fffd}\u{fffd}AB\"
  T(1).B  1.23
  T(2).B  -999.99
record 2 at byte 15: NOT READ: field H.N at offset 1, bytes X'F9': the number of occurrences lies within the bounds of OCCURS
"
    );
    assert_eq!(broken, 1);
}

#[test]
fn json_lines_hold_exact_numbers() {
    let (text, _) = shown(true);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["fields"]["T(2).B"], "-999.99");
    assert_eq!(lines[0]["fields"]["V"], "\0\0AB");
    assert_eq!(lines[0]["conditions"]["A"], serde_json::json!(["YES"]));
    assert_eq!(
        (lines[1]["record"].as_u64(), lines[1]["offset"].as_u64()),
        (Some(2), Some(15))
    );
    assert!(
        lines[1]["refused"]
            .as_str()
            .unwrap()
            .starts_with("field H.N at offset 1")
    );
}
