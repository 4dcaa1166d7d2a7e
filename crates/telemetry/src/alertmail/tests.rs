mod bounces;
mod crash;
mod policy;
mod texts;

use super::*;
use machine::{Instant, Machine};
use std::collections::BTreeMap;
use wire::Severity;

pub(super) fn settings() -> Settings {
    Settings {
        cluster: "hall".to_owned(),
        digest_after: Settings::DIGEST_AFTER,
        digest_window: Settings::DIGEST_WINDOW,
        repeat: Settings::REPEAT,
        zone: |_| 60,
    }
}

pub(super) const EPOCH: u64 = 1_795_000_000_000;

pub(super) fn alert(device: &str, condition: &str, number: u64) -> Alert {
    Alert {
        id: format!("{device}/{condition}/{number}"),
        device: device.into(),
        room: "hall-a".into(),
        kind: AlertKind::Reported {
            condition: condition.to_owned(),
        },
        severity: Severity::Warning,
        at: UnixMillis(EPOCH + number),
        summary: format!("{device} reports: {condition}"),
    }
}

pub(super) fn raise(alert: &Alert) -> Event {
    Event::Raised(alert.clone())
}

pub(super) fn clear(alert: &Alert) -> Event {
    Event::Cleared {
        id: alert.id.clone(),
        at: UnixMillis(alert.at.0 + 30_000),
    }
}

pub(super) type Relay = Box<dyn Fn(&Letter, Instant) -> Answer>;

/// A postman, his relay, and what is kept on the disk.
pub(super) struct Office {
    pub(super) postman: Postman,
    pub(super) kept: Progress,
    pub(super) ledger: Vec<Event>,
    pub(super) now: Instant,
    /// What the relay says to a mail, by its id; without an entry it takes it.
    pub(super) relay: Relay,
    pub(super) taken: Vec<Letter>,
    pub(super) tries: u64,
}

impl Office {
    pub(super) fn open() -> Self {
        Self {
            postman: Postman::new(settings(), Progress::default(), 7),
            kept: Progress::default(),
            ledger: Vec::new(),
            now: Instant::from_millis(1_000),
            relay: Box::new(|_, _| Answer::Taken),
            taken: Vec::new(),
            tries: 0,
        }
    }

    pub(super) fn leaf(&mut self, event: Event) {
        self.ledger.push(event.clone());
        let index = self.ledger.len() as u64 - 1;
        let event = Some(event);
        self.give(Input::Leaf {
            index,
            mine: true,
            event,
        });
    }

    pub(super) fn give(&mut self, input: Input) {
        let mut out = Vec::new();
        self.postman.handle(self.now, input, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, mut out: Vec<Output>) {
        while !out.is_empty() {
            let mut answers = Vec::new();
            for output in out.drain(..) {
                match output {
                    Output::Keep(progress) => {
                        let text = progress.to_text();
                        self.kept = Progress::from_text(&text).unwrap();
                    }
                    Output::Post(letter) => {
                        self.tries += 1;
                        let answer = (self.relay)(&letter, self.now);
                        if answer == Answer::Taken {
                            self.taken.push(letter);
                        }
                        answers.push(answer);
                    }
                }
            }
            assert!(answers.len() < 2, "one mail at a time");
            for answer in answers {
                self.postman
                    .handle(self.now, Input::Answered(answer), &mut out);
            }
        }
    }

    /// Lets time pass, with every timer on the way.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(next) = self.postman.deadline().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            let mut out = Vec::new();
            self.postman.tick(self.now, &mut out);
            self.perform(out);
        }
        self.now = end;
    }

    pub(super) fn ids(&self) -> Vec<&str> {
        let ids = self.taken.iter().map(|letter| letter.id.as_str());
        ids.map(|id| id.split('@').next().unwrap()).collect()
    }

    /// Each mail once, and the same whenever it came. Which mail told of an alert long ago is not
    /// known after a crash, so what an end answers may differ.
    pub(super) fn unique(&self) -> BTreeMap<&str, Letter> {
        let mut unique = BTreeMap::new();
        for letter in &self.taken {
            let same = Letter {
                in_reply_to: None,
                ..letter.clone()
            };
            let former = unique.insert(letter.id.as_str(), same.clone());
            assert!(former.is_none_or(|former| former == same), "{letter:?}");
        }
        unique
    }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
