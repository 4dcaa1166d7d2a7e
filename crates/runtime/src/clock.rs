//! The one place that reads clocks. Everything else gets time as an argument.

use machine::Instant;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wire::UnixMillis;

/// Start of this process's time line. tokio's clock, so that a paused one (tests, simulation)
/// moves machines and timers alike.
static START: LazyLock<tokio::time::Instant> = LazyLock::new(tokio::time::Instant::now);

/// Now, on the process's monotonic time line.
pub fn now() -> Instant {
    Instant::ZERO + START.elapsed()
}

/// The wall clock; for people and records, never for ordering.
pub fn unix_now() -> UnixMillis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The wall clock in nanoseconds since the Unix epoch; for measuring latency between processes
/// of one host.
pub fn unix_now_ns() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Sleeps until `moment` on the same time line; at once when it has passed.
pub async fn sleep_until(moment: Instant) {
    tokio::time::sleep_until(*START + Duration::from_nanos(moment.as_nanos())).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn sleeping_until_a_moment_ends_at_that_moment() {
        let before = now();
        let target = before + Duration::from_secs(5);
        sleep_until(target).await;
        assert!(now() >= target);
        assert!(
            now().since(target) < Duration::from_millis(100),
            "{:?}",
            now().since(target)
        );
    }

    #[test]
    fn the_wall_clock_is_past_the_year_2025() {
        assert!(unix_now().0 > 1_735_689_600_000);
    }
}
