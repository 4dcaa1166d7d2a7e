//! Raises and clears alerts.
//!
//! Three kinds of condition per device, each open at most once: the model's *anomaly* (several
//! of the last scores over the threshold; ends with hysteresis), what the device *reported*
//! (opens and clears by its own events), and *silence* (nothing for much longer than the device
//! usually takes). A storm of alerts becomes one digest.
//!
//! Wall-clock times in alerts are arrival times; the machine's own clock only decides silence
//! and rates.

use machine::{Instant, Machine, Overload};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use wire::{Alert, AlertKind, DeviceEvent, DeviceId, Report, RoomId, Severity, UnixMillis};

use crate::score::Scored;

mod rate;
mod rhythm;

use rate::{Rate, Verdict};
use rhythm::Rhythm;

/// Scores looked at.
pub const WINDOW: usize = 5;
/// Of those, over 1 to raise: one wild row is noise, three of five are not.
pub const RAISE_AT: usize = 3;
/// Consecutive scores below [`CALM`] to clear.
pub const CLEAR_AFTER: u32 = 10;
/// Lower edge of the hysteresis.
pub const CALM: f64 = 0.8;
/// A raised anomaly is critical from this mean score on.
pub const CRITICAL_SCORE: f64 = 3.0;
/// Silence is this many times the usual gap between two reports …
pub const SILENCE_FACTOR: u32 = 8;
/// … but never less, so that a burst followed by a pause is none.
pub const MIN_SILENCE: Duration = Duration::from_secs(5);
/// Most devices watched.
pub const MAX_DEVICES: usize = 10_000;
/// Most reported conditions open per device; a device that reports more is broken as a whole.
pub const MAX_CONDITIONS: usize = 32;
/// Alerts per minute before they are held back for a digest: more than an operator can read.
pub const ALERTS_PER_MINUTE: usize = 30;
/// Device name in a digest.
pub const STORM: &str = "alert-storm";

/// What the monitor learns.
#[derive(Clone, PartialEq, Debug)]
pub enum Input {
    /// A model's judgement.
    Scored(Scored),
    /// A report with an event of the device.
    Event(Box<Report>),
    /// A report of any kind came in. Feed this before `Scored` or `Event` of the same report.
    Seen {
        /// Whose.
        device: DeviceId,
        /// Its room.
        room: RoomId,
        /// Arrival.
        at: UnixMillis,
    },
    /// An alert that the ledger holds for open, when this node takes over its room: it is not
    /// raised again, and its end is told.
    Adopt(Alert),
    /// The device is not this node's to watch any more (its room moved). Its open alerts stay
    /// open on the ledger; the room's next owner adopts them.
    Forget(DeviceId),
}

/// What the shell must do.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Put on the ledger and mail.
    Raise(Alert),
    /// Put on the ledger and mail.
    Clear {
        /// Id of the alert.
        id: String,
        /// When the condition ended, by arrival time.
        at: UnixMillis,
    },
}

/// The monitor of one node.
#[derive(Debug, Default)]
pub struct Monitor {
    devices: BTreeMap<DeviceId, Watch>,
    rate: Rate,
}

/// What is known of one device.
#[derive(Debug)]
struct Watch {
    room: RoomId,
    rhythm: Rhythm,
    /// Last scores, newest last.
    scores: VecDeque<Scored>,
    calm: u32,
    anomaly: Option<Open>,
    silence: Option<Open>,
    reported: BTreeMap<String, Open>,
}

/// An open alert. `told`: it was raised and not held back in a storm, so its end is told, too.
#[derive(Debug)]
struct Open {
    id: String,
    told: bool,
}

impl Monitor {
    /// Watches nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Open alerts, told or held back.
    pub fn open(&self) -> usize {
        self.devices
            .values()
            .map(|watch| {
                watch.reported.len()
                    + usize::from(watch.anomaly.is_some())
                    + usize::from(watch.silence.is_some())
            })
            .sum()
    }

    fn watch(&mut self, device: &DeviceId, room: &RoomId) -> Option<&mut Watch> {
        if !self.devices.contains_key(device) && self.devices.len() >= MAX_DEVICES {
            return None;
        }
        Some(
            self.devices
                .entry(device.clone())
                .or_insert_with(|| Watch::new(room.clone())),
        )
    }

    fn seen(
        &mut self,
        now: Instant,
        device: &DeviceId,
        room: &RoomId,
        at: UnixMillis,
        out: &mut Vec<Output>,
    ) {
        let Some(watch) = self.watch(device, room) else {
            return;
        };
        watch.room = room.clone();
        watch.rhythm.heard(now, at);
        if let Some(open) = watch.silence.take() {
            close(open, at, out);
        }
    }

    /// A device is watched from its first `Seen` on; scores of others are late and dropped.
    fn scored(&mut self, now: Instant, scored: Scored, out: &mut Vec<Output>) {
        let Some(watch) = self.devices.get_mut(&scored.device) else {
            return;
        };
        watch.calm = if scored.score < CALM {
            watch.calm.saturating_add(1)
        } else {
            0
        };
        let (device, at) = (scored.device.clone(), scored.at);
        if watch.scores.len() == WINDOW {
            watch.scores.pop_front();
        }
        watch.scores.push_back(scored);
        if watch.calm >= CLEAR_AFTER
            && let Some(open) = watch.anomaly.take()
        {
            close(open, at, out);
        } else if watch.anomaly.is_none()
            && let Some(alert) = watch.anomaly_alert(&device)
        {
            watch.anomaly = Some(self.rate.raise(now, alert, out));
        }
    }

