//! Plausible numbers for gear without a layout of its own.

use wire::UnixMillis;

use super::{Metric, Row, State};
use crate::seed::Seed;

/// Rows in a logger's mail.
const LOGGED_ROWS: u64 = 6;
/// Between two of them.
const LOG_STEP_MS: u64 = 10_000;

pub(super) fn room_climate(at: UnixMillis, state: State, seed: u64) -> Row {
    let mut seed = Seed::new(seed);
    let hot = if state == State::Failing { 14.0 } else { 0.0 };
    Row {
        at,
        metrics: vec![
            Metric::new("temperature", 22.5 + hot + 0.3 * seed.normal(), "Cel"),
            Metric::new("humidity", 45.0 - hot + 0.8 * seed.normal(), "%RH"),
            Metric::new(
                "airflow",
                if hot > 0.0 {
                    0.2
                } else {
                    2.4 + 0.05 * seed.normal()
                },
                "m/s",
            ),
        ],
    }
}

pub(super) fn appliance(at: UnixMillis, state: State, seed: u64) -> Row {
    let mut seed = Seed::new(seed);
    let slow = if state == State::Failing { 6.0 } else { 1.0 };
    Row {
        at,
        metrics: vec![
            Metric::new("requests_per_s", 820.0 / slow + 12.0 * seed.normal(), ""),
            Metric::new("latency_ms", 4.0 * slow + 0.2 * seed.normal(), ""),
            Metric::new("sessions", (140.0 * slow + 5.0 * seed.normal()).round(), ""),
        ],
    }
}

pub(super) fn logger(at: UnixMillis, state: State, seed: u64) -> Vec<Row> {
    (0..LOGGED_ROWS)
        .map(|row| {
            let age = (LOGGED_ROWS - 1 - row) * LOG_STEP_MS;
            let at = UnixMillis(at.0.saturating_sub(age));
            room_climate(at, state, seed.wrapping_mul(31).wrapping_add(row))
        })
        .collect()
}
