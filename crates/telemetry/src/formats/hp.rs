//! HP BladeSystem c7000 Onboard Administrator, AlertMail (Onboard Administrator guide):
//! `Subject: HP AlertMail-010: (CRITICAL) Power Supply #1: Failed`, in the body
//! `EVENT (26 May 07:09): … Status has changed to: Failed.` The time has neither year nor zone.

use wire::{DeviceEvent, Severity, UnixMillis};

use super::text::{sentence, severity, slug};
use super::{Draft, Format, Letter};
use crate::moment::{self, Civil};
use crate::quarantine::Reason;
use crate::sequence::Sequence;

const SUBJECT: &str = "HP AlertMail-";
/// The number in the subject runs from 000 to 999 and wraps.
const NUMBERS: u64 = 1_000;

pub(super) fn recognises(letter: &Letter) -> bool {
    letter.subject.starts_with(SUBJECT)
}

pub(super) fn decode(letter: &Letter, arrival: UnixMillis) -> Result<Vec<Draft>, Reason> {
    let (number, word, component, state) = subject(&letter.subject).ok_or_else(|| {
        Format::HpAlertMail
            .malformed("its subject is not \"HP AlertMail-NNN: (SEVERITY) component: state\"")
    })?;
    let severity = severity(word).ok_or_else(|| {
        Format::HpAlertMail.malformed(format!("its severity \"{}\" is unknown", sentence(word)))
    })?;
    let line = letter
        .body()
        .lines()
        .map(str::trim)
        .find(|line| line.starts_with("EVENT ("));
    Ok(vec![Draft {
        sequence: Sequence::new(number, NUMBERS),
        device_time: line.and_then(|line| event_time(line, letter.zone(), arrival)),
        readings: Vec::new(),
        event: Some(DeviceEvent {
            condition: slug(component),
            severity,
            text: sentence(line.unwrap_or(&letter.subject)),
            clears: severity == Severity::Info || matches!(state.trim(), "OK" | "Ok" | "Normal"),
        }),
        ..Draft::default()
    }])
}

/// Number, severity, component and state out of the subject.
fn subject(subject: &str) -> Option<(u64, &str, &str, &str)> {
    let (number, rest) = subject.strip_prefix(SUBJECT)?.split_once(':')?;
    let number = moment::number(number)?;
    let (word, rest) = rest.trim_start().strip_prefix('(')?.split_once(')')?;
    let (component, state) = rest.rsplit_once(':')?;
    (!component.trim().is_empty()).then_some((number, word, component, state))
}

/// `EVENT (26 May 07:09): …` in the year that puts it nearest to the arrival.
fn event_time(line: &str, zone: i64, arrival: UnixMillis) -> Option<UnixMillis> {
    let inside = line.strip_prefix("EVENT (")?.split_once(')')?.0;
    let mut words = inside.split_whitespace();
    let (day, month, clock) = (words.next()?, words.next()?, words.next()?);
    let clock = moment::clock_of(clock)?;
    let (day, month) = (moment::number(day)?, moment::month_of(month)?);
    /// Mean Gregorian year; only picks candidates, so leap days do not matter.
    const YEAR_MS: u64 = 31_556_952_000;
    let year = 1970 + i64::try_from(arrival.0 / YEAR_MS).ok()?;
    (year - 1..=year + 1)
        .filter_map(|year| {
            Civil {
                year,
                month,
                day,
                ..clock
            }
            .at(zone)
        })
        .min_by_key(|at| at.0.abs_diff(arrival.0))
}
