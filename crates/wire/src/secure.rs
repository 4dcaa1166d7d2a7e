//! What participants and aggregator say in a secure round (`docs/secure-rounds.md`). Members are
//! named by their place in the round's cohort as the ledger has it, counted from 0.

use crate::Digest;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Some members of a cohort: bit `place % 8` of byte `place / 8`, without trailing zero bytes, so
/// that equal sets have equal bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Places(#[serde(with = "serde_bytes")] Vec<u8>);

impl Places {
    /// Whether the member at this place is one of them.
    pub fn contains(&self, place: u16) -> bool {
        let (byte, bit) = (usize::from(place / 8), place % 8);
        self.0.get(byte).is_some_and(|bits| bits >> bit & 1 == 1)
    }

    /// Adds the member at this place.
    pub fn insert(&mut self, place: u16) {
        let (byte, bit) = (usize::from(place / 8), place % 8);
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= 1 << bit;
    }

    /// All of them, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        let bits = self.0.len().min(usize::from(u16::MAX / 8)) * 8;
        (0..u16::try_from(bits).unwrap_or(u16::MAX)).filter(|place| self.contains(*place))
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    /// Nobody.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether all of them are among `others`.
    pub fn is_subset(&self, others: &Self) -> bool {
        self.iter().all(|place| others.contains(place))
    }

    /// The bytes that stand for the set in derivations and signatures.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether no other bytes stand for the same set.
    pub fn is_canonical(&self) -> bool {
        self.0.last() != Some(&0)
    }
}

impl FromIterator<u16> for Places {
    fn from_iter<I: IntoIterator<Item = u16>>(places: I) -> Self {
        let mut all = Self::default();
        places.into_iter().for_each(|place| all.insert(place));
        all
    }
}

/// A message of one secure round, with the digest of all that the round is about: number, ledger
/// entry, model, cohort, parameters. Whoever has another one is in another round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SecureMessage {
    /// `federation::secagg::Context::digest`.
    pub context: Digest,
    /// The message.
    pub step: SecureStep,
}

/// The steps, in the order of a round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum SecureStep {
    /// Participant: my keys for this round.
    Advertise(AdvertisedKeys),
    /// Aggregator: the keys of all who advertised, or of the receiver's neighbours among them.
    Keys(KeyList),
    /// Participant: shares of my secrets, each sealed for one holder.
    Shares(Deal),
    /// Aggregator: the shares that others dealt to the receiver.
    Inbox(Inbox),
    /// Participant: the update under its masks, as little-endian 64-bit words.
    Masked(#[serde(with = "crate::bulk::shared_bytes")] Arc<Vec<u8>>),
    /// Aggregator: whose updates came in.
    Survivors(Places),
    /// Participant: ed25519 over this set and the ones before it.
    Consent(Signature),
    /// Aggregator: which shares are wanted, and who agreed to the set of survivors.
    Unmask(UnmaskRequest),
    /// Participant: the shares asked for.
    Reveal(Vec<RevealedShare>),
}

impl SecureStep {
    /// Whether a participant says it, to the aggregator.
    pub fn is_participants(&self) -> bool {
        match self {
            Self::Advertise(_)
            | Self::Shares(_)
            | Self::Masked(_)
            | Self::Consent(_)
            | Self::Reveal(_) => true,
            Self::Keys(_) | Self::Inbox(_) | Self::Survivors(_) | Self::Unmask(_) => false,
        }
    }
}

/// An ed25519 signature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Signature(#[serde(with = "serde_bytes")] pub Vec<u8>);

/// A participant's keys of one round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdvertisedKeys {
    /// X25519; seals shares.
    pub sealing: [u8; 32],
    /// X25519; agrees on masks.
    pub masking: [u8; 32],
    /// By the identity key, over both and the context.
    pub signature: Signature,
}

/// Who advertised, and keys.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct KeyList {
    /// Everybody who did.
    pub advertised: Places,
    /// The keys that concern the receiver, by place, its own among them.
    pub keys: Vec<(u16, AdvertisedKeys)>,
}

/// What a participant deals.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deal {
    /// Commitment to the self-mask's seed. (The masking key has its public key.)
    pub seed: Digest,
    /// For each of its holders who advertised keys, itself among them.
    pub shares: Vec<DealtShare>,
}

