//! The input: devices over time.

use crate::Error;
use telemetry::features::Example;

/// Slots of a row. Every device class lays its metrics into the same number of slots, so that
/// one model serves all.
pub use telemetry::features::SLOTS;

/// Values beyond this many (robust) standard deviations are clipped on their way into the
/// network: one broken sensor in one room must not steer the shared model. Residuals are taken
/// against the unclipped value, so the broken sensor still stands out.
pub const CLIP: f32 = 10.0;

/// One device at one moment: standardised values with their presence. What stands in an absent slot never
/// matters, NaN included.
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

    fn is_empty(&self) -> bool {
        !self.mask.contains(&true)
    }
}

/// What a model sees of an example.
impl From<&Example> for Row {
    fn from(example: &Example) -> Self {
        Self {
            values: example.values,
            mask: example.mask,
        }
    }
}

/// Rows of one device, the oldest first. A job is about those that are *asked for*; the others say what came
/// before them, which matters to a model that looks back ([`Shape::reach`](crate::Shape::reach)).
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Series(Vec<(Row, bool)>);

impl Series {
    /// Takes a row: `asked` for, or what came before.
    pub fn push(&mut self, row: Row, asked: bool) {
        self.0.push((row, asked));
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.0.len()
    }

    /// How many are asked for.
    pub fn asked(&self) -> usize {
        self.0.iter().filter(|(_, asked)| *asked).count()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(Row, bool)> {
        self.0.iter()
    }

    /// The same, empty rows never asked for: they have no gradient, and would only thin out the batches.
    pub(crate) fn without_empty(&self) -> Self {
        let rows = self.0.iter();
        Self(
            rows.map(|(row, asked)| (*row, *asked && !row.is_empty()))
                .collect(),
        )
    }
}

/// All are asked for.
impl From<Vec<Row>> for Series {
    fn from(rows: Vec<Row>) -> Self {
        Self(rows.into_iter().map(|row| (row, true)).collect())
    }
}

/// A device's examples, the marked ones asked for.
impl<'e> FromIterator<(&'e Example, bool)> for Series {
    fn from_iter<I: IntoIterator<Item = (&'e Example, bool)>>(examples: I) -> Self {
        let rows = examples.into_iter();
        Self(
            rows.map(|(example, asked)| (example.into(), asked))
                .collect(),
        )
    }
}

/// Most rows in one job: as tensors they take 64 MB.
pub const MAX_ROWS: usize = 200_000;

/// Refuses too many rows, and values that are not finite in present slots.
pub(crate) fn check(series: &[Series]) -> Result<(), Error> {
    let rows = series.iter().map(Series::rows).sum();
    if rows > MAX_ROWS {
        return Err(Error::TooManyRows {
            rows,
            limit: MAX_ROWS,
        });
    }
    for (index, (row, _)) in series.iter().flat_map(Series::iter).enumerate() {
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
