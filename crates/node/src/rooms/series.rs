//! Kept examples as a model takes them.

use learn::Series;
use telemetry::features::Example;
use telemetry::windows::{Purpose, Windows};

/// What a node trains on.
pub fn training(windows: &Windows) -> Vec<Series> {
    all(windows.series(Purpose::Train))
}

/// At most so many rows that calibrate, of all devices: what models are tried on.
pub fn sample(windows: &Windows, most: usize) -> Vec<Series> {
    all(windows.sample(Purpose::Calibrate, most))
}

fn all<D>(devices: Vec<(D, Vec<(&Example, bool)>)>) -> Vec<Series> {
    let devices = devices.into_iter();
    devices
        .map(|(_, rows)| rows.into_iter().collect())
        .collect()
}
