//! Cisco Call Home, full-txt (Nexus 5000 system management guide): `key:value` lines with
//! `Time of Event`, `Message Name`, `Severity Level`, `Event Description`, then chassis data; and
//! the XML form, a SOAP envelope around an `aml-block:Block`.

use wire::{DeviceEvent, Severity};

use super::text::{field, sentence, slug};
use super::{Draft, Format, Letter};
use crate::moment;
use crate::quarantine::Reason;

/// Namespace of the block that carries every XML message.
const BLOCK: &str = "http://www.cisco.com/2004/01/aml-block";

pub(super) fn recognises(letter: &Letter) -> bool {
    let body = letter.body();
    field(body, "Time of Event").is_some() && field(body, "Message Name").is_some()
        || xml(letter).is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let message = match xml(letter) {
        Some(text) => Message::of_xml(text),
        None => Message::of_text(letter.body()),
    };
    let level = message
        .level
        .as_deref()
        .ok_or_else(|| Format::CiscoCallHome.malformed("names no severity level"))?;
    let severity = severity(level).ok_or_else(|| {
        let level = sentence(level);
        Format::CiscoCallHome.malformed(format!("its severity level \"{level}\" is not 0 to 9"))
    })?;
    let text = message.description.as_deref().unwrap_or(&message.name);
    Ok(vec![Draft {
        // `2007-04-25 14:19:55 GMT+00:00` in the XML form and of newer systems.
        device_time: message
            .time
            .and_then(|text| moment::parse(&text.replace("GMT", ""), letter.zone())),
        event: Some(DeviceEvent {
            condition: slug(&format!("{} {}", message.name, message.facility)),
            severity,
            text: sentence(text),
            // A Call Home "normal" is sent when an environment alarm is over.
            clears: level.trim() == "1",
        }),
        ..Draft::default()
    }])
}

/// What both forms say.
struct Message {
    name: String,
    facility: String,
    level: Option<String>,
    time: Option<String>,
    description: Option<String>,
}

impl Message {
    fn of_text(body: &str) -> Self {
        let owned = |key| field(body, key).map(str::to_owned);
        Self {
            name: owned("Message Name").unwrap_or_default(),
            facility: owned("syslog_facility").unwrap_or_default(),
            level: owned("Severity Level"),
            time: owned("Time of Event"),
            description: owned("Event Description"),
        }
    }

    fn of_xml(text: &str) -> Self {
        let description = element(text, "MessageDescription");
        let event = text.find("Event>").map_or("", |at| &text[at..]);
        Self {
            // `<ch:Event><ch:Type>syslog</ch:Type>`; the block has a Type of its own before it.
            name: element(event, "Type").unwrap_or_default(),
            facility: description
                .as_deref()
                .and_then(facility)
                .unwrap_or_default()
                .to_owned(),
            level: element(text, "Severity"),
            time: element(text, "EventTime").or_else(|| element(text, "CreationDate")),
            description,
        }
    }
}

/// The part or body that holds the XML form.
fn xml(letter: &Letter) -> Option<&str> {
    letter
        .parts
        .iter()
        .filter_map(|part| part.as_text())
        .find(|text| text.contains(BLOCK))
}

/// The text of the first element of this name, whatever its namespace prefix. Call Home's elements
/// of interest hold text only, so no XML parser is needed, and none of its traps (entities that
/// expand, outside files) is there.
fn element(xml: &str, name: &str) -> Option<String> {
    let mut rest = xml;
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, content) = after.split_once('>')?;
        let opened = tag.split_whitespace().next().unwrap_or_default();
        let local = opened.rsplit_once(':').map_or(opened, |(_, local)| local);
        if local == name && !tag.starts_with('/') && !tag.ends_with('/') {
            let text = content.split('<').next().unwrap_or_default().trim();
            return (!text.is_empty()).then(|| unescaped(text));
        }
        rest = content;
    }
    None
}

/// The five entities that XML defines itself.
fn unescaped(text: &str) -> String {
    [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (entity, plain)| {
        text.replace(entity, plain)
    })
}

/// `%FACILITY-SEVERITY-MNEMONIC` of a system message.
fn facility(text: &str) -> Option<&str> {
    let (_, after) = text.split_once('%')?;
    after.split('-').next().filter(|name| !name.is_empty())
}

/// Call Home levels: 9 catastrophic, 8 disaster, 7 fatal, 6 critical, 5 major, 4 minor,
/// 3 warning, 2 notification, 1 normal, 0 debug.
fn severity(level: &str) -> Option<Severity> {
    Some(match moment::number::<u8>(level.trim())? {
        0..=2 => Severity::Info,
        3..=5 => Severity::Warning,
        6..=9 => Severity::Critical,
        _ => return None,
    })
}
