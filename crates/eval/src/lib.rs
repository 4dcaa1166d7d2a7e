//! How well faults are found: the detectors, alone and trained together, on recorded servers with
//! labelled faults, by measures that a lucky guess does not satisfy.
//!
//! Everything here is a function of the data and a seed. Nothing is chosen by test labels: choices
//! were made on the machines of even number (in the order of their names) and are reported on all,
//! on those, and on the others (docs/learning.md).

pub mod data;
pub mod detect;
pub mod metrics;
pub mod product;
pub mod report;
pub mod thresholds;
pub mod together;
