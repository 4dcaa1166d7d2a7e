//! From happenings to lines.

use super::near;
use crate::outcome::{Happening, Kind, Outcome};
use std::collections::HashMap;

/// Messages of a pair, and leaves of a ledger, within so many milliseconds make one line.
const FLOOD_MS: u64 = 1_000;
/// The same close to a violation, where their order may tell something.
const FLOOD_NEAR_MS: u64 = 50;

/// What kind of line it is; colours follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Message,
    Fault,
    Process,
    Leader,
    Ledger,
    Round,
    Key,
    Edge,
    Log,
    Violation,
}

/// A line before it is cut to the terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at_ms: u64,
    pub(super) lane: String,
    pub(super) text: String,
    pub(super) tone: Tone,
    /// Shortly before a violation.
    pub(super) near: bool,
}

/// Many happenings of a kind, as one line at the first one's place.
enum Flood<'a> {
    Messages {
        to: &'a str,
        count: u64,
        bytes: u64,
        lost: u64,
        takes_ms: Option<u64>,
    },
    Leaves {
        from: u64,
        size: u64,
        root: &'a str,
    },
}

struct Place<'a> {
    first: u64,
    last: u64,
    lane: &'a str,
    flood: Flood<'a>,
}

/// What is one flood: the same lane and receiver (none: the ledger) in the same stretch of time.
type Key<'a> = (&'a str, Option<&'a str>, u64, bool);

enum Part<'a> {
    Line(Line),
    Flood(Place<'a>),
}

pub(super) fn lines(outcome: &Outcome) -> Vec<Line> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    let mut floods: HashMap<Key<'_>, usize> = HashMap::new();
    for happening in &outcome.story {
        let near = near(outcome, happening.at_ms);
        let stretch = happening.at_ms / if near { FLOOD_NEAR_MS } else { FLOOD_MS };
        let to = match sort(&happening.what) {
            Sort::Flood(to) => to,
            Sort::Words(tone, text) => {
                parts.push(Part::Line(Line {
                    at_ms: happening.at_ms,
                    lane: happening.lane.clone(),
                    text,
                    tone,
                    near,
                }));
                continue;
            }
        };
        let key = (happening.lane.as_str(), to, stretch, near);
        if let Some(&index) = floods.get(&key) {
            if let Part::Flood(place) = &mut parts[index] {
                place.add(happening);
            }
        } else {
            floods.insert(key, parts.len());
            parts.extend(Place::new(happening).map(Part::Flood));
        }
    }
    let mut lines: Vec<Line> = parts
        .into_iter()
        .map(|part| match part {
            Part::Line(line) => line,
            Part::Flood(place) => place.line(near(outcome, place.first)),
        })
        .collect();
    lines.extend(outcome.violations.iter().map(|v| Line {
        at_ms: v.at_ms,
        lane: String::new(),
        text: format!("{} BROKEN: {} ({})", v.id, v.says, v.detail),
        tone: Tone::Violation,
        near: true,
    }));
    // Stable: what happened at the same moment keeps its order, violations come last.
    lines.sort_by_key(|line| line.at_ms);
    lines
}

impl<'a> Place<'a> {
    fn new(happening: &'a Happening) -> Option<Self> {
        let flood = match &happening.what {
            Kind::Sent {
                to,
                bytes,
                arrives_ms,
            } => Flood::Messages {
                to,
                count: 1,
                bytes: *bytes,
                lost: u64::from(arrives_ms.is_none()),
                takes_ms: arrives_ms.map(|at| at.saturating_sub(happening.at_ms)),
            },
            Kind::Ledger { size, root } => Flood::Leaves {
                from: *size,
                size: *size,
                root,
            },
            Kind::Fault(_)
            | Kind::Process(_)
            | Kind::Leader { .. }
            | Kind::Round(_)
            | Kind::KeyEpoch(_)
            | Kind::Edge(_)
            | Kind::Log(_) => return None,
        };
        Some(Self {
            first: happening.at_ms,
            last: happening.at_ms,
            lane: &happening.lane,
            flood,
        })
    }

    fn add(&mut self, happening: &'a Happening) {
        self.last = happening.at_ms;
        match (&mut self.flood, &happening.what) {
            (
                Flood::Messages {
                    count, bytes, lost, ..
                },
                Kind::Sent {
                    bytes: more,
                    arrives_ms,
                    ..
                },
            ) => {
                *count += 1;
                *bytes += more;
                *lost += u64::from(arrives_ms.is_none());
            }
            (Flood::Leaves { size, root, .. }, Kind::Ledger { size: s, root: r }) => {
                (*size, *root) = (*s, r);
            }
            // The key of a flood says which kind it is.
            (Flood::Messages { .. } | Flood::Leaves { .. }, _) => {}
        }
    }

    fn line(&self, near: bool) -> Line {
        let (tone, text) = match &self.flood {
            Flood::Messages {
                to,
                count: 1,
                bytes,
                takes_ms,
                ..
            } => {
                let way = match takes_ms {
                    Some(ms) => format!("arrives after {ms} ms"),
                    None => "lost".into(),
                };
                (Tone::Message, format!("→ {to}: {}, {way}", size(*bytes)))
            }
            Flood::Messages {
                to,
                count,
                bytes,
                lost,
                ..
            } => {
                let lost = match lost {
                    0 => String::new(),
                    n => format!(", {n} lost"),
                };
                let within = self.last - self.first;
                let text = format!(
                    "→ {to}: {count} messages, {}{lost}, within {within} ms",
                    size(*bytes)
                );
                (Tone::Message, text)
            }
            Flood::Leaves { from, size, root } => {
                let root = root.get(..12).unwrap_or(root);
                let from = if from == size {
                    String::new()
                } else {
                    format!("{from} to ")
                };
                (
                    Tone::Ledger,
                    format!("ledger {from}{size} leaves, root {root}"),
                )
            }
        };
        Line {
            at_ms: self.first,
            lane: self.lane.into(),
            text,
            tone,
            near,
        }
    }
}

/// How a kind is shown.
enum Sort<'a> {
    /// Counted, for each receiver or for the lane.
    Flood(Option<&'a str>),
    /// Each with its own words.
    Words(Tone, String),
}

fn sort(kind: &Kind) -> Sort<'_> {
    match kind {
        Kind::Sent { to, .. } => Sort::Flood(Some(to)),
        Kind::Ledger { .. } => Sort::Flood(None),
        Kind::Fault(text) => Sort::Words(Tone::Fault, text.clone()),
        Kind::Process(text) => Sort::Words(Tone::Process, text.clone()),
        Kind::Leader { leader, term } => {
            let who = leader.as_deref().unwrap_or("nobody");
            Sort::Words(Tone::Leader, format!("{who} leads, term {term}"))
        }
        Kind::Round(text) => Sort::Words(Tone::Round, text.clone()),
        Kind::KeyEpoch(epoch) => Sort::Words(Tone::Key, format!("key epoch {epoch}")),
        Kind::Edge(text) => Sort::Words(Tone::Edge, text.clone()),
        Kind::Log(text) => Sort::Words(Tone::Log, text.clone()),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
