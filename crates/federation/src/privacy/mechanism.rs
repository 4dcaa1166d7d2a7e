//! One round's mechanism: clipped sum, noise, mean.

use super::grid::{self, STEPS};
use super::noise::{MAX_VARIANCE, Noise};

/// Smallest variance of a participant's part of the noise, in grid units squared. A sum of discrete
/// Gaussians is nearly one itself (Kairouz, Liu, Steinke 2021, theorem 1, with an error below
/// 10·n·exp(−π²σ²) for parts of variance σ²): with 16, that is below 10⁻⁶⁷ for any n there is.
const MIN_SHARE: u64 = 16;

/// Clipping and noise of a round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mechanism {
    bound: f64,
    variance: u64,
}

/// Settings that make no mechanism.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Unusable {
    /// Updates need a bound.
    #[error("updates cannot be clipped to a norm of {bound}; give a finite one above 0")]
    Bound {
        /// As given.
        bound: f64,
    },
    /// None, or more than the grid has room for.
    #[error("a noise multiplier of {found} is not to be had; give one from 0.001 to {most}")]
    Noise {
        /// As given.
        found: f64,
        /// What the grid has room for.
        most: f64,
    },
    /// The bound is to follow the norms, at that price.
    #[error(
        "counting clipped updates with a deviation of {deviation} alone costs more than noise of multiplier {noise_multiplier}; take less noise, or keep the bound fixed"
    )]
    Count {
        /// σ_b.
        deviation: f64,
        /// z.
        noise_multiplier: f64,
    },
    /// Split among too many.
    #[error(
        "noise of multiplier {noise_multiplier} in {participants} parts is too little for each; let fewer participants make it up, or take more noise"
    )]
    Share {
        /// z.
        noise_multiplier: f64,
        /// n.
        participants: usize,
    },
}

impl Mechanism {
    /// Clips to `bound` and adds noise of `noise_multiplier` times that.
    pub fn new(bound: f64, noise_multiplier: f64) -> Result<Self, Unusable> {
        if !(bound > 0.0 && bound.is_finite()) {
            return Err(Unusable::Bound { bound });
        }
        let most = (MAX_VARIANCE as f64).sqrt() / STEPS as f64;
        if !(0.001..=most).contains(&noise_multiplier) {
            return Err(Unusable::Noise {
                found: noise_multiplier,
                most,
            });
        }
        // Rounded up: never less noise than is accounted for.
        let variance = (noise_multiplier * STEPS as f64).powi(2).ceil() as u64;
        Ok(Self {
            bound,
            variance: variance.min(MAX_VARIANCE),
        })
    }

    /// The aggregator's: the noisy mean of `updates`, each counting once, and how many of them were within
    /// the bound.
    pub fn central(&self, updates: &[&[f32]], noise: &mut Noise) -> (Vec<f64>, usize) {
        let mut sum = vec![0_i64; updates.first().map_or(0, |update| update.len())];
        let mut within = 0;
        for update in updates {
            let clipped = grid::clip(update, self.bound);
            within += usize::from(clipped.within);
            for (sum, value) in sum.iter_mut().zip(clipped.values) {
                *sum += i64::from(value);
            }
        }
        self.add_noise(&mut sum, noise);
        (self.mean(&sum, updates.len()), within)
    }

    /// A participant's: its update on the grid with its part of the noise, to be summed under masks. The
    /// parts of `participants` make up the whole; if more of them are in the sum, there is more noise.
    pub fn share(
        &self,
        update: &[f32],
        participants: usize,
        noise: &mut Noise,
    ) -> Result<Vec<i64>, Unusable> {
        let part = self.part(participants)?;
        let mut values = self.clipped(update);
        for value in &mut values {
            *value += noise.gaussian(part);
        }
        Ok(values)
    }

    /// Whether each of `participants` has a part of the noise that is one.
    ///
    /// # Errors
    /// It has not.
    pub fn check_share(&self, participants: usize) -> Result<(), Unusable> {
        self.part(participants).map(drop)
    }

