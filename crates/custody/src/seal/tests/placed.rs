//! The second form: a key for each topic and partition, and proof of origin.

use super::*;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn sealed(form: SealForm<'_>) -> Vec<u8> {
    let secrets = secrets(3);
    sealer(1)
        .seal_as(form, Some(&secrets), &HERE, b"42 volts")
        .unwrap()
}

/// The ledger, as far as it concerns here: node-a has the key of seed 1.
fn identity(node: &NodeId) -> Option<[u8; 32]> {
    (node.as_str() == "node-a").then(|| key(1).verifying_key().to_bytes())
}

const ASKED: Origin<'static> = Origin::Proven(&identity);

fn open(bytes: &[u8], origin: Origin<'_>) -> Result<Opened, OpenError> {
    ring(Grace::default(), [3]).open_from(T0, &HERE, bytes, origin)
}

/// Read by programs in other languages: a change must be a new version.
#[test]
fn the_bytes_are_pinned() {
    let bytes = sealed(SealForm::Placed(None));
    assert_eq!(bytes.len(), b"42 volts".len() + 51 + "node-a".len());
    let header = "0200000000000000000300000000000000000101010101010101010101010101010106\
                  6e6f64652d61";
    assert_eq!(hex::encode(&bytes[..41]), header);
    assert_eq!(
        hex::encode(HERE.place_key(&secrets(3).data).0),
        "07ecbf2fcd31c4a5fc0bbafe4fdc98e500756883f65c0b7d6065efdedbcbf46f",
        "as HKDF of another library gives it"
    );
    let signed = sealed(SealForm::Placed(Some(&key(1))));
    assert_eq!(signed.len(), bytes.len() + 64);
    assert_eq!(signed[..2], [2, 1]);
}

#[test]
fn a_key_of_one_place_is_none_of_another() {
    let ring = ring(Grace::default(), [2, 3]);
    let keys = ring.place_keys(&HERE);
    let epochs: Vec<_> = keys.iter().map(|(epoch, _)| epoch.0).collect();
    assert_eq!(epochs, [2, 3]);
    let other_device = Place {
        key: "pdu-1",
        ..HERE
    };
    assert_eq!(
        ring.place_keys(&other_device),
        keys,
        "a room's key is one key"
    );
    for elsewhere in [
        Place {
            topic: "scores",
            ..HERE
        },
        Place {
            partition: "room-2",
            ..HERE
        },
        Place {
            topic: "readingsr",
            partition: "oom-1",
            ..HERE
        },
    ] {
        for ((_, here), (_, there)) in keys.iter().zip(ring.place_keys(&elsewhere)) {
            assert_ne!(*here, there);
        }
    }
    assert_eq!(format!("{:?}", keys[0].1), "PlaceKey(redacted)");
}

#[test]
fn both_forms_open_and_neither_passes_for_the_other() {
    let plain = sealed(SealForm::Plain);
    let placed = sealed(SealForm::Placed(None));
    for bytes in [&plain, &placed] {
        assert_eq!(open(bytes, Origin::Unasked).unwrap().plaintext, b"42 volts");
    }
    // The same writer's two forms have different keys: only the version differs here.
    let mut relabelled = plain.clone();
    relabelled.splice(0..1, [2, 0]);
    assert!(matches!(
        open(&relabelled, Origin::Unasked),
        Err(OpenError::Tampered { .. })
    ));
    for flags in 2..=255 {
        let mut odd = placed.clone();
        odd[1] = flags;
        assert!(matches!(
            open(&odd, Origin::Unasked),
            Err(OpenError::Malformed { .. })
        ));
    }
}

#[test]
fn an_origin_is_proven_by_the_ledger_s_key_only() {
    let signed = sealed(SealForm::Placed(Some(&key(1))));
    assert_eq!(open(&signed, ASKED).unwrap().writer.as_str(), "node-a");
    assert!(open(&signed, Origin::Unasked).is_ok());

    let writer = NodeId::from("node-a");
    let unsigned = OpenError::Unsigned {
        writer: writer.clone(),
    };
    for form in [SealForm::Plain, SealForm::Placed(None)] {
        assert_eq!(open(&sealed(form), ASKED), Err(unsigned.clone()));
    }
    // Another member seals in node-a's name: he holds the data key, and not the identity.
    let forged = OpenError::Forged { writer };
    let by_other = sealed(SealForm::Placed(Some(&key(2))));
    assert_eq!(open(&by_other, ASKED), Err(forged.clone()));
    let mut changed = signed.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(open(&changed, ASKED), Err(forged.clone()));
    let nobody = Origin::Proven(&|_| None);
    assert_eq!(open(&signed, nobody), Err(forged));
}

#[test]
fn a_forged_origin_does_not_use_up_the_genuine_payload() {
    let mut ring = ring(Grace::default(), [3]);
    let signed = sealed(SealForm::Placed(Some(&key(1))));
    let forged = sealed(SealForm::Placed(Some(&key(2))));
    assert!(ring.open_from(T0, &HERE, &forged, ASKED).is_err());
    assert!(ring.open_from(T0, &HERE, &signed, ASKED).is_ok());
    assert!(matches!(
        ring.open_from(T0, &HERE, &signed, ASKED),
        Err(OpenError::Replayed { .. })
    ));
}

/// A cut or changed payload is refused and never panics, whatever it claims to be.
#[test]
fn every_cut_and_every_changed_byte_is_refused() {
    let signed = sealed(SealForm::Placed(Some(&key(1))));
    for at in 0..signed.len() {
        assert!(open(&signed[..at], ASKED).is_err());
        let mut changed = signed.clone();
        changed[at] ^= 0x40;
        assert!(open(&changed, ASKED).is_err(), "byte {at}");
    }
}

#[test]
fn outside_a_place_key_opens_its_epoch_and_nothing_else() {
    let keys: BTreeMap<_, _> = ring(Grace::default(), [2, 3])
        .place_keys(&HERE)
        .into_iter()
        .collect();
    let of_2: BTreeMap<_, _> = keys.clone().into_iter().take(1).collect();
    let (epoch, plain) = (KeyEpoch(3), sealed(SealForm::Plain));
    let (placed, signed) = (
        sealed(SealForm::Placed(None)),
        sealed(SealForm::Placed(Some(&key(1)))),
    );
    let mut changed = placed.clone();
    *changed.last_mut().unwrap() ^= 1;
    let elsewhere = Place {
        key: "pdu-1",
        ..HERE
    };
    let malformed = |reason: &str| OutsideError::Malformed {
        reason: reason.to_owned(),
    };
    for (name, keys, place, bytes, refused) in [
        ("placed", &keys, HERE, &placed, None),
        ("signed", &keys, HERE, &signed, None),
        (
            "no key",
            &of_2,
            HERE,
            &placed,
            Some(OutsideError::NoKey { epoch }),
        ),
        ("plain", &keys, HERE, &plain, Some(OutsideError::Plain)),
        (
            "changed",
            &keys,
            HERE,
            &changed,
            Some(OutsideError::Tampered),
        ),
        (
            "moved",
            &keys,
            elsewhere,
            &placed,
            Some(OutsideError::Tampered),
        ),
        ("empty", &keys, HERE, &Vec::new(), Some(malformed(""))),
    ] {
        match (open_outside(keys, &place, bytes), refused) {
            (Ok(opened), None) => assert_eq!(opened.plaintext, b"42 volts", "{name}"),
            (Err(OutsideError::Malformed { .. }), Some(OutsideError::Malformed { .. })) => {}
            (found, refused) => assert_eq!(found.err(), refused, "{name}"),
        }
    }
}
