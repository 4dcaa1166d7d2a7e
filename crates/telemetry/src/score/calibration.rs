//! What is normal for one device.

use super::MIN_CALIBRATION;
use super::history::History;
use super::residuals::{Residuals, Row, Spread};
use super::tail::tail_quantile_of;
use crate::features::{Example, SLOTS};

/// Thresholds stand this much above what the rows seen so far say: load moves in hours and days, and what is
/// left is the season.
const MARGIN: f64 = 1.3;
/// A threshold of departures never lies below this many deviations, however calm the device was: half of a
/// departure is its largest, and one metric alone, four deviations off for five rows, has to count.
const MIN_DEPARTURE: f64 = 2.5;
/// Both detectors are brought to one scale by what one in a thousand normal rows exceeds …
const UNIT_QUANTILE: f64 = 0.999;
/// … which is never less than this many deviations.
const MIN_UNIT: f64 = 2.0;
/// Weight of the shared model beside the local detector, for a device that it explains wholly. One that it
/// does not explain it has nothing to say about.
const SHARED_WEIGHT: f64 = 0.5;

/// Too few examples to set a threshold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{found} calibration examples where at least {MIN_CALIBRATION} are needed; wait for more reports"
)]
pub struct TooFew {
    /// How many there were.
    pub found: usize,
}

/// How often what was how large on one device's normal rows, for as long as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Histories {
    local: History,
    shared: History,
    together: History,
    spread: Spread,
}

/// Thresholds of one device, and how the shared model's residuals count on it.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Threshold of the departure from the device's own course.
    local: f64,
    shared: Option<Shared>,
}

/// Both detectors together.
#[derive(Clone, Debug)]
struct Shared {
    residuals: Residuals,
    weights: Weights,
    threshold: f64,
}

/// What makes one number of two.
#[derive(Clone, Copy, Debug)]
struct Weights {
    local: f64,
    shared: f64,
}

/// An example's score with the share of each feature, largest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Judged {
    /// In units of the threshold.
    pub score: f64,
    /// Slot and share of the sum of |z|.
    pub shares: Vec<(usize, f64)>,
}

impl Histories {
    /// Of a device that is new: all that is known of it are its calibration examples.
    pub(super) fn new(examples: &[Example]) -> Self {
        let mut new = Self::default();
        examples
            .iter()
            .for_each(|example| new.local.add(departure(example)));
        new
    }
}

impl Calibration {
    /// From what the device was like, from normal examples and, where there is a model, its
    /// reconstructions of them.
    pub(super) fn fit(
        histories: &mut Histories,
        examples: &[Example],
        reconstructions: Option<&[[f32; SLOTS]]>,
        rate: f64,
    ) -> Result<Self, TooFew> {
        let found = reconstructions.map_or(examples.len(), |r| r.len().min(examples.len()));
        if found < MIN_CALIBRATION {
            return Err(TooFew { found });
        }
        let Some(reconstructions) = reconstructions else {
            return Ok(Self {
                local: local_threshold(histories, rate),
                shared: None,
            });
        };
        Ok(Self {
            local: local_threshold(histories, rate),
            shared: Some(Shared::fit(
                histories,
                &examples[..found],
                reconstructions,
                rate,
            )),
        })
    }

    /// The score of one example; what is normal is remembered.
    pub(super) fn judge(
        &self,
        histories: &mut Histories,
        example: &Example,
        reconstruction: Option<&[f32; SLOTS]>,
    ) -> Judged {
        let shared = self.shared.as_ref().zip(reconstruction);
        let Some((shared, reconstruction)) = shared else {
            let score = departure(example) / self.local;
            if score <= 1.0 {
                histories.local.add(departure(example));
            }
            return Judged {
                score,
                shares: shares(example, &example.departure.slots.map(f64::from)),
            };
        };
        let row = Row::new(example, reconstruction);
        let statistic = shared.residuals.statistic(&row);
        let together = shared.weights.of(departure(example), statistic);
        let score = together / shared.threshold;
        if score <= 1.0 {
            histories.local.add(departure(example));
            histories.shared.add(statistic);
            histories.together.add(together);
        }
        let off = shared.residuals.deviations(&row);
        let by_slot = std::array::from_fn(|slot| {
            shared
                .weights
                .of(f64::from(example.departure.slots[slot]), off[slot])
        });
        Judged {
            score,
            shares: shares(example, &by_slot),
        }
    }

    /// Thresholds of the local detector, in deviations, and of both together, in units.
    pub fn thresholds(&self) -> (f64, Option<f64>) {
        (
            self.local,
            self.shared.as_ref().map(|shared| shared.threshold),
        )
    }
}

impl Shared {
    fn fit(
        histories: &mut Histories,
        examples: &[Example],
        reconstructions: &[[f32; SLOTS]],
        rate: f64,
    ) -> Self {
        let rows = examples.iter().zip(reconstructions);
        let rows: Vec<Row> = rows.map(|(e, r)| Row::new(e, r)).collect();
        let residuals = Residuals::of(examples, &rows);
        histories.spread.learn(&residuals, histories.local.rows());
        let residuals = residuals.within(&histories.spread);
        let statistics = || rows.iter().map(|row| residuals.statistic(row));
        let first = histories.shared.is_empty();
        if first {
            statistics().for_each(|statistic| histories.shared.add(statistic));
        }
        let unit = |history: &History| history.quantile(UNIT_QUANTILE).max(MIN_UNIT);
        let weights = Weights {
            local: 1.0 / unit(&histories.local),
            shared: SHARED_WEIGHT * histories.spread.explained() / unit(&histories.shared),
        };
        if first {
            for (example, statistic) in examples.iter().zip(statistics()) {
                histories
                    .together
                    .add(weights.of(departure(example), statistic));
            }
        }
        let tail = tail_quantile_of(&histories.together.sizes().collect::<Vec<_>>(), rate);
        Self {
            threshold: (MARGIN * tail).max(1.0),
            residuals,
            weights,
        }
    }
}

impl Weights {
    fn of(self, local: f64, shared: f64) -> f64 {
        self.local * local + self.shared * shared
    }
}

fn departure(example: &Example) -> f64 {
    f64::from(example.departure.smoothed)
}

fn local_threshold(histories: &Histories, rate: f64) -> f64 {
    let sizes: Vec<(f64, f64)> = histories.local.sizes().collect();
    (MARGIN * tail_quantile_of(&sizes, rate)).max(MIN_DEPARTURE)
}

/// What each metric of the example adds, as shares of the sum, largest first.
fn shares(example: &Example, by_slot: &[f64; SLOTS]) -> Vec<(usize, f64)> {
    let present = (0..SLOTS).filter(|&slot| example.mask[slot]);
    let mut off: Vec<(usize, f64)> = present.map(|slot| (slot, by_slot[slot])).collect();
    off.sort_by(|a, b| b.1.total_cmp(&a.1));
    let sum: f64 = off.iter().map(|(_, z)| z).sum();
    if sum > 0.0 {
        off.into_iter().map(|(slot, z)| (slot, z / sum)).collect()
    } else {
        Vec::new()
    }
}
