//! What is normal for one device.

use super::{MIN_CALIBRATION, tail_quantile};
use crate::features::{Example, SLOTS};

/// Deviation of a feature never counts as less than this, in standardised units: a feature that
/// did not move during calibration must move visibly before it matters.
const MIN_DEVIATION: f64 = 0.1;
/// Largest |z| that counts.
const MAX_Z: f64 = 1_000.0;
/// Features in the mean of the largest deviations.
const TOP: usize = 3;
/// The tail of one stretch of rows is thinner than that of the next: load moves in hours and days, and
/// calibration has seen minutes. Thresholds stand this much above what calibration alone would say.
const MARGIN: f64 = 1.5;
/// A threshold never lies below this many deviations, however calm the calibration was.
const MIN_THRESHOLD: f64 = 3.0;

/// Too few examples to set a threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{found} calibration examples where at least {MIN_CALIBRATION} are needed; wait for more reports"
)]
pub struct TooFew {
    /// How many there were.
    pub found: usize,
}

/// Per-feature statistics and thresholds of one device.
#[derive(Clone, Debug)]
pub struct Calibration {
    local: Detector,
    shared: Option<Detector>,
}

/// How the deviations of an example become one number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Statistic {
    /// Mean of the [`TOP`] largest.
    Top,
    /// Mean of the largest and of [`Statistic::Top`]: still moved by one metric alone.
    LargestAndTop,
}

/// One detector's view.
#[derive(Clone, Debug)]
struct Detector {
    mean: [f64; SLOTS],
    deviation: [f64; SLOTS],
    statistic: Statistic,
    threshold: f64,
}

/// An example's score with the share of each feature, largest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Judged {
    /// In units of the threshold.
    pub score: f64,
    /// Slot and share of the sum of |z|.
    pub shares: Vec<(usize, f64)>,
}

impl Calibration {
    /// From normal examples and, where there is a model, its reconstructions of them.
    pub fn fit(
        examples: &[Example],
        reconstructions: Option<&[[f32; SLOTS]]>,
        rate: f64,
    ) -> Result<Self, TooFew> {
        let rows: Vec<Row> = examples.iter().map(|e| Row::new(e, None)).collect();
        let residuals: Option<Vec<Row>> = reconstructions.map(|reconstructions| {
            examples
                .iter()
                .zip(reconstructions)
                .map(|(e, r)| Row::new(e, Some(r)))
                .collect()
        });
        let fewest = residuals
            .as_ref()
            .map_or(rows.len(), |r| r.len().min(rows.len()));
        if fewest < MIN_CALIBRATION {
            return Err(TooFew { found: fewest });
        }
        let each = if residuals.is_some() {
            rate / 2.0
        } else {
            rate
        };
        Ok(Self {
            local: Detector::fit(&rows, Statistic::LargestAndTop, each),
            shared: residuals.map(|rows| Detector::fit(&rows, Statistic::Top, each)),
        })
    }

    /// The score of one example.
    pub fn judge(&self, example: &Example, reconstruction: Option<&[f32; SLOTS]>) -> Judged {
        let local = self.local.judge(&Row::new(example, None));
        let shared = self
            .shared
            .as_ref()
            .zip(reconstruction)
            .map(|(detector, r)| detector.judge(&Row::new(example, Some(r))));
        match shared {
            Some(shared) if shared.score > local.score => shared,
            Some(_) | None => local,
        }
    }

    /// Thresholds of the local and the shared detector, in deviations.
    pub fn thresholds(&self) -> (f64, Option<f64>) {
        (
            self.local.threshold,
            self.shared.as_ref().map(|shared| shared.threshold),
        )
    }
}

/// Residuals (or plain values) of one example; `None` where masked or not finite.
struct Row([Option<f64>; SLOTS]);

impl Row {
    fn new(example: &Example, reconstruction: Option<&[f32; SLOTS]>) -> Self {
        Self(std::array::from_fn(|slot| {
            let expected = reconstruction.map_or(0.0, |r| r[slot]);
            let residual = f64::from(example.values[slot]) - f64::from(expected);
            (example.mask[slot] && residual.is_finite()).then_some(residual)
        }))
    }
}

impl Detector {
    fn fit(rows: &[Row], statistic: Statistic, rate: f64) -> Self {
        let mut detector = Self {
            mean: [0.0; SLOTS],
            deviation: [1.0; SLOTS],
            statistic,
            threshold: MIN_THRESHOLD,
        };
        for slot in 0..SLOTS {
            let values = || rows.iter().filter_map(|row| row.0[slot]);
            let count = values().count() as f64;
            if count > 0.0 {
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
                detector.mean[slot] = mean;
                detector.deviation[slot] = variance.sqrt().max(MIN_DEVIATION);
            }
        }
        let statistics: Vec<f64> = rows
            .iter()
            .map(|row| detector.statistic(&detector.deviations(row)))
            .collect();
        detector.threshold = (MARGIN * tail_quantile(&statistics, rate)).max(MIN_THRESHOLD);
        detector
    }

    /// |z| by slot, largest first.
    fn deviations(&self, row: &Row) -> Vec<(usize, f64)> {
        let mut z: Vec<(usize, f64)> = (0..SLOTS)
            .filter_map(|slot| {
                let value = row.0[slot]?;
                Some((
                    slot,
                    ((value - self.mean[slot]) / self.deviation[slot])
                        .abs()
                        .min(MAX_Z),
                ))
            })
            .collect();
        z.sort_by(|a, b| b.1.total_cmp(&a.1));
        z
    }

    /// Reports with fewer features than [`TOP`] are judged by those they have.
    fn statistic(&self, z: &[(usize, f64)]) -> f64 {
        let largest = z.first().map_or(0.0, |(_, z)| *z);
        let count = TOP.min(z.len()).max(1);
        let top = z.iter().take(count).map(|(_, z)| z).sum::<f64>() / count as f64;
        match self.statistic {
            Statistic::Top => top,
            Statistic::LargestAndTop => (largest + top) / 2.0,
        }
    }

    fn judge(&self, row: &Row) -> Judged {
        let z = self.deviations(row);
        let score = self.statistic(&z) / self.threshold;
        let sum: f64 = z.iter().map(|(_, z)| z).sum();
        let shares = if sum > 0.0 {
            z.into_iter().map(|(slot, z)| (slot, z / sum)).collect()
        } else {
            Vec::new()
        };
        Judged { score, shares }
    }
}