    fn event(&mut self, now: Instant, report: &Report, event: &DeviceEvent, out: &mut Vec<Output>) {
        let Some(watch) = self.watch(&report.device, &report.room) else {
            return;
        };
        if event.clears {
            if let Some(open) = watch.reported.remove(&event.condition) {
                close(open, report.arrival, out);
            }
            return;
        }
        let open_already = watch.reported.contains_key(&event.condition);
        // An informational event is for the record: nobody must act, and nothing would clear it.
        if open_already
            || event.severity == Severity::Info
            || watch.reported.len() >= MAX_CONDITIONS
        {
            return;
        }
        let alert = Alert {
            id: id(&report.device, &event.condition, report.arrival),
            device: report.device.clone(),
            room: report.room.clone(),
            kind: AlertKind::Reported {
                condition: event.condition.clone(),
            },
            severity: event.severity,
            at: report.arrival,
            summary: format!("{} reports: {}", report.device, event.text),
        };
        let open = self.rate.raise(now, alert, out);
        if let Some(watch) = self.devices.get_mut(&report.device) {
            watch.reported.insert(event.condition.clone(), open);
        }
    }
}

impl Monitor {
    fn adopt(&mut self, alert: Alert) {
        let Some(watch) = self.watch(&alert.device, &alert.room) else {
            return;
        };
        let open = Open {
            id: alert.id,
            told: true,
        };
        match alert.kind {
            AlertKind::Anomaly { .. } => watch.anomaly = Some(open),
            AlertKind::Silent { .. } => watch.silence = Some(open),
            AlertKind::Reported { condition } => {
                if watch.reported.len() < MAX_CONDITIONS {
                    watch.reported.insert(condition, open);
                }
            }
        }
    }
}

impl Machine for Monitor {
    type Input = Input;
    type Output = Output;

    /// A device reports an event once, and a report that was not seen looks like silence. A score
    /// is one of many: the next window is judged again.
    fn overload(input: &Input) -> Overload {
        match input {
            Input::Seen { .. } | Input::Event(_) | Input::Adopt(_) | Input::Forget(_) => {
                Overload::Delay
            }
            Input::Scored(_) => Overload::Shed,
        }
    }

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Seen { device, room, at } => self.seen(now, &device, &room, at, out),
            Input::Scored(scored) => self.scored(now, scored, out),
            Input::Event(report) => {
                if let Some(event) = &report.event {
                    self.event(now, &report, event, out);
                }
            }
            Input::Adopt(alert) => self.adopt(alert),
            Input::Forget(device) => {
                self.devices.remove(&device);
            }
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Output>) {
        for (device, watch) in &mut self.devices {
            if watch.silence.is_none() && watch.rhythm.silent_from().is_some_and(|from| from <= now)
            {
                let alert = watch.silence_alert(device, now);
                watch.silence = Some(self.rate.raise(now, alert, out));
            }
        }
        self.rate.tick(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        self.devices
            .values()
            .filter(|watch| watch.silence.is_none())
            .filter_map(|watch| watch.rhythm.silent_from())
            .chain(self.rate.deadline())
            .min()
    }
}

impl Watch {
    fn new(room: RoomId) -> Self {
        Self {
            room,
            rhythm: Rhythm::default(),
            scores: VecDeque::new(),
            calm: 0,
            anomaly: None,
            silence: None,
            reported: BTreeMap::new(),
        }
    }

    /// An alert if enough of the last scores are over the threshold.
    fn anomaly_alert(&self, device: &DeviceId) -> Option<Alert> {
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

    fn silence_alert(&self, device: &DeviceId, now: Instant) -> Alert {
        let (since, last) = self.rhythm.last().unwrap_or_default();
        let silent = now.since(since);
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
                "{device} has not reported for {:.0} s; it usually does every {:.1} s",
                silent.as_secs_f64(),
                self.rhythm.usual().as_secs_f64()
            ),
        }
    }
}

/// `device/condition/opened-at`
fn id(device: &DeviceId, condition: &str, at: UnixMillis) -> String {
    format!("{device}/{condition}/{at}")
}

fn close(open: Open, at: UnixMillis, out: &mut Vec<Output>) {
    if open.told {
        out.push(Output::Clear { id: open.id, at });
    }
}

impl Rate {
    /// Raises the alert or holds it back for the digest.
    fn raise(&mut self, now: Instant, alert: Alert, out: &mut Vec<Output>) -> Open {
        let id = alert.id.clone();
        match self.admit(now, &alert) {
            Verdict::Tell => {
                out.push(Output::Raise(alert));
                Open { id, told: true }
            }
            Verdict::HoldBack => Open { id, told: false },
        }
    }
}

#[cfg(test)]
mod tests;
