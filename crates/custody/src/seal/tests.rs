use super::*;
use crate::EpochSecrets;
use machine::Instant;
use proptest::prelude::*;
use std::time::Duration;
use wire::{KeyEpoch, NodeId};

const HERE: Place<'static> = Place {
    topic: "readings",
    partition: "room-1",
    key: "ups-7",
};
const T0: Instant = Instant::from_millis(1_000);

fn secrets(epoch: u64) -> EpochSecrets {
    EpochSecrets {
        epoch: KeyEpoch(epoch),
        link: [1; 32],
        data: [epoch as u8; 32],
        holders: Default::default(),
    }
}

fn sealer(salt: u8) -> Sealer {
    Sealer::new(NodeId::from("node-a"), [salt; 16]).unwrap()
}

fn ring(grace: Grace, epochs: impl IntoIterator<Item = u64>) -> Keyring {
    let mut ring = Keyring::new(grace);
    for epoch in epochs {
        ring.start(T0, secrets(epoch));
    }
    ring
}

#[test]
fn what_is_sealed_opens_once_with_its_origin() {
    let mut ring = ring(Grace::default(), [3]);
    let sealed = sealer(1).seal(ring.current(), &HERE, b"42 volts").unwrap();
    assert_eq!(sealed.len(), b"42 volts".len() + 50 + "node-a".len());
    assert!(
        !sealed.windows(5).any(|window| window == b"volts"),
        "nothing in clear"
    );
    let opened = ring.open(T0, &HERE, &sealed).unwrap();
    assert_eq!(
        opened,
        Opened {
            plaintext: b"42 volts".to_vec(),
            epoch: KeyEpoch(3),
            writer: NodeId::from("node-a"),
            sequence: 0
        }
    );
    let again = ring.open(T0, &HERE, &sealed).unwrap_err();
    assert_eq!(
        again,
        OpenError::Replayed {
            writer: NodeId::from("node-a"),
            sequence: 0
        }
    );
}

/// The layout is read by other versions of this software: a change must be a new version.
#[test]
fn the_header_s_bytes_are_pinned() {
    let sealed = sealer(0xab)
        .seal(Some(&secrets(0x0102)), &HERE, b"")
        .unwrap();
    let header = concat!(
        "01",
        "0000000000000102",
        "0000000000000000",
        "abababababababababababababababab",
        "06",
        "6e6f64652d61"
    );
    assert_eq!(hex::encode(&sealed[..sealed.len() - header::TAG]), header);
}

#[test]
fn a_payload_opens_nowhere_else() {
    let sealed = sealer(1).seal(Some(&secrets(3)), &HERE, b"x").unwrap();
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
            key: "ups-8",
            ..HERE
        },
        // The same letters, divided otherwise.
        Place {
            topic: "readingsr",
            partition: "oom-1",
            ..HERE
        },
    ] {
        let error = ring(Grace::default(), [3])
            .open(T0, &elsewhere, &sealed)
            .unwrap_err();
        assert!(
            matches!(error, OpenError::Tampered { .. }),
            "{elsewhere:?}: {error}"
        );
    }
}

#[test]
fn the_epoch_decides_what_opens() {
    let grace = Grace {
        epochs: 2,
        time: Duration::from_secs(10),
    };
    let sealed: Vec<_> = (1..=6)
        .map(|epoch| {
            sealer(epoch as u8)
                .seal(Some(&secrets(epoch)), &HERE, b"x")
                .unwrap()
        })
        .collect();
    let mut ring = ring(grace, 2..=5);
    let mut open = |epoch: u64, now| {
        ring.open(now, &HERE, &sealed[epoch as usize - 1])
            .map(|opened| opened.epoch.0)
    };
    let newest = KeyEpoch(5);
    assert_eq!(
        open(1, T0),
        Err(OpenError::UnknownEpoch {
            epoch: KeyEpoch(1),
            newest
        }),
        "before our time"
    );
    assert_eq!(
        open(2, T0),
        Err(OpenError::Retired { epoch: KeyEpoch(2) }),
        "two newer ones are kept"
    );
    assert_eq!(open(3, T0), Ok(3));
    assert_eq!(
        open(6, T0),
        Err(OpenError::UnknownEpoch {
            epoch: KeyEpoch(6),
            newest
        }),
        "ahead of us"
    );
    let nearly = T0 + Duration::from_millis(9_999);
    assert_eq!(open(4, nearly), Ok(4));
    let over = T0 + Duration::from_secs(10);
    assert_eq!(
        open(4, over),
        Err(OpenError::Retired { epoch: KeyEpoch(4) })
    );
    assert_eq!(
        open(5, over),
        Ok(5),
        "the current epoch has no end of its own"
    );
}

