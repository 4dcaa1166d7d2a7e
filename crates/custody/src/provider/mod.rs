//! What OpenMLS needs from the outside, for suite 0x0003 alone: X25519, ChaCha20-Poly1305,
//! SHA-256, Ed25519, all of one dalek generation, all randomness from our own generator.
//! (`openmls_rust_crypto` would bring a second, older generation of the same crates.)

mod crypto;
#[cfg(test)]
mod tests;

use crate::drbg::Drbg;
use ed25519_dalek::{Signer as _, SigningKey};
use openmls_memory_storage::MemoryStorage;
use openmls_traits::{
    OpenMlsProvider,
    random::OpenMlsRand,
    signatures::{Signer, SignerError},
    types::{Ciphersuite, SignatureScheme},
};
use std::convert::Infallible;

/// The only suite this house speaks.
pub(crate) const SUITE: Ciphersuite =
    Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519;

/// The algorithms of [`SUITE`].
#[derive(Debug)]
pub(crate) struct Crypto {
    rng: Drbg,
}

impl OpenMlsRand for Crypto {
    type Error = Infallible;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Infallible> {
        Ok(self.rng.bytes())
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Infallible> {
        Ok(self.rng.vec(len))
    }
}

/// Algorithms, randomness and storage of one group. Storage is memory on purpose: group state
/// reloaded after a crash could reuse keys, so a restarted node joins again instead.
#[derive(Debug)]
pub(crate) struct Provider {
    crypto: Crypto,
    storage: MemoryStorage,
}

impl Provider {
    pub(crate) fn new(rng: Drbg) -> Self {
        Self {
            crypto: Crypto { rng },
            storage: MemoryStorage::default(),
        }
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.storage
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

/// Signs group messages with the node's identity key, which the key itself wipes on drop.
pub(crate) struct IdentitySigner<'a>(pub(crate) &'a SigningKey);

impl Signer for IdentitySigner<'_> {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_bytes().to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}
