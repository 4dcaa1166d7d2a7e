use super::*;
use proptest::prelude::*;

fn keys(seed: u8) -> Keychain {
    Keychain::new(WrappingKey::new([seed; 32]), Vec::new())
}

fn place() -> Place {
    Place {
        purpose: Purpose::MailJournal,
        container: 7,
        position: 9,
        shred: [3; 32],
    }
}

#[test]
fn a_wrapped_key_opens_at_its_place_and_nowhere_else() {
    let keys = keys(1);
    let (key, wrapped) = keys.fresh(&place(), [5; 44]);
    let mut record = b"over temperature".to_vec();
    let tag = key.seal(11, b"bound", &mut record);
    assert_ne!(record, b"over temperature");
    let again = keys.unwrap(&place(), &wrapped).expect("its own place");
    assert!(again.open(11, b"bound", &mut record, &tag));
    assert_eq!(record, b"over temperature");

    let elsewhere = [
        Place {
            purpose: Purpose::Quarantine,
            ..place()
        },
        Place {
            container: 8,
            ..place()
        },
        Place {
            position: 10,
            ..place()
        },
        Place {
            shred: [0; 32],
            ..place()
        },
    ];
    for place in elsewhere {
        let outcome = keys.unwrap(&place, &wrapped).map(drop);
        let wrapped_by = keys.newest();
        assert_eq!(outcome, Err(UnwrapError::Tampered { wrapped_by }));
    }
}

#[test]
fn no_flipped_bit_and_no_cut_passes() {
    let keys = keys(1);
    let (_, wrapped) = keys.fresh(&place(), [5; 44]);
    for at in 0..wrapped.len() * 8 {
        let mut turned = wrapped;
        turned[at / 8] ^= 1 << (at % 8);
        assert!(keys.unwrap(&place(), &turned).is_err(), "bit {at}");
    }
    for len in 0..wrapped.len() {
        let cut = keys.unwrap(&place(), &wrapped[..len]).map(drop);
        assert_eq!(cut, Err(UnwrapError::Malformed { len }));
    }
}

#[test]
fn another_wrapping_key_is_named_and_a_former_one_still_opens() {
    let (_, wrapped) = keys(1).fresh(&place(), [5; 44]);
    let error = keys(2).unwrap(&place(), &wrapped).map(drop).unwrap_err();
    let (old, new) = (keys(1).newest().to_string(), keys(2).newest().to_string());
    let sentence = error.to_string();
    assert!(
        sentence.contains(&old) && sentence.contains(&new),
        "{sentence}"
    );
    let both = Keychain::new(WrappingKey::new([2; 32]), vec![WrappingKey::new([1; 32])]);
    assert!(both.unwrap(&place(), &wrapped).is_ok());
    assert_eq!(both.newest(), keys(2).newest(), "and the newest wraps");
}

#[test]
fn a_record_opens_under_its_number_and_bound_bytes_only() {
    let (key, _) = keys(1).fresh(&place(), [5; 44]);
    let mut sealed = b"payload".to_vec();
    let tag = key.seal(1, b"head", &mut sealed);
    let open = |sequence, bound: &[u8], tag: &[u8; TAG]| {
        let mut copy = sealed.clone();
        key.open(sequence, bound, &mut copy, tag)
    };
    assert!(open(1, b"head", &tag));
    assert!(!open(2, b"head", &tag));
    assert!(!open(1, b"heaD", &tag));
    assert!(!open(1, b"head", &[0; TAG]));
}

#[test]
fn an_item_opens_as_itself_and_shows_nothing_of_its_content() {
    let content = b"a mail with a MARKER in it";
    let seal = |number| seal_item(&keys(1), Purpose::Quarantine, number, [9; 76], content);
    let sealed = seal(4);
    assert!(is_sealed(&sealed) && !is_sealed(content) && !is_sealed(&[1, 2]));
    assert!(!sealed.windows(6).any(|window| window == b"MARKER"));
    let open =
        |keys: &Keychain, number, bytes: &[u8]| open_item(keys, Purpose::Quarantine, number, bytes);
    assert_eq!(open(&keys(1), 4, &sealed).as_deref(), Ok(&content[..]));
    assert!(open(&keys(1), 5, &sealed).is_err(), "another item's place");
    assert!(open(&keys(2), 4, &sealed).is_err(), "another key");
    assert!(open_item(&keys(1), Purpose::MailJournal, 4, &sealed).is_err());
    for at in 8..sealed.len() {
        let mut turned = sealed.clone();
        turned[at] ^= 1;
        assert!(open(&keys(1), 4, &turned).is_err(), "byte {at}");
        assert!(open(&keys(1), 4, &sealed[..at]).is_err(), "cut at {at}");
    }
}

/// The format on disk: a build that reads it otherwise loses what nodes have.
#[test]
fn the_bytes_are_these() {
    let (key, wrapped) = keys(1).fresh(&place(), [5; 44]);
    assert_eq!(hex::encode(wrapped), WRAPPED_FIXTURE);
    let mut record = *b"record";
    let tag = key.seal(1, b"head", &mut record);
    assert_eq!(hex::encode(record) + &hex::encode(tag), RECORD_FIXTURE);
}

// Computed with Python's `cryptography` and `hmac`, not with this code.
const WRAPPED_FIXTURE: &str = "019962f60435521c19050505050505050505050505a5f2eb0926780ed3a204e044eb52b9070c43b63288c18f1e4a8fc24ab47b0bf361bf137f9425ffaa2ab18d919b548dea";
const RECORD_FIXTURE: &str = "b50da2c42518f89dbecd1ec7eab8762530cc39895a7f";

#[test]
fn keys_are_never_printed() {
    let keys = keys(0xab);
    let (key, _) = keys.fresh(&place(), [0xcd; 44]);
    let text = format!("{keys:?} {key:?}");
    assert!(text.contains("redacted"), "{text}");
    assert!(!text.contains("abab") && !text.contains("171, ") && !text.contains("205, "));
}

proptest! {
    #[test]
    fn what_was_sealed_opens(
        content in proptest::collection::vec(any::<u8>(), 0..300),
        number: u64,
        entropy in proptest::collection::vec(any::<u8>(), 76),
    ) {
        let entropy: [u8; 76] = entropy.try_into().expect("76 bytes");
        let sealed = seal_item(&keys(1), Purpose::Quarantine, number, entropy, &content);
        let opened = open_item(&keys(1), Purpose::Quarantine, number, &sealed);
        prop_assert_eq!(opened, Ok(content));
    }
}
