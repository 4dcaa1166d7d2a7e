//! The mainframe's transactions: EBCDIC records → [`Transaction`]s → event-time windows per key, type,
//! terminal or response code → [`wire::Report`]s.
//!
//! [`Pipeline`] is the whole way for one Kafka topic. It reads no clock and remembers per partition
//! how far it came ([`Checkpoint`]), so that a restart replays and still counts each record once.

pub mod avro;
mod dimension;
mod json;
mod latency;
mod layout;
mod pipeline;
mod registered;
#[cfg(test)]
mod tests;
mod timestamp;
mod window;

pub use dimension::{Dimension, UnknownDimension};
pub use json::JsonLayout;
pub use layout::{FieldNames, LayoutError, Transaction, TransactionError, TransactionLayout};
pub use pipeline::{Layout, Pipeline, PipelineConfig, Refused, RefusedReason};
pub use registered::{Answer, MAX_SCHEMAS, NoAnswer, RegisteredError, Schemas};
pub use timestamp::{TimestampError, TimestampFormat};
pub use window::{Checkpoint, CheckpointError, Counters, WindowConfig, Windows};
