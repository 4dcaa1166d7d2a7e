//! Pauses between attempts at something outside that fails.

use std::time::Duration;
use tokio::time::Instant;

/// Twice as long after each fault in a row, up to the longest.
#[derive(Debug)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    faults_in_a_row: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    /// No fault yet.
    pub const fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            faults_in_a_row: 0,
            not_before: None,
        }
    }

    /// Waits until the pause is over.
    pub async fn wait(&self) {
        if let Some(moment) = self.not_before {
            tokio::time::sleep_until(moment).await;
        }
    }

    /// The pause is not over.
    pub fn lasts(&self) -> bool {
        self.not_before
            .is_some_and(|moment| Instant::now() < moment)
    }

    /// An attempt went well.
    pub fn over(&mut self) {
        *self = Self::new(self.first, self.longest);
    }

    /// One did not.
    pub fn longer(&mut self) {
        let doublings = self.faults_in_a_row.min(30);
        let doubled = self.first.saturating_mul(1 << doublings);
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        self.not_before = Some(Instant::now() + jittered(doubled.min(self.longest)));
    }
}

/// Between half and the whole of `pause`, so that those that failed together do not return together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0u8; 1];
    // Without entropy the longest pause is as good: only the spread is lost.
    let share = getrandom::fill(&mut random).map_or(1.0, |()| f64::from(random[0]) / 255.0);
    pause.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_longest_and_begin_anew_when_it_went_well() {
        let seconds = Duration::from_secs;
        let mut backoff = Backoff::new(seconds(1), seconds(5));
        assert!(!backoff.lasts());
        for longest in [1, 2, 4, 5, 5].map(seconds) {
            let begin = Instant::now();
            backoff.longer();
            assert!(backoff.lasts());
            backoff.wait().await;
            // Timers are of whole milliseconds.
            let took = begin.elapsed().saturating_sub(Duration::from_millis(1));
            assert!(
                (longest / 2..=longest).contains(&took),
                "{took:?} of {longest:?}"
            );
        }
        backoff.over();
        assert!(!backoff.lasts());
        backoff.longer();
        let begin = Instant::now();
        backoff.wait().await;
        assert!(begin.elapsed() <= Duration::from_millis(1_001));
    }
}
