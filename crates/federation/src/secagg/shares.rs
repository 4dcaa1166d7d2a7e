//! Shares of a participant's two secrets: Shamir over GF(2⁸), byte by byte (A. Shamir, *How to Share a
//! Secret*, CACM 1979), committed to, and sealed for their holders.
//!
//! Wrong shares combine without a sign, into another secret. So the dealer commits to each share,
//! the holder compares when it gets it, and the aggregator compares when it is revealed: a share
//! that does not match is its holder's fault then. What matches is combined, and the result is
//! compared too: a masking key with the public key that was signed, a seed with its own commitment.
//! If that fails, the dealer dealt shares of nothing.

use super::context::Context;
use super::mask::Seed;
use chacha20::ChaCha20Rng;
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce};
use sha2::{Digest as _, Sha256};
use vsss_rs::Gf256;
use wire::Digest;
use wire::secure::{DealtShare, Places, Secret};
use zeroize::Zeroizing;

/// A share in clear.
pub(super) type Share = Zeroizing<[u8; 32]>;

/// A holder's shares of both of a dealer's secrets.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) seed: Share,
    pub(super) key: Share,
}

impl Pair {
    pub(super) fn of(&self, secret: Secret) -> &Share {
        match secret {
            Secret::Seed => &self.seed,
            Secret::Key => &self.key,
        }
    }
}

/// One share for each holder, in their order; `threshold` of them recover the secret.
pub(super) fn split(
    secret: &[u8; 32],
    threshold: usize,
    holders: usize,
    rng: &mut ChaCha20Rng,
) -> Vec<Share> {
    let shares = Gf256::split_bytes(threshold, holders, secret, rng)
        .expect("the threshold is between 2 and the holders, of whom there are at most 255");
    shares
        .into_iter()
        .map(Zeroizing::new)
        .map(|share| value(&share))
        .collect()
}

/// A share is its holder's number, from 1 in the order of places, and 32 bytes. Only these travel:
/// nobody can choose a number.
fn value(share: &[u8]) -> Share {
    let mut value = Zeroizing::new([0; 32]);
    value.copy_from_slice(&share[1..]);
    value
}

/// The secret behind at least a threshold of shares, each with its holder's index among the holders.
pub(super) fn combine(shares: &[(usize, Share)]) -> Option<Share> {
    let numbered = shares.iter().map(|(index, share)| {
        let number = u8::try_from(index + 1).ok()?;
        let mut bytes = vec![number];
        bytes.extend(share.iter());
        Some(bytes)
    });
    let numbered = Zeroizing::new(numbered.collect::<Option<Vec<_>>>()?);
    let secret = Zeroizing::new(Gf256::combine_bytes(&*numbered).ok()?);
    let mut whole = Zeroizing::new([0; 32]);
    (secret.len() == whole.len()).then(|| {
        whole.copy_from_slice(&secret);
        whole
    })
}

/// Shares have 256 bits of entropy each, so their hash hides them.
pub(super) fn commitment(
    context: &Context,
    dealer: u16,
    holder: u16,
    secret: Secret,
    share: &[u8; 32],
) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"glasshouse secagg share v1\0");
    hash.update(context.digest().0);
    hash.update(dealer.to_le_bytes());
    hash.update(holder.to_le_bytes());
    hash.update([match secret {
        Secret::Seed => 0,
        Secret::Key => 1,
    }]);
    hash.update(share);
    Digest(hash.finalize().into())
}

/// A seed has 256 bits of entropy, so its hash hides it.
pub(super) fn seed_commitment(context: &Context, dealer: u16, seed: &[u8; 32]) -> Digest {
    let mut hash = Sha256::new();
    hash.update(b"glasshouse secagg seed v1\0");
    hash.update(context.digest().0);
    hash.update(dealer.to_le_bytes());
    hash.update(seed);
    Digest(hash.finalize().into())
}

pub(super) fn committed(dealt: &DealtShare, secret: Secret) -> Digest {
    match secret {
        Secret::Seed => dealt.seed,
        Secret::Key => dealt.key,
    }
}

/// What is sealed with, but not inside: the commitments, and who the dealer believes takes part.
fn associated(advertised: &Places, seed: Digest, key: Digest) -> Vec<u8> {
    let mut bytes = b"glasshouse secagg sealed v1\0".to_vec();
    bytes.extend(seed.0);
    bytes.extend(key.0);
    bytes.extend(advertised.bytes());
    bytes
}

/// Each key seals one message, so the nonce may be constant.
const NONCE: [u8; 12] = [0; 12];

pub(super) fn seal(
    sealing: &Seed,
    advertised: &Places,
    pair: &Pair,
    seed: Digest,
    key: Digest,
) -> Vec<u8> {
    let mut message = Zeroizing::new([0; 64]);
    message[..32].copy_from_slice(&*pair.seed);
    message[32..].copy_from_slice(&*pair.key);
    let payload = Payload {
        msg: &*message,
        aad: &associated(advertised, seed, key),
    };
    ChaCha20Poly1305::new(&(**sealing).into())
        .encrypt(&Nonce::from(NONCE), payload)
        .expect("64 bytes are less than the cipher's limit")
}

/// `None`: not sealed under this key, by somebody with these commitments and this view of the round.
pub(super) fn open(sealing: &Seed, advertised: &Places, dealt: &DealtShare) -> Option<Pair> {
    let payload = Payload {
        msg: &dealt.sealed,
        aad: &associated(advertised, dealt.seed, dealt.key),
    };
    let message = ChaCha20Poly1305::new(&(**sealing).into())
        .decrypt(&Nonce::from(NONCE), payload)
        .ok()
        .map(Zeroizing::new)?;
    let (mut seed, mut key) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    if message.len() != 64 {
        return None;
    }
    seed.copy_from_slice(&message[..32]);
    key.copy_from_slice(&message[32..]);
    Some(Pair { seed, key })
}
