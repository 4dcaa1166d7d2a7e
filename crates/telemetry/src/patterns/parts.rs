//! What a compiled pattern is made of.

use regex::Regex;
use wire::{DeviceId, Severity};

use super::template::Template;
use crate::formats::Letter;

/// By what a mail is known; all of them must hold.
#[derive(Debug)]
pub(super) struct Conditions {
    pub(super) subject: Option<Regex>,
    pub(super) from: Option<Regex>,
    pub(super) body: Option<Regex>,
    pub(super) headers: Vec<(String, Regex)>,
    /// Devices whose mails it may be; empty: anybody's.
    pub(super) devices: Vec<DeviceId>,
}

/// Words for states and severities that rules capture, in lower case.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) open: Vec<String>,
    pub(super) clear: Vec<String>,
    pub(super) info: Vec<String>,
    pub(super) warning: Vec<String>,
    pub(super) critical: Vec<String>,
}

/// Where a rule looks, line by line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Place {
    Subject,
    Body,
    Attachments,
    Header(String),
}

/// One rule.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) regex: Regex,
    pub(super) required: bool,
    pub(super) reading: Option<ReadingRule>,
    pub(super) event: Option<EventRule>,
    pub(super) time: bool,
    pub(super) device: bool,
    /// Modulus of the number that it captures.
    pub(super) sequence: Option<u64>,
}

/// How a line becomes a reading.
#[derive(Debug)]
pub(super) struct ReadingRule {
    pub(super) metric: Template,
    pub(super) unit: Option<Template>,
    pub(super) decimal_comma: bool,
    pub(super) scale: f64,
}

/// How a line becomes an event.
#[derive(Debug)]
pub(super) struct EventRule {
    pub(super) condition: Template,
    pub(super) text: Option<Template>,
    pub(super) state: State,
    pub(super) severity: Grade,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Opens,
    Clears,
    /// By the captured word.
    Captured,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Grade {
    Fixed(Severity),
    /// By the captured word.
    Captured,
}

impl Conditions {
    /// Whether this mail is meant. `sender` is `None` where no directory is at hand.
    pub(super) fn all_hold(&self, letter: &Letter, sender: Option<&DeviceId>) -> bool {
        let known = sender.is_none_or(|sender| {
            self.devices.is_empty() || self.devices.iter().any(|device| device == sender)
        });
        known && self.each(letter).all(|(_, holds)| holds)
    }

    /// Each condition in words, and whether it holds.
    pub(super) fn each(&self, letter: &Letter) -> impl Iterator<Item = (String, bool)> {
        let texts = [
            ("subject", &self.subject, letter.subject.as_str()),
            ("from", &self.from, letter.from.as_str()),
            ("body", &self.body, letter.body()),
        ];
        let texts = texts.into_iter().filter_map(|(name, regex, text)| {
            let regex = regex.as_ref()?;
            Some((format!("{name} fits `{regex}`"), regex.is_match(text)))
        });
        let headers = self.headers.iter().map(|(name, regex)| {
            let holds = letter.header(name).is_some_and(|text| regex.is_match(text));
            (format!("header {name} fits `{regex}`"), holds)
        });
        texts.chain(headers)
    }
}
