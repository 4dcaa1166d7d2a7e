//! The fuzz target's entry: what a sample on the data space holds, before anything of it is believed.

use crate::{EpochSecrets, Grace, Keyring, OpenError, Origin, Place, SealForm, Sealer};
use ed25519_dalek::SigningKey;
use machine::Instant;
use wire::{KeyEpoch, NodeId};

const PLACE: Place<'static> = Place {
    topic: "glasshouse_readings",
    partition: "hall",
    key: "ups-1",
};
const ELSEWHERE: Place<'static> = Place {
    key: "ups-2",
    ..PLACE
};

fn ring() -> Keyring {
    let mut ring = Keyring::new(Grace::default());
    ring.start(
        Instant::from_millis(0),
        EpochSecrets {
            epoch: KeyEpoch(1),
            link: [1; 32],
            data: [2; 32],
            holders: Default::default(),
        },
    );
    ring
}

/// Any bytes, first as a sealed payload, then as what is sealed.
///
/// # Panics
/// A payload opened twice or at another place, one byte of it could be another, or what was sealed came out
/// as something else.
pub fn sealed_sample(bytes: &[u8]) {
    let now = Instant::from_millis(0);
    let mut receiver = ring();
    if receiver.open(now, &PLACE, bytes).is_ok() {
        let again = receiver.open(now, &PLACE, bytes);
        assert!(
            matches!(again, Err(OpenError::Replayed { .. })),
            "{again:?}"
        );
    }

    let key = SigningKey::from_bytes(&[7; 32]);
    let identity = |_: &NodeId| Some(key.verifying_key().to_bytes());
    let mut sealer = Sealer::new(NodeId::from("node-1"), [3; 16]).expect("a short name");
    let sender = ring();
    let forms = [
        (SealForm::Plain, Origin::Unasked),
        (SealForm::Placed(None), Origin::Unasked),
        (SealForm::Placed(Some(&key)), Origin::Proven(&identity)),
    ];
    for (form, origin) in forms {
        let Ok(sealed) = sealer.seal_as(form, sender.current(), &PLACE, bytes) else {
            return; // over the limit
        };
        let elsewhere = receiver.open_from(now, &ELSEWHERE, &sealed, origin);
        assert!(elsewhere.is_err(), "opened under another key");
        let mut changed = sealed.clone();
        let at = bytes.iter().fold(bytes.len(), |sum, byte| {
            (sum * 31 + usize::from(*byte)) & 0xffff
        });
        changed[at % sealed.len()] ^= 1 + bytes.first().copied().unwrap_or(0) % 255;
        let opened = receiver.open_from(now, &PLACE, &changed, origin);
        assert!(
            opened.is_err(),
            "opened although byte {} was changed",
            at % sealed.len()
        );
        let opened = receiver.open_from(now, &PLACE, &sealed, origin);
        let plaintext = opened.expect("what was sealed opens").plaintext;
        assert_eq!(plaintext, bytes);
    }
}
