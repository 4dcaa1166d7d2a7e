//! Alerts on their way into a digest: counted by room, severity and kind, the worst with a line each.
//!
//! A fold over leaves in ledger order, so that the same leaves make the same digest after a crash.

use super::{Subject, kind};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use wire::{Alert, RoomId, Severity, UnixMillis};

/// Alerts with a line of their own: what one scrolls through on a phone.
pub(super) const MAX_LINES: usize = 12;
/// Groups counted apart; what comes beyond is counted together.
pub(super) const MAX_GROUPS: usize = 40;
/// Rooms told apart for the subject.
const MAX_ROOMS: usize = 1_000;

/// What is counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Group {
    pub(super) severity: Reverse<Severity>,
    pub(super) room: RoomId,
    pub(super) kind: String,
}

impl Group {
    fn of(alert: &Alert) -> Self {
        Self {
            severity: Reverse(alert.severity),
            room: alert.room.clone(),
            kind: kind(&alert.kind).to_owned(),
        }
    }
}

/// How many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Tally {
    pub(super) raised: u64,
    pub(super) over: u64,
}

/// One device's alerts of one kind.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    /// The latest.
    pub(super) alert: Alert,
    /// Where the first one stands.
    pub(super) leaf: u64,
    /// When the first one began.
    pub(super) since: UnixMillis,
    pub(super) times: u64,
    pub(super) over: Option<UnixMillis>,
}

/// The end of an alert that an earlier mail told.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Ended {
    pub(super) alert: Alert,
    pub(super) leaf: u64,
    pub(super) at: UnixMillis,
}

/// What a digest tells.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Gathered {
    /// First and last leaf.
    pub(super) leaves: Option<(u64, u64)>,
    pub(super) total: Tally,
    pub(super) groups: BTreeMap<Group, Tally>,
    /// What found no group.
    pub(super) others: Tally,
    /// The worst first, at most [`MAX_LINES`].
    pub(super) lines: Vec<Line>,
    /// The first [`MAX_LINES`].
    pub(super) ended: Vec<Ended>,
    pub(super) ended_count: u64,
    pub(super) rooms: BTreeSet<RoomId>,
    /// Ids of the alerts raised here and still open; as many as the ledger lets be open.
    inside: BTreeMap<String, Group>,
}

impl Gathered {
    /// Whether this alert was raised here, and is not over.
    pub(super) fn holds(&self, id: &str) -> bool {
        self.inside.contains_key(id)
    }

    /// The worst severity of those raised.
    pub(super) fn worst(&self) -> Option<Severity> {
        self.lines.first().map(|line| line.alert.severity)
    }

    pub(super) fn raised(&mut self, leaf: u64, alert: &Alert) {
        self.at(leaf);
        self.total.raised += 1;
        if self.rooms.len() < MAX_ROOMS {
            self.rooms.insert(alert.room.clone());
        }
        let group = Group::of(alert);
        self.tally(&group).raised += 1;
        self.inside.insert(alert.id.clone(), group);
        self.line(leaf, alert);
    }

    /// Its alert was raised here or in an earlier mail.
    pub(super) fn cleared(&mut self, leaf: u64, alert: &Alert, at: UnixMillis) {
        self.at(leaf);
        if let Some(group) = self.inside.remove(&alert.id) {
            self.total.over += 1;
            self.tally(&group).over += 1;
            let line = self.lines.iter_mut().find(|line| line.alert.id == alert.id);
            if let Some(line) = line {
                line.over = Some(at);
            }
            return;
        }
        self.ended_count += 1;
        if self.ended.len() < MAX_LINES {
            let alert = alert.clone();
            self.ended.push(Ended { alert, leaf, at });
        }
    }

    fn at(&mut self, leaf: u64) {
        let first = self.leaves.map_or(leaf, |(first, _)| first);
        self.leaves = Some((first, leaf));
    }

    fn tally(&mut self, group: &Group) -> &mut Tally {
        if self.groups.len() >= MAX_GROUPS && !self.groups.contains_key(group) {
            return &mut self.others;
        }
        self.groups.entry(group.clone()).or_default()
    }

    fn line(&mut self, leaf: u64, alert: &Alert) {
        let subject = Subject::of(alert);
        match self
            .lines
            .iter_mut()
            .find(|line| Subject::of(&line.alert) == subject)
        {
            Some(line) => {
                // As bad as it was at its worst.
                let severity = line.alert.severity.max(alert.severity);
                line.alert = alert.clone();
                line.alert.severity = severity;
                line.times += 1;
                line.over = None;
            }
            None => self.lines.push(Line {
                alert: alert.clone(),
                leaf,
                since: alert.at,
                times: 1,
                over: None,
            }),
        }
        self.lines
            .sort_by_key(|line| (Reverse(line.alert.severity), line.leaf));
        self.lines.truncate(MAX_LINES);
    }
}
