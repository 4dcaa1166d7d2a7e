//! The one source of randomness: ChaCha20 as a generator, seeded from outside.

use chacha20::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle to a node's generator. Clones share the state, so no two of them ever yield the same
/// bytes. The mutex exists only because OpenMLS asks for randomness through `&self`; a machine
/// runs on one thread and never waits on it.
#[derive(Clone)]
pub(crate) struct Drbg(Arc<Mutex<ChaCha20Rng>>);

impl Drbg {
    pub(crate) fn new(seed: [u8; 32]) -> Self {
        Self(Arc::new(Mutex::new(ChaCha20Rng::from_seed(seed))))
    }

    /// Run `draw` on the generator.
    pub(crate) fn with<T>(&self, draw: impl FnOnce(&mut ChaCha20Rng) -> T) -> T {
        draw(&mut self.lock())
    }

    pub(crate) fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.lock().fill_bytes(&mut out);
        out
    }

    pub(crate) fn vec(&self, len: usize) -> Vec<u8> {
        let mut out = vec![0; len];
        self.lock().fill_bytes(&mut out);
        out
    }

    /// A panic while the lock was held leaves a generator that has merely advanced.
    fn lock(&self) -> MutexGuard<'_, ChaCha20Rng> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Drbg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Drbg(..)")
    }
}
