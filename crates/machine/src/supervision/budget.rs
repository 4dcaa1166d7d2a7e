use crate::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// How many restarts within which time are still hope and not despair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intensity {
    /// Restarts allowed within any `period`; 0: the first exit escalates.
    pub restarts: u32,
    /// The window.
    pub period: Duration,
}

impl Intensity {
    /// OTP's: 1 restart in 5 seconds.
    pub const DEFAULT: Self = Self::new(1, Duration::from_secs(5));

    /// At most `restarts` within `period`.
    pub const fn new(restarts: u32, period: Duration) -> Self {
        Self { restarts, period }
    }
}

impl Default for Intensity {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Restarts within a sliding window. Holds at most `restarts + 1` moments.
#[derive(Clone, Debug)]
pub struct RestartBudget {
    intensity: Intensity,
    spent: VecDeque<Instant>,
}

impl RestartBudget {
    /// Nothing spent yet.
    pub fn new(intensity: Intensity) -> Self {
        Self {
            intensity,
            spent: VecDeque::new(),
        }
    }

    /// The limit.
    pub fn intensity(&self) -> Intensity {
        self.intensity
    }

    /// Restarts that count at `now`.
    pub fn used(&self, now: Instant) -> usize {
        self.spent
            .iter()
            .filter(|&&then| self.counts(then, now))
            .count()
    }

    /// One restart at `now`; false when it is one too many. A restart exactly one period ago
    /// still counts, as in OTP.
    pub fn spend(&mut self, now: Instant) -> bool {
        while self
            .spent
            .front()
            .is_some_and(|&then| !self.counts(then, now))
        {
            self.spent.pop_front();
        }
        self.spent.push_back(now);
        let limit = self.intensity.restarts as usize;
        let within = self.spent.len() <= limit;
        while self.spent.len() > limit + 1 {
            self.spent.pop_front();
        }
        within
    }

    fn counts(&self, then: Instant, now: Instant) -> bool {
        now.since(then) <= self.intensity.period
    }
}
