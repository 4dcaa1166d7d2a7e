//! Supermicro BMC, platform event filter by e-mail: System IP, System GUID, Sensor Type, Sensor
//! No., Event Type and three data bytes, all hexadecimal, after IPMI 2.0 tables 42-1 and 42-3.

use wire::{DeviceEvent, Reading, Severity};

use super::text::{field, sentence};
use super::{Draft, Format, Letter};
use crate::quarantine::Reason;

/// Bit 7 of "event dir | event type": the condition ended (IPMI 2.0 table 29-6).
const DEASSERTED: u8 = 0x80;

/// IPMI 2.0 table 42-3, the types that a server board has.
const SENSORS: [(u8, &str, Severity); 12] = [
    (0x01, "temperature", Severity::Critical),
    (0x02, "voltage", Severity::Critical),
    (0x03, "current", Severity::Warning),
    (0x04, "fan", Severity::Critical),
    (0x05, "chassis-intrusion", Severity::Warning),
    (0x07, "processor", Severity::Critical),
    (0x08, "power-supply", Severity::Critical),
    (0x09, "power-unit", Severity::Critical),
    (0x0C, "memory", Severity::Critical),
    (0x0D, "drive", Severity::Warning),
    (0x0F, "firmware", Severity::Warning),
    (0x12, "system-event", Severity::Info),
];

pub(super) fn recognises(letter: &Letter) -> bool {
    let body = letter.body();
    field(body, "Sensor Type").is_some()
        && field(body, "Event Type").is_some()
        && (field(body, "System GUID").is_some() || body.contains("PEF EMail alert"))
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    let kind = hex(body, "Sensor Type")?;
    let number = hex(body, "Sensor No.")?;
    let event_type = hex(body, "Event Type")?;
    let data = data(body)?;
    let (name, severity) = SENSORS.iter().find(|(code, ..)| *code == kind).map_or(
        (format!("sensor-type-{kind:02x}"), Severity::Warning),
        |(_, name, severity)| ((*name).to_owned(), *severity),
    );
    let clears = event_type & DEASSERTED != 0;
    let readings = measured(kind, number, data[1]).into_iter().collect();
    let verb = if clears { "cleared" } else { "raised" };
    Ok(vec![Draft {
        device_time: None,
        readings,
        event: Some(DeviceEvent {
            condition: format!("{name}-{number:02x}"),
            severity: if clears { Severity::Info } else { severity },
            text: sentence(&format!(
                "{name} sensor {number:02x} {verb} (event type {event_type:02x})"
            )),
            clears,
        }),
        ..Draft::default()
    }])
}

/// The second data byte is the reading that triggered the event, where the sensor has one.
fn measured(kind: u8, number: u8, raw: u8) -> Option<Reading> {
    let (name, value, unit) = match (kind, raw) {
        (_, 0) => return None,
        (0x01, raw) => ("temperature", f64::from(raw), Some("Cel")),
        (0x02, raw) => ("voltage", f64::from(raw) * 0.008, Some("V")),
        (0x04, raw) => ("fan_rpm", 1_350_000.0 / f64::from(raw), None),
        (_, _) => return None,
    };
    let name = format!("{name}.{number:02x}");
    Some(Reading {
        name,
        value,
        unit: unit.map(str::to_owned),
    })
}

fn hex(body: &str, key: &str) -> Result<u8, Reason> {
    let text = field(body, key)
        .ok_or_else(|| Format::SupermicroPef.malformed(format!("the line \"{key}\" is missing")))?;
    byte(text).ok_or_else(|| {
        let text = sentence(text);
        Format::SupermicroPef.malformed(format!("its {key} \"{text}\" is no hexadecimal byte"))
    })
}

fn byte(text: &str) -> Option<u8> {
    let text = text.trim();
    (matches!(text.len(), 1 | 2) && text.bytes().all(|b| b.is_ascii_hexdigit()))
        .then(|| u8::from_str_radix(text, 16).ok())?
}

fn data(body: &str) -> Result<[u8; 3], Reason> {
    let bytes: Option<Vec<u8>> =
        field(body, "Data").and_then(|text| text.split_whitespace().map(byte).collect());
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Format::SupermicroPef.malformed("its Data is not three hexadecimal bytes"))
}
