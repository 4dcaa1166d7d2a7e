//! What the seal of a sample costs: no peer seals the payload.

use crate::Failure;
use custody::{EpochSecrets, Grace, Keyring, Origin, Place, SealForm, Sealer};
use ed25519_dalek::SigningKey;
use std::time::Instant;
use wire::{KeyEpoch, NodeId};

/// Enough for a stable mean within a second.
const SAMPLES: u32 = 3_000;
const PLACE: Place<'static> = Place {
    topic: "glasshouse_readings",
    partition: "hall",
    key: "ups-1",
};

/// Mean microseconds to seal a sample and to open it again.
#[derive(Clone, Copy, Debug)]
pub struct Seal {
    /// By its writer.
    pub seal: f64,
    /// By each reader.
    pub open: f64,
}

/// Payloads of `size` bytes, signed or not.
pub fn seal(size: usize, signed: bool) -> Result<Seal, Failure> {
    let key = SigningKey::from_bytes(&[7; 32]);
    let identity = |_: &NodeId| Some(key.verifying_key().to_bytes());
    let origin = if signed {
        Origin::Proven(&identity)
    } else {
        Origin::Unasked
    };
    let (mut ring, now) = (
        Keyring::new(Grace::default()),
        machine::Instant::from_millis(0),
    );
    let secrets = EpochSecrets {
        epoch: KeyEpoch(1),
        link: [1; 32],
        data: [2; 32],
        holders: Default::default(),
    };
    ring.start(now, secrets);
    let mut sealer = Sealer::new(NodeId::from("node-1"), [3; 16])?;
    let (plaintext, form) = (vec![1; size], SealForm::Placed(signed.then_some(&key)));
    let start = Instant::now();
    let sealed: Result<Vec<_>, _> = (0..SAMPLES)
        .map(|_| sealer.seal_as(form, ring.current(), &PLACE, &plaintext))
        .collect();
    let (sealed, sealing) = (sealed?, start.elapsed());
    let start = Instant::now();
    for bytes in &sealed {
        ring.open_from(now, &PLACE, bytes, origin)?;
    }
    let mean = |span: std::time::Duration| 1e6 * span.as_secs_f64() / f64::from(SAMPLES);
    Ok(Seal {
        seal: mean(sealing),
        open: mean(start.elapsed()),
    })
}
