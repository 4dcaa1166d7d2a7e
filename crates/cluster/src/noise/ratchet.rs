//! Keys of one direction of a link, one epoch after the other.

use hkdf::Hkdf;
use sha2::Sha256;
use wire::KeyEpoch;
use zeroize::Zeroizing;

/// Which way records flow; part of the key derivation, so that nothing can be reflected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Direction {
    FromInitiator,
    FromResponder,
}

/// The chain behind one direction's keys. Each step mixes the epoch's link secret into what came
/// before, as psk modifiers do in Noise: knowing the group's secret alone, or the former key
/// alone, gives nothing; and the step cannot be undone.
pub(super) struct Ratchet {
    epoch: KeyEpoch,
    chain: Zeroizing<[u8; 32]>,
    handshake_hash: [u8; 32],
    direction: Direction,
}

impl Ratchet {
    /// Starts from the key that the handshake's `Split()` gave this direction.
    pub(super) fn new(
        split_key: &[u8; 32],
        handshake_hash: [u8; 32],
        direction: Direction,
    ) -> Self {
        let mut chain = Zeroizing::new([0; 32]);
        expand(
            &handshake_hash,
            split_key,
            &[b"glasshouse link chain"],
            chain.as_mut(),
        );
        Self {
            epoch: KeyEpoch(0),
            chain,
            handshake_hash,
            direction,
        }
    }

    /// 0: the handshake's key.
    pub(super) fn epoch(&self) -> KeyEpoch {
        self.epoch
    }

    /// The direction's key from here on. The caller sees to it that epochs only grow.
    pub(super) fn step(&mut self, epoch: KeyEpoch, secret: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        let direction: &[u8] = match self.direction {
            Direction::FromInitiator => b"initiator",
            Direction::FromResponder => b"responder",
        };
        let info = [
            b"glasshouse link epoch",
            direction,
            &epoch.0.to_be_bytes(),
            &self.handshake_hash,
        ];
        let mut both = Zeroizing::new([0; 64]);
        expand(self.chain.as_ref(), secret, &info, both.as_mut());
        self.epoch = epoch;
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&both[..32]);
        self.chain.copy_from_slice(&both[32..]);
        key
    }
}

/// HKDF-SHA256 (RFC 5869).
fn expand(salt: &[u8], input: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::new(Some(salt), input)
        .expand_multi_info(info, out)
        .expect("64 bytes are within HKDF's limit of 255 hashes");
}
