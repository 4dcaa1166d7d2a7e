//! Telemetry, pure: from bytes that arrive to readings, examples, scores and alerts.
//!
//! Nothing here does I/O or reads a clock. [`smtp`] is the receiving side of a mail session,
//! [`mail`] turns an accepted mail into reports, [`copybook`], [`ebcdic`] and [`transactions`] do
//! the same for mainframe records; [`features`] turns reports into examples for a model,
//! [`score`] judges them, [`monitor`] raises and clears alerts.

pub mod copybook;
pub mod directory;
pub mod ebcdic;
pub mod features;
pub mod formats;
pub mod mail;
pub mod monitor;
pub mod quarantine;
pub mod score;
pub mod smtp;
pub mod transactions;

mod csv;
mod json;
mod moment;
mod senml;

pub use directory::{Device, Directory};
pub use mail::{DecodeContext, decode};
pub use quarantine::{Quarantine, Reason};
