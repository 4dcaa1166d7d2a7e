//! Masks: the ChaCha20 keystream (RFC 8439) of a seed, as little-endian 64-bit words.

use chacha20::ChaChaCore;
use chacha20::R20;
use chacha20::variants::Legacy;
use rand_core::SeedableRng as _;
use rand_core::block::Generator as _;
use zeroize::Zeroizing;

/// Bytes of a word.
pub(super) const WORD: usize = 8;
/// Words that one call of the generator gives: four blocks of 64 bytes, side by side in vector registers.
const STEP: usize = 32;
/// Words that all masks are added to before the next: 16 KiB stay in the first cache, so however many
/// masks there are, memory is walked through once.
const TILE: usize = 2048;

/// Which way a mask goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sign {
    Plus,
    Minus,
}

impl Sign {
    /// Of two who share a mask the one with the lower place adds it.
    pub(super) fn between(me: u16, other: u16) -> Self {
        if me < other { Self::Plus } else { Self::Minus }
    }

    pub(super) fn inverse(self) -> Self {
        match self {
            Self::Plus => Self::Minus,
            Self::Minus => Self::Plus,
        }
    }
}

pub(super) type Seed = Zeroizing<[u8; 32]>;

/// Adds or takes away the masks of all seeds.
pub(super) fn apply(words: &mut [u64], seeds: &[(Seed, Sign)]) {
    let mut streams: Vec<_> = seeds
        .iter()
        .map(|(seed, sign)| (ChaChaCore::<R20, Legacy>::from_seed(**seed), *sign))
        .collect();
    let mut block = Zeroizing::new([0_u32; 2 * STEP]);
    for tile in words.chunks_mut(TILE) {
        for (stream, sign) in &mut streams {
            for step in tile.chunks_mut(STEP) {
                stream.generate(&mut block);
                let (halves, _) = block.as_chunks::<2>();
                let mask = halves
                    .iter()
                    .map(|[low, high]| u64::from(*high) << 32 | u64::from(*low));
                match sign {
                    Sign::Plus => add(step, mask, u64::wrapping_add),
                    Sign::Minus => add(step, mask, u64::wrapping_sub),
                }
            }
        }
    }
}

fn add(words: &mut [u64], mask: impl Iterator<Item = u64>, with: impl Fn(u64, u64) -> u64) {
    for (word, mask) in words.iter_mut().zip(mask) {
        *word = with(*word, mask);
    }
}
