//! APC network management cards (UPS and rack PDU), "Event notification by e-mail": the long
//! format has name, location, contact, address, serial number, date, time, event code and
//! description; the short one the description only. TAP pagers get
//! `address:severity:0xCODE:description`.
//!
//! Codes are the same in every language the card can be set to, so they decide; texts only where
//! the short format leaves nothing else.

use wire::{DeviceEvent, Severity};

use super::text::{field, sentence, severity, slug};
use super::{Draft, Format, Letter};
use crate::moment;
use crate::quarantine::Reason;

/// An event code: condition, whether it clears it, severity where the mail names none, and a
/// phrase by which the short format is known.
struct Known {
    code: u16,
    condition: &'static str,
    clears: bool,
    severity: Severity,
    phrase: &'static str,
}

const fn opens(
    code: u16,
    condition: &'static str,
    severity: Severity,
    phrase: &'static str,
) -> Known {
    Known {
        code,
        condition,
        clears: false,
        severity,
        phrase,
    }
}

const fn clears(code: u16, condition: &'static str, phrase: &'static str) -> Known {
    Known {
        code,
        condition,
        clears: true,
        severity: Severity::Info,
        phrase,
    }
}

/// Pairs stand together. Clearing phrases come first: "no longer on battery" contains the other.
const KNOWN: [Known; 14] = [
    clears(
        0x0101,
        "ups-communication",
        "restored the local network management interface",
    ),
    opens(
        0x0102,
        "ups-communication",
        Severity::Critical,
        "lost the local network management interface",
    ),
    clears(0x0104, "overload", "no longer exceeds"),
    opens(0x0103, "overload", Severity::Critical, "load exceeds 100%"),
    clears(0x0108, "battery-discharged", "no longer too low"),
    opens(
        0x0107,
        "battery-discharged",
        Severity::Critical,
        "batteries discharged",
    ),
    clears(0x010A, "on-battery", "no longer on battery"),
    opens(0x0109, "on-battery", Severity::Warning, "on battery power"),
    clears(
        0x0110,
        "battery-too-low",
        "battery power is no longer too low",
    ),
    opens(
        0x010F,
        "battery-too-low",
        Severity::Critical,
        "battery power is too low",
    ),
    clears(0x0113, "output-off", "output power is turned on"),
    opens(
        0x0114,
        "output-off",
        Severity::Critical,
        "output power is turned off",
    ),
    clears(0x011A, "battery-faulty", "no longer needs replacing"),
    opens(
        0x0119,
        "battery-faulty",
        Severity::Critical,
        "battery needs replacing",
    ),
];

pub(super) fn recognises(letter: &Letter) -> bool {
    let body = letter.body();
    field(body, "Code").is_some_and(|code| code_of(code).is_some())
        || tap(body).is_some()
        || short(body).is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    if let Some((word, code, text)) = tap(body) {
        return Ok(vec![Draft {
            event: Some(event(code, word, text)),
            ..Draft::default()
        }]);
    }
    let Some(code) = field(body, "Code").and_then(code_of) else {
        let known = short(body).ok_or_else(|| Format::Apc.malformed("has no event code"))?;
        return Ok(vec![Draft {
            event: Some(event(known.code, "", body)),
            ..Draft::default()
        }]);
    };
    let (word, text) = description(body)
        .ok_or_else(|| Format::Apc.malformed("has no description after its event code"))?;
    let device_time = field(body, "Date")
        .and_then(moment::date_of)
        .zip(field(body, "Time").and_then(moment::clock_of))
        .and_then(|(day, clock)| {
            moment::Civil {
                year: day.year,
                month: day.month,
                day: day.day,
                ..clock
            }
            .at(letter.zone())
        });
    Ok(vec![Draft {
        device_time,
        event: Some(event(code, word, text)),
        readings: Vec::new(),
    }])
}

fn event(code: u16, word: &str, text: &str) -> DeviceEvent {
    let known = KNOWN.iter().find(|known| known.code == code);
    DeviceEvent {
        condition: known.map_or_else(|| format!("apc-{code:#06x}"), |known| slug(known.condition)),
        severity: severity(word)
            .or(known.map(|known| known.severity))
            .unwrap_or(Severity::Info),
        text: sentence(text),
        clears: known.is_some_and(|known| known.clears),
    }
}

/// `0x0109`
fn code_of(text: &str) -> Option<u16> {
    let digits = text
        .trim()
        .strip_prefix("0x")
        .or_else(|| text.trim().strip_prefix("0X"))?;
    (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// `Severe - UPS: On battery power …`, the last line of the long format; the card can leave the
/// severity out.
fn description(body: &str) -> Option<(&str, &str)> {
    let after_code = body.lines().skip_while(|line| !is_code_line(line)).skip(1);
    let line = after_code.map(str::trim).find(|line| !line.is_empty())?;
    Some(match line.split_once(" - ") {
        Some((word, text)) if severity(word).is_some() => (word, text),
        Some(_) | None => ("", line),
    })
}

fn is_code_line(line: &str) -> bool {
    line.split_once(':').is_some_and(|(key, value)| {
        key.trim().eq_ignore_ascii_case("code") && code_of(value).is_some()
    })
}

/// `139.234.6.49:Severe:0x0107:UPS: Batteries Discharged`
fn tap(body: &str) -> Option<(&str, u16, &str)> {
    let mut fields = body.trim().splitn(4, ':');
    let (_location, word, code, text) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    severity(word)?;
    Some((word, code_of(code)?, text))
}

/// The short format: one line that starts with the kind of device and holds a known phrase.
fn short(body: &str) -> Option<&'static Known> {
    let line = body.trim();
    if line.lines().count() != 1 || !(line.starts_with("UPS:") || line.starts_with("Rack PDU:")) {
        return None;
    }
    let line = line.to_ascii_lowercase();
    KNOWN.iter().find(|known| line.contains(known.phrase))
}
