//! Quantiles of latencies in bounded memory.

use std::collections::BTreeMap;

/// Significant bits kept: values up to 1,023 are exact, larger ones within 0.2 %. At most
/// 1,024 + 54 × 512 counters, whatever comes in.
const SIGNIFICANT_BITS: u32 = 10;

/// A histogram of whole milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Latencies {
    counts: BTreeMap<u64, u64>,
    count: u64,
    sum: u128,
}

impl Latencies {
    pub(super) fn record(&mut self, millis: u64) {
        let dropped = (u64::BITS - millis.leading_zeros()).saturating_sub(SIGNIFICANT_BITS);
        *self.counts.entry(millis >> dropped << dropped).or_default() += 1;
        self.count += 1;
        self.sum += u128::from(millis);
    }

    /// Zero where there is none.
    pub(super) fn mean(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.sum as f64 / self.count as f64
        }
    }

    /// Nearest rank: the smallest value that at least `per_cent` % do not exceed.
    pub(super) fn percentile(&self, per_cent: u64) -> u64 {
        let rank = (self.count * per_cent).div_ceil(100).max(1);
        let mut seen = 0;
        self.counts
            .iter()
            .find(|(_, count)| {
                seen += **count;
                seen >= rank
            })
            .map_or(0, |(millis, _)| *millis)
    }
}
