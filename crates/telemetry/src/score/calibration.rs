//! What is normal for one device.

use super::history::History;
use super::tail::tail_quantile_of;
use super::{MIN_CALIBRATION, tail_quantile};
use crate::features::{Example, SLOTS};

/// Deviation of a feature never counts as less than this, in standardised units: a feature that
/// did not move during calibration must move visibly before it matters.
const MIN_DEVIATION: f64 = 0.1;
/// Largest |z| that counts.
const MAX_Z: f64 = 1_000.0;
/// Features in the mean of the largest deviations from a reconstruction.
const TOP: usize = 3;
/// The tail of one stretch of rows is thinner than that of the next: load moves in hours and days, and
/// calibration has seen minutes. Thresholds stand this much above what calibration alone would say.
const MARGIN: f64 = 1.5;
/// The same for departures, whose history is all rows since the device is known and whose level follows the
/// hours: what is left is the season.
const MARGIN_OF_COURSE: f64 = 1.3;
/// A threshold of residuals never lies below this many deviations, however calm the calibration was.
const MIN_THRESHOLD: f64 = 3.0;
/// The same for departures, half of which is their largest: one metric alone, four deviations off for five
/// rows, has to count.
const MIN_DEPARTURE: f64 = 2.5;

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
    /// Threshold of the departure from the device's own course.
    local: f64,
    shared: Option<Detector>,
}

/// The shared model's residuals on one device.
#[derive(Clone, Debug)]
struct Detector {
    mean: [f64; SLOTS],
    deviation: [f64; SLOTS],
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
    /// From what the device's course was like, from normal examples and, where there is a model, its
    /// reconstructions of them.
    pub(super) fn fit(
        history: &History,
        examples: &[Example],
        reconstructions: Option<&[[f32; SLOTS]]>,
        rate: f64,
    ) -> Result<Self, TooFew> {
        let residuals: Option<Vec<Row>> = reconstructions.map(|reconstructions| {
            examples
                .iter()
                .zip(reconstructions)
                .map(|(e, r)| Row::new(e, r))
                .collect()
        });
        let fewest = residuals
            .as_ref()
            .map_or(examples.len(), |r| r.len().min(examples.len()));
        if fewest < MIN_CALIBRATION {
            return Err(TooFew { found: fewest });
        }
        let each = if residuals.is_some() {
            rate / 2.0
        } else {
            rate
        };
        Ok(Self {
            local: threshold(
                MARGIN_OF_COURSE,
                tail_quantile_of(&history.sizes().collect::<Vec<_>>(), each),
                MIN_DEPARTURE,
            ),
            shared: residuals.map(|rows| Detector::fit(&rows, each)),
        })
    }

    /// The score of one example.
    pub fn judge(&self, example: &Example, reconstruction: Option<&[f32; SLOTS]>) -> Judged {
        let local = self.off_course(example);
        let shared = self
            .shared
            .as_ref()
            .zip(reconstruction)
            .map(|(detector, r)| detector.judge(&Row::new(example, r)));
        match shared {
            Some(shared) if shared.score > local.score => shared,
            Some(_) | None => local,
        }
    }

    fn off_course(&self, example: &Example) -> Judged {
        let mut off: Vec<(usize, f64)> = (0..SLOTS)
            .filter(|&slot| example.mask[slot])
            .map(|slot| (slot, f64::from(example.departure.slots[slot])))
            .collect();
        off.sort_by(|a, b| b.1.total_cmp(&a.1));
        Judged {
            score: f64::from(example.departure.smoothed) / self.local,
            shares: shares(off),
        }
    }

    /// Thresholds of the local and the shared detector, in deviations.
    pub fn thresholds(&self) -> (f64, Option<f64>) {
        (
            self.local,
            self.shared.as_ref().map(|shared| shared.threshold),
        )
    }
}

fn threshold(margin: f64, quantile: f64, least: f64) -> f64 {
    (margin * quantile).max(least)
}

/// Deviations as shares of their sum.
fn shares(z: Vec<(usize, f64)>) -> Vec<(usize, f64)> {
    let sum: f64 = z.iter().map(|(_, z)| z).sum();
    if sum > 0.0 {
        z.into_iter().map(|(slot, z)| (slot, z / sum)).collect()
    } else {
        Vec::new()
    }
}

/// Residuals of one example; `None` where masked or not finite.
struct Row([Option<f64>; SLOTS]);

impl Row {
    fn new(example: &Example, reconstruction: &[f32; SLOTS]) -> Self {
        Self(std::array::from_fn(|slot| {
            let residual = f64::from(example.values[slot]) - f64::from(reconstruction[slot]);
            (example.mask[slot] && residual.is_finite()).then_some(residual)
        }))
    }
}

impl Detector {
    fn fit(rows: &[Row], rate: f64) -> Self {
        let mut detector = Self {
            mean: [0.0; SLOTS],
            deviation: [1.0; SLOTS],
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
            .map(|row| statistic(&detector.deviations(row)))
            .collect();
        detector.threshold = threshold(MARGIN, tail_quantile(&statistics, rate), MIN_THRESHOLD);
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

    fn judge(&self, row: &Row) -> Judged {
        let z = self.deviations(row);
        Judged {
            score: statistic(&z) / self.threshold,
            shares: shares(z),
        }
    }
}

/// Mean of the [`TOP`] largest; reports with fewer features are judged by those they have.
fn statistic(z: &[(usize, f64)]) -> f64 {
    let count = TOP.min(z.len()).max(1);
    z.iter().take(count).map(|(_, z)| z).sum::<f64>() / count as f64
}
