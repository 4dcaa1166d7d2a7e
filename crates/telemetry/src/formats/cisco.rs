//! Cisco Call Home, full-txt (Nexus 5000 system management guide): `key:value` lines with
//! `Time of Event`, `Message Name`, `Severity Level`, `Event Description`, then chassis data.

use wire::{DeviceEvent, Severity};

use super::text::{field, sentence, slug};
use super::{Draft, Format, Letter};
use crate::moment;
use crate::quarantine::Reason;

pub(super) fn recognises(letter: &Letter) -> bool {
    let body = letter.body();
    field(body, "Time of Event").is_some() && field(body, "Message Name").is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    let name = field(body, "Message Name").unwrap_or_default();
    let level = field(body, "Severity Level")
        .ok_or_else(|| Format::CiscoCallHome.malformed("the line \"Severity Level\" is missing"))?;
    let severity = severity(level).ok_or_else(|| {
        let level = sentence(level);
        Format::CiscoCallHome.malformed(format!("its severity level \"{level}\" is not 0 to 9"))
    })?;
    let text = field(body, "Event Description").unwrap_or(name);
    let facility = field(body, "syslog_facility").unwrap_or_default();
    Ok(vec![Draft {
        device_time: field(body, "Time of Event")
            .and_then(|text| moment::parse(text, letter.zone())),
        readings: Vec::new(),
        event: Some(DeviceEvent {
            condition: slug(&format!("{name} {facility}")),
            severity,
            text: sentence(text),
            // A Call Home "normal" is sent when an environment alarm is over.
            clears: level.trim() == "1",
        }),
    }])
}

/// Call Home levels: 9 catastrophic, 8 disaster, 7 fatal, 6 critical, 5 major, 4 minor,
/// 3 warning, 2 notification, 1 normal, 0 debug.
fn severity(level: &str) -> Option<Severity> {
    Some(match moment::number::<u8>(level.trim())? {
        0..=2 => Severity::Info,
        3..=5 => Severity::Warning,
        6..=9 => Severity::Critical,
        _ => return None,
    })
}
