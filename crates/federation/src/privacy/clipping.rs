//! A clipping bound that follows a quantile of the updates' norms (Andrew, Thakkar, Ramaswamy, McMahan,
//! NeurIPS 2021, *Differentially Private Learning with Adaptive Clipping*, algorithm 1).
//!
//! ```text
//! b̃ = (Σᵢ bᵢ + N(0, σ_b²)) / n       bᵢ = 1 if ‖Δᵢ‖ ≤ C, else 0
//! C' = C · exp(−η_C · (b̃ − γ))
//! ```
//! The count has noise of its own, which costs privacy too: with `z_Δ = (z⁻² − (2σ_b)⁻²)^(−1/2)` for the
//! updates, both together cost what noise of multiplier z would (theorem 1). The factor 2: bᵢ − ½ is
//! counted, so one participant changes the sum by ½.

use super::noise::Noise;

/// Where the bound stays: updates of a model that learns nothing any more shrink for ever, and a bound that
/// followed them to 0 would end all rounds.
const BOUNDS: (f64, f64) = (1e-6, 1e6);

/// How the bound follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// γ: this part of the updates is to be within the bound; the paper finds ½ good everywhere.
    pub target: f64,
    /// η_C; the paper's 0.2.
    pub learning_rate: f64,
    /// σ_b, in participants; the paper's is a twentieth of the cohort.
    pub deviation: f64,
}

impl Quantile {
    /// The paper's settings for a cohort of this size. At least as much noise as leaves the updates'
    /// own in the paper's proportion when cohorts are small.
    pub fn for_cohort(cohort: usize) -> Self {
        Self {
            target: 0.5,
            learning_rate: 0.2,
            deviation: (cohort as f64 / 20.0).max(1.0),
        }
    }

    /// z_Δ, the multiplier for the updates' noise if z is to hold for all; `None`: the count's noise alone
    /// costs more than that.
    pub fn noise_for_updates(&self, noise_multiplier: f64) -> Option<f64> {
        let rest = noise_multiplier.powi(-2) - (2.0 * self.deviation).powi(-2);
        (rest > 0.0).then(|| rest.sqrt().recip())
    }

    /// The next bound, after a round of `total` updates, `within` of which were within this one.
    pub fn next(&self, bound: f64, within: usize, total: usize, noise: &mut Noise) -> f64 {
        if total == 0 {
            return bound;
        }
        // 2bᵢ − 1: in units of a half, so that the sum is an integer; σ_b is 2σ_b of them.
        let sum = 2 * within as i64 - total as i64;
        let variance = (2.0 * self.deviation).powi(2).ceil() as u64;
        let noisy = (sum + noise.gaussian(variance)) as f64;
        let fraction = (noisy / total as f64 + 1.0) / 2.0;
        let next = bound * (-self.learning_rate * (fraction - self.target)).exp();
        next.clamp(BOUNDS.0, BOUNDS.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SplitMix;

    #[test]
    fn noise_is_split_as_in_the_paper() {
        let quantile = Quantile::for_cohort(100);
        // z⁻² = 1; (2·5)⁻² = 0.01; 0.99^(−1/2).
        let split = quantile.noise_for_updates(1.0).unwrap();
        assert!((split - 1.005_037_815_259_212).abs() < 1e-12, "{split}");
        assert_eq!(quantile.noise_for_updates(10.0), None);
    }

    #[test]
    fn the_bound_finds_the_median_from_above_and_from_below() {
        // Norms between 1 and 3; their median is 2.
        let mut random = SplitMix::new(4);
        let mut noise = Noise::from_seed([3; 32]);
        let quantile = Quantile::for_cohort(100);
        for start in [0.01, 100.0] {
            let mut bound = start;
            for _ in 0..200 {
                let within = (0..100)
                    .filter(|_| 1.0 + 2.0 * random.unit() <= bound)
                    .count();
                bound = quantile.next(bound, within, 100, &mut noise);
            }
            assert!((bound - 2.0).abs() < 0.2, "from {start}: {bound}");
        }
        assert_eq!(quantile.next(1.0, 0, 0, &mut noise), 1.0);
        let (low, high) = BOUNDS;
        assert_eq!(quantile.next(low, 1_000, 1_000, &mut noise), low);
        assert_eq!(quantile.next(high, 0, 1_000, &mut noise), high);
    }
}
