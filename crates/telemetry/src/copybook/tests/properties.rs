//! Properties over generated copybooks and records.

use super::*;
use proptest::prelude::*;

/// A clause with a value that fits it.
fn clause_and_value() -> impl Strategy<Value = (String, Value)> {
    let text = (1usize..20).prop_flat_map(|len| {
        let characters = proptest::collection::vec(0u8..=255, len);
        characters.prop_map(move |latin1| {
            // The currency sign has no place beside the euro sign of 1140.
            let characters = latin1
                .into_iter()
                .map(|byte| if byte == 0xA4 { b' ' } else { byte });
            let text: String = characters.map(char::from).collect();
            (format!("PIC X({len})"), Value::Text(text))
        })
    });
    let usage = prop_oneof![
        Just("DISPLAY"),
        Just("SIGN LEADING"),
        Just("SIGN LEADING SEPARATE"),
        Just("SIGN TRAILING SEPARATE"),
        Just("BLANK WHEN ZERO"),
        Just("COMP"),
        Just("COMP-5"),
        Just("COMP-3"),
        Just("COMP-6"),
    ];
    let shape = (1u32..=31, 0u32..=6, 0u32..=4, any::<bool>(), usage);
    let number = shape.prop_flat_map(|(digits, scale, zeros, signed, usage)| {
        let digits = if usage.starts_with("COMP") && usage.len() != 6 || usage == "COMP-5" {
            digits.min(18)
        } else {
            digits.min(27)
        };
        let scale = if zeros > 0 { 0 } else { scale.min(digits - 1) };
        let signed = match usage {
            "BLANK WHEN ZERO" | "COMP-6" => false,
            other => signed || other.starts_with("SIGN"),
        };
        let clause = format!(
            "PIC {}9({}){}{} {usage}",
            if signed { "S" } else { "" },
            digits - scale,
            if scale > 0 {
                format!("V9({scale})")
            } else {
                String::new()
            },
            "P".repeat(zeros as usize),
        );
        let limit = 10i128.pow(digits);
        let range = if signed { 1 - limit..limit } else { 0..limit };
        range.prop_map(move |mantissa| {
            let decimal = Decimal::new(mantissa * 10i128.pow(zeros), scale as u8);
            (clause.clone(), Value::Number(decimal))
        })
    });
    prop_oneof![text, number]
}

fn pages() -> impl Strategy<Value = CodePage> {
    proptest::sample::select(CodePage::ALL.to_vec())
}

proptest! {
    #[test]
    fn decode_is_the_inverse_of_encode(parts in proptest::collection::vec(clause_and_value(), 1..12), page in pages()) {
        let entries: String = parts.iter().enumerate().map(|(i, (clause, _))| format!(" 05 F{i} {clause}. 05 PIC X.")).collect();
        let copybook = Copybook::parse(&format!("01 R.{entries}")).unwrap();
        let values: Vec<Value> = parts.into_iter().map(|(_, value)| value).collect();
        let record = copybook.encode(page, &values).unwrap();
        prop_assert_eq!(record.len(), copybook.record_len());
        prop_assert_eq!(copybook.decode(page, &record).unwrap(), values);
    }

    /// Tables within tables, of every length, with what follows them.
    #[test]
    fn tables_of_every_length_come_back(
        rows in 0usize..=4,
        columns in 1usize..=3,
        cells in proptest::collection::vec(-99i128..=99, 12),
        tail in "[A-Z]{3}",
    ) {
        let copybook = Copybook::parse(
            "01 R. 05 ROWS PIC 9. 05 COLS PIC 9(2) COMP. 05 ROW OCCURS 0 TO 4 DEPENDING ON ROWS.
             10 CELL PIC S99 COMP-3 OCCURS 1 TO 3 DEPENDING ON COLS. 10 MARK PIC X. 05 TAIL PIC X(3).",
        ).unwrap();
        let number = |n: i128| Value::Number(Decimal::new(n, 0));
        let mut values = vec![number(rows as i128), number(columns as i128)];
        for row in 0..4 {
            for column in 0..3 {
                values.push(match row < rows && column < columns {
                    true => number(cells[row * 3 + column]),
                    false => Value::Absent,
                });
            }
            values.push(if row < rows { Value::Text("m".into()) } else { Value::Absent });
        }
        values.push(Value::Text(tail));
        let record = copybook.encode(CodePage::Cp500, &values).unwrap();
        prop_assert_eq!(record.len(), 3 + rows * (2 * columns + 1) + 3);
        prop_assert_eq!(copybook.decode(CodePage::Cp500, &record).unwrap(), values);
        // Wherever it is cut, it is refused and not read beyond its end.
        for cut in 0..record.len() {
            prop_assert!(copybook.decode(CodePage::Cp500, &record[..cut]).is_err());
        }
    }

    #[test]
    fn any_bytes_decode_or_are_refused(record in proptest::collection::vec(any::<u8>(), 0..40)) {
        let copybook = Copybook::parse("01 R. 05 A PIC S9(5)V99 COMP-3. 05 B PIC S9(7). 05 C PIC 9(9) COMP. 05 D PIC X(9). 05 E REDEFINES D PIC 9(9).").unwrap();
        if let Ok(values) = copybook.decode(CodePage::Cp037, &record) {
            prop_assert_eq!(values.len(), 5);
            prop_assert_eq!(record.len(), copybook.record_len());
        }
    }

    #[test]
    fn any_text_parses_or_is_refused(source in "([ 0-9A-Z.()'*\n-]|01 |05 |PIC |X\\(3\\)|COMP-3|OCCURS 3|OCCURS 1 TO 9 DEPENDING ON A|REDEFINES A|SYNC|SIGN LEADING|88 |66 |VALUE 1|COMP-2){0,40}") {
        if let Ok(copybook) = Copybook::parse(&source) {
            prop_assert!(copybook.record_len() <= MAX_RECORD);
        }
    }
}
