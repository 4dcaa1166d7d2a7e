//! How many neighbours, and how many of them have to agree.
//!
//! With `h` holders of each secret (the neighbours and oneself) the threshold is
//! `t = ⌊2h/3⌋ + 1`. Two sets of survivors that both get `t` consents share more than a third of
//! the holders; so as long as fewer than a third of them are corrupt, an honest one would have had
//! to sign both, which none does (Bonawitz et al. 2017, section 6.2, theorem 6.5). And fewer than `t` corrupt holders
//! learn nothing of a secret. Up to `h − t` holders may drop out.
//!
//! In a complete graph that is the whole rule. With neighbourhoods it holds but for a small
//! probability over the graph, bounded after Bell et al. 2020, section 3: at most a
//! share γ of the cohort is corrupt and at most a share δ drops out, both drawn without replacement
//! into a neighbourhood of `k`, so their numbers are hypergeometric. [`DEGREES`] keeps each of
//! these below 2⁻⁴⁰ for the whole cohort:
//!
//! * some neighbourhood with a third or more corrupt holders;
//! * some honest survivor's graph cut in two: `n · (γ + δ)^(k/2)`, since a ring in which everybody
//!   knows `k/2` on either side falls apart only where `k/2` in a row are missing;
//!
//! and a neighbourhood with too few survivors, which costs a round and no secret, below 2⁻²⁰.
//! A test recomputes all of them for every size of cohort.

use super::MIN_COHORT;

/// Largest cohort in which all are neighbours of all: a participant then agrees on 99 masks, for
/// some ten milliseconds of X25519, and no assumption about the graph is needed.
pub const LARGEST_COMPLETE: usize = 100;
/// Largest cohort. Sums have headroom for so many ([`super::fixed`]).
pub const LARGEST: usize = 1_000;
/// γ: which share of a large cohort may be corrupt.
pub const CORRUPT: f64 = 0.05;
/// δ: which share of a large cohort may drop out.
pub const DROPPED: f64 = 0.05;

/// Neighbours by size of the cohort: up to `.0` members have `.1` neighbours each.
pub const DEGREES: [(usize, usize); 4] = [(200, 32), (400, 50), (700, 62), (LARGEST, 68)];

/// What a round's protocol runs with; follows from the size of the cohort alone, so that nobody can
/// choose it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameters {
    /// Members of the cohort.
    pub cohort: usize,
    /// Neighbours of each.
    pub degree: usize,
    /// t: holders that have to agree, and whose shares recover a secret.
    pub threshold: usize,
}

impl Parameters {
    /// For a cohort of this size; `None` if it is too small or too large.
    pub fn of(cohort: usize) -> Option<Self> {
        let degree = match cohort {
            0..MIN_COHORT => return None,
            MIN_COHORT..=LARGEST_COMPLETE => cohort - 1,
            _ => DEGREES.iter().find(|(most, _)| cohort <= *most)?.1,
        };
        Some(Self {
            cohort,
            degree,
            threshold: threshold(degree + 1),
        })
    }

    /// Holders of each secret.
    pub const fn holders(&self) -> usize {
        self.degree + 1
    }

    /// Fewest survivors: more than two thirds of the cohort, whatever the graph.
    pub const fn quorum(&self) -> usize {
        threshold(self.cohort)
    }

    /// Fewest honest survivors there can be: the smallest quorum, if all corrupt members are in it and
    /// there is one fewer of them than a third of the cohort. Their parts of a noise have to suffice, since the
    /// others know their own.
    pub const fn honest(&self) -> usize {
        self.quorum() - (self.cohort.div_ceil(3) - 1)
    }
}

/// More than two thirds.
const fn threshold(of: usize) -> usize {
    of * 2 / 3 + 1
}
