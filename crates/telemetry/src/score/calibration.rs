//! What is normal for one device.

use super::MIN_CALIBRATION;
use super::history::History;
use super::normal::Limit;
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
/// A threshold of both together never lies below one unit.
const MIN_TOGETHER: f64 = 1.0;
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

/// How often what was how large on one device's rows, for as long as it is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Histories {
    local: History,
    shared: History,
    together: History,
    spread: Spread,
}

/// Bounds of one device, and how the shared model's residuals count on it.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Of the departure from the device's own course.
    local: Bounds,
    shared: Option<Shared>,
}

/// Where sizes become unusual, and where they are too far out to be learned whole.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    threshold: f64,
    limit: Limit,
}

/// Both detectors together.
#[derive(Clone, Debug)]
struct Shared {
    residuals: Residuals,
    weights: Weights,
    /// Of both together, in units.
    bounds: Bounds,
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
    /// Whether a model may learn from it.
    pub normal: bool,
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

impl Bounds {
    /// For false alarms at `rate`; neither lies below `least`.
    fn of(history: &History, rate: f64, least: f64) -> Self {
        let sizes: Vec<(f64, f64)> = history.sizes().collect();
        Self {
            threshold: (MARGIN * tail_quantile_of(&sizes, rate)).max(least),
            limit: Limit::of(&sizes, least),
        }
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
        let local = Bounds::of(&histories.local, rate, MIN_DEPARTURE);
        let shared =
            reconstructions.map(|all| Shared::fit(histories, &examples[..found], all, rate));
        Ok(Self { local, shared })
    }

    /// The score of one example, which is remembered as far as it is not far out.
    pub(super) fn judge(
        &self,
        histories: &mut Histories,
        example: &Example,
        reconstruction: Option<&[f32; SLOTS]>,
    ) -> Judged {
        let shared = self.shared.as_ref().zip(reconstruction);
        let Some((shared, reconstruction)) = shared else {
            let departure = departure(example);
            let limit = self.local.limit;
            histories.local.add(departure * limit.share(departure));
            return Judged {
                score: departure / self.local.threshold,
                normal: limit.holds(departure),
                shares: shares(example, &example.departure.slots.map(f64::from)),
            };
        };
        let row = Row::new(example, reconstruction);
        let statistic = shared.residuals.statistic(&row);
        let together = shared.weights.of(departure(example), statistic);
        let Bounds { threshold, limit } = shared.bounds;
        let share = limit.share(together);
        histories.local.add(share * departure(example));
        histories.shared.add(share * statistic);
        histories.together.add(share * together);
        let off = shared.residuals.deviations(&row);
        let by_slot = std::array::from_fn(|slot| {
            shared
                .weights
                .of(f64::from(example.departure.slots[slot]), off[slot])
        });
        Judged {
            score: together / threshold,
            normal: limit.holds(together),
            shares: shares(example, &by_slot),
        }
    }

    /// Thresholds of the local detector, in deviations, and of both together, in units.
    pub fn thresholds(&self) -> (f64, Option<f64>) {
        (
            self.local.threshold,
            self.shared.as_ref().map(|shared| shared.bounds.threshold),
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
        Self {
            bounds: Bounds::of(&histories.together, rate, MIN_TOGETHER),
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
