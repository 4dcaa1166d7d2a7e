//! How unusual an example is for its device, in units of the device's own threshold.
//!
//! Two detectors look at it. The *local* one needs no model: how far the row is off the device's own course
//! ([`Departure`](crate::features::Departure)). The *shared model*'s residuals (values minus
//! reconstruction) are standardised per feature by their mean and deviation on calibration examples, the deviation
//! never less than it was over the weeks; its statistic is the mean of the three largest |z|, as faults rarely touch
//! one metric alone. Both are brought to one scale and added, the shared model with half the local one's weight
//! times the share of the device's normal rows that it explains: on a device that it does not explain it has no say.
//! The score is their sum in units of its threshold; without a model, the local statistic in units of its own.
//!
//! A threshold is set at a stated false-alarm rate by peaks over threshold (Coles 2001, ch. 4;
//! Siffer et al. 2017): the statistics of normal rows above their 98% quantile are fitted with a
//! generalised Pareto tail by the method of moments and extrapolated to the rate. What is learned from a row is decided
//! apart from that (`normal`), so that the rate of alarms does not change what a device is taken to be like.

use std::collections::BTreeMap;
use wire::{DeviceId, UnixMillis};

use crate::features::{Example, MAX_DEVICES, SLOTS, SlotLayout};

mod calibration;
mod history;
mod normal;
mod residuals;
mod tail;

use calibration::Histories;
pub use calibration::{Calibration, Judged, TooFew};
pub use tail::tail_quantile;

/// Fewest examples from which a threshold is set: a 98% quantile of fewer rests on two values.
pub const MIN_CALIBRATION: usize = 60;
/// How many metrics are named with an alert.
pub const MAX_BECAUSE: usize = 5;
/// False alarms per example: at one report a minute one row in a week; the monitor's k-of-n rule
/// then asks for several together.
pub const DEFAULT_FALSE_ALARM_RATE: f64 = 1e-4;

/// A scored example.
#[derive(Clone, PartialEq, Debug)]
pub struct Scored {
    /// Whose.
    pub device: DeviceId,
    /// Arrival of the scored report.
    pub at: UnixMillis,
    /// In units of the threshold: over 1 is unusual.
    pub score: f64,
    /// Whether a model may learn from it, which the rate of alarms has no part in.
    pub normal: bool,
    /// The metrics that contributed most, largest first, with their share of the sum of |z|.
    pub because: Vec<(String, f64)>,
}

/// The calibrations of many devices.
#[derive(Debug)]
pub struct Scorer {
    rate: f64,
    devices: BTreeMap<DeviceId, Known>,
}

/// A device.
#[derive(Debug)]
struct Known {
    calibration: Calibration,
    histories: Histories,
}

impl Default for Scorer {
    fn default() -> Self {
        Self::new(DEFAULT_FALSE_ALARM_RATE)
    }
}

impl Scorer {
    /// With false alarms at `rate` per example, kept within 1e-9 and 0.1.
    pub fn new(rate: f64) -> Self {
        Self {
            rate: rate.clamp(1e-9, 0.1),
            devices: BTreeMap::new(),
        }
    }

    /// Sets a device's calibration from examples believed normal (the training window) and the
    /// current model's reconstruction of each, in the same order; `None` while there is no model.
    /// To be repeated whenever the model changes, since residuals change with it, and now and then
    /// anyway with the latest window: servers drift for good. Thresholds rest on all rows since the device is known, so that scores stay comparable. Beyond
    /// [`MAX_DEVICES`] devices new ones are not taken and the answer is `Ok(false)`.
    pub fn calibrate(
        &mut self,
        device: &DeviceId,
        examples: &[Example],
        reconstructions: Option<&[[f32; SLOTS]]>,
    ) -> Result<bool, TooFew> {
        if !self.devices.contains_key(device) && self.devices.len() >= MAX_DEVICES {
            return Ok(false);
        }
        if let Some(known) = self.devices.get_mut(device) {
            known.calibration =
                Calibration::fit(&mut known.histories, examples, reconstructions, self.rate)?;
            return Ok(true);
        }
        let mut histories = Histories::new(examples);
        let calibration = Calibration::fit(&mut histories, examples, reconstructions, self.rate)?;
        let known = Known {
            calibration,
            histories,
        };
        self.devices.insert(device.clone(), known);
        Ok(true)
    }

    /// Whether the device can be scored.
    pub fn is_calibrated(&self, device: &DeviceId) -> bool {
        self.devices.contains_key(device)
    }

    /// Devices that can be scored.
    pub fn calibrated(&self) -> usize {
        self.devices.len()
    }

    /// Scores an example with the model's reconstruction of it (`None`: local detector alone), and
    /// remembers it for later thresholds as far as it is not far out.
    /// `names` is the device's slot layout. `None` before calibration.
    pub fn score(
        &mut self,
        example: &Example,
        reconstruction: Option<&[f32; SLOTS]>,
        names: &SlotLayout,
    ) -> Option<Scored> {
        let known = self.devices.get_mut(&example.device)?;
        let judged = known
            .calibration
            .judge(&mut known.histories, example, reconstruction);
        let because = judged
            .shares
            .into_iter()
            .take(MAX_BECAUSE)
            .map(|(slot, share)| {
                (
                    names
                        .name(slot)
                        .map_or_else(|| format!("slot {slot}"), str::to_owned),
                    share,
                )
            })
            .collect();
        Some(Scored {
            device: example.device.clone(),
            at: example.arrival,
            score: judged.score,
            normal: judged.normal,
            because,
        })
    }
}

#[cfg(test)]
mod tests;
