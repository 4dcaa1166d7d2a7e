//! NetApp AutoSupport: `Subject: HA Group Notification from <system> (<message>) <severity>` or
//! `System Notification from …`, a short body (date, ONTAP version, system id, serial number,
//! host, sequence number, contact), and for the vendor an archive `body.7z`, which is left closed.
//!
//! The sequence number counts every AutoSupport of the controller, also those that were sent to
//! the vendor only: a gap in it means nothing here.

use wire::{DeviceEvent, Severity};

use super::text::{field, sentence, severity, slug};
use super::{Draft, Format, Letter};
use crate::moment;
use crate::quarantine::Reason;

const SUBJECTS: [&str; 2] = ["HA Group Notification", "System Notification"];
/// Between the kind of notification and the system's name; clusters in maintenance write both.
const FROM: &str = " from ";

/// Last words of messages that name a state, and whether the trouble is over by it. What stands
/// before them is the condition.
const STATES: [(&str, bool); 18] = [
    ("FAILED", false),
    ("FAIL", false),
    ("FAILURE", false),
    ("DEGRADED", false),
    ("OFFLINE", false),
    ("DOWN", false),
    ("LOST", false),
    ("LOW", false),
    ("FULL", false),
    ("MISSING", false),
    ("ERROR", false),
    ("OK", true),
    ("NORMAL", true),
    ("RESTORED", true),
    ("ONLINE", true),
    ("REPAIRED", true),
    ("RECOVERED", true),
    ("UP", true),
];

pub(super) fn recognises(letter: &Letter) -> bool {
    subject(&letter.subject).is_some()
}

pub(super) fn decode(letter: &Letter) -> Result<Vec<Draft>, Reason> {
    let (system, message, word) = subject(&letter.subject).ok_or_else(|| {
        Format::NetApp.malformed("its subject is not \"… from SYSTEM (MESSAGE) SEVERITY\"")
    })?;
    let severity = severity(word).ok_or_else(|| {
        Format::NetApp.malformed(format!("its severity \"{}\" is unknown", sentence(word)))
    })?;
    let (condition, clears) = condition(message);
    let body = letter.body();
    Ok(vec![Draft {
        device_time: field(body, "Date").and_then(|text| moment::parse_any(text, letter.zone())),
        event: Some(DeviceEvent {
            condition,
            severity,
            text: sentence(&format!("{system}: {message}")),
            clears: clears && severity == Severity::Info,
        }),
        ..Draft::default()
    }])
}

/// System, message and severity. Messages hold parentheses themselves: `USER_TRIGGERED (TEST)`.
fn subject(subject: &str) -> Option<(&str, &str, &str)> {
    let kind = SUBJECTS.iter().find(|kind| subject.starts_with(*kind))?;
    let rest = subject[kind.len()..].strip_prefix(FROM)?;
    let (rest, word) = rest.rsplit_once(')')?;
    let (system, message) = rest.split_once(" (")?;
    (!system.trim().is_empty() && !message.trim().is_empty()).then_some((
        system.trim(),
        message.trim(),
        word.trim(),
    ))
}

/// What the message is about, and whether it tells of the end. A takeover ends by its giveback;
/// most others end in a word for a state.
fn condition(message: &str) -> (String, bool) {
    for (word, clears) in [("TAKEOVER", false), ("GIVEBACK", true)] {
        if message.to_uppercase().contains(word) {
            return ("takeover".to_owned(), clears);
        }
    }
    let plain = message.trim_end_matches(['!', '.', ' ']).to_uppercase();
    let stem = STATES.iter().find_map(|(word, clears)| {
        let stem = plain.strip_suffix(word)?;
        let stem_alone = stem.trim_end_matches([' ', '_']);
        (stem_alone.len() < stem.len() && !stem_alone.is_empty())
            .then(|| (slug(stem_alone), *clears))
    });
    stem.unwrap_or_else(|| (slug(message), false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_one_trouble_share_its_condition() {
        for (message, expected, clears) in [
            ("CONTROLLER TAKEOVER COMPLETE UNEXPECTED", "takeover", false),
            ("CONTROLLER GIVEBACK COMPLETE", "takeover", true),
            ("FILESYSTEM DISK FAILED", "filesystem-disk", false),
            ("DISK FAIL!!!", "disk", false),
            ("CHASSIS FAN DEGRADED", "chassis-fan", false),
            ("CHASSIS FAN OK", "chassis-fan", true),
            ("BATTERY_LOW", "battery", false),
            ("BATTERY_NORMAL", "battery", true),
            ("SETUP", "setup", false),
            ("FAILED", "failed", false),
            ("WEEKLY_LOG", "weekly_log", false),
        ] {
            let (condition, ends) = condition(message);
            assert_eq!((condition.as_str(), ends), (expected, clears), "{message}");
        }
    }

    #[test]
    fn subjects_with_brackets_of_their_own() {
        for (text, expected) in [
            (
                "HA Group Notification from filer-a (USER_TRIGGERED (TEST)) INFO",
                Some(("filer-a", "USER_TRIGGERED (TEST)", "INFO")),
            ),
            (
                "System Notification from 0537012345 (REBOOT (power on)) NOTICE",
                Some(("0537012345", "REBOOT (power on)", "NOTICE")),
            ),
            ("HA Group Notification from filer-a", None),
            ("HA Group Notification from  () INFO", None),
            ("HA Group Notification", None),
            ("Re: HA Group Notification from a (b) c", None),
        ] {
            assert_eq!(subject(text), expected, "{text}");
        }
    }
}
