//! IBM ServeRAID Manager (and Adaptec Storage Manager, its twin): fixed English labels around an
//! event text in the language of the installation. The manager writes `Subject: <station> -
//! <message>`, its agent `Subject: … Event Notification - Event type <type>`; the body has
//! `Event Description`, `Event Type`, `Event Source: <name> / <address>` and the time, by the
//! agent as `Date` and `Time`.

use wire::{DeviceEvent, Severity};

use super::text::{field, sentence, severity, slug};
use super::{Draft, Format, Letter};
use crate::moment;
use crate::quarantine::Reason;

/// What of the controller an event is about: from the first of these words on, the text names a
/// place (`controller 1, logical drive 2`) that the end of the trouble names again.
const PLACES: [&str; 5] = [
    "controller",
    "logical drive",
    "physical drive",
    "enclosure",
    "array",
];

/// The manager's words for an end; everything else that is informational opens nothing.
const ENDS: [&str; 7] = [
    "rebuild complete",
    "is okay",
    "is optimal",
    "is normal",
    "returned to normal",
    "has been repaired",
    "verify and fix complete",
];

pub(super) fn recognises(letter: &Letter) -> bool {
    let body = letter.body();
    field(body, "Event Description").is_some()
        && field(body, "Event Type").is_some()
        && field(body, "Event Source").is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let body = letter.body();
    let text = field(body, "Event Description").unwrap_or_default();
    let word = field(body, "Event Type").unwrap_or_default();
    let severity = severity(word).ok_or_else(|| {
        Format::ServeRaid.malformed(format!("its event type \"{}\" is unknown", sentence(word)))
    })?;
    let lower = text.to_lowercase();
    let ends = ENDS.iter().any(|end| lower.contains(end));
    Ok(vec![Draft {
        device_time: time(body, letter.zone()),
        event: Some(DeviceEvent {
            condition: condition(&lower),
            severity,
            text: sentence(text),
            clears: ends && severity == Severity::Info,
        }),
        ..Draft::default()
    }])
}

/// `Logical drive is critical: controller 1, logical drive 2` and `Rebuild complete: controller 1,
/// logical drive 2` are about the same place. A text that names none is its own condition.
fn condition(text: &str) -> String {
    let place = match text.split_once(':') {
        Some((_, place)) if PLACES.iter().any(|word| place.contains(word)) => place,
        Some(_) | None => text,
    };
    slug(place)
}

/// `Date/Time: 03/10/2008 04:32:47`, `Time: 03/10/2008 04:32:47`, or a line each; with `AM` or
/// `PM` where the station's locale has it.
fn time(body: &str, zone: i64) -> Option<wire::UnixMillis> {
    let whole = field(body, "Date/Time").or_else(|| field(body, "Time"))?;
    let (date, clock) = match field(body, "Date") {
        Some(date) => (date, whole),
        None => whole.split_once(' ')?,
    };
    moment::date_and_clock(date, clock, zone)
}
