//! Management controllers of servers and enclosures.

use wire::UnixMillis;

use super::date::{MONTHS, civil};
use super::{Device, Mail, State, plain};
use crate::seed::Seed;

/// Platform events of fan sensor 0x44: lower critical going low, asserted (01) and deasserted
/// (81). The second data byte is the reading; RPM = 1,350,000 / byte. The normal mail is the
/// informational system event that boards send at start.
pub(super) fn supermicro(device: &Device, at: UnixMillis, state: State, seed: u64) -> Mail {
    let mut seed = Seed::new(seed);
    let mut fan = |rpm: f64| {
        let byte = (1_350_000.0 / (rpm + 40.0 * seed.normal()))
            .round()
            .clamp(1.0, 255.0);
        format!("52 {:02x} 60", byte as u8)
    };
    let (sensor, number, event, data) = match state {
        State::Normal => ("12", "01", "6f", "00 00 00".to_owned()),
        State::Failing => ("04", "44", "01", fan(5_600.0)),
        State::Recovered => ("04", "44", "81", fan(9_000.0)),
    };
    let body = format!(
        "PEF EMail alert\n\
         System IP    : {host}\n\
         System GUID  : 53d19f64d663a0174000ea5aa04f4c25\n\
         Sensor Type  : {sensor}\n\
         Sensor No.   : {number}\n\
         Event Type   : {event}\n\
         Data         : {data}\n",
        host = device.host(),
    );
    plain(device, at, "", "IPMI Alert", &body)
}

/// AlertMail about power supply 1.
pub(super) fn hp_enclosure(device: &Device, at: UnixMillis, state: State, seed: u64) -> Mail {
    let number = Seed::new(seed).next_u64() % 1000;
    let (severity, component, status) = match state {
        State::Normal => ("NORMAL", "Enclosure Status", "OK"),
        State::Failing => ("CRITICAL", "Power Supply #1", "Failed"),
        State::Recovered => ("NORMAL", "Power Supply #1", "OK"),
    };
    let (_, month, day, hour, minute, _) = civil(at);
    let month = MONTHS[month - 1];
    let subject = format!("HP AlertMail-{number:03}: ({severity}) {component}: {status}");
    let body = format!(
        "EVENT ({day:02} {month} {hour:02}:{minute:02}): {component} Status has changed to: {status}.\n\
         \n\
         Enclosure, OA-{id} ({host}), {room}\n",
        id = device.id,
        host = device.host(),
        room = device.room,
    );
    plain(
        device,
        at,
        &format!("Enclosure {}", device.id),
        &subject,
        &body,
    )
}

/// Alerts about system board fan 1.
pub(super) fn dell_drac(device: &Device, at: UnixMillis, state: State) -> Mail {
    let (severity, text) = match state {
        State::Normal => ("Informational", "System Event Log: the log was cleared"),
        State::Failing => ("Critical", "System Board Fan 1: failure detected"),
        State::Recovered => ("Normal", "System Board Fan 1: returned to normal"),
    };
    let (year, month, day, hour, minute, second) = civil(at);
    let host = device.host();
    let body = format!(
        "Message: Alert from Dell Remote Access Controller\n\
         Event description: {text}\n\
         Date/time: {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}\n\
         Severity: {severity}\n\
         System ID: 016Ch\n\
         Model: PowerEdge 2850\n\
         BIOS version: A06\n\
         Asset tag: {id}\n\
         Service tag: 1ABCD21\n\
         BMC version: 1.72\n",
        id = device.id,
    );
    plain(
        device,
        at,
        "",
        &format!("Alert from Dell Remote Access Controller: {host}"),
        &body,
    )
}
