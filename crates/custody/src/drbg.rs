//! The one source of randomness: ChaCha20 as a generator, seeded from outside.

use chacha20::ChaCha20Rng;
use hmac::{Hmac, KeyInit, Mac};
use rand_core::{Rng, SeedableRng};
use sha2::Sha256;
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

    /// A generator of its own for one operation, derived from this one's secret and position and
    /// from `inputs` (each preceded by its length), without moving this one. For operations that
    /// run on several threads: drawing from the stream, they would get bytes in the order in which
    /// the threads happen to run. Like the nonces of RFC 6979, equal inputs at one position give
    /// equal bytes, so the inputs must hold everything that two results must not share.
    pub(crate) fn derived(&self, inputs: &[&[u8]]) -> ChaCha20Rng {
        let rng = self.lock();
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&rng.get_seed())
            .expect("HMAC takes keys of any length");
        mac.update(b"glasshouse derived generator 1");
        mac.update(&rng.get_word_pos().to_be_bytes());
        for input in inputs {
            mac.update(&(input.len() as u64).to_be_bytes());
            mac.update(input);
        }
        ChaCha20Rng::from_seed(mac.finalize().into_bytes().into())
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
