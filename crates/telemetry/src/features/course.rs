//! How far a device is off its own course: the local detector, which needs no model and nobody else.
//!
//! Each metric has a mean and a deviation that never stop following it; what counts is how many deviations
//! the newest value lies off the mean *before* it is learned. A row's departure is half the largest and half
//! the mean of the three largest: a fault touches some metrics of many, but one alone must still count. It
//! is smoothed over five rows, as faults last minutes and noise one row. On the Server Machine Dataset that finds faults better than a window that
//! stands still, and than any model alone (docs/learning.md has the figures and how each constant here was
//! chosen: on one half of the machines, reported on the other).

use super::SLOTS;
use super::drift::{MAX_MAGNITUDE, deviation_of};
use std::collections::VecDeque;

/// Rows after which half of a lasting change of the level counts as normal: a day of minutes. Servers drift
/// for good, faults end.
const LEVEL_HALF_LIFE: f64 = 1_440.0;
/// The same for the spread: two weeks of minutes, so that a quiet night does not make the morning a fault.
const SPREAD_HALF_LIFE: f64 = 20_160.0;
/// A value moves the level as if it lay no farther out than this: a fault is not to be learned.
const LEVEL_WINSOR: f64 = 3.0;
/// … and the spread as if no farther than this.
const SPREAD_WINSOR: f64 = 6.0;
/// Values that are learned whole: until then the deviation means nothing.
const WARMUP: u32 = super::WARMUP_ROWS;
/// Metrics in the mean of the largest.
const TOP: usize = 3;
/// Rows a departure is smoothed over.
const SMOOTHING: usize = super::SMOOTHING_ROWS;
/// Largest |z| that counts: more says nothing more.
const MAX_Z: f64 = 1_000.0;

/// How far a row is off its device's course.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Departure {
    /// |z| by slot; 0 where absent.
    pub slots: [f32; SLOTS],
    /// Half the largest and half the mean of the three largest, smoothed over the last rows.
    pub smoothed: f32,
}

impl Departure {
    /// On course.
    pub const NONE: Self = Self {
        slots: [0.0; SLOTS],
        smoothed: 0.0,
    };
}

/// One metric's level and spread, followed for ever in constant memory: an exponential mean whose weight is
/// at least that of a plain mean, so that it starts like one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Course {
    rows: u32,
    level: f64,
    variance: f64,
}

impl Course {
    /// Values followed so far.
    pub(super) fn rows(&self) -> u32 {
        self.rows
    }

    /// Deviations of a value from the level, learned afterwards. 0 while the first rows come.
    pub(super) fn follow(&mut self, value: f64) -> f64 {
        let value = value.clamp(-MAX_MAGNITUDE, MAX_MAGNITUDE);
        if self.rows == 0 {
            (self.rows, self.level) = (1, value);
            return 0.0;
        }
        let deviation = deviation_of(self.variance, self.level);
        let off = value - self.level;
        let warm = self.rows >= WARMUP;
        let within = |winsor: f64| {
            let reach = if warm {
                winsor * deviation
            } else {
                f64::INFINITY
            };
            off.clamp(-reach, reach)
        };
        self.rows = self.rows.saturating_add(1);
        let weight = |half_life: f64| {
            let lasting = 1.0 - 0.5_f64.powf(1.0 / half_life);
            lasting.max(1.0 / f64::from(self.rows))
        };
        let square = within(SPREAD_WINSOR).powi(2);
        self.variance += weight(SPREAD_HALF_LIFE) * (square - self.variance);
        self.level += weight(LEVEL_HALF_LIFE) * within(LEVEL_WINSOR);
        if warm {
            (off / deviation).clamp(-MAX_Z, MAX_Z)
        } else {
            0.0
        }
    }
}

/// The last departures of a device.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent(VecDeque<f64>);

impl Recent {
    /// Of the deviations of a row's metrics.
    pub(super) fn departure(&mut self, slots: [f32; SLOTS], present: usize) -> Departure {
        let slots = slots.map(f32::abs);
        let mut largest = slots;
        largest.sort_by(|a, b| b.total_cmp(a));
        let count = TOP.min(present).max(1);
        let top = largest[..count].iter().copied().map(f64::from).sum::<f64>() / count as f64;
        let row = (f64::from(largest[0]) + top) / 2.0;
        if self.0.len() == SMOOTHING {
            self.0.pop_front();
        }
        self.0.push_back(row);
        Departure {
            slots,
            smoothed: (self.0.iter().sum::<f64>() / self.0.len() as f64) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ±1 in turn.
    fn swinging(course: &mut Course, rows: u32, level: f64) -> f64 {
        (0..rows).fold(0.0, |_, row| {
            course.follow(level + if row.is_multiple_of(2) { 1.0 } else { -1.0 })
        })
    }

    #[test]
    fn a_jump_is_far_off_until_it_lasts() {
        let mut course = Course::default();
        assert!(swinging(&mut course, 2_000, 10.0) < 1.2);
        assert!(course.follow(18.0) > 7.0);
        // Half of a jump of eight deviations is learned in more than a day, for each row moves the level
        // by at most three.
        let after_an_hour = swinging(&mut course, 60, 18.0);
        let after_three_days = swinging(&mut course, 3 * 1_440, 18.0);
        // Its own spread has grown by what it jumped, as far as that counts.
        assert!(after_an_hour > 4.0, "{after_an_hour}");
        assert!(after_three_days < 3.5, "{after_three_days}");
    }

    #[test]
    fn a_fault_leaves_the_course_almost_as_it_was() {
        let mut course = Course::default();
        swinging(&mut course, 2_000, 10.0);
        for _ in 0..30 {
            course.follow(1e9);
        }
        let normal = swinging(&mut course, 2, 10.0);
        assert!(normal < 1.3, "{normal}");
        assert!(course.follow(16.0) > 4.0);
    }

    #[test]
    fn a_metric_that_stood_still_is_off_when_it_moves() {
        let mut course = Course::default();
        for _ in 0..100 {
            assert_eq!(course.follow(5.0), 0.0);
        }
        // The deviation's floor is a hundredth of the level.
        assert!((course.follow(6.0) - 20.0).abs() < 1e-9);
        assert_eq!(Course::default().follow(f64::MAX), 0.0);
    }

    #[test]
    fn the_departure_is_the_mean_of_the_largest_of_the_last_rows() {
        let mut recent = Recent::default();
        let mut slots = [0.0; SLOTS];
        slots[..4].copy_from_slice(&[9.0, 1.0, 3.0, 6.0]);
        assert_eq!(recent.departure(slots, 4).smoothed, 7.5);
        assert_eq!(recent.departure([0.0; SLOTS], 4).smoothed, 3.75);
        // A report of one metric is judged by that one.
        let mut one = [0.0; SLOTS];
        one[7] = 6.0;
        assert_eq!(Recent::default().departure(one, 1).smoothed, 6.0);
    }
}
