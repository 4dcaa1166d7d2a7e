//! From reports to fixed-width examples that a shared model can learn from.
//!
//! The model must mean the same by slot 7 on every node although no node sees the others'
//! readings. So a slot follows from the metric's name alone, never from what arrived first
//! elsewhere: see [`SlotLayout`]. What a *value* means does differ between devices, and changes with the
//! months, so a value is how many deviations its metric lies off its own course.

use std::collections::{BTreeMap, VecDeque};
use wire::{DeviceId, Reading, Report, UnixMillis};

use crate::sequence::counts;

mod course;
mod drift;
mod layout;
mod seen;

pub use course::Departure;
pub use drift::{Change, REFERENCE_ROWS};
pub use layout::SlotLayout;
pub use seen::Seen;

/// Width of an example: the 38 metrics of the Server Machine Dataset and two to spare.
pub const SLOTS: usize = 40;
/// Rows of a device before its values are trusted enough to become examples.
pub const WARMUP_ROWS: u32 = 30;
/// An example is the mean of this many last values per metric. Faults last minutes, noise one
/// row; five is what published results on SMD favour and was no worse here than one or ten.
pub const SMOOTHING_ROWS: usize = 5;
/// Standardised values are clipped here: beyond ten deviations more says nothing more, and one
/// wild value must not own the gradient.
pub const CLIP: f32 = 10.0;
/// Most devices per assembler. One takes about 4 KiB, so this is 40 MiB.
pub const MAX_DEVICES: usize = 10_000;
/// Most device classes; each holds one layout.
pub const MAX_CLASSES: usize = 256;
/// Origins remembered against repeated delivery: minutes of traffic, as a repetition follows a
/// lost answer.
pub const SEEN_ORIGINS: usize = 65_536;

/// Drifts that wait to be asked for: each report has at most one a metric.
const MAX_DRIFTED: usize = 1_024;

/// One row of a device, ready for a model.
#[derive(Clone, PartialEq, Debug)]
pub struct Example {
    /// Whose.
    pub device: DeviceId,
    /// Arrival of the report that completed it.
    pub arrival: UnixMillis,
    /// Deviations off each metric's course, smoothed, within ±[`CLIP`]; 0 where `mask` is false.
    pub values: [f32; SLOTS],
    /// Which slots the report filled.
    pub mask: [bool; SLOTS],
    /// How far the row is off its device's own course.
    pub departure: Departure,
}

/// What became of a report.
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "returned and taken apart at once, never stored"
)]
pub enum Assembled {
    /// A row for the model.
    Example(Example),
    /// The device is new: `rows` of [`WARMUP_ROWS`] seen.
    Warming {
        /// Rows so far.
        rows: u32,
    },
    /// This origin was taken before.
    Duplicate,
    /// The report tells of an event only, or of no metric that has a slot.
    NoReadings,
    /// [`MAX_DEVICES`] or [`MAX_CLASSES`] is reached; the device is not learned from.
    Full,
}

/// A metric of a device has a new normal.
#[derive(Clone, PartialEq, Debug)]
pub struct Drifted {
    /// Whose.
    pub device: DeviceId,
    /// Which.
    pub metric: String,
    /// From what to what.
    pub change: Change,
}

/// Turns the reports of many devices into examples.
#[derive(Debug)]
pub struct Assembler {
    layouts: BTreeMap<String, SlotLayout>,
    devices: BTreeMap<DeviceId, DeviceRows>,
    seen: Seen,
    drifted: Vec<Drifted>,
}

/// A device's metrics by slot.
#[derive(Debug)]
struct DeviceRows {
    class: String,
    rows: u32,
    metrics: BTreeMap<usize, Metric>,
    recent: course::Recent,
}

#[derive(Debug, Default)]
struct Metric {
    course: course::Course,
    drift: drift::Drift,
    /// The last values, in deviations.
    recent: VecDeque<f32>,
}

impl Default for Assembler {
    fn default() -> Self {
        Self::new()
    }
}

impl Assembler {
    /// Knows no device yet.
    pub fn new() -> Self {
        Self {
            layouts: BTreeMap::new(),
            devices: BTreeMap::new(),
            seen: Seen::new(SEEN_ORIGINS),
            drifted: Vec::new(),
        }
    }

