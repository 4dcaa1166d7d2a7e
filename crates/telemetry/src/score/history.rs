//! How often a device's departure was how large, for as long as the device is known.
//!
//! A threshold that only a recent window decides rises and falls with every calm and busy day, and a score
//! in units of it ranks yesterday's fault below today's noise. On the Server Machine Dataset a window of a
//! thousand rows cost two fifths of the average precision that one memory of all rows keeps. Sizes are
//! counted in bins of a ratio, so that memory is constant and a quantile is off by no more than the ratio.

/// Ratio of two neighbouring bins.
pub(super) const RATIO: f64 = 1.02;
/// Sizes up to this share the first bin.
const LEAST: f64 = 0.05;
/// Bins: the last holds all above `LEAST · RATIO^BINS`, some 900.
const BINS: usize = 495;
/// When so many rows were counted, all counts are halved: two years of minutes, after which the former half
/// weighs a third.
const MOST_ROWS: u64 = 1 << 20;

/// The counts.
#[derive(Clone, Debug)]
pub(super) struct History {
    counts: Box<[u32; BINS]>,
    rows: u64,
}

impl Default for History {
    fn default() -> Self {
        Self {
            counts: Box::new([0; BINS]),
            rows: 0,
        }
    }
}

impl History {
    /// Counts a row of this size.
    pub(super) fn add(&mut self, size: f64) {
        let bin = ((size / LEAST).max(1.0).ln() / RATIO.ln()) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
        self.rows += 1;
        if self.rows >= MOST_ROWS {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.rows = self.counts.iter().map(|&count| u64::from(count)).sum();
        }
    }

    /// Whether no row was counted.
    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// How many rows were counted, less those forgotten.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The size that this share of the rows do not exceed; 0 of none.
    pub(super) fn quantile(&self, share: f64) -> f64 {
        let wanted = share * self.rows as f64;
        let mut below = 0.0;
        let found = self.sizes().find(|(_, rows)| {
            below += rows;
            below >= wanted
        });
        found.map_or(0.0, |(size, _)| size)
    }

    /// (size, rows of it), rising; a bin's size is its upper edge, so that a threshold errs to the quiet side.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (f64, f64)> {
        let counted = self.counts.iter().enumerate();
        counted
            .filter(|(_, count)| **count > 0)
            .map(|(bin, &count)| (LEAST * RATIO.powi(bin as i32 + 1), f64::from(count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::tail::tail_quantile_of;

    #[test]
    fn quantiles_are_those_of_the_rows_within_a_bin() {
        let mut history = History::default();
        let sizes: Vec<f64> = (0..5_000)
            .map(|i| -(1.0 - (f64::from(i) + 0.5) / 5_000.0).ln())
            .collect();
        sizes.iter().for_each(|&size| history.add(size));
        let binned = tail_quantile_of(&history.sizes().collect::<Vec<_>>(), 1e-4);
        let exact = crate::score::tail_quantile(&sizes, 1e-4);
        assert!(
            (binned / exact - 1.0).abs() < 0.05,
            "{binned} against {exact}"
        );
    }

    #[test]
    fn memory_is_constant_and_the_newer_half_weighs_more() {
        let mut history = History::default();
        for _ in 0..MOST_ROWS {
            history.add(1.0);
        }
        assert_eq!(history.rows, MOST_ROWS / 2);
        history.add(f64::MAX);
        history.add(0.0);
        let sizes: Vec<(f64, f64)> = history.sizes().collect();
        assert_eq!(sizes.len(), 3);
        assert!(sizes[2].0 > 900.0 && sizes[2].1 == 1.0, "{sizes:?}");
    }
}
