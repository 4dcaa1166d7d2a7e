//! Standardisation learned from a metric's first rows.

use super::{SCALER_ROWS, WARMUP_ROWS};

/// Deviation never counts as less than this: a metric that was constant at 0 (an error count)
/// moves by a hundred deviations when it becomes 1, and not by infinitely many.
const MIN_DEVIATION: f64 = 0.01;
/// … nor as less than this share of the mean: the last digit of a large counter is no news.
const MIN_RELATIVE_DEVIATION: f64 = 0.01;
/// After warm-up a value is learned as if it lay no farther out than this: a fault in the first
/// minutes must not make all later faults look normal.
const WINSOR: f64 = 6.0;
/// Magnitudes beyond this are taken for this: their squares still fit.
pub(super) const MAX_MAGNITUDE: f64 = 1e100;

/// The square root of a variance, with its floor.
pub(super) fn deviation_of(variance: f64, mean: f64) -> f64 {
    variance
        .sqrt()
        .max(MIN_DEVIATION)
        .max(MIN_RELATIVE_DEVIATION * mean.abs())
}

/// Running mean and deviation (Welford 1962), frozen after [`SCALER_ROWS`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Scaler {
    rows: u32,
    mean: f64,
    squares: f64,
}

impl Scaler {
    /// Takes a value into account, unless frozen.
    pub fn learn(&mut self, value: f64) {
        if self.rows >= SCALER_ROWS || !value.is_finite() {
            return;
        }
        let mut value = value.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE);
        if self.rows >= WARMUP_ROWS {
            let reach = WINSOR * self.deviation();
            value = value.clamp(self.mean - reach, self.mean + reach);
        }
        self.rows += 1;
        let delta = value - self.mean;
        self.mean += delta / f64::from(self.rows);
        self.squares += delta * (value - self.mean);
    }

    /// Rows learned from.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Standard deviation with its floor.
    pub fn deviation(&self) -> f64 {
        deviation_of(self.squares / f64::from(self.rows.max(1)), self.mean)
    }

    /// Deviations from the mean.
    pub fn standardise(&self, value: f64) -> f64 {
        (value.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE) - self.mean) / self.deviation()
    }
}
