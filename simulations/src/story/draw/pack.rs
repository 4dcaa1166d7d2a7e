//! The story as bytes: a kind, then numbers as LEB128, times as differences, words by their place in
//! a table. Ten times smaller than JSON, and read in one pass.

use crate::outcome::{Happening, Kind, Outcome};
use crate::story::plans::lane;
use std::collections::HashMap;

/// Happenings of a page: what a browser draws fluently and a mail server still takes.
pub(super) const HAPPENINGS_MOST: usize = 200_000;
/// Before the end, milliseconds, in which nothing is thinned: there the violation is.
pub(super) const WHOLE_MS: u64 = 10_000;
/// Letters of a word: longer log lines are cut.
const LETTERS_MOST: usize = 600;
/// Digits of a Merkle root that are shown.
const ROOT_DIGITS: usize = 16;

// Kinds, as `page/data.js` knows them.
pub(super) const SENT: u64 = 0;
pub(super) const FAULT: u64 = 1;
pub(super) const PROCESS: u64 = 2;
pub(super) const LEADER: u64 = 3;
pub(super) const LEDGER: u64 = 4;
pub(super) const ROUND: u64 = 5;
pub(super) const KEY_EPOCH: u64 = 6;
pub(super) const EDGE: u64 = 7;
pub(super) const LOG: u64 = 8;

pub(super) struct Packed {
    pub(super) lanes: Vec<String>,
    pub(super) strings: Vec<String>,
    pub(super) bytes: Vec<u8>,
    pub(super) happenings: usize,
    pub(super) cut: String,
}

pub(super) fn pack(outcome: &Outcome) -> Packed {
    let (kept, cut) = keep(&outcome.story, HAPPENINGS_MOST);
    let mut packer = Packer {
        lanes: lanes(outcome),
        ..Packer::default()
    };
    for happening in &kept {
        packer.add(happening);
    }
    Packed {
        lanes: packer.lanes,
        strings: packer.words.in_order(),
        bytes: packer.bytes,
        happenings: kept.len(),
        cut,
    }
}

/// What goes onto the page, and what does not in a sentence: of too many, first messages are
/// thinned, except in the last seconds; if that is not enough only the last happenings stay.
pub(super) fn keep(story: &[Happening], most: usize) -> (Vec<&Happening>, String) {
    if story.len() <= most {
        return (story.iter().collect(), String::new());
    }
    let whole_from = story
        .last()
        .map_or(0, |last| last.at_ms.saturating_sub(WHOLE_MS));
    let thin = |h: &Happening| h.at_ms < whole_from && matches!(h.what, Kind::Sent { .. });
    let messages = story.iter().filter(|h| thin(h)).count();
    let room = most.saturating_sub(story.len() - messages);
    if room > 0 {
        let mut number = 0;
        // Evenly: the n-th stays when n·room/messages reaches a new whole number.
        let kept = story.iter().filter(|happening| {
            if !thin(happening) {
                return true;
            }
            number += 1;
            number * room / messages > (number - 1) * room / messages
        });
        let kept: Vec<_> = kept.collect();
        let cut = format!(
            "{} of {} happenings are not drawn: of the {messages} messages before {:.3} s only {room} are",
            story.len() - kept.len(),
            story.len(),
            whole_from as f64 / 1e3
        );
        return (kept, cut);
    }
    let kept: Vec<_> = story[story.len() - most..].iter().collect();
    let first = kept.first().map_or(0, |happening| happening.at_ms);
    let cut = format!(
        "{} of {} happenings are not drawn: all before {:.3} s",
        story.len() - most,
        story.len(),
        first as f64 / 1e3
    );
    (kept, cut)
}

