//! Hexadecimal floating point.

use super::*;
use proptest::prelude::*;

/// 1234: IBM Enterprise COBOL Programming Guide, "Internal representation of numeric items". The others:
/// z/Architecture Principles of Operation, "Hexadecimal-floating-point data format", table of examples.
#[test]
fn numbers_as_in_the_manuals() {
    let cases: &[(&str, &[u8], f64)] = &[
        ("COMP-1", b"\x43\x4D\x20\x00", 1234.0),
        ("COMP-1", b"\xC3\x4D\x20\x00", -1234.0),
        ("COMP-2", b"\x43\x4D\x20\x00\x00\x00\x00\x00", 1234.0),
        ("COMP-2", b"\xC3\x4D\x20\x00\x00\x00\x00\x00", -1234.0),
        ("COMP-1", b"\x41\x10\x00\x00", 1.0),
        ("COMP-1", b"\x40\x80\x00\x00", 0.5),
        ("COMP-1", b"\x3F\x40\x00\x00", 1.0 / 64.0),
        ("COMP-1", b"\x00\x00\x00\x00", 0.0),
        ("COMP-1", b"\xC1\xF0\x00\x00", -15.0),
        (
            "COMP-2",
            b"\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xF8",
            (1.0 - 2f64.powi(-53)) * 2f64.powi(252),
        ),
        (
            "COMP-2",
            b"\x00\x10\x00\x00\x00\x00\x00\x00",
            2f64.powi(-260),
        ),
    ];
    for (usage, bytes, value) in cases {
        let copybook = Copybook::parse(&format!("01 R. 05 F USAGE {usage}.")).unwrap();
        let values = copybook.decode(CodePage::Cp037, bytes).unwrap();
        assert_eq!(values, [Value::Float(*value)], "{usage} {value}");
        assert_eq!(copybook.encode(CodePage::Cp037, &values).unwrap(), *bytes);
    }
}

#[test]
fn unnormalised_and_longer_numbers() {
    let short = Copybook::parse("01 R COMP-1. 05 F.").unwrap();
    assert_eq!(
        short.decode(CodePage::Cp037, b"\x42\x01\x00\x00"),
        Ok(vec![Value::Float(1.0)])
    );
    // 56 bits against 53: to the nearest even. 2^56 - 1 rounds up to 2^56, times 16^(14-14).
    let long = Copybook::parse("01 R COMP-2. 05 F.").unwrap();
    assert_eq!(
        long.decode(CodePage::Cp037, b"\x4E\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
        Ok(vec![Value::Float(2f64.powi(56))])
    );
    for (value, expected) in [
        (1e76, "field F cannot hold"),
        (1e-80, "field F cannot hold"),
        (f64::NAN, "field F cannot hold NaN"),
        (5e-324, "field F cannot hold"),
    ] {
        let error = short
            .encode(CodePage::Cp037, &[Value::Float(value)])
            .unwrap_err();
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

proptest! {
    /// Normalised short numbers come back bit by bit; long ones if a double holds them.
    #[test]
    fn bits_come_back(bits in any::<u64>()) {
        let short = ((bits >> 32) as u32 | 0x0010_0000).to_be_bytes();
        let copybook = Copybook::parse("01 R. 05 F COMP-1.").unwrap();
        let values = copybook.decode(CodePage::Cp037, &short).unwrap();
        prop_assert_eq!(copybook.encode(CodePage::Cp037, &values).unwrap(), short);

        let long = bits | 0x0010_0000_0000_0000;
        let exact = (long & !0x7).to_be_bytes();
        let copybook = Copybook::parse("01 R. 05 F COMP-2.").unwrap();
        let values = copybook.decode(CodePage::Cp037, &exact).unwrap();
        prop_assert_eq!(copybook.encode(CodePage::Cp037, &values).unwrap(), exact);

        // All 56 bits: off by half a unit in the last place of a double at most.
        let Value::Float(value) = copybook.decode(CodePage::Cp037, &long.to_be_bytes()).unwrap()[0] else {
            panic!("a float")
        };
        let fraction = long & 0x00FF_FFFF_FFFF_FFFF;
        let power = 4 * ((long >> 56 & 0x7F) as i32 - 64) - 56;
        let whole = value.abs() * 2f64.powi(-power);
        prop_assert_eq!(whole.fract(), 0.0);
        let unit = 1u64 << (64 - fraction.leading_zeros()).saturating_sub(53);
        prop_assert!(2 * fraction.abs_diff(whole as u64) <= unit.max(2) && (unit > 1 || fraction == whole as u64));
    }

    #[test]
    fn doubles_come_back_from_comp_2(value in -1e70f64..1e70) {
        let copybook = Copybook::parse("01 R. 05 F COMP-2.").unwrap();
        let bytes = copybook.encode(CodePage::Cp037, &[Value::Float(value)]).unwrap();
        prop_assert_eq!(copybook.decode(CodePage::Cp037, &bytes).unwrap(), [Value::Float(value)]);
    }
}
