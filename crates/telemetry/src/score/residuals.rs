//! What the shared model leaves unexplained of one device, in deviations of what it leaves unexplained of
//! normal rows.

use crate::features::{Example, SLOTS};

/// Deviation of a residual never counts as less than this, in standardised units: a feature that
/// did not move during calibration must move visibly before it matters.
const MIN_DEVIATION: f64 = 0.1;
/// Largest |z| that counts.
const MAX_Z: f64 = 1_000.0;
/// Features in the mean of the largest deviations from a reconstruction.
const TOP: usize = 3;

/// Mean and deviation of the residuals of normal rows, by slot.
#[derive(Clone, Debug)]
pub(super) struct Residuals {
    mean: [f64; SLOTS],
    deviation: [f64; SLOTS],
    explained: f64,
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
            explained: if all > 0.0 {
                (1.0 - left / all).clamp(0.0, 1.0)
            } else {
                0.0
            },
        }
    }

    /// The share of the normal rows' squares that the model explains, 0 to 1.
    pub(super) fn explained(&self) -> f64 {
        self.explained
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