#[test]
fn late_history_of_one_device_is_not_taken_for_a_replay_of_another() {
    let mut ring = ring(Grace::default(), [1]);
    let mut writer = sealer(1);
    let old = writer
        .seal(
            ring.current(),
            &Place {
                key: "pdu-1",
                ..HERE
            },
            b"old",
        )
        .unwrap();
    for _ in 0..2 * REPLAY_WINDOW {
        let live = writer.seal(ring.current(), &HERE, b"live").unwrap();
        ring.open(T0, &HERE, &live).unwrap();
    }
    assert_eq!(
        ring.open(
            T0,
            &Place {
                key: "pdu-1",
                ..HERE
            },
            &old
        )
        .unwrap()
        .sequence,
        0
    );
}

#[test]
fn a_restarted_writer_is_a_new_one() {
    let mut ring = ring(Grace::default(), [1]);
    for salt in [1, 2] {
        let sealed = sealer(salt).seal(ring.current(), &HERE, b"same").unwrap();
        assert_eq!(ring.open(T0, &HERE, &sealed).unwrap().sequence, 0);
    }
}

#[test]
fn a_forgery_does_not_use_up_the_genuine_payload() {
    let mut ring = ring(Grace::default(), [1]);
    let sealed = sealer(1).seal(ring.current(), &HERE, b"x").unwrap();
    let mut forged = sealed.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(matches!(
        ring.open(T0, &HERE, &forged),
        Err(OpenError::Tampered { .. })
    ));
    ring.open(T0, &HERE, &sealed).unwrap();
}

#[test]
fn a_writer_stops_before_it_repeats_a_nonce() {
    let mut writer = sealer(1).at_sequence(u64::MAX);
    writer.seal(Some(&secrets(1)), &HERE, b"last").unwrap();
    assert_eq!(
        writer.seal(Some(&secrets(1)), &HERE, b"x"),
        Err(SealError::Exhausted)
    );
    assert_eq!(
        writer.seal(Some(&secrets(2)), &HERE, b"x"),
        Err(SealError::Exhausted),
        "nor in a new epoch"
    );
}

#[test]
fn sealing_refuses_what_it_cannot_do() {
    assert_eq!(sealer(1).seal(None, &HERE, b"x"), Err(SealError::NoKey));
    let error = Sealer::new(NodeId::new("n".repeat(256)), [0; 16]).unwrap_err();
    assert_eq!(error, SealError::NameTooLong { len: 256 });
}

#[test]
fn debug_output_shows_no_key() {
    let mut ring = ring(Grace::default(), [77]);
    let sealed = sealer(1).seal(ring.current(), &HERE, b"x").unwrap();
    ring.open(T0, &HERE, &sealed).unwrap();
    assert_eq!(
        format!("{ring:?}"),
        "Keyring { epochs: [KeyEpoch(77)], .. }"
    );
}

#[test]
fn parked_payloads_come_back_with_their_epoch_or_are_given_up() {
    let mut parking = Parking::new(Duration::from_secs(2));
    assert_eq!(parking.park(T0, KeyEpoch(5), "five"), None);
    assert_eq!(parking.park(T0, KeyEpoch(6), "six"), None);
    assert_eq!(
        parking.park(T0 + Duration::from_secs(1), KeyEpoch(5), "five again"),
        None
    );
    assert_eq!(parking.release(KeyEpoch(5)), ["five", "five again"]);
    assert_eq!(
        parking.give_up(T0 + Duration::from_secs(1)),
        [] as [&str; 0]
    );
    assert_eq!(parking.give_up(T0 + Duration::from_secs(2)), ["six"]);
    assert!(parking.is_empty());
    for n in 0..MAX_PARKED {
        assert_eq!(
            Parking::park(&mut parking, T0, KeyEpoch(9), "x"),
            None,
            "{n}"
        );
    }
    assert_eq!(
        parking.park(T0, KeyEpoch(9), "y"),
        Some("x"),
        "the oldest makes room"
    );
    assert_eq!(parking.len(), MAX_PARKED);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_not_opened(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(ring(Grace::default(), [1, 2]).open(T0, &HERE, &bytes).is_err());
    }

    #[test]
    fn any_change_of_any_byte_is_noticed(at in 0_usize..71, flip in 1_u8..) {
        let mut sealed = sealer(1).seal(Some(&secrets(1)), &HERE, b"fifteen bytes..").unwrap();
        prop_assert_eq!(sealed.len(), 71);
        sealed[at] ^= flip;
        prop_assert!(ring(Grace::default(), [1]).open(T0, &HERE, &sealed).is_err());
    }
}

mod placed;
