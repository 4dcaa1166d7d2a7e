use super::super::ratchet::{Direction, Ratchet};
use super::super::record::{HEADER, MAX_WHY, Opener, Record, Sealer};
use super::super::resolver::nonce;
use super::*;
use chacha20poly1305::ChaCha20Poly1305;
use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use proptest::prelude::*;

fn ends() -> (Sealer, Opener) {
    let ratchet = || Ratchet::new(&[1; 32], [3; 32], Direction::FromInitiator);
    (
        Sealer::new(&[1; 32], ratchet()),
        Opener::new(&[1; 32], ratchet()),
    )
}

fn sealed(sealer: &mut Sealer, record: Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.seal(record, &mut out).unwrap();
    assert_eq!(
        usize::from(u16::from_be_bytes([out[0], out[1]])),
        out.len() - HEADER
    );
    out.split_off(HEADER)
}

#[test]
fn every_kind_survives_the_trip() {
    let (mut sealer, mut opener) = ends();
    for record in [
        Record::Data(b""),
        Record::Data(&[5; super::super::record::MAX_DATA]),
        Record::Heartbeat,
        Record::Have(KeyEpoch(u64::MAX)),
        Record::Moved(KeyEpoch(3)),
        Record::Dismissed("node a was evicted: stolen"),
    ] {
        let mut bytes = sealed(&mut sealer, record);
        assert_eq!(opener.open(&mut bytes).unwrap(), record);
    }
}

/// Nodes of releases before read and write them so.
#[test]
fn another_implementation_of_the_cipher_makes_the_same_records() {
    const MAX: usize = super::super::record::MAX_DATA;
    let (mut sealer, mut opener) = ends();
    let cipher = ChaCha20Poly1305::new(&[1; 32].into());
    for (number, length) in (0..).zip([0, 1, 15, 16, 63, 64, 65, 1000, 4096, MAX - 1, MAX]) {
        let data: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let mut theirs = vec![0];
        theirs.extend_from_slice(&data);
        let tag = cipher
            .encrypt_inout_detached(&nonce(number), &[], (&mut theirs[..]).into())
            .unwrap();
        theirs.extend_from_slice(&tag);
        assert!(
            sealed(&mut sealer, Record::Data(&data)) == theirs,
            "{length} bytes"
        );
        assert_eq!(opener.open(&mut theirs).unwrap(), Record::Data(&data));
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let (mut sealer, mut opener) = ends();
    let why = "é".repeat(MAX_WHY);
    let mut bytes = sealed(&mut sealer, Record::Dismissed(&why));
    assert_eq!(
        opener.open(&mut bytes).unwrap(),
        Record::Dismissed(&why[..MAX_WHY])
    );
    let why = format!("x{why}");
    let mut bytes = sealed(&mut sealer, Record::Dismissed(&why));
    assert_eq!(
        opener.open(&mut bytes).unwrap(),
        Record::Dismissed(&why[..MAX_WHY - 1])
    );
}

#[test]
fn a_move_changes_the_key_for_good_and_needs_the_same_secret_and_past() {
    let (mut sealer, mut opener) = ends();
    let (epoch, secret_4) = secret(4);
    let before = sealed(&mut sealer, Record::Heartbeat);
    let mut out = Vec::new();
    sealer.advance(epoch, &secret_4, &mut out).unwrap();
    let after = sealed(&mut sealer, Record::Data(b"new"));

    opener.open(&mut before.clone()).unwrap();
    assert_eq!(
        opener.open(&mut out[HEADER..]).unwrap(),
        Record::Moved(epoch)
    );
    opener.advance(epoch, &secret_4);
    assert_eq!(
        opener.open(&mut after.clone()).unwrap(),
        Record::Data(b"new")
    );
    assert!(
        opener.open(&mut before.clone()).is_err(),
        "an old record under the new key"
    );

    // Another group's secret, or another link's past with the right secret: neither will do.
    for (split, secret) in [([1; 32], secret(5).1), ([9; 32], secret_4)] {
        let mut stranger = Opener::new(
            &split,
            Ratchet::new(&split, [3; 32], Direction::FromInitiator),
        );
        stranger.advance(epoch, &secret);
        assert!(stranger.open(&mut after.clone()).is_err());
    }
    let mut reflected = Opener::new(
        &[1; 32],
        Ratchet::new(&[1; 32], [3; 32], Direction::FromResponder),
    );
    reflected.advance(epoch, &secret_4);
    assert!(
        reflected.open(&mut after.clone()).is_err(),
        "directions share a key"
    );
}

#[test]
fn moves_go_forward_only() {
    let (_, mut opener) = ends();
    opener.advance(KeyEpoch(6), &[6; 32]);
    opener.check_move(KeyEpoch(7)).unwrap();
    for to in [0, 5, 6] {
        let error = opener.check_move(KeyEpoch(to)).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("the peer moves from epoch 6 to {to}; epochs only grow")
        );
    }
}

#[test]
fn malformed_records_are_refused_even_from_a_key_holder() {
    let table: [(&[u8], &str); 6] = [
        (&[5], "record kind 5 is unknown to this build"),
        (&[4, 0xff], "a control record of kind 4 has 1 bytes of body"),
        (&[0xff, 1, 2], "record kind 255 is unknown to this build"),
        (&[2], "a control record of kind 2 has 0 bytes of body"),
        (
            &[3, 0, 0, 0, 1],
            "a control record of kind 3 has 4 bytes of body",
        ),
        (
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            "a control record of kind 2 has 9 bytes of body",
        ),
    ];
    for (plain, expected) in table {
        let mut bytes = plain.to_vec();
        let cipher = ChaCha20Poly1305::new(&[1; 32].into());
        let tag = cipher
            .encrypt_inout_detached(&nonce(0), &[], (&mut bytes[..]).into())
            .unwrap();
        bytes.extend_from_slice(&tag);
        assert_eq!(ends().1.open(&mut bytes).unwrap_err().to_string(), expected);
    }
    for length in 0..=16 {
        let error = ends().1.open(&mut vec![0; length]).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("a record of {length} bytes is shorter than any record")
        );
    }
}

proptest! {
    /// Any change, repetition, omission or exchange of records is noticed at that record.
    #[test]
    fn tampering_is_noticed(
        lengths in prop::collection::vec(0usize..300, 2..8),
        victim in any::<prop::sample::Index>(),
        bit in any::<prop::sample::Index>(),
        crime in 0..4,
    ) {
        let (mut sealer, mut opener) = ends();
        let mut records: Vec<_> =
            lengths.iter().map(|length| sealed(&mut sealer, Record::Data(&vec![7; *length]))).collect();
        let victim = victim.index(records.len() - 1);
        match crime {
            0 => {
                let bit = bit.index(records[victim].len() * 8);
                records[victim][bit / 8] ^= 1 << (bit % 8);
            }
            1 => { let copy = records[victim].clone(); records.insert(victim, copy); }
            2 => { records.remove(victim); }
            _ => records.swap(victim, victim + 1),
        }
        let first_bad = if crime == 1 { victim + 1 } else { victim };
        for (number, record) in records.iter_mut().enumerate() {
            let opened = opener.open(record);
            if number < first_bad {
                prop_assert!(opened.is_ok());
            } else {
                prop_assert!(opened.is_err(), "record {number} of {:?}", lengths);
                break;
            }
        }
    }
}