    fn part(&self, participants: usize) -> Result<u64, Unusable> {
        let part = self.variance.div_ceil(participants.max(1) as u64);
        if part < MIN_SHARE || participants == 0 {
            return Err(Unusable::Share {
                noise_multiplier: (self.variance as f64).sqrt() / STEPS as f64,
                participants,
            });
        }
        Ok(part)
    }

    /// A participant's where the aggregator adds the noise: its update on the grid.
    pub fn clipped(&self, update: &[f32]) -> Vec<i64> {
        let values = grid::clip(update, self.bound).values;
        values.into_iter().map(i64::from).collect()
    }

    /// Adds all of the noise to a sum.
    pub fn add_noise(&self, sum: &mut [i64], noise: &mut Noise) {
        for value in sum {
            // A sum under masks may be anything, if somebody lies.
            *value = value.saturating_add(noise.gaussian(self.variance));
        }
    }

    /// The norm that updates are clipped to.
    pub fn bound(&self) -> f64 {
        self.bound
    }

    /// Of the noise in the sum, in grid units squared.
    pub fn variance(&self) -> u64 {
        self.variance
    }

    /// From the sum of what `participants` put in, back to the updates' unit.
    pub fn mean(&self, sum: &[i64], participants: usize) -> Vec<f64> {
        let step = self.bound / STEPS as f64 / participants.max(1) as f64;
        sum.iter().map(|value| *value as f64 * step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(seed: u8) -> Noise {
        Noise::from_seed([seed; 32])
    }

    fn deviation(values: &[f64]) -> f64 {
        (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt()
    }

    #[test]
    fn central_noise_is_z_times_the_bound_over_n() {
        let mechanism = Mechanism::new(2.0, 1.5).unwrap();
        let zero = vec![0.0_f32; 20_000];
        let (mean, within) = mechanism.central(&[&zero, &zero, &zero], &mut noise(1));
        assert_eq!(within, 3);
        // z·C/n = 1; one per cent is two deviations of the estimate.
        let found = deviation(&mean);
        assert!((found - 1.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn a_long_update_moves_the_mean_by_the_bound_at_most() {
        let mechanism = Mechanism::new(1.0, 0.001).unwrap();
        let (mean, within) = mechanism.central(&[&[1e20, 0.0], &[0.0, 0.5]], &mut noise(1));
        assert_eq!(within, 1);
        assert!(
            (mean[0] - 0.5).abs() < 0.005 && (mean[1] - 0.25).abs() < 0.005,
            "{mean:?}"
        );
    }

    #[test]
    fn parts_of_the_noise_make_up_the_whole() {
        let mechanism = Mechanism::new(2.0, 1.5).unwrap();
        let zero = vec![0.0_f32; 20_000];
        let mut sum = vec![0_i64; zero.len()];
        for participant in 0..3 {
            let share = mechanism.share(&zero, 3, &mut noise(participant)).unwrap();
            sum.iter_mut()
                .zip(share)
                .for_each(|(sum, value)| *sum += value);
        }
        let found = deviation(&mechanism.mean(&sum, 3));
        assert!((found - 1.0).abs() < 0.02, "{found}");
    }

    #[test]
    fn what_is_no_mechanism() {
        assert!(matches!(
            Mechanism::new(0.0, 1.0),
            Err(Unusable::Bound { .. })
        ));
        assert!(matches!(
            Mechanism::new(f64::NAN, 1.0),
            Err(Unusable::Bound { .. })
        ));
        for found in [0.0, -1.0, 1e9, f64::NAN] {
            assert!(matches!(
                Mechanism::new(1.0, found),
                Err(Unusable::Noise { .. })
            ));
        }
        let thin = Mechanism::new(1.0, 0.001).unwrap();
        assert!(thin.share(&[0.0], 2, &mut noise(0)).is_ok());
        assert!(matches!(
            thin.share(&[0.0], 1_000, &mut noise(0)),
            Err(Unusable::Share { .. })
        ));
    }
}
