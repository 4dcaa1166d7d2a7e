//! What the shared model leaves unexplained of one device, in deviations of what it leaves unexplained of
//! normal rows.

use crate::features::{Example, SLOTS};

/// Deviation of a residual never counts as less than this, in standardised units: a feature that
/// did not move during calibration must move visibly before it matters.
const MIN_DEVIATION: f64 = 0.1;
/// Largest |z| that counts.
const MAX_Z: f64 = 1_000.0;
/// Rows after which half of what residuals were spread like counts: two weeks of minutes, as for the spread of a
/// metric itself (`features::course`).
const HALF_LIFE: f64 = 20_160.0;
/// Features in the mean of the largest deviations from a reconstruction.
const TOP: usize = 3;

/// Mean and deviation of the residuals of normal rows, by slot.
#[derive(Clone, Debug)]
pub(super) struct Residuals {
    mean: [f64; SLOTS],
    deviation: [f64; SLOTS],
    /// Sums of squares: of what is left, and of the values.
    squares: [f64; 2],
}

/// How far residuals were spread, by slot, for as long as the device is known: calibration examples are of a day or
/// two, and a calm one would make the next a fault.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    variance: [f64; SLOTS],
    squares: [f64; 2],
    rows: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            variance: [0.0; SLOTS],
            squares: [0.0; 2],
            rows: 0,
        }
    }
}

impl Spread {
    /// Learns from residuals of the newest of `rows` rows that the device has had in all.
    pub(super) fn learn(&mut self, residuals: &Residuals, rows: u64) {
        let new = rows.saturating_sub(self.rows) as f64;
        let lasting = 1.0 - 0.5_f64.powf(new / HALF_LIFE);
        let weight = lasting.max(new / (rows as f64).max(1.0));
        for (variance, deviation) in self.variance.iter_mut().zip(residuals.deviation) {
            *variance += weight * (deviation.powi(2) - *variance);
        }
        for (known, new) in self.squares.iter_mut().zip(residuals.squares) {
            *known += weight * (new - *known);
        }
        self.rows = rows;
    }

    /// The share of the normal rows' squares that the model explains, 0 to 1.
    pub(super) fn explained(&self) -> f64 {
        let [left, all] = self.squares;
        if all > 0.0 {
            (1.0 - left / all).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }
}

/// Residuals of one example; `None` where masked or not finite.
pub(super) struct Row([Option<f64>; SLOTS]);

impl Row {
    pub(super) fn new(example: &Example, reconstruction: &[f32; SLOTS]) -> Self {
        Self(std::array::from_fn(|slot| {
            let residual = f64::from(example.values[slot]) - f64::from(reconstruction[slot]);
            (example.mask[slot] && residual.is_finite()).then_some(residual)
        }))
    }
}

impl Residuals {
    /// Of normal examples with their rows.
    pub(super) fn of(examples: &[Example], rows: &[Row]) -> Self {
        let (mut mean, mut deviation) = ([0.0; SLOTS], [1.0; SLOTS]);
        for slot in 0..SLOTS {
            let values = || rows.iter().filter_map(|row| row.0[slot]);
            let count = values().count() as f64;
            if count > 0.0 {
                mean[slot] = values().sum::<f64>() / count;
                let square = |value: f64| (value - mean[slot]).powi(2);
                let variance = values().map(square).sum::<f64>() / count;
                deviation[slot] = variance.sqrt().max(MIN_DEVIATION);
            }
        }
        let left: f64 = rows
            .iter()
            .flat_map(|row| row.0.iter().flatten())
            .map(|r| r * r)
            .sum();
        let values = examples.iter().flat_map(|example| example.values);
        let all: f64 = values.map(|value| f64::from(value).powi(2)).sum();
        Self {
            mean,
            deviation,
            squares: [left, all],
        }
    }

    /// Spread as far as they are, or were if that was farther.
    pub(super) fn within(mut self, spread: &Spread) -> Self {
        for (deviation, variance) in self.deviation.iter_mut().zip(spread.variance) {
            *deviation = deviation.max(variance.sqrt());
        }
        self
    }

    /// |z| by slot; 0 where there is none.
    pub(super) fn deviations(&self, row: &Row) -> [f64; SLOTS] {
        std::array::from_fn(|slot| {
            let Some(value) = row.0[slot] else { return 0.0 };
            ((value - self.mean[slot]) / self.deviation[slot])
                .abs()
                .min(MAX_Z)
        })
    }

    /// Mean of the [`TOP`] largest |z|; reports with fewer features are judged by those they have.
    pub(super) fn statistic(&self, row: &Row) -> f64 {
        let mut largest = self.deviations(row);
        largest.sort_by(|a, b| b.total_cmp(a));
        let count = TOP.min(row.0.iter().flatten().count()).max(1);
        largest[..count].iter().sum::<f64>() / count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread_by(deviation: f64) -> Residuals {
        Residuals {
            mean: [0.0; SLOTS],
            deviation: [deviation; SLOTS],
            squares: [deviation, 2.0],
        }
    }

    #[test]
    fn a_calm_day_does_not_make_the_next_a_fault() {
        let mut spread = Spread::default();
        spread.learn(&spread_by(1.0), 1_000);
        assert_eq!(spread.explained(), 0.5);
        spread.learn(&spread_by(0.2), 2_000);
        let calm = spread_by(0.2).within(&spread);
        assert!((calm.deviation[0] - 0.52_f64.sqrt()).abs() < 1e-12);
        assert!((spread.explained() - 0.7).abs() < 1e-12);
        // What is wider than ever counts at once.
        assert_eq!(spread_by(3.0).within(&spread).deviation[7], 3.0);
        // No new rows, nothing to learn.
        let before = spread.clone();
        spread.learn(&spread_by(9.0), 2_000);
        assert_eq!(spread.variance, before.variance);
    }

    #[test]
    fn what_was_long_ago_fades_by_half_in_two_weeks() {
        let mut spread = Spread::default();
        spread.learn(&spread_by(1.0), 1_000_000);
        spread.learn(&spread_by(0.1), 1_000_000 + 20_160);
        assert!((spread.variance[0] - 0.505).abs() < 1e-9);
    }
}
