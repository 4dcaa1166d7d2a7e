//! What sealing, signing, opening and checking a sample costs: `cargo run --release -p custody --example seal_cost`.

#![expect(clippy::unwrap_used, reason = "a measurement may panic")]

use custody::{EpochSecrets, Grace, Keyring, Origin, Place, SealForm, Sealer};
use ed25519_dalek::SigningKey;
use std::time::Instant;
use wire::{KeyEpoch, NodeId};

/// Enough for a stable mean in a second.
const SAMPLES: u32 = 5_000;

fn main() {
    let place = Place {
        topic: "glasshouse_readings",
        partition: "hall",
        key: "ups-1",
    };
    let key = SigningKey::from_bytes(&[7; 32]);
    let identity = |_: &NodeId| Some(key.verifying_key().to_bytes());
    for size in [256, 1_024] {
        let plaintext = vec![1; size];
        let forms = [
            ("plain form", SealForm::Plain, Origin::Unasked),
            (
                "under the place's key",
                SealForm::Placed(None),
                Origin::Unasked,
            ),
            (
                "and signed",
                SealForm::Placed(Some(&key)),
                Origin::Proven(&identity),
            ),
        ];
        for (name, form, origin) in forms {
            let mut ring = Keyring::new(Grace::default());
            let now = machine::Instant::from_millis(0);
            ring.start(
                now,
                EpochSecrets {
                    epoch: KeyEpoch(1),
                    link: [1; 32],
                    data: [2; 32],
                    holders: Default::default(),
                },
            );
            let mut sealer = Sealer::new(NodeId::from("node-1"), [3; 16]).unwrap();
            let started = Instant::now();
            let sealed: Vec<_> = (0..SAMPLES)
                .map(|_| {
                    sealer
                        .seal_as(form, ring.current(), &place, &plaintext)
                        .unwrap()
                })
                .collect();
            let sealing = started.elapsed() / SAMPLES;
            let started = Instant::now();
            for bytes in &sealed {
                ring.open_from(now, &place, bytes, origin).unwrap();
            }
            let opening = started.elapsed() / SAMPLES;
            println!("{size:5} B {name:22} seal {sealing:9.2?}  open {opening:9.2?}");
        }
    }
}
