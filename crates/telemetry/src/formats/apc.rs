//! APC network management cards (UPS and rack PDU), "Event notification by e-mail": the long
//! format has name, location, contact, address, serial number, date, time, event code and
//! description; the short one the description only. TAP pagers get
//! `address:severity:0xCODE:description`.
//!
//! The card can be set to a dozen languages, which translate labels and descriptions. Codes are the
//! same in all of them, so codes decide; a translated label is known by the shape of its value.
//! Descriptions are looked at only where the short format leaves nothing else, and in English.

use wire::{DeviceEvent, Severity};

use super::text::{sentence, severity, slug};
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
const KNOWN: [Known; 18] = [
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
    clears(0x0113, "output-off", "output power is now turned on"),
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
        "at least one faulty battery exists",
    ),
    clears(0x011E, "bypass", "no longer in bypass"),
    opens(
        0x011B,
        "bypass",
        Severity::Critical,
        "in bypass in response to an internal hardware problem",
    ),
    opens(
        0x011C,
        "bypass",
        Severity::Warning,
        "in bypass in response to the ups front-panel",
    ),
    opens(
        0x011D,
        "bypass",
        Severity::Warning,
        "in bypass in response to the bypass switch",
    ),
];

/// Ranges of codes in which, as in the pairs above, an odd code tells of a fault and the even one
/// behind it of its end: internal faults of Symmetra UPSes, input contacts of the environmental
/// monitor, faults of Symmetra and Silcon UPSes.
const FAULTS: [(std::ops::RangeInclusive<u16>, &str); 3] = [
    (0x0201..=0x0240, "fault"),
    (0x0301..=0x0308, "input-contact"),
    (0x0A01..=0x0A80, "fault"),
];

pub(super) fn recognises(letter: &Letter) -> bool {
    let body = letter.body();
    code_line(body).is_some() || tap(body).is_some() || short(body).is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    if let Some((word, code, text)) = tap(body) {
        return Ok(vec![Draft {
            event: Some(event(code, word, text)),
            ..Draft::default()
        }]);
    }
    let Some((line, code)) = code_line(body) else {
        let known = short(body).ok_or_else(|| Format::Apc.malformed("has no event code"))?;
        return Ok(vec![Draft {
            event: Some(event(known.code, "", body)),
            ..Draft::default()
        }]);
    };
    let (word, text) = description(body, line)
        .ok_or_else(|| Format::Apc.malformed("has no description after its event code"))?;
    Ok(vec![Draft {
        device_time: stamp(body, line)
            .and_then(|(date, clock)| moment::date_and_clock(date, clock, letter.zone())),
        event: Some(event(code, word, text)),
        ..Draft::default()
    }])
}

fn event(code: u16, word: &str, text: &str) -> DeviceEvent {
    let (condition, clears, usual) = meaning(code);
    DeviceEvent {
        condition,
        severity: if clears {
            Severity::Info
        } else {
            severity(word).unwrap_or(usual)
        },
        text: sentence(text),
        clears,
    }
}

/// Condition, whether it ends, and how bad it usually is.
fn meaning(code: u16) -> (String, bool, Severity) {
    if let Some(known) = KNOWN.iter().find(|known| known.code == code) {
        return (slug(known.condition), known.clears, known.severity);
    }
    if let Some((_, name)) = FAULTS.iter().find(|(codes, _)| codes.contains(&code)) {
        let clears = code.is_multiple_of(2);
        let opened_by = if clears { code - 1 } else { code };
        return (
            format!("{name}-{opened_by:#06x}"),
            clears,
            Severity::Critical,
        );
    }
    (format!("apc-{code:#06x}"), false, Severity::Info)
}

/// A line's label and value; the colons of Chinese and Japanese texts are wide ones.
fn labelled(line: &str) -> Option<(&str, &str)> {
    let (label, value) = line.split_once([':', '：'])?;
    Some((label.trim(), value.trim()))
}

/// The line of the event code and the code. The label is "Code" in most languages; another one
/// counts if date and time stand above it as the long format has them, since other gear writes
/// hexadecimal numbers, too.
fn code_line(body: &str) -> Option<(usize, u16)> {
    body.lines().enumerate().find_map(|(number, line)| {
        let (label, value) = labelled(line)?;
        let code = code_of(value)?;
        (label.eq_ignore_ascii_case("code") || stamp(body, number).is_some())
            .then_some((number, code))
    })
}

/// The last date and time above a line, by their shape.
fn stamp(body: &str, line: usize) -> Option<(&str, &str)> {
    let (mut date, mut clock) = (None, None);
    for (_, value) in body.lines().take(line).filter_map(labelled) {
        if moment::date_of(value).is_some() {
            date = Some(value);
        } else if moment::clock_of(value).is_some() {
            clock = Some(value);
        }
    }
    date.zip(clock)
}

/// `0x0109`
fn code_of(text: &str) -> Option<u16> {
    let digits = text
        .trim()
        .strip_prefix("0x")
        .or_else(|| text.trim().strip_prefix("0X"))?;
    (digits.len() == 4).then(|| u16::from_str_radix(digits, 16).ok())?
}

/// `Severe - UPS: On battery power …`, the first text behind the code's line; the card can leave
/// the severity out.
fn description(body: &str, code_line: usize) -> Option<(&str, &str)> {
    let mut below = body.lines().skip(code_line + 1).map(str::trim);
    let line = below.find(|line| !line.is_empty())?;
    Some(match line.split_once(" - ") {
        Some((word, text)) if severity(word).is_some() => (word, text),
        Some(_) | None => ("", line),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_beginning_has_its_end() {
        for known in KNOWN.iter().filter(|known| !known.clears) {
            let ends = |other: &Known| other.clears && other.condition == known.condition;
            assert!(KNOWN.iter().any(ends), "{:#06x}", known.code);
        }
        for (codes, _) in &FAULTS {
            assert!(!codes.start().is_multiple_of(2) && codes.end().is_multiple_of(2));
            for code in codes.clone().step_by(2) {
                let (begins, ends) = (meaning(code), meaning(code + 1));
                assert_eq!(begins.0, ends.0, "{code:#06x}");
                assert!(!begins.1 && ends.1, "{code:#06x}");
            }
        }
    }

    #[test]
    fn a_code_counts_by_its_label_or_by_what_stands_above_it() {
        for (text, found) in [
            ("Code: 0x0109", Some(0x0109)),
            ("CODE : 0x010a", Some(0x010A)),
            (
                "Date: 2026-11-22\nTime: 09:00\nCódigo: 0x0109",
                Some(0x0109),
            ),
            (
                "日期：2026-11-22\n时间：09:00:00\n代码：0x0114",
                Some(0x0114),
            ),
            ("Código: 0x0109", None),
            ("Time: 09:00\nStatus: 0x0109", None),
            ("Code: 0x109", None),
            ("Code: 0109", None),
            ("Code: 0xé109", None),
        ] {
            assert_eq!(code_line(text).map(|(_, code)| code), found, "{text}");
        }
    }
}
