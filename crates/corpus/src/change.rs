//! What fuzzers do: bytes changed, put in, taken out; pieces doubled, or from another file.

/// Most edits in one copy.
const EDITS: u64 = 8;

/// What formats and protocols stumble over.
const INTERESTING: [&[u8]; 16] = [
    b"\r\n",
    b"\n\n",
    b"\r\n.\r\n",
    b":",
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"--",
    b"%",
    b"=?utf-8?Q?",
    b"0",
    b"-1",
    b"1e999",
    b"4294967296",
    b"99999999999999999999",
];

/// SplitMix64: a failing run is named by its seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }
}

/// A changed copy of `bytes`, with pieces of `other` perhaps.
pub(crate) fn changed(bytes: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for _ in 0..=random.next() % EDITS {
        let at = random.below(out.len());
        let end = (at + random.below(40)).min(out.len());
        match random.next() % 8 {
            0 if !out.is_empty() => out[at] = random.next() as u8,
            1 => out.insert(at, random.next() as u8),
            2 => drop(out.drain(at..end)),
            3 => {
                let piece = out[at..end].to_vec();
                out.splice(at..at, piece);
            }
            4 => out.truncate(at),
            5 if !out.is_empty() => out[at] ^= 1 << (random.next() % 8),
            6 => {
                let from = random.below(other.len());
                let to = (from + random.below(200)).min(other.len());
                out.splice(at..at, other[from..to].iter().copied());
            }
            _ => {
                let word = INTERESTING[random.below(INTERESTING.len())];
                out.splice(at..at, word.iter().copied());
            }
        }
    }
    out
}
