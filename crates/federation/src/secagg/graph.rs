//! Who is whose neighbour: a ring in random order, in which everybody knows the next `k/2` on either
//! side (Bell et al. 2020, algorithm 2: a Harary graph under a random permutation).
//!
//! The order comes from a public seed, the digest of the ledger entry that opened the round, so that
//! everybody computes the same graph and the aggregator does not choose it. It could try: whoever
//! writes the entry can write many and keep one. Finding a graph that is bad with probability 2⁻⁴⁰
//! takes as many entries as that.

use super::params::Parameters;
use chacha20::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use wire::Digest;

/// The neighbours of each place, in ascending order.
pub fn neighbours(parameters: Parameters, seed: Digest) -> Vec<Vec<u16>> {
    let n = parameters.cohort;
    let ring = ring(n, seed);
    let mut all = vec![Vec::with_capacity(parameters.degree); n];
    if parameters.degree + 1 >= n {
        for (place, list) in all.iter_mut().enumerate() {
            list.extend((0..n).filter(|other| *other != place).map(small));
        }
        return all;
    }
    for (at, place) in ring.iter().enumerate() {
        let list = &mut all[usize::from(*place)];
        for step in 1..=parameters.degree / 2 {
            list.push(ring[(at + step) % n]);
            list.push(ring[(at + n - step) % n]);
        }
        list.sort_unstable();
    }
    all
}

/// All places in the order of the seed (Fisher–Yates; Knuth, TAOCP 3.4.2, algorithm P).
fn ring(n: usize, seed: Digest) -> Vec<u16> {
    let mut hash = Sha256::new();
    hash.update(b"glasshouse secagg graph v1\0");
    hash.update(seed.0);
    let mut draws = ChaCha20Rng::from_seed(hash.finalize().into());
    let mut ring: Vec<u16> = (0..n).map(small).collect();
    for last in (1..n).rev() {
        // 64 bits over at most a thousand: the bias is below 2⁻⁵⁴.
        let chosen = draws.next_u64() % (last as u64 + 1);
        ring.swap(last, usize::try_from(chosen).unwrap_or(last));
    }
    ring
}

/// Places are below [`super::params::LARGEST`].
fn small(place: usize) -> u16 {
    u16::try_from(place).expect("a cohort has at most a thousand members")
}
