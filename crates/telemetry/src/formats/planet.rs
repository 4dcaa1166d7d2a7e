//! PLANET IPM-1200x rack PDU: a "Daily Status" mail with two CSV attachments, the history log
//! (numbers over time) and the event log (texts over time).

use wire::{DeviceEvent, Severity};

use super::text::{sentence, slug};
use super::{Draft, Format, Letter, Part};
use crate::quarantine::Reason;
use crate::{csv, moment};

pub(super) fn recognises(letter: &Letter) -> bool {
    letter.subject.to_ascii_lowercase().contains("daily status")
        && letter.parts.iter().any(is_history)
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let mut drafts = Vec::new();
    for text in letter.texts(is_history) {
        drafts.extend(csv::decode(text, letter.zone(), Format::PlanetPdu)?);
    }
    for text in letter.texts(is_events) {
        drafts.extend(events(text, letter.zone())?);
    }
    Ok(drafts)
}

fn named(part: &Part, word: &str) -> bool {
    part.name.as_deref().is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        name.contains(word) && name.ends_with(".csv")
    })
}

fn is_history(part: &Part) -> bool {
    named(part, "history")
}

fn is_events(part: &Part) -> bool {
    named(part, "event")
}

/// `Date,Time,Event` rows; an event of the form `Outlet 3: Overload` / `Outlet 3: Normal` opens
/// and clears the condition before its colon.
fn events(text: &str, zone: i64) -> Result<Vec<Draft>, Reason> {
    let table = csv::table(text, Format::PlanetPdu)?;
    let column = table
        .header
        .iter()
        .position(|name| matches!(name.to_ascii_lowercase().as_str(), "event" | "description"))
        .ok_or_else(|| Format::PlanetPdu.malformed("its event log has no column \"Event\""))?;
    let clock = csv::TimeColumns::find(&table.header);
    let mut drafts = Vec::new();
    for row in &table.rows {
        let Some(text) = row.get(column).filter(|text| !text.trim().is_empty()) else {
            continue;
        };
        let (subject, state) = text.split_once(':').unwrap_or((text, ""));
        let state = state.trim().to_ascii_lowercase();
        let clears = ["normal", "restored", "recovered", "ok"]
            .iter()
            .any(|w| state.starts_with(w));
        let trouble = [
            "overload", "over", "low", "fail", "lost", "warning", "alarm",
        ]
        .iter()
        .any(|w| state.starts_with(w));
        drafts.push(Draft {
            device_time: clock
                .as_ref()
                .and_then(|clock| clock.text(row))
                .and_then(|text| moment::parse(&text, zone)),
            readings: Vec::new(),
            event: Some(DeviceEvent {
                condition: slug(subject),
                severity: if trouble {
                    Severity::Warning
                } else {
                    Severity::Info
                },
                text: sentence(text),
                clears,
            }),
            ..Draft::default()
        });
    }
    Ok(drafts)
}
