//! Masks: the ChaCha20 keystream (RFC 8439) of a seed, as little-endian 64-bit words.

use super::lanes::{self, Lanes};
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

const _: () = assert!(TILE.is_multiple_of(STEP) && TILE.is_multiple_of(lanes::STEP));

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
    apply_by_tile(words, seeds, |_| ());
}

/// The same, and gives the words as little-endian bytes: each while it is still in the cache.
pub(super) fn apply_to_bytes(words: &mut [u64], seeds: &[(Seed, Sign)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(words.len() * WORD);
    let mut little = [[0; WORD]; STEP];
    apply_by_tile(words, seeds, |tile| {
        for words in tile.chunks(STEP) {
            for (little, word) in little.iter_mut().zip(words) {
                *little = word.to_le_bytes();
            }
            bytes.extend_from_slice(little[..words.len()].as_flattened());
        }
    });
    bytes
}

fn apply_by_tile(words: &mut [u64], seeds: &[(Seed, Sign)], mut done: impl FnMut(&[u64])) {
    let streams = seeds.iter().map(|(seed, sign)| (Stream::new(seed), *sign));
    let mut streams: Vec<_> = streams.collect();
    for tile in words.chunks_mut(TILE) {
        for (stream, sign) in &mut streams {
            stream.apply(tile, *sign);
        }
        done(tile);
    }
}

/// The key stream of a seed, by what is fastest here.
#[expect(
    clippy::large_enum_variant,
    reason = "all streams of a pass are of the kind that this processor is for"
)]
enum Stream {
    Lanes(Lanes),
    Core(Core),
}

impl Stream {
    fn new(seed: &Seed) -> Self {
        match Lanes::if_worthwhile(seed) {
            Some(lanes) => Self::Lanes(lanes),
            None => Self::Core(Core::new(seed)),
        }
    }

    fn apply(&mut self, tile: &mut [u64], sign: Sign) {
        match self {
            Self::Lanes(lanes) => lanes.apply(tile, sign),
            Self::Core(core) => core.apply(tile, sign),
        }
    }
}

/// By `chacha20`.
struct Core {
    core: ChaChaCore<R20, Legacy>,
    block: Zeroizing<[u32; 2 * STEP]>,
}

impl Core {
    fn new(seed: &Seed) -> Self {
        Self {
            core: ChaChaCore::from_seed(**seed),
            block: Zeroizing::new([0; 2 * STEP]),
        }
    }

    fn apply(&mut self, tile: &mut [u64], sign: Sign) {
        for step in tile.chunks_mut(STEP) {
            self.core.generate(&mut self.block);
            let (halves, _) = self.block.as_chunks::<2>();
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

fn add(words: &mut [u64], mask: impl Iterator<Item = u64>, with: impl Fn(u64, u64) -> u64) {
    for (word, mask) in words.iter_mut().zip(mask) {
        *word = with(*word, mask);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20::ChaCha20Rng;
    use rand_core::Rng as _;

    fn seed(byte: u8) -> Seed {
        Zeroizing::new([byte; 32])
    }

    /// RFC 8439 A.1, test vector 1.
    #[test]
    fn a_mask_is_the_keystream() {
        let mut words = [0; 4];
        apply(&mut words, &[(seed(0), Sign::Plus)]);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let keystream = [
            0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86,
            0xbd, 0x28, 0xbd, 0xd2, 0x19, 0xb8, 0xa0, 0x8d, 0xed, 0x1a, 0xa8, 0x36, 0xef, 0xcc,
            0x8b, 0x77, 0x0d, 0xc7,
        ];
        assert_eq!(bytes, keystream);
    }

    /// Whatever is fastest here: both ways give the same words, on any processor.
    #[test]
    fn both_ways_to_a_key_stream_are_one() {
        for sign in [Sign::Plus, Sign::Minus] {
            for length in [
                1,
                7,
                8,
                lanes::STEP - 1,
                lanes::STEP,
                lanes::STEP + 1,
                TILE + 5,
            ] {
                let before: Vec<u64> = (0..length as u64).map(|at| at << 40 | at).collect();
                let mut by_core = before.clone();
                let mut by_lanes = before;
                Core::new(&seed(7)).apply(&mut by_core, sign);
                Lanes::new(&seed(7)).apply(&mut by_lanes, sign);
                assert!(by_core == by_lanes, "{length} words");
            }
            // In pieces, as tiles come.
            let (mut core, mut lanes) = (Core::new(&seed(8)), Lanes::new(&seed(8)));
            for _ in 0..3 {
                let (mut by_core, mut by_lanes) = (vec![3; TILE], vec![3; TILE]);
                core.apply(&mut by_core, sign);
                lanes.apply(&mut by_lanes, sign);
                assert!(by_core == by_lanes);
            }
        }
    }

    /// However long it is: in parts of steps and tiles, and as bytes.
    #[test]
    fn masks_are_added_word_by_word() {
        let seeds = [(seed(1), Sign::Plus), (seed(2), Sign::Minus)];
        for length in [
            0,
            1,
            STEP - 1,
            STEP,
            STEP + 1,
            TILE - 1,
            TILE,
            2 * TILE + 33,
        ] {
            let before: Vec<u64> = (0..length as u64).map(|at| at.wrapping_mul(!at)).collect();
            let mut expected = before.clone();
            for (seed, sign) in &seeds {
                let mut stream = ChaCha20Rng::from_seed(**seed);
                for word in &mut expected {
                    let mask = stream.next_u64();
                    *word = match sign {
                        Sign::Plus => word.wrapping_add(mask),
                        Sign::Minus => word.wrapping_sub(mask),
                    };
                }
            }
            let mut words = before.clone();
            apply(&mut words, &seeds);
            assert!(words == expected, "{length} words");
            let mut words = before;
            let bytes = apply_to_bytes(&mut words, &seeds);
            let little: Vec<u8> = expected
                .iter()
                .flat_map(|word| word.to_le_bytes())
                .collect();
            assert!(words == expected && bytes == little, "{length} words");
        }
    }
}
