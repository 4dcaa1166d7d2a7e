//! How sure can one be that a silent peer is dead? The φ accrual failure detector of Hayashibara,
//! Défago, Yared and Katayama (SRDS 2004), with what Akka and Cassandra learned from running it.
//!
//! The detector learns how far apart a peer's heartbeats arrive and answers with a level φ instead
//! of a yes or no: if a peer is declared dead at φ, the chance that it lives and its next sign of
//! life is merely late is 10^−φ, under the assumption that intervals are normally distributed.
//! Each user picks a threshold that suits what a mistake costs.
//!
//! Refinements:
//! - **Minimum deviation** (Akka): perfectly regular heartbeats would make a millisecond's delay
//!   look like death.
//! - **Acceptable pause** (Akka): added to the mean, for pauses that say nothing about life, such as
//!   a collector, a disk or a busy scheduler.
//! - **First estimate** (Akka): before there are samples, the interval is taken to be what the peer
//!   is known to intend, with a deviation of a quarter of it.
//! - **Pauses are no samples** (Cassandra): an interval beyond the acceptable pause is not learned.
//!   It would widen the distribution so much that the next death is noticed late.
//! - **Any sign of life resets the clock, only heartbeats are samples.** Bulk data arrives
//!   thousands of times a second and would teach the detector to expect that.
//! - **The observer's own pauses do not count** (Cassandra): see [`AwakeTime`].

use crate::Instant;
use std::collections::VecDeque;
use std::time::Duration;

/// What to expect of a peer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Expectation {
    /// Time between its heartbeats before any was measured.
    pub heartbeat: Duration,
    /// Intervals remembered, at least 1.
    pub window: usize,
    /// The distribution is taken to be at least so wide.
    pub min_deviation: Duration,
    /// Silence beyond the mean that says nothing.
    pub acceptable_pause: Duration,
}

/// The detector of one peer.
#[derive(Clone, Debug)]
pub struct PhiAccrual {
    expectation: Expectation,
    /// Seconds between heartbeats, oldest first.
    intervals: VecDeque<f64>,
    /// Last sign of life, or when we began to wait for one.
    heard: Instant,
    /// Last heartbeat of the present run of them.
    heartbeat: Option<Instant>,
}

impl PhiAccrual {
    /// Waits for the peer from `now` on.
    pub fn new(expectation: Expectation, now: Instant) -> Self {
        let estimate = expectation.heartbeat.as_secs_f64();
        // Two samples with the estimate as mean and a quarter of it as deviation.
        let intervals = VecDeque::from([0.75 * estimate, 1.25 * estimate]);
        Self {
            expectation,
            intervals,
            heard: now,
            heartbeat: None,
        }
    }

    /// What it was made for.
    pub fn expectation(&self) -> &Expectation {
        &self.expectation
    }

    /// A sign of life that comes when it comes.
    pub fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// A heartbeat.
    pub fn heartbeat(&mut self, now: Instant) {
        self.heard(now);
        let Some(former) = self.heartbeat.replace(now) else {
            return;
        };
        let interval = now.since(former);
        if interval
            > self
                .expectation
                .acceptable_pause
                .max(self.expectation.heartbeat * 2)
        {
            return;
        }
        self.intervals.push_back(interval.as_secs_f64());
        while self.intervals.len() > self.expectation.window.max(1) {
            self.intervals.pop_front();
        }
    }

    /// The peer is heard over a new connection: the gap before it was no heartbeat's, what was
    /// learned of the peer stays.
    pub fn reconnected(&mut self, now: Instant) {
        self.heard(now);
        self.heartbeat = None;
    }

    /// Time since the last sign of life.
    pub fn silent(&self, now: Instant) -> Duration {
        now.since(self.heard)
    }

    /// The level of suspicion: −log10 of the chance that a living peer is silent for so long.
    /// Finite, and never decreasing while the silence lasts.
    pub fn phi(&self, now: Instant) -> f64 {
        let (mean, deviation) = self.distribution();
        let y = (self.silent(now).as_secs_f64() - mean) / deviation;
        // The normal distribution's tail by a logistic approximation, as in Akka. Its error is
        // below 1.5e-4, so that φ is within a few hundredths up to 3 and somewhat too high beyond
        // (8 is reached at 5.3 deviations instead of 5.6), which no threshold minds.
        // −log10(1 / (1 + e^x)), written so that nothing overflows.
        let x = y * (1.5976 + 0.070566 * y * y);
        (x.max(0.0) + (-x.abs()).exp().ln_1p()) / std::f64::consts::LN_10
    }

    /// Mean with the acceptable pause, and deviation, of the next interval, in seconds.
    fn distribution(&self) -> (f64, f64) {
        // Window sizes are far below 2^52.
        let count = self.intervals.len().max(1) as f64;
        let mean = self.intervals.iter().sum::<f64>() / count;
        let variance = self
            .intervals
            .iter()
            .map(|interval| (interval - mean).powi(2))
            .sum::<f64>()
            / count;
        (
            mean + self.expectation.acceptable_pause.as_secs_f64(),
            variance
                .sqrt()
                .max(self.expectation.min_deviation.as_secs_f64())
                .max(f64::MIN_POSITIVE),
        )
    }
}

/// A time line that stands still while its owner does: a process that was stopped, swapped out or
/// starved hears nobody and must not conclude that everybody else died.
///
/// The owner calls [`tick`](Self::tick) regularly. Time counts up to `slack` past the last tick
/// and stops until the next one.
#[derive(Clone, Copy, Debug)]
pub struct AwakeTime {
    slack: Duration,
    /// Awake time at the last tick.
    awake: Instant,
    /// The last tick.
    ticked: Instant,
}

impl AwakeTime {
    /// Starts at `now`.
    pub fn new(slack: Duration, now: Instant) -> Self {
        Self {
            slack,
            awake: now,
            ticked: now,
        }
    }

    /// The owner is awake.
    pub fn tick(&mut self, now: Instant) {
        self.awake = self.at(now);
        self.ticked = self.ticked.max(now);
    }

    /// The awake time at `now`.
    pub fn at(&self, now: Instant) -> Instant {
        self.awake + now.since(self.ticked).min(self.slack)
    }
}

#[cfg(test)]
mod tests;
