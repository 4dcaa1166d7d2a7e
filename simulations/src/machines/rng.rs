//! The simulation's own dice, apart from the machines' generators.

use chacha20::ChaCha8Rng;
use machine::Instant;
use rand_core::{Rng, SeedableRng};
use std::time::Duration;

pub struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Below `limit`, which must not be zero. The bias of the remainder does not matter here.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0.next_u64() % limit
    }

    pub(crate) fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    pub(crate) fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn after(&mut self, now: Instant, from_ms: u64, to_ms: u64) -> Instant {
        now + Duration::from_micros(from_ms * 1_000 + self.below((to_ms - from_ms) * 1_000))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}
