//! Machines of the Server Machine Dataset as standardised rows.

use crate::metrics::Labels;
use gear::smd::{METRICS, Slice, Smd, SmdError, Values};
use learn::{Row, SLOTS};
use std::path::Path;

/// Deviation of a metric never counts as less than this: the dataset is scaled to 0…1, and what stood
/// still while training must move by a hundredth to be one deviation away.
const MIN_DEVIATION: f64 = 0.01;

/// One machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `machine-1-2`.
    pub name: String,
    /// Raw rows without faults.
    pub train: Vec<Values>,
    /// Raw rows with faults.
    pub test: Vec<Values>,
    /// Where they are.
    pub labels: Labels,
    scale: Vec<(f64, f64)>,
}

/// Why there is nothing to evaluate.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The dataset does not read.
    #[error(transparent)]
    Smd(#[from] SmdError),
    /// Too short to learn from or to judge.
    #[error(
        "{machine} has {train} rows to learn from and {faulty} faulty rows; at least {MIN_TRAIN} and 1 are needed"
    )]
    Short {
        /// Which.
        machine: String,
        /// Rows of `train`.
        train: usize,
        /// Labelled rows of `test`.
        faulty: usize,
    },
}

/// Fewest rows to learn from: two windows of a principal component analysis of all metrics.
const MIN_TRAIN: usize = 2 * METRICS;

/// Reads every machine below `root`, whole.
pub fn load(root: &Path) -> Result<Vec<Machine>, DataError> {
    let all = Slice {
        train: usize::MAX,
        test: usize::MAX,
        lead_in: usize::MAX,
    };
    let smd = Smd::open(root)?;
    let machines = smd.machines().iter().map(|name| {
        let read = smd.load(name, all)?;
        let labels = Labels::new(read.test.len(), read.segments);
        let faulty = labels.as_ref().map_or(0, Labels::count);
        match labels {
            Some(labels) if faulty > 0 && read.train.len() >= MIN_TRAIN => {
                Ok(Machine::new(read.name, read.train, read.test, labels))
            }
            Some(_) | None => Err(DataError::Short {
                machine: read.name,
                train: read.train.len(),
                faulty,
            }),
        }
    });
    machines.collect()
}

impl Machine {
    /// With the scale of its training rows.
    pub fn new(name: String, train: Vec<Values>, test: Vec<Values>, labels: Labels) -> Self {
        let count = train.len() as f64;
        let scale = (0..METRICS).map(|metric| {
            let values = || train.iter().map(|row| row[metric]);
            let mean = values().sum::<f64>() / count;
            let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
            (mean, variance.sqrt().max(MIN_DEVIATION))
        });
        Self {
            scale: scale.collect(),
            name,
            train,
            test,
            labels,
        }
    }

    /// Deviations from the training rows' mean, in their standard deviations.
    pub fn standardised(&self, rows: &[Values]) -> Vec<Values> {
        let standardise = |row: &Values| {
            std::array::from_fn(|metric| {
                let (mean, deviation) = self.scale[metric];
                (row[metric] - mean) / deviation
            })
        };
        rows.iter().map(standardise).collect()
    }
}

/// Standardised rows as a model takes them.
pub fn rows(standardised: &[Values]) -> Vec<Row> {
    const { assert!(METRICS <= SLOTS) };
    let dense = |row: &Values| Row::dense(&row.map(|value| value as f32));
    standardised.iter().map(dense).collect()
}
