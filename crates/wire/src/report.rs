//! What devices report, as it travels on the data space (always sealed) and inside a node.

use crate::{DeviceId, NodeId, RoomId, Severity, UnixMillis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One message's or one window's worth of readings of one device at one moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Who reports.
    pub device: DeviceId,
    /// Where it stands.
    pub room: RoomId,
    /// The device's class (`server`, `ups`, `pdu`, `bmc`, `mainframe`, …): devices of one class
    /// share the meaning of their metrics.
    pub class: String,
    /// When the device says it was; `None` where it does not say or has no usable clock.
    pub device_time: Option<UnixMillis>,
    /// When we accepted it. Never replaced by the device's clock.
    pub arrival: UnixMillis,
    /// Numbers, in the order the device gave them.
    pub readings: Vec<Reading>,
    /// Something that happened, if the message told of it.
    pub event: Option<DeviceEvent>,
    /// Where it entered the house: makes a repeated delivery recognisable.
    pub origin: Origin,
}

/// One number.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Reading {
    /// Metric name, e.g. `battery.charge`.
    pub name: String,
    /// Always finite: a decoder refuses NaN and infinities.
    pub value: f64,
    /// SenML unit symbol (RFC 8428 §12.1) where known.
    pub unit: Option<String>,
}

/// `battery.charge=98.5 %`.
impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)?;
        self.unit.iter().try_for_each(|unit| write!(f, " {unit}"))
    }
}

/// An event told by a device, e.g. "on battery".
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeviceEvent {
    /// The device's own code or a stable name; opening and clearing events of one condition
    /// share it.
    pub condition: String,
    /// How bad.
    pub severity: Severity,
    /// The device's text, for people.
    pub text: String,
    /// True when the condition ends (back on line), false when it begins.
    pub clears: bool,
}

/// The first place in the house that made the report durable.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Origin {
    /// A mail: node, journal sequence number, index of the report within the mail.
    Mail {
        /// Node whose journal holds it.
        node: NodeId,
        /// Sequence number in that journal.
        seq: u64,
        /// Index within the mail.
        part: u32,
    },
    /// A window over Kafka records: the last offset it covers.
    Kafka {
        /// Kafka topic.
        topic: String,
        /// Kafka partition.
        partition: i32,
        /// Offset of the last record in the window.
        offset: i64,
        /// Index among the reports that this offset closed.
        part: u32,
    },
}
