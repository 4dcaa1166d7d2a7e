#![expect(unreachable_pub, reason = "the macros make public types")]

use super::*;
use proptest::prelude::*;

enumeration! {
    /// Test.
    Colour {
        /// Red.
        #[default]
        Red = 0,
        /// Green.
        Green = 1,
    }
}
appendable! {
    /// Test.
    Part {
        /// Test.
        name: String,
        /// Test.
        value: f64,
        /// Test.
        unit: Option<String>,
    }
}
appendable! {
    /// What an old reader knows.
    Old {
        /// Test.
        key: String,
        /// Test.
        flag: bool,
        /// Test.
        number: u64,
    }
}
appendable! {
    /// What a later writer says.
    New {
        /// Test.
        key: String,
        /// Test.
        flag: bool,
        /// Test.
        number: u64,
        /// Test.
        colour: Colour,
        /// Test.
        parts: Vec<Part>,
        /// Test.
        words: Vec<String>,
        /// Test.
        part: Option<Part>,
        /// Test.
        late: Option<i64>,
    }
}
appendable! {
    /// Structures that grew, in the middle of another.
    Holder {
        /// Test.
        old: Vec<Old>,
        /// Test.
        end: u32,
    }
}
appendable! {
    /// The same with grown ones.
    NewHolder {
        /// Test.
        old: Vec<New>,
        /// Test.
        end: u32,
    }
}

fn new() -> New {
    let part = |name: &str, value, unit: Option<&str>| Part {
        name: name.into(),
        value,
        unit: unit.map(str::to_owned),
    };
    New {
        key: "ab".into(),
        flag: true,
        number: 5,
        colour: Colour::Green,
        parts: vec![part("x", 1.5, None), part("y", 2.5, Some("V"))],
        words: vec!["q".into(), "rr".into()],
        part: Some(part("z", 1.0, Some("u"))),
        late: Some(7),
    }
}

/// What Cyclone DDS 11.0.1 for Python writes for the same value: `serialize(use_version_2=True)`.
#[test]
fn bytes_are_those_of_cyclone() {
    let expected = "000900009400000003000000616200010500000000000000010000003a00000002000000110000000200000078000000000000000000f83f000000001a000000020000007900000000000000000004400100000002000000560000001300000002000000020000007100000003000000727200011a000000020000007a000000000000000000f03f0100000002000000750001000700000000000000";
    assert_eq!(hex::encode(encode(&new())), expected);
}

#[test]
fn an_old_reader_passes_over_new_members_and_a_new_one_takes_defaults() {
    let old = Old {
        key: "ab".into(),
        flag: true,
        number: 5,
    };
    assert_eq!(decode::<Old>(&encode(&new())), Ok(old.clone()));
    let grown = New {
        key: "ab".into(),
        flag: true,
        number: 5,
        ..New::default()
    };
    assert_eq!(decode::<New>(&encode(&old)), Ok(grown.clone()));

    let holder = NewHolder {
        old: vec![new(), grown.clone()],
        end: 9,
    };
    let read = decode::<Holder>(&encode(&holder)).unwrap();
    assert_eq!((read.old, read.end), (vec![old.clone(), old.clone()], 9));
    let holder = Holder {
        old: vec![old],
        end: 9,
    };
    let read = decode::<NewHolder>(&encode(&holder)).unwrap();
    assert_eq!((read.old, read.end), (vec![grown], 9));
}

#[test]
fn what_is_not_the_type_is_refused_for_its_reason() {
    let good = encode(&new());
    let with = |change: fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        decode::<New>(&bytes).unwrap_err()
    };
    assert!(matches!(with(|b| b[1] = 8), XcdrError::Header { .. }));
    assert!(matches!(with(|b| b.truncate(3)), XcdrError::Header { .. }));
    assert_eq!(with(|b| b.extend([0; 3])), XcdrError::Trailing { count: 3 });
    assert!(
        matches!(with(|b| b[4] = 0xff), XcdrError::Short { .. }),
        "DHEADER over the end"
    );
    assert!(matches!(
        with(|b| b.truncate(b.len() - 1)),
        XcdrError::Short { .. }
    ));
    assert_eq!(with(|b| b[15] = 2), XcdrError::Boolean { found: 2 });
    assert_eq!(
        with(|b| b[24] = 7),
        XcdrError::Enumerator {
            of: "Colour",
            found: 7
        }
    );
    assert_eq!(with(|b| b[12] = 0xff), XcdrError::Text { at: 12 });
    assert_eq!(with(|b| b[14] = b'x'), XcdrError::Text { at: 12 }, "no NUL");
    assert_eq!(
        with(|b| b[13] = 0),
        XcdrError::Text { at: 12 },
        "two of them"
    );
    // A sequence of four billion items, in fifty bytes.
    assert!(matches!(
        with(|b| b[32..36].fill(0xff)),
        XcdrError::Sequence { .. }
    ));
    // Two padding bytes, as the options say.
    let mut padded = good.clone();
    padded.extend([0, 0]);
    padded[3] = 2;
    assert_eq!(decode::<New>(&padded), Ok(new()));
    assert!(decode::<New>(&vec![0; MAX_ENCODED + 1]).is_err());
    for bytes in [&[][..], &[0, 9, 0], &[0, 9, 0, 0], &[0, 9, 0, 3]] {
        assert!(decode::<New>(bytes).is_err());
    }
}

proptest! {
    /// No input panics, and what decodes from noise near the truth encodes and decodes again.
    #[test]
    fn noise_is_refused_or_read_the_same_twice(at in 4_usize..140, byte: u8, cut in 0_usize..160) {
        let mut bytes = encode(&new());
        let place = at.min(bytes.len() - 1);
        bytes[place] = byte;
        bytes.truncate(cut.max(1).min(bytes.len()));
        if let Ok(value) = decode::<New>(&bytes) && value.parts.iter().chain(&value.part).all(|part| part.value.is_finite()) {
            prop_assert_eq!(decode::<New>(&encode(&value)), Ok(value));
        }
    }
}
