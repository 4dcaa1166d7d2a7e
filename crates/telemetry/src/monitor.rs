//! Raises and clears alerts.
//!
//! Four kinds of condition per device, each open at most once: the model's *anomaly* (several
//! of the last scores over the threshold; ends with hysteresis), what the device *reported*
//! (opens and clears by its own events), *silence* (nothing for much longer than the device
//! usually takes, or than the configuration allows), and *missing mails* of a device that counts
//! them. A storm of alerts becomes one digest.
//!
//! Wall-clock times in alerts are arrival times; the machine's own clock only decides silence
//! and rates. The device's clock decides one thing: which of two events that overtook each other
//! on the way was the later one.

use machine::{Instant, Machine, Overload};
use std::collections::BTreeMap;
use std::time::Duration;
use wire::{Alert, AlertKind, DeviceEvent, DeviceId, Report, RoomId, Severity, UnixMillis};

use crate::score::Scored;
use crate::sequence::Sequence;

mod order;
mod rate;
mod rhythm;
mod watch;

use order::Step;
use rate::{Rate, Verdict};
use watch::{Open, Watch, close, id, overtaken};

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
/// A configured heartbeat may be late by one of so many parts of its period: a daily mail comes
/// within six hours of its time, or a relay's queue is stuck.
pub const HEARTBEAT_GRACE: u32 = 4;
/// An event this much older than one that came before it was overtaken on its way. Relays try
/// again after 15 to 30 minutes (RFC 5321 §4.5.4.1); from an hour on it is a clock that was set,
/// by summer time for one, and the order of arrival is all there is.
pub const OVERTAKING: Duration = Duration::from_secs(45 * 60);
/// Condition of an alert about mails that never arrived.
pub const MISSING: &str = "mails-missing";
/// Condition of an alert about writers on the data space that show no life.
pub const WRITERS: &str = "writers-silent";
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
    /// A report's own number, of a device that counts its mails. Feed this after its `Seen`.
    Numbered {
        /// Whose.
        device: DeviceId,
        /// The number.
        sequence: Sequence,
        /// Arrival.
        at: UnixMillis,
    },
    /// The device has to report at least so often, by configuration, from now on.
    Expect {
        /// Which.
        device: DeviceId,
        /// Its room.
        room: RoomId,
        /// Its heartbeat.
        every: Duration,
        /// The time of day.
        at: UnixMillis,
    },
    /// The data space tells that nothing of the device came within the deadline of its topic.
    Overdue {
        /// Which.
        device: DeviceId,
        /// The deadline.
        deadline: Duration,
    },
    /// How many writers of a room's readings the data space knows, when that changes.
    Writers {
        /// The room.
        room: RoomId,
        /// Those that show life.
        alive: u32,
        /// Those that do not.
        silent: u32,
        /// The time of day.
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
            watch.end(&event.condition, report, out);
            return;
        }
        // An informational event is for the record: nobody must act, and nothing would clear it.
        // One that its own end overtook is over.
        if event.severity == Severity::Info
            || overtaken(
                report.device_time,
                watch.ended.get(&event.condition).copied(),
            )
        {
            return;
        }
        let summary = format!("{} reports: {}", report.device, event.text);
        let at = (report.arrival, report.device_time);
        self.report(
            now,
            &report.device,
            &event.condition,
            event.severity,
            at,
            summary,
            out,
        );
    }

    /// Raises a reported condition, unless it is open or there are too many.
    #[expect(clippy::too_many_arguments, reason = "an alert has as many parts")]
    fn report(
        &mut self,
        now: Instant,
        device: &DeviceId,
        condition: &str,
        severity: Severity,
        (at, since): (UnixMillis, Option<UnixMillis>),
        summary: String,
        out: &mut Vec<Output>,
    ) {
        let Some(watch) = self.devices.get_mut(device) else {
            return;
        };
        if watch.reported.contains_key(condition) || watch.reported.len() >= MAX_CONDITIONS {
            return;
        }
        let alert = Alert {
            id: id(device, condition, at),
            device: device.clone(),
            room: watch.room.clone(),
            kind: AlertKind::Reported {
                condition: condition.to_owned(),
            },
            severity,
            at,
            summary,
        };
        let open = self.rate.raise(now, alert, out);
        let open = Open { since, ..open };
        watch.reported.insert(condition.to_owned(), open);
    }

    fn numbered(
        &mut self,
        now: Instant,
        device: &DeviceId,
        sequence: Sequence,
        at: UnixMillis,
        out: &mut Vec<Output>,
    ) {
        let Some(watch) = self.devices.get_mut(device) else {
            return;
        };
        match watch.order.heard(sequence) {
            Step::Fine => {}
            Step::Settled => {
                if let Some(open) = watch.reported.remove(MISSING) {
                    close(open, at, out);
                }
            }
            Step::Gap { first, last } => {
                let which = if first == last {
                    format!("its mail number {first} has")
                } else {
                    format!("its mails number {first} to {last} have")
                };
                let summary = format!(
                    "{device} counts its mails, and {which} not arrived; look at the relays between"
                );
                let at = (at, None);
                self.report(now, device, MISSING, Severity::Warning, at, summary, out);
            }
        }
    }
}

