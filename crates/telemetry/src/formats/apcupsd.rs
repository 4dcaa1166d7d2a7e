//! `apcaccess status` of apcupsd, as its users mail it daily: `KEY      : value unit` lines from
//! `APC` to `END APC` (apcupsd manual, "Status Report Fields").

use wire::{DeviceEvent, Reading, Severity};

use super::text::field;
use super::{Draft, Format, Letter};
use crate::moment;
use crate::quarantine::Reason;

/// Field, metric and SenML unit (RFC 8428 §12.1; minutes have none there).
const NUMBERS: [(&str, &str, Option<&str>); 9] = [
    ("LINEV", "input.voltage", Some("V")),
    ("LINEFREQ", "input.frequency", Some("Hz")),
    ("OUTPUTV", "output.voltage", Some("V")),
    ("LOADPCT", "load", Some("%")),
    ("BCHARGE", "battery.charge", Some("%")),
    ("BATTV", "battery.voltage", Some("V")),
    ("TIMELEFT", "battery.runtime_min", None),
    ("ITEMP", "temperature", Some("Cel")),
    ("NUMXFERS", "transfers", None),
];

pub(super) fn recognises(letter: &Letter) -> bool {
    let body = letter.body();
    field(body, "APC").is_some() && field(body, "STATUS").is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    let mut readings = Vec::new();
    for (key, name, unit) in NUMBERS {
        let Some(text) = field(body, key) else {
            continue;
        };
        let number = text.split_whitespace().next().unwrap_or_default();
        let value = number.parse().map_err(|_| {
            Format::Apcupsd.malformed(format!("its {key} \"{number}\" is no number"))
        })?;
        readings.push(Reading {
            name: name.to_owned(),
            value,
            unit: unit.map(str::to_owned),
        });
    }
    let status = field(body, "STATUS").unwrap_or_default();
    let on_battery = status.split_whitespace().any(|word| word == "ONBATT");
    let event = DeviceEvent {
        condition: "on-battery".to_owned(),
        severity: if on_battery {
            Severity::Warning
        } else {
            Severity::Info
        },
        text: format!("UPS status {}", super::text::sentence(status)),
        clears: !on_battery,
    };
    // `2008-03-10 04:32:47 +0100`; versions before 3.14 wrote other spellings, left unread.
    let device_time = field(body, "DATE").and_then(|date| moment::parse(date, letter.zone()));
    Ok(vec![Draft {
        device_time,
        readings,
        event: Some(event),
        ..Draft::default()
    }])
}
