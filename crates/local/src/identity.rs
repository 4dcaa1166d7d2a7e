//! Identities for nodes that are made together. A node that joins later makes its own.

use crate::files::{self, FileError, SECRET};
use ed25519_dalek::SigningKey;
use std::path::Path;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// No key without randomness.
    #[error("the system gave no randomness: {0}")]
    Entropy(getrandom::Error),
}

/// Writes a new seed to `path`, readable by its owner only; gives the public key.
pub fn create(path: &Path) -> Result<[u8; 32], IdentityError> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(IdentityError::Entropy)?;
    files::write(path, &hex::encode(seed), SECRET)?;
    Ok(SigningKey::from_bytes(&seed).verifying_key().to_bytes())
}

/// A DDS domain for one cluster: another than the usual 0, so that a DDS system on this host is
/// left alone, and seldom that of another cluster here.
pub fn dds_domain() -> Result<u32, IdentityError> {
    let mut random = [0u8; 1];
    getrandom::fill(&mut random).map_err(IdentityError::Entropy)?;
    Ok(100 + u32::from(random[0] % 100))
}
