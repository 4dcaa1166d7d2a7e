//! The rows a node keeps of its rooms' devices: to train on, and to calibrate with.
//! They never leave the node.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use telemetry::features::Example;
use wire::DeviceId;

/// Every n-th row calibrates instead of training, so that thresholds rest on rows that the model
/// has not been fitted to here.
const CALIBRATE_EVERY: u64 = 3;

/// One device's rows.
#[derive(Default)]
struct Window {
    seen: u64,
    train: VecDeque<Example>,
    calibrate: VecDeque<Example>,
}

/// All devices' rows.
pub struct Windows {
    limit: usize,
    devices: BTreeMap<DeviceId, Window>,
}

impl Windows {
    /// At most `limit` training rows per device, the newest ones.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            devices: BTreeMap::new(),
        }
    }

    /// Keeps a row believed normal.
    pub fn keep(&mut self, example: Example) {
        let window = self.devices.entry(example.device.clone()).or_default();
        window.seen += 1;
        let (rows, limit) = if window.seen.is_multiple_of(CALIBRATE_EVERY) {
            (&mut window.calibrate, self.limit / 2)
        } else {
            (&mut window.train, self.limit)
        };
        rows.push_back(example);
        if rows.len() > limit.max(1) {
            rows.pop_front();
        }
    }

    /// Forgets all devices but these: their room has moved to another node.
    pub fn retain(&mut self, devices: &BTreeSet<DeviceId>) {
        self.devices.retain(|device, _| devices.contains(device));
    }

    /// Training rows of all devices.
    pub fn training(&self) -> Vec<learn::Row> {
        self.devices
            .values()
            .flat_map(|window| window.train.iter().map(row))
            .collect()
    }

    /// How many training rows there are.
    pub fn examples(&self) -> usize {
        self.devices.values().map(|window| window.train.len()).sum()
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Calibration rows by device.
    pub fn calibration(&self) -> Vec<(DeviceId, Vec<Example>)> {
        self.devices
            .iter()
            .map(|(device, window)| (device.clone(), window.calibrate.iter().cloned().collect()))
            .collect()
    }

    /// At most so many calibration rows of all devices, spread evenly over them.
    pub fn sample(&self, most: usize) -> Vec<learn::Row> {
        let rows = || self.devices.values().flat_map(|window| &window.calibrate);
        let step = rows().count().div_ceil(most.max(1)).max(1);
        rows().step_by(step).map(row).collect()
    }

    /// Calibration rows of one device.
    pub fn calibration_len(&self, device: &DeviceId) -> usize {
        self.devices
            .get(device)
            .map_or(0, |window| window.calibrate.len())
    }
}

/// The model's view of an example.
pub fn row(example: &Example) -> learn::Row {
    learn::Row {
        values: example.values,
        mask: example.mask,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telemetry::features::{Departure, SLOTS};
    use wire::UnixMillis;

    fn example(device: &str, value: f32) -> Example {
        Example {
            device: device.into(),
            arrival: UnixMillis(0),
            values: [value; SLOTS],
            mask: [true; SLOTS],
            departure: Departure::NONE,
        }
    }

    #[test]
    fn rows_are_bounded_split_and_forgotten_with_their_room() {
        let mut windows = Windows::new(20);
        for i in 0..100u8 {
            windows.keep(example("a", f32::from(i)));
        }
        windows.keep(example("b", 0.0));
        assert_eq!((windows.devices(), windows.examples()), (2, 21));
        assert_eq!(windows.calibration_len(&"a".into()), 10);
        let train: BTreeSet<u32> = windows
            .training()
            .iter()
            .map(|row| row.values[0] as u32)
            .collect();
        for (_, rows) in windows.calibration() {
            assert!(rows.iter().all(|row| !train.contains(&(row.values[0] as u32)) || row.device == "b".into()));
        }
        windows.retain(&BTreeSet::from(["b".into()]));
        assert_eq!((windows.devices(), windows.examples()), (1, 1));
    }

    #[test]
    fn a_sample_is_spread_over_all_devices_and_bounded() {
        let mut windows = Windows::new(200);
        assert!(windows.sample(10).is_empty());
        for i in 0..60u8 {
            windows.keep(example("a", f32::from(i)));
            windows.keep(example("b", 100.0 + f32::from(i)));
        }
        let all: usize = windows
            .calibration()
            .iter()
            .map(|(_, rows)| rows.len())
            .sum();
        assert_eq!(windows.sample(1_000).len(), all);
        let few = windows.sample(7);
        assert!((4..=7).contains(&few.len()), "{}", few.len());
        let of_a = few.iter().filter(|row| row.values[0] < 100.0).count();
        assert!(
            of_a.abs_diff(few.len() - of_a) <= 1,
            "{of_a} of {}",
            few.len()
        );
    }
}
