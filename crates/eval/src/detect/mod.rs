//! Detectors that learn from one machine's own rows: scores for its training and its test rows, larger
//! for the more unusual.

mod principal;

#[cfg(test)]
mod tests;

pub use principal::principal_residuals;

use gear::smd::{METRICS, Values};

/// Metrics in the mean of the largest deviations: a fault touches some of many.
pub const TOP: usize = 3;
/// Scores are the mean of so many last ones. Faults last minutes, noise one row.
pub const SMOOTHING: usize = 5;

/// What a detector says of a machine.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Scores {
    /// Of the rows it learned from.
    pub train: Vec<f64>,
    /// Of the rows to judge.
    pub test: Vec<f64>,
}

impl Scores {
    /// The mean of the last [`SMOOTHING`] scores in place of each.
    pub fn smoothed(self) -> Self {
        Self {
            train: smoothed(&self.train),
            test: smoothed(&self.test),
        }
    }

    /// In units of what one in a thousand of the training rows exceeds.
    pub fn normalised(&self) -> Self {
        let mut sorted = self.train.clone();
        sorted.sort_by(f64::total_cmp);
        let index = (0.999 * sorted.len() as f64) as usize;
        let unit = sorted.get(index).or(sorted.last()).copied().unwrap_or(1.0);
        let unit = unit.max(f64::MIN_POSITIVE);
        let scale = |scores: &[f64]| scores.iter().map(|score| score / unit).collect();
        Self {
            train: scale(&self.train),
            test: scale(&self.test),
        }
    }

    /// The geometric mean of normalised scores: a fault that one detector sees clearly and another a
    /// little ranks above what only one of them finds odd.
    pub fn geometric_mean(parts: &[Self]) -> Self {
        let normal: Vec<Self> = parts.iter().map(Self::normalised).collect();
        let mean = |of: fn(&Self) -> &Vec<f64>| {
            let rows = normal.iter().map(|part| of(part).len()).min().unwrap_or(0);
            let at = |row: usize| {
                let logs = normal.iter().map(|part| of(part)[row].max(1e-12).ln());
                (logs.sum::<f64>() / normal.len() as f64).exp()
            };
            (0..rows).map(at).collect()
        };
        Self {
            train: mean(|part| &part.train),
            test: mean(|part| &part.test),
        }
    }
}

fn smoothed(scores: &[f64]) -> Vec<f64> {
    (1..=scores.len())
        .map(|end| {
            let window = &scores[end.saturating_sub(SMOOTHING)..end];
            window.iter().sum::<f64>() / window.len() as f64
        })
        .collect()
}

/// The largest deviation of each row.
pub fn largest(rows: &[Values]) -> Vec<f64> {
    let most = |row: &Values| row.iter().fold(0.0, |most: f64, z| most.max(z.abs()));
    rows.iter().map(most).collect()
}

/// The mean of the [`TOP`] largest deviations of each row.
pub fn top(rows: &[Values]) -> Vec<f64> {
    rows.iter().map(mean_of_largest).collect()
}

fn mean_of_largest(row: &Values) -> f64 {
    let mut z = row.map(f64::abs);
    z.sort_by(|a, b| b.total_cmp(a));
    z[..TOP].iter().sum::<f64>() / TOP as f64
}

/// Rows in which half of a lasting change is taken for the new normal: a day of minutes. Servers drift for
/// good, faults end.
pub const HALF_LIFE: f64 = 1_440.0;
/// A value moves the mean as if it lay no farther out than this: a fault is not to be learned.
const WINSOR: f64 = 3.0;

/// As [`top`], the mean of each metric following the rows as they come.
pub fn following(rows: &[Values]) -> Vec<f64> {
    let share = 1.0 - 0.5_f64.powf(1.0 / HALF_LIFE);
    let mut mean = [0.0; METRICS];
    let judge = |row: &Values| {
        let deviation: Values = std::array::from_fn(|metric| row[metric] - mean[metric]);
        for (mean, z) in mean.iter_mut().zip(deviation) {
            *mean += share * z.clamp(-WINSOR, WINSOR);
        }
        mean_of_largest(&deviation)
    };
    rows.iter().map(judge).collect()
}

/// Standardises residuals by those of the training rows: what a model explains badly anyway counts less.
pub fn standardised_residuals(train: &[Values], rows: &[Values]) -> Vec<Values> {
    let count = train.len().max(1) as f64;
    let scale: Vec<(f64, f64)> = (0..METRICS)
        .map(|metric| {
            let values = || train.iter().map(|row| row[metric]);
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            (mean, variance.sqrt().max(MIN_RESIDUAL))
        })
        .collect();
    let standardise = |row: &Values| {
        std::array::from_fn(|metric| (row[metric] - scale[metric].0) / scale[metric].1)
    };
    rows.iter().map(standardise).collect()
}

/// Deviation of a residual never counts as less than this, in deviations of the value.
const MIN_RESIDUAL: f64 = 0.03;
