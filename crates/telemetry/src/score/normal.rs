//! What is learned from a row, whatever alarms.
//!
//! A row farther out than one in a thousand of the device's rows counts as if it lay just beyond them, as a value does in
//! the course of a metric (`features::course`), and no model is trained on it. Where that bound lies does not depend on how
//! far beyond it rows are, only on how many: with more than one in a thousand it moves out. Were such rows left out, the tail that
//! thresholds rest on would lose what makes it one, and a device that became noisier would never be normal again;
//! were they learned whole, a fault would hide the next one. Operators choose how often they want to be called, not
//! what a device is like: the alarm rate has no say here.

use super::history::RATIO;
use super::tail::tail_quantile_of;

/// One row in so many is far out.
const FAR_OUT: f64 = 1e-3;

/// The size of a row from which on it is far out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit(f64);

impl Limit {
    /// By sizes that rise and how often each was seen, `least` at the least.
    pub(super) fn of(sizes: &[(f64, f64)], least: f64) -> Self {
        Self(tail_quantile_of(sizes, FAR_OUT).max(least))
    }

    /// Whether a row of this size is normal enough for a model to learn from.
    pub(super) fn holds(self, size: f64) -> bool {
        size <= self.0
    }

    /// What a row of this size is multiplied by to count as one that is hardly far out: a bin of the history beyond
    /// the limit, or it would never move.
    pub(super) fn share(self, size: f64) -> f64 {
        (self.0 * RATIO / size).min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_far_out_counts_as_what_hardly_is() {
        // Sizes 1 to 10,000, evenly: one in a thousand lies beyond 9,990.
        let sizes: Vec<(f64, f64)> = (1..=10_000).map(|i| (f64::from(i), 1.0)).collect();
        let limit = Limit::of(&sizes, 0.0);
        assert!(limit.holds(9_900.0) && !limit.holds(10_200.0), "{limit:?}");
        assert_eq!(limit.share(5.0), 1.0);
        let counted = 1e6 * limit.share(1e6);
        assert!((counted / 9_990.0 - 1.0).abs() < 0.05, "{counted}");
        assert!(!limit.holds(counted));
    }

    #[test]
    fn a_device_that_never_moved_may_move_a_little() {
        let limit = Limit::of(&[(0.05, 1e4)], 2.5);
        assert!(limit.holds(2.5) && !limit.holds(2.6));
    }
}
