//! Proof of origin: the writer's ed25519 signature (RFC 8032) over a sealed payload.
//!
//! It covers a label of its own, the associated data (topic, partition, key, header) and the ciphertext with its
//! tag, so it can be checked by whoever knows the member's key on the ledger, also without the data key.

use super::header::SIGNATURE;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use wire::NodeId;

/// No other signature of the house begins like this.
const LABEL: &[u8] = b"glasshouse origin 1\0";

/// What a reader asks of a payload besides its seal.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// Nothing: any holder of the key may have written it.
    Unasked,
    /// A signature by the identity key that the ledger has of the writer.
    Proven(&'a dyn Fn(&NodeId) -> Option<[u8; 32]>),
}

/// Why an origin is not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doubt {
    Unsigned,
    Forged,
}

fn message(associated: &[u8], ciphertext: &[u8]) -> Vec<u8> {
    // The associated data's parts have their lengths in front of them, so its length need not be said.
    [LABEL, associated, ciphertext].concat()
}

pub(super) fn sign(key: &SigningKey, associated: &[u8], ciphertext: &[u8]) -> [u8; SIGNATURE] {
    key.sign(&message(associated, ciphertext)).to_bytes()
}

pub(super) fn check(
    origin: Origin<'_>,
    writer: &NodeId,
    signature: Option<&[u8; SIGNATURE]>,
    associated: &[u8],
    ciphertext: &[u8],
) -> Result<(), Doubt> {
    let Origin::Proven(identity) = origin else {
        return Ok(());
    };
    let signature = Signature::from_bytes(signature.ok_or(Doubt::Unsigned)?);
    let key = identity(writer).and_then(|key| VerifyingKey::from_bytes(&key).ok());
    key.ok_or(Doubt::Forged)?
        .verify_strict(&message(associated, ciphertext), &signature)
        .map_err(|_| Doubt::Forged)
}
