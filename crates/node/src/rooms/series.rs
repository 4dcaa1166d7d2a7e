//! Kept examples as a model takes them.

use learn::{Row, Series};
use telemetry::features::Example;
use telemetry::windows::{Purpose, Windows};

/// A device's examples, the marked ones asked for.
pub fn series<'e>(rows: impl IntoIterator<Item = (&'e Example, bool)>) -> Series {
    let mut series = Series::default();
    for (example, asked) in rows {
        let row = Row {
            values: example.values,
            mask: example.mask,
        };
        series.push(row, asked);
    }
    series
}

/// What a node trains on.
pub fn training(windows: &Windows) -> Vec<Series> {
    all(windows.series(Purpose::Train))
}

/// At most so many rows that calibrate, of all devices: what models are tried on.
pub fn sample(windows: &Windows, most: usize) -> Vec<Series> {
    all(windows.sample(Purpose::Calibrate, most))
}

fn all<D>(devices: Vec<(D, Vec<(&Example, bool)>)>) -> Vec<Series> {
    devices.into_iter().map(|(_, rows)| series(rows)).collect()
}
