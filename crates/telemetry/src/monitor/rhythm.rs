//! How often a device reports.

use machine::Instant;
use std::collections::VecDeque;
use std::time::Duration;
use wire::UnixMillis;

use super::{MIN_SILENCE, SILENCE_FACTOR};

/// Gaps remembered; their median shrugs off a single pause.
const GAPS: usize = 15;
/// Gaps before silence is judged: with fewer the rhythm is a guess.
const MIN_GAPS: usize = 3;

/// The usual gap between the arrivals of one device.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    last: Option<(Instant, UnixMillis)>,
    gaps: VecDeque<Duration>,
    /// Median of `gaps`; kept, since every deadline asks for it and only a report changes it.
    usual: Duration,
}

impl Rhythm {
    /// A report arrived at `at` and reached the monitor at `now`. Gaps are measured between
    /// arrivals, since a backlog reaches the monitor all at once; the reports of one mail have
    /// one arrival and make no gap.
    pub(super) fn heard(&mut self, now: Instant, at: UnixMillis) {
        if let Some((_, before)) = self.last
            && at > before
        {
            if self.gaps.len() == GAPS {
                self.gaps.pop_front();
            }
            self.gaps.push_back(Duration::from_millis(at.0 - before.0));
            let mut sorted: Vec<Duration> = self.gaps.iter().copied().collect();
            sorted.sort_unstable();
            self.usual = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        }
        let latest = self.last.map_or(at, |(_, before)| before.max(at));
        self.last = Some((now, latest));
    }

    /// When and with which arrival it was last heard.
    pub(super) fn last(&self) -> Option<(Instant, UnixMillis)> {
        self.last
    }

    /// Median gap; zero while unknown.
    pub(super) fn usual(&self) -> Duration {
        self.usual
    }

    /// From when on the device counts as silent.
    pub(super) fn silent_from(&self) -> Option<Instant> {
        let (heard, _) = self.last.filter(|_| self.gaps.len() >= MIN_GAPS)?;
        Some(heard + self.usual.saturating_mul(SILENCE_FACTOR).max(MIN_SILENCE))
    }
}
