//! How slowly a message may come.

use super::policy::Timeouts;
use core::time::Duration;
use machine::Instant;

/// Of one message, from its first octet on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Pace {
    begun: Instant,
    octets: u64,
}

impl Pace {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            begun: now,
            octets: 0,
        }
    }

    pub(super) fn add(&mut self, octets: usize) {
        self.octets += octets as u64;
    }

    /// When its time is up in all.
    pub(super) fn end(&self, timeouts: &Timeouts) -> Instant {
        self.begun + timeouts.message
    }

    /// When it is too slow if nothing more comes.
    pub(super) fn limit(&self, timeouts: &Timeouts) -> Instant {
        let paid = self.octets / u64::from(timeouts.min_rate.max(1));
        // No message has the time for more, so that nothing overflows.
        let paid = Duration::from_secs(paid).min(timeouts.message);
        self.begun + timeouts.grace + paid
    }
}