/// Shares of one participant's two secrets for one holder, and what they are checked against.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DealtShare {
    /// The holder's place; in an [`Inbox`] the dealer's.
    pub place: u16,
    /// Commitment to the share of the self-mask's seed.
    pub seed: Digest,
    /// Commitment to the share of the masking key.
    pub key: Digest,
    /// Both shares, ChaCha20-Poly1305; empty for the dealer's own.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// What others dealt to one participant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Inbox {
    /// Everybody who dealt shares.
    pub dealt: Places,
    /// From each neighbour among them.
    pub shares: Vec<DealtShare>,
}

/// What the aggregator needs to take the masks off the sum.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UnmaskRequest {
    /// Shares of these participants' self-mask seeds: the survivors'.
    pub seeds: Places,
    /// Shares of these participants' masking keys: of those who dealt shares and sent no update.
    pub keys: Places,
    /// Consents to the survivors, by place.
    pub consents: Vec<(u16, Signature)>,
}

/// One share in clear.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RevealedShare {
    /// Whose secret.
    pub owner: u16,
    /// Which secret.
    pub secret: Secret,
    /// The share.
    pub share: [u8; 32],
}

/// The two secrets that are dealt.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Secret {
    /// Of which the self-mask comes; revealed for survivors.
    Seed,
    /// With which masks are agreed on; revealed for those who dropped out.
    Key,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_one_form() {
        let set: Places = [9, 0, 17].into_iter().collect();
        assert_eq!(set.bytes(), [1, 2, 2]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 9, 17]);
        assert_eq!((set.len(), set.is_canonical()), (3, true));
        assert!(set.contains(9) && !set.contains(8) && !set.contains(900));
        assert!(!Places(vec![1, 0]).is_canonical());
        assert!(Places::default().is_subset(&set) && !set.is_subset(&Places::default()));
    }

    #[test]
    fn encodings_are_pinned() {
        let frame = |step| {
            let context = Digest([7; 32]);
            let frame = crate::Frame::Secure(Box::new(SecureMessage { context, step }));
            hex::encode(crate::encode(&frame))
        };
        let head = format!("0105{}", "07".repeat(32));
        let set: Places = [0, 9].into_iter().collect();
        let keys = AdvertisedKeys {
            sealing: [1; 32],
            masking: [2; 32],
            signature: Signature(vec![3; 64]),
        };
        let (one, two, three) = ("01".repeat(32), "02".repeat(32), "03".repeat(64));
        let keys_bytes = format!("{one}{two}40{three}");
        let dealt = DealtShare {
            place: 5,
            seed: Digest([1; 32]),
            key: Digest([2; 32]),
            sealed: vec![9, 9],
        };
        let dealt_bytes = format!("05{one}{two}020909");
        let cases = [
            (
                SecureStep::Advertise(keys.clone()),
                format!("00{keys_bytes}"),
            ),
            (
                SecureStep::Keys(KeyList {
                    advertised: set.clone(),
                    keys: vec![(300, keys)],
                }),
                format!("0102010201ac02{keys_bytes}"),
            ),
            (
                SecureStep::Shares(Deal {
                    seed: Digest([1; 32]),
                    shares: vec![dealt.clone()],
                }),
                format!("02{one}01{dealt_bytes}"),
            ),
            (
                SecureStep::Inbox(Inbox {
                    dealt: set.clone(),
                    shares: vec![dealt],
                }),
                format!("0302010201{dealt_bytes}"),
            ),
            (
                SecureStep::Masked(Arc::new(vec![0xff; 8])),
                "0408ffffffffffffffff".to_owned(),
            ),
            (SecureStep::Survivors(set.clone()), "05020102".to_owned()),
            (
                SecureStep::Consent(Signature(vec![3; 64])),
                format!("0640{three}"),
            ),
            (
                SecureStep::Unmask(UnmaskRequest {
                    seeds: set,
                    keys: Places::default(),
                    consents: vec![(9, Signature(vec![3; 64]))],
                }),
                format!("0702010200010940{three}"),
            ),
            (
                SecureStep::Reveal(vec![RevealedShare {
                    owner: 9,
                    secret: Secret::Key,
                    share: [1; 32],
                }]),
                format!("08010901{one}"),
            ),
        ];
        for (step, body) in cases {
            assert_eq!(frame(step), format!("{head}{body}"));
        }
    }
}
