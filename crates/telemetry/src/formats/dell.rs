//! Dell Remote Access Controller 4 e-mail alert (DRAC 4 guide, "Configuring e-mail alerts"):
//! subject `Alert from Dell Remote Access Controller: 10.35.10.108` or `… Modular Chassis: …`,
//! body of `Key: value` lines with message, event description, date, severity, system data.

use wire::{DeviceEvent, Severity};

use super::text::{field, sentence, severity, slug};
use super::{Draft, Format, Letter};
use crate::moment;
use crate::quarantine::Reason;

const SUBJECTS: [&str; 2] = [
    "Alert from Dell Remote Access Controller",
    "Alert from Dell Modular Chassis",
];

pub(super) fn recognises(letter: &Letter) -> bool {
    SUBJECTS
        .iter()
        .any(|subject| letter.subject.starts_with(subject))
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    let text = field(body, "Event description")
        .or_else(|| field(body, "Message"))
        .ok_or_else(|| {
            Format::DellDrac.malformed("has neither \"Message\" nor \"Event description\"")
        })?;
    let word = field(body, "Severity")
        .ok_or_else(|| Format::DellDrac.malformed("the line \"Severity\" is missing"))?;
    let severity = severity(word).ok_or_else(|| {
        Format::DellDrac.malformed(format!("its severity \"{}\" is unknown", sentence(word)))
    })?;
    let device_time = ["Date/time", "Date/Time", "Time"]
        .iter()
        .find_map(|key| field(body, key))
        .and_then(|text| moment::parse(text, letter.zone()));
    Ok(vec![Draft {
        device_time,
        readings: Vec::new(),
        event: Some(DeviceEvent {
            condition: condition(text),
            severity,
            text: sentence(text),
            clears: severity == Severity::Info,
        }),
        ..Draft::default()
    }])
}

/// DRAC writes `<sensor>: <state>` (`System Board Fan 1: failure detected`); the sensor names the
/// condition, so that the return to normal finds it.
fn condition(text: &str) -> String {
    slug(text.split_once(':').map_or(text, |(sensor, _)| sensor))
}
