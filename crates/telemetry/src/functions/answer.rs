//! What a function answers: nothing, or JSON of a form that is checked to the last key.

use serde::Deserialize;
use wire::{DeviceEvent, Reading, Severity, UnixMillis};

use crate::formats::{Draft, sentence, severity, slug};
use crate::mail::{MAX_ROWS_PER_MAIL, quoted};
use crate::moment;
use crate::sequence::{NEVER_WRAPS, Sequence};

/// What it means.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Answered {
    NotMine,
    /// It is its own, and cannot be read: its sentence.
    Error(String),
    /// At least one, and none of them empty.
    Reports(Vec<Draft>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Whole {
    error: Option<String>,
    reports: Option<Vec<Row>>,
    sequence: Option<Counted>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Counted {
    number: u64,
    wraps_at: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    time: Option<Time>,
    #[serde(default)]
    readings: Vec<Number>,
    event: Option<Event>,
}

/// Milliseconds since 1970, or any of the forms that pattern files read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(u64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Number {
    name: String,
    value: f64,
    unit: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    condition: String,
    text: Option<String>,
    severity: Option<String>,
    #[serde(default)]
    clears: bool,
}

/// Reads an answer; `Err` ends a sentence about the function.
pub(crate) fn read(output: &[u8], zone: i64) -> Result<Answered, String> {
    if output.is_empty() {
        return Ok(Answered::NotMine);
    }
    let whole: Whole = serde_json::from_slice(output).map_err(|error| {
        let error = error.to_string();
        format!("gave an answer that is not in order: {}", quoted(&error))
    })?;
    match whole {
        Whole {
            error: Some(text),
            reports: None,
            sequence: None,
        } => Ok(Answered::Error(sentence(&text))),
        Whole {
            error: None,
            reports: Some(rows),
            sequence,
        } => reports(rows, sequence, zone).map(Answered::Reports),
        Whole { .. } => {
            Err("gave an answer with neither `reports` nor `error`, or with both".to_owned())
        }
    }
}

fn reports(rows: Vec<Row>, sequence: Option<Counted>, zone: i64) -> Result<Vec<Draft>, String> {
    if rows.is_empty() || rows.len() > MAX_ROWS_PER_MAIL {
        return Err(format!(
            "gave {} reports, and 1 to {MAX_ROWS_PER_MAIL} are taken",
            rows.len()
        ));
    }
    let mut drafts = rows
        .into_iter()
        .map(|row| draft(row, zone))
        .collect::<Result<Vec<_>, _>>()?;
    if let (Some(first), Some(counted)) = (drafts.first_mut(), sequence) {
        let wraps_at = counted.wraps_at.unwrap_or(NEVER_WRAPS);
        let number = Sequence::new(counted.number, wraps_at).ok_or_else(|| {
            format!(
                "gave the sequence {}, which is no number below {wraps_at}",
                counted.number
            )
        })?;
        first.sequence = Some(number);
    }
    Ok(drafts)
}

/// The limits that hold for every format are asked where drafts become reports.
fn draft(row: Row, zone: i64) -> Result<Draft, String> {
    if row.readings.is_empty() && row.event.is_none() {
        return Err("gave a report with neither a number nor an event".to_owned());
    }
    let event = row.event.map(event).transpose()?;
    Ok(Draft {
        // A function speaks for the sender alone: no reading may land under a name that nobody allowed.
        device: None,
        sequence: None,
        // An unreadable time is none: an alarm must not wait for a clock.
        device_time: row.time.and_then(|time| match time {
            Time::Millis(millis) => Some(UnixMillis(millis)),
            Time::Text(text) => moment::parse_any(&text, zone),
        }),
        readings: row
            .readings
            .into_iter()
            .map(|number| Reading {
                name: number.name,
                value: number.value,
                unit: number.unit.filter(|unit| !unit.is_empty()),
            })
            .collect(),
        event,
    })
}

fn event(event: Event) -> Result<DeviceEvent, String> {
    let grade = match event.severity.as_deref() {
        None => Severity::Warning,
        Some(word) => severity(word)
            .ok_or_else(|| format!("gave the severity \"{}\", which is none", quoted(word)))?,
    };
    let text = event.text.as_deref().unwrap_or(&event.condition);
    Ok(DeviceEvent {
        condition: slug(&event.condition),
        severity: if event.clears { Severity::Info } else { grade },
        text: sentence(text),
        clears: event.clears,
    })
}
