//! UPS and PDU.

use wire::UnixMillis;

use super::date::civil;
use super::{Attachment, Device, Mail, State, mixed, plain};
use crate::seed::Seed;

/// The daily status is apcupsd's `apcaccess status`; events come from the network management
/// card in its long format, 0x0109 and 0x010A.
pub(super) fn apc_ups(device: &Device, at: UnixMillis, state: State, seed: u64) -> Mail {
    match state {
        State::Normal => apcaccess(device, at, seed),
        State::Failing => apc_event(
            device,
            at,
            "0x0109",
            "Warning - UPS: On battery power in response to an input power problem.",
        ),
        State::Recovered => apc_event(
            device,
            at,
            "0x010A",
            "Informational - UPS: No longer on battery power.",
        ),
    }
}

fn apcaccess(device: &Device, at: UnixMillis, seed: u64) -> Mail {
    let mut seed = Seed::new(seed);
    let (year, month, day, hour, minute, second) = civil(at);
    let date = format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000");
    let body = format!(
        "APC      : 001,036,0879\n\
         DATE     : {date}\n\
         HOSTNAME : {host}\n\
         VERSION  : 3.14.14 (31 May 2016) debian\n\
         UPSNAME  : {id}\n\
         CABLE    : USB Cable\n\
         DRIVER   : USB UPS Driver\n\
         UPSMODE  : Stand Alone\n\
         MODEL    : Smart-UPS 3000\n\
         STATUS   : ONLINE\n\
         LINEV    : {line:.1} Volts\n\
         LOADPCT  : {load:.1} Percent\n\
         BCHARGE  : {charge:.1} Percent\n\
         TIMELEFT : {left:.1} Minutes\n\
         MBATTCHG : 5 Percent\n\
         OUTPUTV  : {output:.1} Volts\n\
         ITEMP    : {temperature:.1} C\n\
         BATTV    : {battery:.1} Volts\n\
         LINEFREQ : {frequency:.1} Hz\n\
         NUMXFERS : 0\n\
         END APC  : {date}\n",
        host = device.host(),
        id = device.id,
        line = 230.0 + 1.2 * seed.normal(),
        load = 34.0 + 1.5 * seed.normal(),
        charge = (100.0 - seed.between(0.0, 0.4)).min(100.0),
        left = 41.0 + 0.8 * seed.normal(),
        output = 230.0 + 0.4 * seed.normal(),
        temperature = 26.0 + 0.4 * seed.normal(),
        battery = 54.4 + 0.1 * seed.normal(),
        frequency = 50.0 + 0.02 * seed.normal(),
    );
    plain(device, at, "", "apcupsd status", &body)
}

fn apc_event(device: &Device, at: UnixMillis, code: &str, text: &str) -> Mail {
    let (year, month, day, hour, minute, second) = civil(at);
    let subject = text.split_once(" - ").map_or(text, |(_, text)| text);
    let body = format!(
        "Name     : {id}\n\
         Location : {room}\n\
         Contact  : facilities\n\
         \n\
         http://{host}\n\
         Serial Number: AS0933230412\n\
         Date: {month:02}/{day:02}/{year:04}\n\
         Time: {hour:02}:{minute:02}:{second:02}\n\
         Code: {code}\n\
         \n\
         {text}\n",
        id = device.id,
        room = device.room,
        host = device.host(),
    );
    plain(device, at, "", subject, &body)
}

/// Rows in a PDU's history log.
const HISTORY_ROWS: u64 = 12;
/// Between two of them: five minutes.
const HISTORY_STEP_MS: u64 = 300_000;

/// The daily status with history and event log; an overload of outlet 3 shows in both.
pub(super) fn planet_pdu(device: &Device, at: UnixMillis, state: State, seed: u64) -> Mail {
    let mut seed = Seed::new(seed);
    let mut history = "Date,Time,Voltage (V),Current (A),Power (W),Temperature (C)\n".to_owned();
    for row in 0..HISTORY_ROWS {
        let age = (HISTORY_ROWS - 1 - row) * HISTORY_STEP_MS;
        let (date, time) = date_and_time(UnixMillis(at.0.saturating_sub(age)));
        let overload = state == State::Failing && row + 3 >= HISTORY_ROWS;
        let current = if overload { 15.6 } else { 7.2 } + 0.15 * seed.normal();
        let voltage = 230.0 + 1.0 * seed.normal();
        history.push_str(&format!(
            "{date},{time},{voltage:.1},{current:.2},{:.1},{:.1}\n",
            voltage * current * 0.97,
            27.0 + 0.3 * seed.normal()
        ));
    }
    let (date, time) = date_and_time(at);
    let event = match state {
        State::Normal => "System: Daily status sent",
        State::Failing => "Outlet 3: Overload",
        State::Recovered => "Outlet 3: Normal",
    };
    let events = format!("Date,Time,Event\n{date},{time},{event}\n");
    let body = format!(
        "IPM-12002 {} daily status, see the attached logs.\n",
        device.host()
    );
    let attachments = [
        Attachment {
            name: "history_log.csv",
            kind: "text/csv",
            content: history.as_bytes(),
        },
        Attachment {
            name: "event_log.csv",
            kind: "text/csv",
            content: events.as_bytes(),
        },
    ];
    mixed(device, at, "PDU Daily Status", &body, &attachments)
}

fn date_and_time(at: UnixMillis) -> (String, String) {
    let (year, month, day, hour, minute, second) = civil(at);
    (
        format!("{year:04}-{month:02}-{day:02}"),
        format!("{hour:02}:{minute:02}:{second:02}"),
    )
}
