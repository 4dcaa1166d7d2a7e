//! Discrete Gaussian noise, sampled exactly: with integers only, so that neither a float's low bits nor a
//! library's logarithm says anything (Canonne, Kamath, Steinke 2020, *The Discrete Gaussian for Differential
//! Privacy*, algorithms 1 to 3). Its Rényi divergence is at most that of the continuous one of the same variance
//! (theorem 4), so the accountant's numbers hold for it.
//!
//! What it gives away is time: a rejection sampler takes longer for some values. Whoever can measure the
//! microseconds of one node's draws reads its memory more easily.

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};

/// Largest variance, in grid units squared: a deviation of 16 million units. All products of the sampler
/// then fit 128 bits.
pub const MAX_VARIANCE: u64 = 1 << 48;
/// Laplace draws of this many scales and more are drawn again; one in e¹²⁸ would be.
const MAX_SCALES: u64 = 128;

/// A source of noise. From a secret seed: whoever knows it can take the noise off.
pub struct Noise(ChaCha20Rng);

impl Noise {
    /// From 32 bytes of the shell's entropy, never used for anything else.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// A draw from N_ℤ(0, variance); 0 for a variance of 0. A variance over [`MAX_VARIANCE`] is drawn as
    /// that.
    pub fn gaussian(&mut self, variance: u64) -> i64 {
        let variance = variance.min(MAX_VARIANCE);
        if variance == 0 {
            return 0;
        }
        let scale = variance.isqrt() + 1;
        let wide = |value: u64| u128::from(value);
        loop {
            let (size, negative) = self.laplace(scale);
            // exp(−(|y| − σ²/t)² / 2σ²), over a common denominator.
            let off = (wide(size) * wide(scale)).abs_diff(wide(variance));
            let denominator = 2 * wide(variance) * wide(scale) * wide(scale);
            if self.exponential(off * off, denominator) {
                let size = i64::try_from(size).unwrap_or(i64::MAX);
                return if negative { -size } else { size };
            }
        }
    }

    /// A discrete Laplace draw: P(y) ∝ exp(−|y| / scale); its size and sign.
    fn laplace(&mut self, scale: u64) -> (u64, bool) {
        loop {
            let within = self.below(u128::from(scale)) as u64;
            if !self.exponential(u128::from(within), u128::from(scale)) {
                continue;
            }
            let mut scales = 0;
            while scales < MAX_SCALES && self.exponential(1, 1) {
                scales += 1;
            }
            let size = within + scale * scales;
            let negative = self.0.next_u32() & 1 == 1;
            // Zero has one sign only.
            if scales < MAX_SCALES && !(negative && size == 0) {
                return (size, negative);
            }
        }
    }

    /// True with probability exp(−numerator / denominator).
    fn exponential(&mut self, numerator: u128, denominator: u128) -> bool {
        // Nearly always, and a division of 128 bits takes as long as a draw.
        if numerator <= denominator {
            return self.exponential_below_one(numerator, denominator);
        }
        let (whole, rest) = (numerator / denominator, numerator % denominator);
        for _ in 0..whole {
            if !self.exponential_below_one(1, 1) {
                return false;
            }
        }
        self.exponential_below_one(rest, denominator)
    }

    /// The same for a fraction of at most 1, by the alternating series of exp. The chance to get to the kth
    /// draw is below 1/k!, so `denominator · k` stays far from its end.
    fn exponential_below_one(&mut self, numerator: u128, denominator: u128) -> bool {
        let mut k = 1;
        while self.below(denominator.saturating_mul(k)) < numerator {
            k += 1;
        }
        k % 2 == 1
    }

    /// Uniform below `bound`, by rejection.
    fn below(&mut self, bound: u128) -> u128 {
        let mask = u128::MAX.checked_shr(bound.leading_zeros()).unwrap_or(0);
        loop {
            let draw = if mask <= u128::from(u64::MAX) {
                u128::from(self.0.next_u64())
            } else {
                u128::from(self.0.next_u64()) << 64 | u128::from(self.0.next_u64())
            } & mask;
            if draw < bound {
                return draw;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// χ² of 200,000 draws against exp(−x²/2σ²), normalised over the integers.
    #[test]
    fn draws_are_discrete_gaussian() {
        for variance in [1_u64, 2, 9, 100] {
            let mut noise = Noise::from_seed([7; 32]);
            let reach = 4 * variance.isqrt() as i64;
            let mass = |x: i64| (-(x * x) as f64 / (2 * variance) as f64).exp();
            let total: f64 = (-20 * reach..=20 * reach).map(mass).sum();
            const DRAWS: u32 = 200_000;
            let mut counts = vec![0_u32; 2 * reach as usize + 1];
            for _ in 0..DRAWS {
                let x = noise.gaussian(variance);
                if x.abs() <= reach {
                    counts[(x + reach) as usize] += 1;
                }
            }
            let chi: f64 = counts
                .iter()
                .zip(-reach..=reach)
                .map(|(count, x)| {
                    let expected = f64::from(DRAWS) * mass(x) / total;
                    (f64::from(*count) - expected).powi(2) / expected
                })
                .sum();
            // Mean = degrees of freedom, deviation √2 of its root: five of them.
            let freedom = counts.len() as f64;
            assert!(
                chi < freedom + 5.0 * (2.0 * freedom).sqrt(),
                "variance {variance}: χ² {chi} of {freedom}"
            );
        }
    }

    #[test]
    fn variances_are_what_was_asked_for_up_to_the_largest() {
        for variance in [1 << 20, 1 << 32, MAX_VARIANCE] {
            let mut noise = Noise::from_seed([1; 32]);
            const DRAWS: u32 = 20_000;
            let squares: f64 = (0..DRAWS)
                .map(|_| (noise.gaussian(variance) as f64).powi(2))
                .sum();
            let found = squares / f64::from(DRAWS) / variance as f64;
            // Relative deviation of a variance from 20,000 draws: √(2/20,000) = 1 %.
            assert!((found - 1.0).abs() < 0.05, "{variance}: {found} of it");
        }
        assert_eq!(Noise::from_seed([0; 32]).gaussian(0), 0);
    }

    #[test]
    fn equal_seeds_equal_noise() {
        let draw = |seed| {
            let mut noise = Noise::from_seed([seed; 32]);
            (0..10).map(|_| noise.gaussian(1 << 30)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
