//! Telemetry, pure: from bytes that arrive to readings, examples, scores and alerts.
//!
//! Nothing here does I/O or reads a clock. [`smtp`] is the receiving side of a mail session,
//! [`mail`] turns an accepted mail into reports by the built-in [`formats`] and the operator's
//! [`patterns`] and [`functions`], [`copybook`], [`ebcdic`] and [`transactions`] do
//! the same for mainframe records; [`features`] turns reports into examples for a model,
//! [`score`] judges them, [`monitor`] raises and clears alerts, [`alertmail`] tells operators by mail,
//! [`cloudevents`] other programs.

pub mod alertmail;
pub mod cloudevents;
pub mod copybook;
pub mod directory;
pub mod ebcdic;
pub mod features;
pub mod formats;
pub mod functions;
pub mod harness;
pub mod mail;
pub mod monitor;
pub mod patterns;
pub mod quarantine;
pub mod score;
pub mod sequence;
pub mod smtp;
pub mod transactions;
pub mod windows;

mod cbor;
mod csv;
mod json;
mod moment;
mod senml;
mod unpack;

pub use directory::{Device, Directory};
pub use mail::{DecodeContext, decode};
pub use patterns::Patterns;
pub use quarantine::{Quarantine, Reason};