/// What stands for a room's writers on the data space where an alert names a device.
pub fn writers_of(room: &RoomId) -> DeviceId {
    format!("data-space/{room}").as_str().into()
}

impl Monitor {
    /// The next report ends it as any silence. A configured heartbeat rules alone: it knows the device,
    /// the deadline only its topic.
    fn overdue(
        &mut self,
        now: Instant,
        device: &DeviceId,
        deadline: Duration,
        out: &mut Vec<Output>,
    ) {
        let Some(watch) = self.devices.get_mut(device) else {
            return;
        };
        // A report that came since then may have been looked at first; one that came before may have
        // taken its time to get here.
        let heard = watch.rhythm.last().map(|(heard, _)| now.since(heard));
        let silent = heard.is_some_and(|span| span >= deadline / 2);
        if silent && watch.silence.is_none() && !watch.rhythm.is_configured() {
            let alert = watch.silence_alert(device, now, Some(deadline));
            watch.silence = Some(self.rate.raise(now, alert, out));
        }
    }

    fn writers(
        &mut self,
        now: Instant,
        room: &RoomId,
        (alive, silent): (u32, u32),
        at: UnixMillis,
        out: &mut Vec<Output>,
    ) {
        let name = writers_of(room);
        if silent == 0 {
            let watch = self.devices.get_mut(&name);
            if let Some(open) = watch.and_then(|watch| watch.reported.remove(WRITERS)) {
                close(open, at, out);
            }
        } else if self.watch(&name, room).is_some() {
            let summary = format!(
                "{silent} of {} writers of the readings of room {room} on the data space show no life; \
                 what their mailboxes take is not judged",
                alive.saturating_add(silent)
            );
            let when = (at, None);
            self.report(now, &name, WRITERS, Severity::Warning, when, summary, out);
        }
    }

    fn adopt(&mut self, alert: Alert) {
        let Some(watch) = self.watch(&alert.device, &alert.room) else {
            return;
        };
        let open = Open {
            id: alert.id,
            told: true,
            since: None,
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
            Input::Seen { .. }
            | Input::Event(_)
            | Input::Numbered { .. }
            | Input::Expect { .. }
            | Input::Overdue { .. }
            | Input::Writers { .. }
            | Input::Adopt(_)
            | Input::Forget(_) => Overload::Delay,
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
            Input::Numbered {
                device,
                sequence,
                at,
            } => self.numbered(now, &device, sequence, at, out),
            Input::Expect {
                device,
                room,
                every,
                at,
            } => {
                if let Some(watch) = self.watch(&device, &room) {
                    watch.rhythm.expect(every, now, at);
                }
            }
            Input::Overdue { device, deadline } => self.overdue(now, &device, deadline, out),
            Input::Writers {
                room,
                alive,
                silent,
                at,
            } => self.writers(now, &room, (alive, silent), at, out),
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
                let alert = watch.silence_alert(device, now, None);
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

impl Rate {
    /// Raises the alert or holds it back for the digest.
    fn raise(&mut self, now: Instant, alert: Alert, out: &mut Vec<Output>) -> Open {
        let id = alert.id.clone();
        match self.admit(now, &alert) {
            Verdict::Tell => {
                out.push(Output::Raise(alert));
                Open {
                    id,
                    told: true,
                    since: None,
                }
            }
            Verdict::HoldBack => Open {
                id,
                told: false,
                since: None,
            },
        }
    }
}

#[cfg(test)]
mod tests;
