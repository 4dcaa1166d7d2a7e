//! Entropy of a simulated process: a stream that follows from the seed of this life of it.

use std::sync::atomic::{AtomicU64, Ordering};

static STATE: AtomicU64 = AtomicU64::new(0);

/// Begins the stream anew.
pub fn seed(seed: u64) {
    STATE.store(seed, Ordering::Relaxed);
}

/// Fills `bytes` with splitmix64 (Steele, Lea, Flood 2014): nobody guesses keys in here.
pub fn fill(bytes: &mut [u8]) {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    for chunk in bytes.chunks_mut(8) {
        let mut z = STATE.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        chunk.copy_from_slice(&z.to_le_bytes()[..chunk.len()]);
    }
}
