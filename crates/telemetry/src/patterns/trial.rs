//! What a pattern would make of a mail, for whoever is writing it.

use wire::{NodeId, Report, UnixMillis};

use super::Pattern;
use crate::directory::{Device, Directory};
use crate::mail::{self, DecodeContext};
use crate::patterns::Patterns;
use crate::quarantine::Reason;

/// The device and room of a trial, which needs no configuration.
const SENDER: &str = "the-sender";
const ROOM: &str = "trial";

/// What became of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// Each condition of `[match]`, in words, and whether it holds.
    pub conditions: Vec<(String, bool)>,
    /// Every line that a rule fits, rule by rule.
    pub fits: Vec<Fit>,
    /// Rules that no line fits.
    pub idle: Vec<String>,
    /// The reports, or why there are none. Reports of the sender itself are of `the-sender`.
    pub reports: Result<Vec<Report>, Reason>,
}

/// A line that a rule fits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fit {
    /// The rule's name or number.
    pub rule: String,
    /// The line, from 1, within the rule's place.
    pub line: usize,
    /// What the whole expression fits.
    pub text: String,
    /// What its groups caught.
    pub groups: Vec<(String, String)>,
}

/// Tries a pattern on a message as it was received. `Err`: the message is none that could be
/// looked at.
pub fn trial(pattern: &Pattern, raw: &[u8], arrival: UnixMillis) -> Result<Trial, Reason> {
    let letter = mail::open(raw)?;
    let conditions: Vec<_> = pattern.conditions.each(&letter).collect();
    let hits = pattern.hits(&letter)?;
    let fits = hits
        .iter()
        .map(|hit| Fit {
            rule: hit.rule.name.clone(),
            line: hit.line,
            text: hit.captures.get(0).map_or("", |m| m.as_str()).to_owned(),
            groups: hit
                .rule
                .regex
                .capture_names()
                .flatten()
                .filter_map(|name| {
                    let caught = hit.captures.name(name)?.as_str();
                    Some((name.to_owned(), caught.to_owned()))
                })
                .collect(),
        })
        .collect();
    let idle = pattern
        .rules
        .iter()
        .filter(|rule| !hits.iter().any(|hit| std::ptr::eq(hit.rule, *rule)))
        .map(|rule| rule.name.clone())
        .collect();
    let reports = pattern.decode(&letter).and_then(|drafts| {
        let device = |id: &str| Device {
            id: id.into(),
            room: ROOM.into(),
            class: pattern.name.clone(),
            addresses: Vec::new(),
        };
        // Whoever the mail names exists, or the trial would end before anything is shown.
        let named = drafts.iter().filter_map(|draft| draft.device.as_ref());
        let named: std::collections::BTreeSet<&str> = named.map(|id| id.as_str()).collect();
        let directory = Directory::new(named.into_iter().map(device)).unwrap_or_default();
        let context = DecodeContext {
            node: &NodeId::from("trial"),
            seq: 0,
            arrival,
            directory: &directory,
            patterns: &Patterns::NONE,
        };
        mail::reports(&context, &device(SENDER), drafts)
    });
    Ok(Trial {
        conditions,
        fits,
        idle,
        reports,
    })
}
