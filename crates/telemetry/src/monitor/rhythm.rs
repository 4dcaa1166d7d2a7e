//! How often a device reports.

use machine::Instant;
use std::collections::VecDeque;
use std::time::Duration;
use wire::UnixMillis;

use super::{HEARTBEAT_GRACE, MIN_SILENCE, SILENCE_FACTOR};

/// Gaps remembered; their median shrugs off a single pause.
const GAPS: usize = 15;
/// Gaps before silence is judged: with fewer the rhythm is a guess.
const MIN_GAPS: usize = 3;

/// The usual gap between the arrivals of one device.
#[derive(Debug, Default)]
pub(super) struct Rhythm {
    last: Option<(Instant, UnixMillis)>,
    /// How often it has to be heard, and since when we wait for it, by configuration.
    expected: Option<(Duration, Instant, UnixMillis)>,
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

    /// It has to be heard at least every so often from `now` on.
    pub(super) fn expect(&mut self, every: Duration, now: Instant, at: UnixMillis) {
        self.expected = Some((every, now, at));
    }

    /// When and with which arrival it was last heard, or has been waited for since.
    pub(super) fn last(&self) -> Option<(Instant, UnixMillis)> {
        let since = self.expected.map(|(_, since, at)| (since, at));
        self.last.or(since)
    }

    /// Heartbeat by configuration, else the median gap; zero while unknown.
    pub(super) fn usual(&self) -> Duration {
        self.expected.map_or(self.usual, |(every, ..)| every)
    }

    /// Whether the configuration says how often.
    pub(super) fn is_configured(&self) -> bool {
        self.expected.is_some()
    }

    /// From when on the device counts as silent. A configured heartbeat rules alone: a device that
    /// mails its status daily and events in bursts has no rhythm to learn.
    pub(super) fn silent_from(&self) -> Option<Instant> {
        if let Some((every, ..)) = self.expected {
            let grace = (every / HEARTBEAT_GRACE).max(MIN_SILENCE);
            let (heard, _) = self.last()?;
            return Some(heard + every.saturating_add(grace));
        }
        let (heard, _) = self.last.filter(|_| self.gaps.len() >= MIN_GAPS)?;
        Some(heard + self.usual.saturating_mul(SILENCE_FACTOR).max(MIN_SILENCE))
    }
}
