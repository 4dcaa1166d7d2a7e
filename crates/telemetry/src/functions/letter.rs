//! A letter as a function sees it: JSON, everything decoded that had an encoding.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use wire::{DeviceId, UnixMillis};

use crate::formats::{Letter, Part};

#[derive(Serialize)]
struct Shown<'l> {
    /// Version of this form; what is added later does not change it.
    version: u32,
    /// Who it is from, by the configuration.
    device: &'l str,
    from: &'l str,
    subject: &'l str,
    /// Milliseconds since 1970, UTC.
    arrival_ms: u64,
    /// Minutes east of UTC, by the Date header; 0 without one.
    zone_minutes: i64,
    headers: Vec<(&'l str, &'l str)>,
    parts: Vec<ShownPart<'l>>,
}

#[derive(Serialize)]
struct ShownPart<'l> {
    r#type: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'l str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// Why there is no content.
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
}

/// The bytes that are handed over.
pub(super) fn shown(letter: &Letter, sender: &DeviceId, arrival: UnixMillis) -> Vec<u8> {
    let headers = letter.headers.iter();
    let shown = Shown {
        version: 1,
        device: sender.as_str(),
        from: &letter.from,
        subject: &letter.subject,
        arrival_ms: arrival.0,
        zone_minutes: letter.zone(),
        headers: headers
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect(),
        parts: letter.parts.iter().map(part).collect(),
    };
    serde_json::to_vec(&shown).expect("texts and numbers under text keys are always JSON")
}

fn part(part: &Part) -> ShownPart<'_> {
    let text = part.as_text();
    let broken = part.fault().map(ToString::to_string);
    let base64 = (text.is_none() && broken.is_none()).then(|| STANDARD.encode(part.content()));
    ShownPart {
        r#type: &part.kind,
        name: part.name.as_deref(),
        text,
        base64,
        broken,
    }
}