/// From top to bottom: the world, gear, the broker, what else there is, the nodes.
fn lanes(outcome: &Outcome) -> Vec<String> {
    let nodes = (0..outcome.plan.nodes).map(lane);
    let mut others: Vec<&str> = Vec::new();
    let told = outcome.story.iter().flat_map(|h| match &h.what {
        Kind::Sent { to, .. } => [Some(h.lane.as_str()), Some(to.as_str())],
        Kind::Fault(_)
        | Kind::Process(_)
        | Kind::Leader { .. }
        | Kind::Ledger { .. }
        | Kind::Round(_)
        | Kind::KeyEpoch(_)
        | Kind::Edge(_)
        | Kind::Log(_) => [Some(h.lane.as_str()), None],
    });
    for name in told.flatten() {
        if !others.contains(&name) {
            others.push(name);
        }
    }
    let place = |name: &str| match name {
        "gear" => 0,
        "broker" => 1,
        _ => 2,
    };
    others.sort_by_key(|name| (place(name), (*name).to_owned()));
    let nodes: Vec<String> = nodes.collect();
    let others = others.into_iter().filter(|name| !name.is_empty());
    let others: Vec<String> = others
        .map(str::to_owned)
        .filter(|name| !nodes.contains(name))
        .collect();
    [vec![String::new()], others, nodes].concat()
}

#[derive(Default)]
struct Packer {
    lanes: Vec<String>,
    words: Words,
    bytes: Vec<u8>,
    before: u64,
}

#[derive(Default)]
struct Words {
    places: HashMap<String, u64>,
}

impl Words {
    fn place(&mut self, word: &str) -> u64 {
        let next = self.places.len() as u64;
        let mut letters = word.chars();
        let mut word: String = letters.by_ref().take(LETTERS_MOST).collect();
        if letters.next().is_some() {
            word.push('…');
        }
        *self.places.entry(word).or_insert(next)
    }

    fn in_order(self) -> Vec<String> {
        let mut words: Vec<_> = self.places.into_iter().collect();
        words.sort_by_key(|(_, place)| *place);
        words.into_iter().map(|(word, _)| word).collect()
    }
}

impl Packer {
    fn add(&mut self, happening: &Happening) {
        let at = happening.at_ms;
        // A story is in order of time; were it not, the page would still be right about the rest.
        let since = at.saturating_sub(self.before);
        self.before = self.before.max(at);
        let head = |packer: &mut Self, kind| {
            packer.number(kind);
            packer.lane(&happening.lane);
            packer.number(since);
        };
        match &happening.what {
            Kind::Sent {
                to,
                bytes,
                arrives_ms,
            } => {
                head(self, SENT);
                self.lane(to);
                self.number(*bytes);
                self.number(arrives_ms.map_or(0, |arrives| 1 + arrives.saturating_sub(at)));
            }
            Kind::Fault(text) => {
                head(self, FAULT);
                self.word(text);
            }
            Kind::Process(text) => {
                head(self, PROCESS);
                self.word(text);
                self.number(turn(text));
            }
            Kind::Leader { leader, term } => {
                head(self, LEADER);
                self.word(leader.as_deref().unwrap_or(""));
                self.number(*term);
            }
            Kind::Ledger { size, root } => {
                head(self, LEDGER);
                self.word(root.get(..ROOT_DIGITS).unwrap_or(root));
                self.number(*size);
            }
            Kind::Round(text) => {
                head(self, ROUND);
                self.word(text);
            }
            Kind::KeyEpoch(epoch) => {
                head(self, KEY_EPOCH);
                self.number(*epoch);
            }
            Kind::Edge(text) => {
                head(self, EDGE);
                self.word(text);
            }
            Kind::Log(text) => {
                head(self, LOG);
                self.word(text);
            }
        }
    }

    fn lane(&mut self, name: &str) {
        let place = self.lanes.iter().position(|lane| lane == name);
        self.number(place.expect("`lanes` went through the same story") as u64);
    }

    fn word(&mut self, word: &str) {
        let place = self.words.place(word);
        self.number(place);
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

// What `text` means for the process that it is said of, as `page/data.js` knows it.
pub(super) const ENDS: u64 = 0;
pub(super) const STARTS: u64 = 1;
pub(super) const GOES_ON: u64 = 2;

/// Whether it starts or ends by what `text` says; most of what is said does neither.
pub(super) fn turn(text: &str) -> u64 {
    const START: [&str; 2] = ["start", "restart"];
    const END: [&str; 7] = [
        "is killed",
        "killed",
        "loses power",
        "power lost",
        "ends",
        "dies",
        "died",
    ];
    let begins = |words: &[&str]| words.iter().any(|words| text.starts_with(words));
    if begins(&END) {
        ENDS
    } else if begins(&START) {
        STARTS
    } else {
        GOES_ON
    }
}
