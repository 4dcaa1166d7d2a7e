//! The rows a node keeps of its rooms' devices: to train on, and to calibrate with.
//!
//! They never leave the node. Rows that were not normal are kept only as far as a model looks back: they came
//! before others, and nothing is learned from them.

use crate::features::Example;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wire::DeviceId;

/// Every n-th normal row calibrates instead of training, so that thresholds rest on rows that the model
/// has not been fitted to here.
const CALIBRATE_EVERY: u64 = 3;

/// What a row is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To learn from.
    Train,
    /// To set thresholds by, and to try models on.
    Calibrate,
    /// For those that come after it.
    Before,
}

/// One device's rows, the oldest first.
#[derive(Default)]
struct Window {
    normal: u64,
    rows: VecDeque<(Example, Purpose)>,
    /// How many of them are there for what.
    counts: [usize; 3],
}

/// All devices' rows.
pub struct Windows {
    limit: usize,
    before: usize,
    devices: BTreeMap<DeviceId, Window>,
}

impl Windows {
    /// The newest `limit` training rows per device, half as many to calibrate with; a model looks at `reach`
    /// rows, the judged one included.
    pub fn new(limit: usize, reach: usize) -> Self {
        Self {
            limit: limit.max(1),
            before: reach.saturating_sub(1),
            devices: BTreeMap::new(),
        }
    }

    /// Keeps a row; `normal` if nothing speaks against it.
    pub fn keep(&mut self, example: Example, normal: bool) {
        if !normal && self.before == 0 {
            return;
        }
        let window = self.devices.entry(example.device.clone()).or_default();
        let purpose = if normal {
            window.normal += 1;
            if window.normal.is_multiple_of(CALIBRATE_EVERY) {
                Purpose::Calibrate
            } else {
                Purpose::Train
            }
        } else {
            window.forget_between(self.before);
            Purpose::Before
        };
        window.push(example, purpose);
        window.trim(self.limit);
    }

    /// Forgets all devices but these: their room has moved to another node.
    pub fn retain(&mut self, devices: &BTreeSet<DeviceId>) {
        self.devices.retain(|device, _| devices.contains(device));
    }

    /// How many training rows there are.
    pub fn examples(&self) -> usize {
        let windows = self.devices.values();
        windows.map(|window| window.count(Purpose::Train)).sum()
    }

    /// How many devices there are.
    pub fn devices(&self) -> usize {
        self.devices.len()
    }

    /// Rows for one purpose that there are of a device.
    pub fn count(&self, device: &DeviceId, purpose: Purpose) -> usize {
        self.devices
            .get(device)
            .map_or(0, |window| window.count(purpose))
    }

    /// The last rows of a device, as many as a model looks back at from the next one.
    pub fn before(&self, device: &DeviceId) -> impl Iterator<Item = &Example> {
        let rows = self.devices.get(device).map(|window| &window.rows);
        rows.into_iter().flat_map(|rows| {
            let skipped = rows.len().saturating_sub(self.before);
            rows.iter().skip(skipped).map(|(example, _)| example)
        })
    }

    /// Each device's rows for this purpose, the oldest first, marked true; between them, marked false, what a model
    /// looks back at.
    pub fn series(&self, purpose: Purpose) -> Vec<(&DeviceId, Vec<(&Example, bool)>)> {
        self.sample(purpose, usize::MAX)
    }

    /// As [`series`](Self::series), at most so many rows for the purpose, spread evenly over the devices.
    pub fn sample(&self, purpose: Purpose, most: usize) -> Vec<(&DeviceId, Vec<(&Example, bool)>)> {
        let all: usize = self
            .devices
            .values()
            .map(|window| window.count(purpose))
            .sum();
        let step = all.div_ceil(most.max(1)).max(1);
        let mut found = 0;
        let mut chosen = |of: Purpose| {
            found += usize::from(of == purpose);
            of == purpose && found.is_multiple_of(step)
        };
        let devices = self.devices.iter().map(|(device, window)| {
            let marked = window
                .rows
                .iter()
                .map(|(example, of)| (example, chosen(*of)));
            (device, self.seen_by_a_model(marked.collect()))
        });
        devices.collect()
    }

    /// Without the rows that no marked one looks back at.
    fn seen_by_a_model<'r>(&self, rows: Vec<(&'r Example, bool)>) -> Vec<(&'r Example, bool)> {
        let mut left = 0;
        let mut seen: Vec<_> = rows
            .into_iter()
            .rev()
            .filter(|(_, marked)| {
                let looked_at = *marked || left > 0;
                left = if *marked {
                    self.before
                } else {
                    left.saturating_sub(1)
                };
                looked_at
            })
            .collect();
        seen.reverse();
        seen
    }
}

impl Window {
    fn count(&self, purpose: Purpose) -> usize {
        self.counts[purpose as usize]
    }

