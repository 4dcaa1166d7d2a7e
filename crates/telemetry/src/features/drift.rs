//! When a metric's normal has changed for good.
//!
//! A [course](super::course) follows what lasts, so that a server which was given more work stops being unusual.
//! Somebody should know all the same: a battery that charges to less each month, or a room that is two
//! degrees warmer than in spring, is no fault of any hour. The test is Page's (1954) with Hinkley's (1971) tolerance: how far
//! values lie off a reference adds up, and what is left above the least sum so far tells.

/// Values the reference is made of: a day of minutes, as most loads follow the day.
pub const REFERENCE_ROWS: u32 = 1_440;
/// What a value may lie off the reference, in deviations, before it counts.
const TOLERANCE: f64 = 0.5;
/// A value counts as if it lay no farther off than this: a fault of an hour is no drift.
const WINSOR: f64 = 3.0;
/// Told once so many deviations beyond the tolerance have added up: one, for a day.
const THRESHOLD: f64 = 1_440.0;
/// Deviation never counts as less than this: a metric that was constant at 0 moves when it becomes 1.
const MIN_DEVIATION: f64 = 0.01;
/// … nor as less than this share of the mean.
const MIN_RELATIVE_DEVIATION: f64 = 0.01;
/// Magnitudes beyond this are taken for this: their squares still fit.
pub(super) const MAX_MAGNITUDE: f64 = 1e100;

/// The square root of a variance, with its floor.
pub(super) fn deviation_of(variance: f64, mean: f64) -> f64 {
    variance
        .sqrt()
        .max(MIN_DEVIATION)
        .max(MIN_RELATIVE_DEVIATION * mean.abs())
}

/// A lasting change of one metric's level.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Change {
    /// Mean before.
    pub from: f64,
    /// Mean since the change began.
    pub to: f64,
    /// Values since then.
    pub rows: u32,
}

/// Watches one metric.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drift {
    rows: u32,
    mean: f64,
    squares: f64,
    up: Side,
    down: Side,
}

/// What has added up in one direction.
#[derive(Clone, Copy, Debug, Default)]
struct Side {
    sum: f64,
    values: f64,
    rows: u32,
}

impl Drift {
    /// Takes a value; `Some` once a change has lasted. Then its reference is made anew.
    pub(super) fn follow(&mut self, value: f64) -> Option<Change> {
        let value = value.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE);
        if self.rows < REFERENCE_ROWS {
            // Welford 1962.
            self.rows += 1;
            let delta = value - self.mean;
            self.mean += delta / f64::from(self.rows);
            self.squares += delta * (value - self.mean);
            return None;
        }
        let deviation = deviation_of(self.squares / f64::from(self.rows), self.mean);
        let off = ((value - self.mean) / deviation).clamp(-WINSOR, WINSOR);
        let lasted = [
            self.up.add(off - TOLERANCE, value),
            self.down.add(-off - TOLERANCE, value),
        ];
        let side = lasted.into_iter().flatten().next()?;
        let change = Change {
            from: self.mean,
            to: side.values / f64::from(side.rows),
            rows: side.rows,
        };
        *self = Self::default();
        Some(change)
    }
}

impl Side {
    fn add(&mut self, beyond: f64, value: f64) -> Option<Self> {
        self.sum += beyond;
        if self.sum <= 0.0 {
            *self = Self::default();
            return None;
        }
        self.values += value;
        self.rows += 1;
        (self.sum > THRESHOLD).then_some(*self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A day's rhythm around a level, one value a minute.
    fn day(level: f64) -> impl Fn(u32) -> f64 {
        move |minute| {
            let phase = f64::from(minute % 1_440) / 1_440.0 * std::f64::consts::TAU;
            level + 3.0 * phase.sin() + 0.5 * f64::from(minute * 7 % 5)
        }
    }

    fn fed(
        drift: &mut Drift,
        days: std::ops::Range<u32>,
        value: impl Fn(u32) -> f64,
    ) -> Vec<(u32, Change)> {
        let minutes = days.start * 1_440..days.end * 1_440;
        minutes
            .filter_map(|minute| Some((minute, drift.follow(value(minute))?)))
            .collect()
    }

    #[test]
    fn days_and_faults_are_no_drift_and_a_new_level_is_told_once() {
        let mut drift = Drift::default();
        assert_eq!(fed(&mut drift, 0..10, day(20.0)), []);
        // Five hours of a fault far off.
        let fault = |minute: u32| {
            if minute % 14_400 < 300 {
                900.0
            } else {
                day(20.0)(minute)
            }
        };
        assert_eq!(fed(&mut drift, 10..15, fault), []);
        let told = fed(&mut drift, 15..30, day(26.0));
        assert_eq!(told.len(), 1, "{told:?}");
        let (minute, change) = told[0];
        assert!((15..17).contains(&(minute / 1_440)), "{minute}");
        assert!(
            (change.from - 21.0).abs() < 0.5 && (change.to - 27.0).abs() < 2.5,
            "{change:?}"
        );
        assert!(change.rows >= 500, "{change:?}");
    }

    #[test]
    fn a_slow_slide_is_told_in_either_direction() {
        for sign in [1.0, -1.0] {
            let mut drift = Drift::default();
            let slide = |minute: u32| day(20.0 + sign * f64::from(minute) / 14_400.0 * 6.0)(minute);
            let told = fed(&mut drift, 0..20, slide);
            assert!(!told.is_empty() && told.len() < 6, "{told:?}");
            assert!(
                told.iter()
                    .all(|(_, change)| (change.to - change.from) * sign > 0.0)
            );
        }
    }

    #[test]
    fn wild_values_do_not_break_it() {
        let mut drift = Drift::default();
        for minute in 0..10_000 {
            let value = if minute % 2 == 0 { f64::MAX } else { f64::MIN };
            if let Some(change) = drift.follow(value) {
                assert!(change.to.is_finite());
            }
        }
    }
}
