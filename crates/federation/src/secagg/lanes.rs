//! The ChaCha20 block function (RFC 8439, with a counter of 64 bits) for eight blocks side by side, for processors whose
//! vector registers hold a whole row of them and turn it in one instruction (AVX-512 VL). There it takes half the time
//! of `chacha20`, which has AVX2 for its generators and nothing beyond; everywhere else `chacha20` is faster, and is used.
//!
//! It is plain code that the compiler puts into vectors: no instruction is named, none depends on a secret, and the tests
//! run it on any processor.

use super::mask::Sign;
use zeroize::Zeroizing;

/// Blocks side by side.
const LANES: usize = 8;
/// 64-bit words of a block.
const BLOCK: usize = 8;
/// Words of all blocks.
pub(super) const STEP: usize = LANES * BLOCK;

/// "expand 32-byte k".
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];
const DOUBLE_ROUNDS: usize = 10;

/// One word of the state, of every block.
type Row = [u32; LANES];

/// The key stream of a key, from its beginning.
pub(super) struct Lanes {
    key: Zeroizing<[u32; 8]>,
    /// Of the next block.
    counter: u64,
}

impl Lanes {
    /// `None`: this processor has something better.
    pub(super) fn if_worthwhile(seed: &[u8; 32]) -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if wide::here() {
            return Some(Self::new(seed));
        }
        let _ = seed;
        None
    }

    /// Whether or not it is.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let mut key = Zeroizing::new([0; 8]);
        let (words, _) = seed.as_chunks::<4>();
        for (key, word) in key.iter_mut().zip(words) {
            *key = u32::from_le_bytes(*word);
        }
        Self { key, counter: 0 }
    }

    /// Adds or takes away as many words as there are. Only the last words of a stream may be no whole [`STEP`].
    pub(super) fn apply(&mut self, words: &mut [u64], sign: Sign) {
        let (steps, rest) = words.as_chunks_mut::<STEP>();
        self.apply_steps(steps, sign);
        if !rest.is_empty() {
            let mut last = [[0; STEP]];
            last[0][..rest.len()].copy_from_slice(rest);
            self.apply_steps(&mut last, sign);
            rest.copy_from_slice(&last[0][..rest.len()]);
        }
    }

    fn apply_steps(&mut self, steps: &mut [[u64; STEP]], sign: Sign) {
        #[cfg(target_arch = "x86_64")]
        if wide::here() {
            wide::apply(&self.key, self.counter, steps, sign);
        } else {
            apply(&self.key, self.counter, steps, sign);
        }
        #[cfg(not(target_arch = "x86_64"))]
        apply(&self.key, self.counter, steps, sign);
        let blocks = (steps.len() * LANES) as u64;
        self.counter = self.counter.wrapping_add(blocks);
    }
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::{STEP, Sign};

    pub(super) fn here() -> bool {
        is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl")
    }

    /// The same, compiled for those processors.
    pub(super) fn apply(key: &[u32; 8], first: u64, steps: &mut [[u64; STEP]], sign: Sign) {
        #[target_feature(enable = "avx512f,avx512vl")]
        fn compiled(key: &[u32; 8], first: u64, steps: &mut [[u64; STEP]], sign: Sign) {
            super::apply(key, first, steps, sign);
        }
        assert!(here());
        #[expect(unsafe_code, reason = "the instructions that it may use are there")]
        // SAFETY: asserted above; it has no other condition.
        unsafe {
            compiled(key, first, steps, sign);
        }
    }
}

#[inline(always)]
fn apply(key: &[u32; 8], first: u64, steps: &mut [[u64; STEP]], sign: Sign) {
    let mut counter = first;
    for step in steps {
        match sign {
            Sign::Plus => apply_step(key, counter, step, u64::wrapping_add),
            Sign::Minus => apply_step(key, counter, step, u64::wrapping_sub),
        }
        counter = counter.wrapping_add(LANES as u64);
    }
}

#[inline(always)]
fn apply_step(
    key: &[u32; 8],
    counter: u64,
    words: &mut [u64; STEP],
    with: impl Fn(u64, u64) -> u64,
) {
    let mut initial = [[0; LANES]; 16];
    for (row, constant) in initial.iter_mut().zip(CONSTANTS) {
        *row = [constant; LANES];
    }
    for (row, word) in initial[4..].iter_mut().zip(key) {
        *row = [*word; LANES];
    }
    let counters: [u64; LANES] = std::array::from_fn(|lane| counter.wrapping_add(lane as u64));
    initial[12] = counters.map(|counter| counter as u32);
    initial[13] = counters.map(|counter| (counter >> 32) as u32);
    let mut x = initial;
    for _ in 0..DOUBLE_ROUNDS {
        for [a, b, c, d] in [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]] {
            quarter_round(&mut x, a, b, c, d);
        }
        for [a, b, c, d] in [[0, 5, 10, 15], [1, 6, 11, 12], [2, 7, 8, 13], [3, 4, 9, 14]] {
            quarter_round(&mut x, a, b, c, d);
        }
    }
    for (row, initial) in x.iter_mut().zip(&initial) {
        for (word, initial) in row.iter_mut().zip(initial) {
            *word = word.wrapping_add(*initial);
        }
    }
    for lane in 0..LANES {
        for at in 0..BLOCK {
            let (low, high) = (x[2 * at][lane], x[2 * at + 1][lane]);
            let word = &mut words[BLOCK * lane + at];
            *word = with(*word, u64::from(high) << 32 | u64::from(low));
        }
    }
}

#[inline(always)]
fn quarter_round(x: &mut [Row; 16], a: usize, b: usize, c: usize, d: usize) {
    add_xor_rotate(x, a, b, d, 16);
    add_xor_rotate(x, c, d, b, 12);
    add_xor_rotate(x, a, b, d, 8);
    add_xor_rotate(x, c, d, b, 7);
}

/// `a += b; d ^= a; d <<<= by`, in every block.
#[expect(
    clippy::needless_range_loop,
    reason = "three rows side by side, of which two may be changed"
)]
#[inline(always)]
fn add_xor_rotate(x: &mut [Row; 16], a: usize, b: usize, d: usize, by: u32) {
    for lane in 0..LANES {
        x[a][lane] = x[a][lane].wrapping_add(x[b][lane]);
        x[d][lane] = (x[d][lane] ^ x[a][lane]).rotate_left(by);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plain code and what is compiled for this processor, beyond 32 bits of the counter, too.
    #[test]
    fn what_is_compiled_for_a_processor_is_the_plain_code() {
        let key = [1, 2, 3, 4, 5, 6, 7, 0xffff_ffff];
        for first in [0, u64::from(u32::MAX) - 3, u64::MAX - 2] {
            for sign in [Sign::Plus, Sign::Minus] {
                let (mut plain, mut compiled) = ([[9; STEP]; 3], [[9; STEP]; 3]);
                apply(&key, first, &mut plain, sign);
                let mut lanes = Lanes::new(&[0; 32]);
                (*lanes.key, lanes.counter) = (key, first);
                lanes.apply_steps(&mut compiled, sign);
                assert_eq!(plain, compiled);
                assert_eq!(lanes.counter, first.wrapping_add(24));
            }
        }
    }
}
