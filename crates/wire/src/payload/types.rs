//! The IDL's types, in its order. The macros make their encoding.

use crate::xcdr::{appendable, enumeration};

enumeration! {
    /// How bad.
    Severity {
        /// For the record.
        #[default]
        Info = 0,
        /// Look at it today.
        Warning = 1,
        /// Look at it now.
        Critical = 2,
    }
}

enumeration! {
    /// Through which door a report entered the house.
    Door {
        /// SMTP.
        #[default]
        Mail = 0,
        /// Kafka.
        Kafka = 1,
    }
}

enumeration! {
    /// Whether an alert is still open.
    AlertState {
        /// It is open.
        #[default]
        Raised = 0,
        /// It is over.
        Cleared = 1,
    }
}

enumeration! {
    /// What an alert is about.
    AlertKind {
        /// The readings are unusual.
        #[default]
        Anomaly = 0,
        /// The device reported a condition.
        Reported = 1,
        /// The device stopped reporting.
        Silent = 2,
    }
}

appendable! {
    /// One number.
    Reading {
        /// Metric name, e.g. battery.charge.
        name: String,
        /// Always finite.
        value: f64,
        /// SenML unit symbol (RFC 8428 section 12.1), where known.
        unit: Option<String>,
    }
}

appendable! {
    /// Something that happened, told by the device.
    DeviceEvent {
        /// The device's code; opening and clearing events share it.
        condition: String,
        /// How bad.
        severity: Severity,
        /// The device's own words.
        text: String,
        /// The condition ends.
        clears: bool,
    }
}

appendable! {
    /// Where a report first became durable: the same report, delivered twice, has the same origin.
    Origin {
        /// Which of the following reading applies.
        door: Door,
        /// Mail: the node; Kafka: the topic.
        source: String,
        /// Kafka partition; mail: 0.
        partition: i32,
        /// Mail: sequence number in the node's journal; Kafka: offset of the last record.
        position: i64,
        /// Index among the reports of that mail or offset.
        part: u32,
    }
}

appendable! {
    /// What one device reported at one moment.
    Report {
        /// Server, ups, pdu, bmc, mainframe ...; one class shares the meaning of its metrics.
        device_class: String,
        /// Unix time by the device's clock, where it has one (ms).
        device_time_ms: Option<u64>,
        /// Unix time when the house accepted it (ms).
        arrival_ms: u64,
        /// In the device's order.
        readings: Vec<Reading>,
        /// What happened, if something did.
        event: Option<DeviceEvent>,
        /// Tells a repeated delivery.
        origin: Origin,
    }
}

appendable! {
    /// Topic glasshouse_readings, in the room's partition: reports of one device, oldest first.
    ReadingBatch {
        /// The device.
        device: String,
        /// Where it stands.
        room: String,
        /// One when the writer is idle, more when they come faster than they go out.
        reports: Vec<Report>,
    }
}

appendable! {
    /// A metric's part in a score.
    Contribution {
        /// Its name.
        metric: String,
        /// Of the sum of absolute standardised residuals.
        share: f64,
    }
}

appendable! {
    /// Topic glasshouse_scores, partition house: how unusual a device's last report is.
    Score {
        /// The device.
        device: String,
        /// Where it stands.
        room: String,
        /// Unix time when the scored report arrived (ms).
        at_ms: u64,
        /// In units of the device's threshold: over 1 is unusual.
        score: f64,
        /// The metrics that contributed most, largest first.
        because: Vec<Contribution>,
    }
}

appendable! {
    /// Topic glasshouse_alerts, partition house: an alert that stands on the ledger. When it is cleared a
    /// last sample says so, and then the instance is disposed of.
    Alert {
        /// Unique and stable.
        id: String,
        /// The device.
        device: String,
        /// Its room.
        room: String,
        /// What it is about.
        kind: AlertKind,
        /// How bad.
        severity: Severity,
        /// Open or over.
        state: AlertState,
        /// Unix time when the condition began, by arrival (ms).
        at_ms: u64,
        /// Unix time when it ended (ms).
        cleared_ms: Option<u64>,
        /// One sentence.
        summary: String,
        /// Kind ANOMALY: in units of the threshold.
        score: f64,
        /// Kind ANOMALY: the metrics that contributed most.
        because: Vec<Contribution>,
        /// Kind REPORTED: the device's condition.
        condition: String,
        /// Kind SILENT: since the last report (ms).
        silent_ms: u64,
        /// Leaf of the ledger that raised or cleared it.
        leaf: u64,
    }
}

appendable! {
    /// Topic glasshouse_models, partition house: the model that the last closed round made.
    ModelAnnouncement {
        /// Name of the cluster.
        cluster: String,
        /// The round.
        round: u64,
        /// SHA-256 over the little-endian float32 parameters, hexadecimal.
        digest: String,
        /// Nodes whose updates are in it.
        participants: Vec<String>,
        /// Training examples behind it.
        examples: u64,
        /// Mean training loss before the round's training, weighted by examples.
        loss: f64,
        /// Leaf of the ledger that closed the round.
        leaf: u64,
    }
}

appendable! {
    /// Topic glasshouse_status, partition house: a node's own view, every few seconds.
    NodeStatus {
        /// Its name.
        node: String,
        /// Unix time by its clock (ms).
        at_ms: u64,
        /// Of its software.
        version: String,
        /// Since the process started (ms).
        uptime_ms: u64,
        /// Who leads as it sees it; empty: nobody.
        leader: String,
        /// Rooms it holds.
        rooms: Vec<String>,
        /// Last closed round.
        round: u64,
        /// Key epoch it seals with.
        key_epoch: u64,
        /// Leaves it has folded.
        ledger_size: u64,
        /// Samples of readings written since the start.
        published: u64,
        /// Samples of readings opened since the start.
        received: u64,
        /// Samples of any topic refused since the start.
        refused: u64,
        /// Open alerts of the whole house, by the ledger.
        open_alerts: u64,
    }
}
