//! Latencies and what is said of them.

use std::time::Duration;

/// Latencies of one repetition.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    micros: Vec<u32>,
    /// How long the repetition took.
    pub span: Duration,
}

impl Samples {
    /// Of latencies in microseconds, in any order, measured within `span`.
    pub fn new(mut micros: Vec<u32>, span: Duration) -> Self {
        micros.sort_unstable();
        Self { micros, span }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.micros.len()
    }

    /// Completed operations per second.
    pub fn rate(&self) -> f64 {
        self.micros.len() as f64 / self.span.as_secs_f64()
    }

    /// The latency, in milliseconds, that `share` of the operations did not exceed (nearest rank);
    /// 0 without operations.
    pub fn quantile(&self, share: f64) -> f64 {
        let rank = (share * self.micros.len() as f64).ceil() as usize;
        let micros = self.micros.get(rank.saturating_sub(1)).copied();
        f64::from(micros.unwrap_or(0)) / 1000.0
    }
}

/// Microseconds, as long as they fit: a latency over an hour is one of an hour.
pub fn micros(latency: Duration) -> u32 {
    u32::try_from(latency.as_micros()).unwrap_or(u32::MAX)
}

/// One figure over several repetitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle one, or the mean of the two middle ones.
    pub median: f64,
    /// The smallest.
    pub least: f64,
    /// The largest.
    pub most: f64,
}

impl Spread {
    /// Of at least one value; `None` without any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        };
        Some(Self {
            median,
            least,
            most,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let samples = Samples::new(
            (1..=100).rev().map(|n| n * 1000).collect(),
            Duration::from_secs(2),
        );
        let check =
            |share, expected: f64| assert!((samples.quantile(share) - expected).abs() < 1e-9);
        check(0.5, 50.0);
        check(0.99, 99.0);
        check(1.0, 100.0);
        check(0.0, 1.0);
        assert!((samples.rate() - 50.0).abs() < 1e-9);
        assert!(Samples::default().quantile(0.5).abs() < 1e-9);
    }

    #[test]
    fn a_spread_has_its_median_in_the_middle() {
        let check = |values: &[f64], expected: Option<(f64, f64, f64)>| {
            let found = Spread::of(values.iter().copied());
            assert_eq!(found.map(|s| (s.least, s.median, s.most)), expected);
        };
        check(&[], None);
        check(&[3.0], Some((3.0, 3.0, 3.0)));
        check(&[9.0, 1.0, 2.0], Some((1.0, 2.0, 9.0)));
        check(&[4.0, 1.0, 2.0, 3.0], Some((1.0, 2.5, 4.0)));
    }
}