    fn push(&mut self, example: Example, purpose: Purpose) {
        self.rows.push_back((example, purpose));
        self.counts[purpose as usize] += 1;
    }

    /// Of a stretch that was not normal only the last rows matter to the next one.
    fn forget_between(&mut self, before: usize) {
        let rows = self.rows.iter().rev();
        let stretch = rows
            .take_while(|(_, of)| *of == Purpose::Before)
            .take(before);
        if stretch.count() == before {
            self.rows.remove(self.rows.len() - before);
            self.counts[Purpose::Before as usize] -= 1;
        }
    }

    /// The oldest rows go until there are few enough for each purpose.
    fn trim(&mut self, limit: usize) {
        let too_many = |window: &Self| {
            window.count(Purpose::Train) > limit
                || window.count(Purpose::Calibrate) > (limit / 2).max(1)
                || window.count(Purpose::Before) > limit
        };
        while too_many(self) {
            if let Some((_, purpose)) = self.rows.pop_front() {
                self.counts[purpose as usize] -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::{Departure, SLOTS};
    use wire::UnixMillis;

    fn example(device: &str, value: u16) -> Example {
        Example {
            device: device.into(),
            arrival: UnixMillis(0),
            values: [f32::from(value); SLOTS],
            mask: [true; SLOTS],
            departure: Departure::NONE,
        }
    }

    /// First values of the rows asked for, and of those before them.
    fn values(windows: &Windows, device: &str, purpose: Purpose) -> (Vec<u16>, Vec<u16>) {
        let all = windows.series(purpose).into_iter();
        let rows = all
            .filter(|(of, _)| **of == device.into())
            .flat_map(|(_, rows)| rows);
        let (asked, before): (Vec<_>, Vec<_>) = rows.partition(|(_, asked)| *asked);
        let firsts =
            |rows: Vec<(&Example, bool)>| rows.iter().map(|(e, _)| e.values[0] as u16).collect();
        (firsts(asked), firsts(before))
    }

    #[test]
    fn rows_are_bounded_split_and_forgotten_with_their_room() {
        let mut windows = Windows::new(20, 1);
        (0..100).for_each(|i| windows.keep(example("a", i), true));
        windows.keep(example("b", 0), true);
        windows.keep(example("b", 1), false);
        assert_eq!((windows.devices(), windows.examples()), (2, 21));
        assert_eq!(windows.count(&"a".into(), Purpose::Calibrate), 10);
        let (train, none) = values(&windows, "a", Purpose::Train);
        let (calibrate, _) = values(&windows, "a", Purpose::Calibrate);
        assert!(none.is_empty() && train.len() == 20 && calibrate.len() == 10);
        assert!(calibrate.iter().all(|row| !train.contains(row)));
        assert_eq!((train[19], calibrate[9]), (99, 98));
        assert_eq!(windows.before(&"a".into()).count(), 0);
        windows.retain(&BTreeSet::from(["b".into()]));
        assert_eq!((windows.devices(), windows.examples()), (1, 1));
    }

    #[test]
    fn a_model_that_looks_back_gets_the_rows_before_and_learns_from_normal_ones_only() {
        let mut windows = Windows::new(20, 4);
        (0..12).for_each(|i| windows.keep(example("a", i), true));
        // A long fault, of which the last three rows stay.
        (12..50).for_each(|i| windows.keep(example("a", i), false));
        let last: Vec<u16> = windows
            .before(&"a".into())
            .map(|e| e.values[0] as u16)
            .collect();
        assert_eq!(last, [47, 48, 49]);
        (50..53).for_each(|i| windows.keep(example("a", i), true));
        let (train, before) = values(&windows, "a", Purpose::Train);
        assert_eq!(train, [0, 1, 3, 4, 6, 7, 9, 10, 50, 51]);
        assert_eq!(before, [2, 5, 8, 47, 48, 49]);
        // However often faults come, the rows stay bounded.
        for i in 0..1_000 {
            windows.keep(example("a", i), i % 5 == 0);
        }
        let rows = windows
            .devices
            .values()
            .map(|window| window.rows.len())
            .sum::<usize>();
        assert!(rows <= 50, "{rows}");
        assert!(windows.examples() > 2);
    }

    #[test]
    fn a_sample_is_spread_over_all_devices_and_bounded() {
        let mut windows = Windows::new(200, 1);
        assert!(windows.sample(Purpose::Calibrate, 10).is_empty());
        for i in 0..60 {
            windows.keep(example("a", i), true);
            windows.keep(example("b", 100 + i), true);
        }
        let of = |most: usize| -> Vec<usize> {
            let sample = windows.sample(Purpose::Calibrate, most);
            sample.iter().map(|(_, rows)| rows.len()).collect()
        };
        assert_eq!(of(1_000), [20, 20]);
        let few = of(7);
        assert!(
            (4..=7).contains(&(few[0] + few[1])) && few[0].abs_diff(few[1]) <= 1,
            "{few:?}"
        );
    }
}
