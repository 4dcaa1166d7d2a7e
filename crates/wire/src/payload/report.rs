//! Reports to and from the IDL's types.

use super::types::{DeviceEvent, Door, Origin, Reading, ReadingBatch, Report, Severity};
use super::{MAX_REPORTS, PayloadError};
use crate::{DeviceId, NodeId, RoomId, UnixMillis};

impl ReadingBatch {
    /// Reports of one device in one room, in order. `None` for none at all, for too many, and for
    /// reports of different devices or rooms.
    pub fn of(reports: &[crate::Report]) -> Option<Self> {
        let first = reports.first()?;
        let alike =
            |report: &crate::Report| (&report.device, &report.room) == (&first.device, &first.room);
        (reports.len() <= MAX_REPORTS && reports.iter().all(alike)).then(|| Self {
            device: first.device.to_string(),
            room: first.room.to_string(),
            reports: reports.iter().map(Report::of).collect(),
        })
    }

    /// The reports, if they mean something.
    pub fn reports(self) -> Result<Vec<crate::Report>, PayloadError> {
        if self.device.is_empty() || self.room.is_empty() {
            return Err(PayloadError::Meaning("a batch without device or room"));
        }
        if self.reports.is_empty() || self.reports.len() > MAX_REPORTS {
            return Err(PayloadError::Meaning(
                "a batch of no reports, or of too many",
            ));
        }
        let (device, room) = (DeviceId(self.device), RoomId(self.room));
        let reports = self.reports.into_iter();
        reports
            .map(|report| report.of_device(device.clone(), room.clone()))
            .collect()
    }
}

impl Report {
    fn of(report: &crate::Report) -> Self {
        let readings = report.readings.iter().map(|reading| Reading {
            name: reading.name.clone(),
            value: reading.value,
            unit: reading.unit.clone(),
        });
        Self {
            device_class: report.class.clone(),
            device_time_ms: report.device_time.map(|time| time.0),
            arrival_ms: report.arrival.0,
            readings: readings.collect(),
            event: report.event.as_ref().map(|event| DeviceEvent {
                condition: event.condition.clone(),
                severity: event.severity.into(),
                text: event.text.clone(),
                clears: event.clears,
            }),
            origin: (&report.origin).into(),
        }
    }

    fn of_device(self, device: DeviceId, room: RoomId) -> Result<crate::Report, PayloadError> {
        if self
            .readings
            .iter()
            .any(|reading| !reading.value.is_finite())
        {
            return Err(PayloadError::Meaning("a reading that is no finite number"));
        }
        let readings = self.readings.into_iter().map(|reading| crate::Reading {
            name: reading.name,
            value: reading.value,
            unit: reading.unit,
        });
        Ok(crate::Report {
            device,
            room,
            class: self.device_class,
            device_time: self.device_time_ms.map(UnixMillis),
            arrival: UnixMillis(self.arrival_ms),
            readings: readings.collect(),
            event: self.event.map(|event| crate::DeviceEvent {
                condition: event.condition,
                severity: event.severity.into(),
                text: event.text,
                clears: event.clears,
            }),
            origin: self.origin.into(),
        })
    }
}

impl From<crate::Severity> for Severity {
    fn from(severity: crate::Severity) -> Self {
        match severity {
            crate::Severity::Info => Self::Info,
            crate::Severity::Warning => Self::Warning,
            crate::Severity::Critical => Self::Critical,
        }
    }
}

impl From<Severity> for crate::Severity {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warning,
            Severity::Critical => Self::Critical,
        }
    }
}

impl From<&crate::Origin> for Origin {
    /// Journal sequence numbers are far below 2^63; the bits are kept in any case.
    fn from(origin: &crate::Origin) -> Self {
        match origin {
            crate::Origin::Mail { node, seq, part } => Self {
                door: Door::Mail,
                source: node.to_string(),
                partition: 0,
                position: seq.cast_signed(),
                part: *part,
            },
            crate::Origin::Kafka {
                topic,
                partition,
                offset,
                part,
            } => Self {
                door: Door::Kafka,
                source: topic.clone(),
                partition: *partition,
                position: *offset,
                part: *part,
            },
        }
    }
}

impl From<Origin> for crate::Origin {
    fn from(origin: Origin) -> Self {
        match origin.door {
            Door::Mail => Self::Mail {
                node: NodeId(origin.source),
                seq: origin.position.cast_unsigned(),
                part: origin.part,
            },
            Door::Kafka => Self::Kafka {
                topic: origin.source,
                partition: origin.partition,
                offset: origin.position,
                part: origin.part,
            },
        }
    }
}
