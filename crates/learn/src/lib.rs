//! Learning on libtorch: an autoencoder for masked, standardised readings, and the one thread
//! that owns it. The only crate that knows `tch`.
//!
//! * [`Row`]: what a device looked like at one moment; slots that it lacks are masked out. [`Series`]: over time.
//! * [`Shape`]: the layers, of one row (dense) or of the last ones (temporal). Two nodes can average their models
//!   only if their shapes are equal.
//! * [`Model`]: parameters as one flat vector, [`train`](Model::train) to a delta,
//!   [`residuals`](Model::residuals) to score by.
//! * [`mod@file`]: a model as a safetensors file, which Python reads, too.
//! * [`Learner`]: the thread. Jobs in by a bounded queue, results out by callback.
//!
//! Deliberately absent: scores, thresholds and alerts (pure, in `telemetry`); averaging of
//! deltas (pure, in `federation`); libtorch's process-global random generator: initial weights
//! and the order of batches come from a generator of our own, so a result depends on its seed
//! and on nothing else that runs in the process.

mod adam;
mod error;
pub mod file;
mod layers;
mod learner;
mod model;
mod random;
mod row;
mod shape;
mod train;

pub use error::Error;
pub use learner::{Learner, QUEUE, Reply, Trial, Tuning, Verdict};
pub use model::Model;
pub use row::{CLIP, MAX_ROWS, Row, SLOTS, Series};
pub use shape::{Activation, MAX_HIDDEN_LAYERS, MAX_KERNEL, MAX_REACH, MAX_WIDTH, Shape};
pub use train::{MAX_BATCH, MAX_EPOCHS, Optimizer, TrainConfig, Trained};
