//! mdadm's monitor (Monitor.c): `<Event> event on <device>:<host>`, a fixed letter, and a dump
//! of /proc/mdstat in the postscript.

use wire::{DeviceEvent, Reading, Severity};

use super::text::{sentence, slug};
use super::{Draft, Format, Letter, reading};
use crate::quarantine::Reason;

/// Event, condition, severity, clears.
const EVENTS: [(&str, &str, Severity, bool); 12] = [
    ("DeviceDisappeared", "missing", Severity::Critical, false),
    ("NewArray", "missing", Severity::Info, true),
    ("RebuildStarted", "rebuild", Severity::Warning, false),
    ("RebuildFinished", "rebuild", Severity::Info, true),
    ("Fail", "degraded", Severity::Critical, false),
    ("DegradedArray", "degraded", Severity::Critical, false),
    ("SpareActive", "degraded", Severity::Info, true),
    ("FailSpare", "spare-failed", Severity::Warning, false),
    ("SparesMissing", "spares-missing", Severity::Warning, false),
    ("MoveSpare", "spares-missing", Severity::Info, true),
    ("TestMessage", "test", Severity::Info, false),
    ("Rebuild", "rebuild", Severity::Warning, false),
];

pub(super) fn recognises(letter: &Letter) -> bool {
    subject(&letter.subject).is_some_and(|(_, array)| array.starts_with("/dev/"))
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    let (event, array) = subject(&letter.subject)
        .ok_or_else(|| Format::Mdadm.malformed("its subject names no event"))?;
    let &(_, condition, severity, clears) = EVENTS
        .iter()
        .find(|(name, ..)| known_as(event, name))
        .ok_or_else(|| {
            Format::Mdadm.malformed(format!("its event \"{}\" is unknown", sentence(event)))
        })?;
    let text = body
        .lines()
        .filter(|line| line.starts_with("A ") || line.starts_with("It could be related"))
        .collect::<Vec<_>>()
        .join(" ");
    let text = if text.is_empty() {
        &letter.subject
    } else {
        &text
    };
    Ok(vec![Draft {
        device_time: None,
        readings: mdstat(body, array),
        event: Some(DeviceEvent {
            condition: format!("{}-{condition}", slug(array.trim_start_matches("/dev/"))),
            severity,
            text: sentence(text),
            clears,
        }),
        ..Draft::default()
    }])
}

/// `Rebuild20` … `Rebuild80` are progress of `Rebuild`.
fn known_as(event: &str, name: &str) -> bool {
    event == name
        || name == "Rebuild"
            && event
                .strip_prefix(name)
                .is_some_and(|n| crate::moment::number::<u8>(n).is_some())
}

/// Event and array of `DegradedArray event on /dev/md0:host`.
fn subject(subject: &str) -> Option<(&str, &str)> {
    let (event, rest) = subject.split_once(" event on ")?;
    let array = rest.split(':').next()?.trim();
    (!event.is_empty() && !event.contains(' ')).then_some((event, array))
}

/// `[2/1] [U_]` and `recovery = 72.0%` of the array in the mdstat dump.
fn mdstat(body: &str, array: &str) -> Vec<Reading> {
    let short = array.rsplit('/').next().unwrap_or(array);
    let mut readings = Vec::new();
    let block = body
        .lines()
        .skip_while(|line| {
            !line.split_once(" : ").is_some_and(|(name, _)| {
                name.trim() == short || name.trim().strip_prefix("md") == Some(short)
            })
        })
        .take_while(|line| !line.trim().is_empty());
    for line in block {
        if let Some((total, active)) = line.split('[').skip(1).find_map(members) {
            readings.push(reading("raid.members", total));
            readings.push(reading("raid.active", active));
        }
        for key in ["recovery", "resync", "check"] {
            let percent = line
                .split_once(&format!("{key} ="))
                .and_then(|(_, rest)| rest.split_once('%'))
                .and_then(|(number, _)| number.trim().parse::<f64>().ok());
            if let Some(value) = percent {
                readings.push(reading(&format!("raid.{key}_percent"), value));
            }
        }
    }
    readings
}

/// `2/1] [U_]` → 2, 1.
fn members(text: &str) -> Option<(f64, f64)> {
    let (total, active) = text.split_once(']')?.0.split_once('/')?;
    Some((
        crate::moment::number::<u32>(total)?.into(),
        crate::moment::number::<u32>(active)?.into(),
    ))
}