    /// Takes one report.
    pub fn accept(&mut self, report: &Report) -> Assembled {
        if !self.seen.first_time(&report.origin) {
            return Assembled::Duplicate;
        }
        if report.readings.iter().all(|reading| counts(&reading.name)) {
            return Assembled::NoReadings;
        }
        let new_class = !self.layouts.contains_key(&report.class);
        let new_device = !self.devices.contains_key(&report.device);
        if new_class && self.layouts.len() >= MAX_CLASSES
            || new_device && self.devices.len() >= MAX_DEVICES
        {
            return Assembled::Full;
        }
        let layout = self.layouts.entry(report.class.clone()).or_default();
        let measured = measured(report);
        layout.learn(measured.map(|reading| reading.name.as_str()));
        let device = self
            .devices
            .entry(report.device.clone())
            .or_insert_with(|| DeviceRows {
                class: report.class.clone(),
                rows: 0,
                metrics: BTreeMap::new(),
                recent: course::Recent::default(),
            });
        device.accept(report, layout, &mut self.drifted)
    }

    /// What has drifted since it was last asked.
    pub fn drifted(&mut self) -> Vec<Drifted> {
        std::mem::take(&mut self.drifted)
    }

    /// The name of the metric in a device's slot.
    pub fn slot_name(&self, device: &DeviceId, slot: usize) -> Option<&str> {
        self.layouts
            .get(&self.devices.get(device)?.class)?
            .name(slot)
    }

    /// The names of all slots of a device, for [`Scorer::score`](crate::score::Scorer::score).
    pub fn layout(&self, device: &DeviceId) -> Option<&SlotLayout> {
        self.layouts.get(&self.devices.get(device)?.class)
    }

    /// Devices past their warm-up.
    pub fn ready(&self) -> usize {
        self.devices
            .values()
            .filter(|device| device.rows > WARMUP_ROWS)
            .count()
    }
}

/// The readings that say how the device fares; a number that counts mails only ever rises.
fn measured(report: &Report) -> impl Iterator<Item = &Reading> {
    let readings = report.readings.iter();
    readings.filter(|reading| !counts(&reading.name))
}

impl DeviceRows {
    fn accept(
        &mut self,
        report: &Report,
        layout: &SlotLayout,
        drifted: &mut Vec<Drifted>,
    ) -> Assembled {
        let (mut values, mut mask) = ([0.0; SLOTS], [false; SLOTS]);
        let mut off = [0.0; SLOTS];
        for reading in measured(report) {
            let Some(slot) = layout.slot(&reading.name) else {
                continue;
            };
            let metric = self.metrics.entry(slot).or_default();
            off[slot] = metric.follow(reading.value);
            if let Some(change) = metric.drift.follow(reading.value)
                && drifted.len() < MAX_DRIFTED
            {
                drifted.push(Drifted {
                    device: report.device.clone(),
                    metric: reading.name.clone(),
                    change,
                });
            }
            values[slot] = metric.smoothed();
            // A metric that joins late warms up on its own.
            mask[slot] = metric.course.rows() > WARMUP_ROWS.min(self.rows);
        }
        for slot in (0..SLOTS).filter(|&slot| !mask[slot]) {
            (values[slot], off[slot]) = (0.0, 0.0);
        }
        self.rows = self.rows.saturating_add(1);
        let present = mask.iter().filter(|&&filled| filled).count();
        if self.rows <= WARMUP_ROWS {
            Assembled::Warming { rows: self.rows }
        } else if present > 0 {
            Assembled::Example(Example {
                device: report.device.clone(),
                arrival: report.arrival,
                values,
                mask,
                departure: self.recent.departure(off, present),
            })
        } else {
            Assembled::NoReadings
        }
    }
}

impl Metric {
    /// Deviations from the metric's course.
    fn follow(&mut self, value: f64) -> f32 {
        let off = self.course.follow(value) as f32;
        if self.recent.len() == SMOOTHING_ROWS {
            self.recent.pop_front();
        }
        self.recent.push_back(off);
        off
    }

    fn smoothed(&self) -> f32 {
        let mean = self.recent.iter().sum::<f32>() / self.recent.len().max(1) as f32;
        mean.clamp(-CLIP, CLIP)
    }
}

#[cfg(test)]
mod tests;
