use std::time::Duration;
use tokio::time::Instant;

/// First pause after a fault, doubled each time up to the longest. Short enough for a leader election
/// (a few seconds) not to grow into a minute, long enough not to hammer a broker that starts.
const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// The pause before connections are made anew.
#[derive(Default)]
pub(super) struct Backoff {
    faults_in_a_row: u32,
    not_before: Option<Instant>,
}

impl Backoff {
    pub(super) async fn wait(&self) {
        if let Some(moment) = self.not_before {
            tokio::time::sleep_until(moment).await;
        }
    }

    /// A call went well.
    pub(super) fn over(&mut self) {
        *self = Self::default();
    }

    /// One did not.
    pub(super) fn longer(&mut self) {
        let doubled = FIRST.saturating_mul(1 << self.faults_in_a_row.min(10));
        self.faults_in_a_row = self.faults_in_a_row.saturating_add(1);
        self.not_before = Some(Instant::now() + jittered(doubled.min(LONGEST)));
    }
}

/// Between half and the whole of `pause`, so that feeds that failed together do not return together.
fn jittered(pause: Duration) -> Duration {
    let mut random = [0u8; 1];
    // Without entropy the longest pause is as good: only the spread is lost.
    let share = getrandom::fill(&mut random).map_or(1.0, |()| f64::from(random[0]) / 255.0);
    pause.mul_f64(0.5 + share / 2.0)
}
