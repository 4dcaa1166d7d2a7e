//! Keys of one round, and what comes of two of them.

use super::context::Context;
use super::error::Refusal;
use super::mask::Seed;
use ed25519_dalek::{Signature as Ed25519, Signer as _, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::Sha256;
use wire::Digest;
use wire::secure::{AdvertisedKeys, Places, Signature};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// A participant's two secret keys of one round; x25519-dalek wipes them when they are dropped.
pub(super) struct RoundKeys {
    sealing: StaticSecret,
    masking: StaticSecret,
}

impl RoundKeys {
    pub(super) fn new(sealing: [u8; 32], masking: [u8; 32]) -> Self {
        Self {
            sealing: StaticSecret::from(sealing),
            masking: StaticSecret::from(masking),
        }
    }

    pub(super) fn advertise(&self, context: &Context, identity: &SigningKey) -> AdvertisedKeys {
        let sealing = PublicKey::from(&self.sealing).to_bytes();
        let masking = PublicKey::from(&self.masking).to_bytes();
        let signature = identity.sign(&advertised_bytes(context, &sealing, &masking));
        AdvertisedKeys {
            sealing,
            masking,
            signature: Signature(signature.to_bytes().to_vec()),
        }
    }

    /// What is dealt of the masking key.
    pub(super) fn masking_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.masking.to_bytes())
    }

    /// Agrees with a neighbour on what its shares are sealed with.
    pub(super) fn agree(
        &self,
        context: &Context,
        other: u16,
        public: &[u8; 32],
    ) -> Result<Shared, Refusal> {
        let shared = agree(&self.sealing, public);
        shared.map(Shared).ok_or_else(|| Refusal::WeakKey {
            node: context.name(other),
        })
    }

    /// The seed of the mask shared with the owner of `public`.
    pub(super) fn mask_seed(
        &self,
        context: &Context,
        dealt: &Places,
        public: &[u8; 32],
        (me, other): (u16, u16),
    ) -> Result<Seed, Refusal> {
        let seed = mask_seed(context, dealt, &self.masking, public, (me, other));
        seed.ok_or_else(|| Refusal::WeakKey {
            node: context.name(other),
        })
    }
}

/// What two participants have agreed on.
pub(super) struct Shared(Seed);

impl Shared {
    /// The key under which `from` seals for `to`. Each key seals one message.
    pub(super) fn sealing_key(&self, context: &Context, from: u16, to: u16) -> Seed {
        let [from, to] = [from, to].map(u16::to_le_bytes);
        derive(context, &self.0, &[b"seal", &from, &to])
    }
}

/// What a signature of advertised keys is over.
fn advertised_bytes(context: &Context, sealing: &[u8; 32], masking: &[u8; 32]) -> Vec<u8> {
    let mut bytes = b"glasshouse secagg keys v1\0".to_vec();
    bytes.extend(context.digest().0);
    bytes.extend(sealing);
    bytes.extend(masking);
    bytes
}

/// Whether the member at `place` advertised these keys for this round.
pub(super) fn is_signed(context: &Context, place: u16, keys: &AdvertisedKeys) -> bool {
    let bytes = advertised_bytes(context, &keys.sealing, &keys.masking);
    verify(context, place, &bytes, &keys.signature)
}

/// The sets on which a round ends, as a participant knows them: who advertised keys, who dealt
/// shares, whose update came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Agreement<'a> {
    pub(super) advertised: &'a Places,
    pub(super) dealt: &'a Places,
    pub(super) survivors: &'a Places,
}

impl Agreement<'_> {
    fn bytes(&self, context: &Context) -> Vec<u8> {
        let mut bytes = b"glasshouse secagg survivors v1\0".to_vec();
        bytes.extend(context.digest().0);
        for set in [self.advertised, self.dealt, self.survivors] {
            bytes.extend((set.bytes().len() as u64).to_le_bytes());
            bytes.extend(set.bytes());
        }
        bytes
    }

    pub(super) fn sign(&self, context: &Context, identity: &SigningKey) -> Signature {
        Signature(identity.sign(&self.bytes(context)).to_bytes().to_vec())
    }

    pub(super) fn is_signed(&self, context: &Context, place: u16, by: &Signature) -> bool {
        verify(context, place, &self.bytes(context), by)
    }
}

fn verify(context: &Context, place: u16, bytes: &[u8], signature: &Signature) -> bool {
    let key = context
        .member(place)
        .and_then(|member| VerifyingKey::from_bytes(&member.identity).ok());
    match (key, Ed25519::from_slice(&signature.0)) {
        (Some(key), Ok(signature)) => key.verify_strict(bytes, &signature).is_ok(),
        (None, _) | (_, Err(_)) => false,
    }
}

/// The seed of the mask that two participants share; `mine` may have been recovered from shares.
/// `None`: the public key is none that contributes.
pub(super) fn mask_seed(
    context: &Context,
    dealt: &Places,
    mine: &StaticSecret,
    public: &[u8; 32],
    (a, b): (u16, u16),
) -> Option<Seed> {
    let shared = agree(mine, public)?;
    let [low, high] = [a.min(b), a.max(b)].map(u16::to_le_bytes);
    Some(derive(
        context,
        &shared,
        &[b"mask", &low, &high, dealt.bytes()],
    ))
}

/// The seed of a participant's own mask, from the secret that it deals.
pub(super) fn self_mask(context: &Context, place: u16, secret: &[u8; 32]) -> Seed {
    derive(context, secret, &[b"self", &place.to_le_bytes()])
}

fn agree(secret: &StaticSecret, public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = secret.diffie_hellman(&PublicKey::from(*public));
    shared
        .was_contributory()
        .then(|| Zeroizing::new(shared.to_bytes()))
}

/// HKDF-SHA-256 (RFC 5869) with the round as salt: number, ledger entry, model, cohort.
fn derive(context: &Context, secret: &[u8; 32], info: &[&[u8]]) -> Seed {
    let Digest(salt) = context.digest();
    let mut key = Zeroizing::new([0; 32]);
    let mut parts: Vec<&[u8]> = vec![b"glasshouse secagg v1\0"];
    parts.extend(info);
    Hkdf::<Sha256>::new(Some(&salt), secret)
        .expand_multi_info(&parts, key.as_mut())
        .expect("32 bytes are less than HKDF can give");
    key
}
