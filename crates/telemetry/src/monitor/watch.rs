//! What the monitor knows of one device, and the alerts that follow from it.

use machine::Instant;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use wire::{Alert, AlertKind, DeviceId, Report, RoomId, Severity, UnixMillis};

use super::order::Order;
use super::rhythm::Rhythm;
use super::{CRITICAL_SCORE, MAX_CONDITIONS, OVERTAKING, Output, RAISE_AT};
use crate::score::Scored;

/// What is known of one device.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) room: RoomId,
    pub(super) rhythm: Rhythm,
    /// Last scores, newest last.
    pub(super) scores: VecDeque<Scored>,
    pub(super) calm: u32,
    pub(super) anomaly: Option<Open>,
    pub(super) silence: Option<Open>,
    pub(super) reported: BTreeMap<String, Open>,
    /// Device times at which conditions last ended.
    pub(super) ended: BTreeMap<String, UnixMillis>,
    pub(super) order: Order,
}

/// An open alert. `told`: it was raised and not held back in a storm, so its end is told, too.
/// `since`: when it began by the device's clock, if it has one.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) id: String,
    pub(super) told: bool,
    pub(super) since: Option<UnixMillis>,
}

/// Whether an event of `time` was overtaken by one of `other`.
pub(super) fn overtaken(time: Option<UnixMillis>, other: Option<UnixMillis>) -> bool {
    let ahead = time.zip(other).and_then(|(t, o)| o.0.checked_sub(t.0));
    ahead.is_some_and(|ms| ms > 0 && Duration::from_millis(ms) <= OVERTAKING)
}

impl Watch {
    /// The device says that a condition is over.
    pub(super) fn end(&mut self, condition: &str, report: &Report, out: &mut Vec<Output>) {
        let since = self.reported.get(condition).and_then(|open| open.since);
        if overtaken(report.device_time, since) {
            return;
        }
        if let Some(at) = report.device_time {
            // Conditions of a device are few; of one that invents new ones, any may be forgotten.
            if self.ended.len() >= MAX_CONDITIONS && !self.ended.contains_key(condition) {
                self.ended.pop_first();
            }
            self.ended.insert(condition.to_owned(), at);
        }
        if let Some(open) = self.reported.remove(condition) {
            close(open, report.arrival, out);
        }
    }
}

impl Watch {
    pub(super) fn new(room: RoomId) -> Self {
        Self {
            room,
            rhythm: Rhythm::default(),
            scores: VecDeque::new(),
            calm: 0,
            anomaly: None,
            silence: None,
            reported: BTreeMap::new(),
            ended: BTreeMap::new(),
            order: Order::default(),
        }
    }

    /// An alert if enough of the last scores are over the threshold.
    pub(super) fn anomaly_alert(&self, device: &DeviceId) -> Option<Alert> {
        let over: Vec<&Scored> = self
            .scores
            .iter()
            .filter(|scored| scored.score > 1.0)
            .collect();
        let first = *over.first().filter(|_| over.len() >= RAISE_AT)?;
        let worst = over.iter().max_by(|a, b| a.score.total_cmp(&b.score))?;
        let mean = over.iter().map(|scored| scored.score).sum::<f64>() / over.len() as f64;
        let names: Vec<&str> = worst
            .because
            .iter()
            .take(3)
            .map(|(name, _)| name.as_str())
            .collect();
        let because = if names.is_empty() {
            String::new()
        } else {
            format!(", mostly {}", names.join(", "))
        };
        Some(Alert {
            id: id(device, "anomaly", first.at),
            device: device.clone(),
            room: self.room.clone(),
            kind: AlertKind::Anomaly {
                score: worst.score,
                because: worst.because.clone(),
            },
            severity: if mean >= CRITICAL_SCORE {
                Severity::Critical
            } else {
                Severity::Warning
            },
            at: first.at,
            summary: format!(
                "{device} behaves unusually: {:.1} times its threshold{because}",
                worst.score
            ),
        })
    }

    /// By the device's own rhythm, or by the deadline of its topic.
    pub(super) fn silence_alert(
        &self,
        device: &DeviceId,
        now: Instant,
        deadline: Option<Duration>,
    ) -> Alert {
        let (since, last) = self.rhythm.last().unwrap_or_default();
        let silent = now.since(since);
        let rule = match deadline {
            Some(_) => "by its topic's deadline it has to",
            None if self.rhythm.is_configured() => "by configuration it has to",
            None => "it usually does",
        };
        Alert {
            id: id(device, "silent", last),
            device: device.clone(),
            room: self.room.clone(),
            kind: AlertKind::Silent {
                for_ms: u64::try_from(silent.as_millis()).unwrap_or(u64::MAX),
            },
            severity: Severity::Warning,
            at: last,
            summary: format!(
                "{device} has not reported for {:.0} s; {rule} every {:.1} s",
                silent.as_secs_f64(),
                deadline.unwrap_or(self.rhythm.usual()).as_secs_f64()
            ),
        }
    }
}

/// `device/condition/opened-at`
pub(super) fn id(device: &DeviceId, condition: &str, at: UnixMillis) -> String {
    format!("{device}/{condition}/{at}")
}

pub(super) fn close(open: Open, at: UnixMillis, out: &mut Vec<Output>) {
    if open.told {
        out.push(Output::Clear { id: open.id, at });
    }
}
