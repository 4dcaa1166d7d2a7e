//! The input: one device at one moment.

use crate::Error;

/// Slots of a row. Every device class lays its metrics into the same number of slots, so that
/// one model serves all; must equal the slot count of `telemetry::features`.
pub const SLOTS: usize = 40;

/// Values beyond this many (robust) standard deviations are clipped on their way into the
/// network: one broken sensor in one room must not steer the shared model. Residuals are taken
/// against the unclipped value, so the broken sensor still stands out.
pub const CLIP: f32 = 10.0;

/// Standardised values with their presence. What stands in an absent slot never matters, NaN
/// included.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Row {
    /// Standardised values: about zero mean and unit spread per slot and device.
    pub values: [f32; SLOTS],
    /// True where the device has that slot.
    pub mask: [bool; SLOTS],
}

impl Row {
    /// A row with the first `values.len()` slots present; panics beyond [`SLOTS`] values.
    pub fn dense(values: &[f32]) -> Self {
        let mut row = Self {
            values: [0.0; SLOTS],
            mask: [false; SLOTS],
        };
        row.values[..values.len()].copy_from_slice(values);
        row.mask[..values.len()].fill(true);
        row
    }
}

/// Refuses non-finite values in present slots.
pub(crate) fn check(rows: &[Row]) -> Result<(), Error> {
    for (index, row) in rows.iter().enumerate() {
        for (slot, (&value, &present)) in row.values.iter().zip(&row.mask).enumerate() {
            if present && !value.is_finite() {
                return Err(Error::NonFiniteValue {
                    row: index,
                    slot,
                    value,
                });
            }
        }
    }
    Ok(())
}
