//! The record of faults: when each struck, was noticed, was undone and had healed. Pure.

use crate::plan::{Fault, Promise, Strike};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::status::Status;

/// A killed node must be held for down by the others when it is away for longer than this, on a
/// machine that does much else.
const NOTICE_LIMIT: Duration = Duration::from_secs(8);

/// A fault that has struck. Times are from the start of the run.
#[derive(Clone, Debug)]
pub(crate) struct Wound {
    pub(crate) episode: usize,
    pub(crate) promise: Promise,
    pub(crate) strike: Strike,
    /// Whom, if it is one node.
    pub(crate) node: Option<u8>,
    /// A phrase.
    pub(crate) says: String,
    pub(crate) since: Duration,
    pub(crate) noticed: Option<Duration>,
    pub(crate) undone: Option<Duration>,
    pub(crate) healed: Option<Duration>,
}

impl Wound {
    /// Whose absence would be noticed.
    fn away(&self, nodes: u8) -> Vec<u8> {
        match (&self.strike.fault, self.node) {
            (Fault::Split { groups }, _) => {
                let largest = groups.iter().max_by_key(|group| group.len());
                let outside = |node: &u8| largest.is_none_or(|group| !group.contains(node));
                (1..=nodes).filter(outside).collect()
            }
            (_, Some(node)) => vec![node],
            (_, None) => Vec::new(),
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Wounds(pub(crate) Vec<Wound>);

impl Wounds {
    /// Those that last.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Wound> {
        self.0.iter().filter(|wound| wound.undone.is_none())
    }

    /// Nodes with a fault of their own.
    pub(crate) fn hurt(&self) -> BTreeSet<u8> {
        self.open().filter_map(|wound| wound.node).collect()
    }

    /// Nodes that should not run.
    pub(crate) fn killed(&self) -> BTreeSet<u8> {
        let killed = self
            .open()
            .filter(|wound| matches!(wound.strike.fault, Fault::Kill { .. }));
        killed.filter_map(|wound| wound.node).collect()
    }

    /// Nodes whose disk is full.
    pub(crate) fn full(&self) -> BTreeSet<u8> {
        let full = self
            .open()
            .filter(|wound| matches!(wound.strike.fault, Fault::FullDisk { .. }));
        full.filter_map(|wound| wound.node).collect()
    }

    /// Whether a node's disk is or was full.
    pub(crate) fn had_full_disk(&self, node: u8) -> bool {
        self.0.iter().any(|wound| {
            wound.node == Some(node) && matches!(wound.strike.fault, Fault::FullDisk { .. })
        })
    }

    /// What is time to be undone.
    pub(crate) fn due(&self, now: Duration) -> Vec<usize> {
        let due = self.0.iter().enumerate().filter(|(_, wound)| {
            wound.undone.is_none() && now >= wound.since + wound.strike.lasts()
        });
        due.map(|(index, _)| index).collect()
    }

    /// Whether everything is healed.
    pub(crate) fn healed(&self) -> bool {
        self.0.iter().all(|wound| wound.healed.is_some())
    }

    /// Whom each node does not hear, by one-sided faults that last.
    pub(crate) fn deaf(&self, nodes: u8) -> BTreeMap<u8, BTreeSet<u8>> {
        let mut deaf: BTreeMap<u8, BTreeSet<u8>> =
            (1..=nodes).map(|node| (node, BTreeSet::new())).collect();
        for wound in self.open() {
            let Some(node) = wound.node else { continue };
            match wound.strike.fault {
                Fault::Deaf { .. } => {
                    let others = (1..=nodes).filter(|other| *other != node);
                    deaf.entry(node).or_default().extend(others);
                }
                Fault::Mute { .. } => {
                    for (other, unheard) in &mut deaf {
                        if *other != node {
                            unheard.insert(node);
                        }
                    }
                }
                Fault::Kill { .. }
                | Fault::Pause { .. }
                | Fault::FullDisk { .. }
                | Fault::Split { .. }
                | Fault::Lag { .. }
                | Fault::Loss { .. }
                | Fault::Broker => {}
            }
        }
        deaf
    }

    /// Whether the nodes know by now. Gives sentences about what they have just noticed.
    pub(crate) fn look(&mut self, now: Duration, nodes: u8, seen: &[(u8, &Status)]) -> Vec<String> {
        let mut said = Vec::new();
        for wound in &mut self.0 {
            if wound.noticed.is_some() || wound.healed.is_some() {
                continue;
            }
            let found = wound.away(nodes).into_iter().find(|node| {
                let name = format!("node-{node}");
                seen.iter().any(|(other, status)| {
                    other != node && status.members.get(&name) == Some(&false)
                })
            });
            if let Some(node) = found {
                wound.noticed = Some(now);
                let after = (now.saturating_sub(wound.since)).as_secs_f64();
                said.push(format!("node-{node} is held for down after {after:.1} s"));
            }
        }
        said
    }

    /// The cluster is whole: whatever was undone has healed. Gives a sentence if that is news.
    pub(crate) fn whole(&mut self, now: Duration) -> Option<String> {
        if self.open().next().is_some() {
            return None;
        }
        let mut longest = None;
        for wound in self.0.iter_mut().filter(|wound| wound.healed.is_none()) {
            wound.healed = Some(now);
            let after = wound.undone.map(|undone| now.saturating_sub(undone));
            longest = longest.max(after);
        }
        longest.map(|after| {
            format!(
                "all is whole again, {:.1} s after the last fault was undone",
                after.as_secs_f64()
            )
        })
    }

    /// What was not noticed or has not healed, as sentences.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for wound in &self.0 {
            let lasted = wound
                .undone
                .map(|undone| undone.saturating_sub(wound.since));
            if matches!(wound.strike.fault, Fault::Kill { .. })
                && wound.promise == Promise::Progress
                && wound.noticed.is_none()
                && lasted.is_some_and(|lasted| lasted > NOTICE_LIMIT)
            {
                complaints.push(format!("{}: nobody noticed", wound.says));
            }
            if wound.healed.is_none() {
                complaints.push(format!("{}: not healed", wound.says));
            }
        }
        complaints
    }

    /// The table of the report: when, what, for how long, noticed after, healed after.
    pub(crate) fn table(&self) -> Vec<String> {
        let seconds = |from: Duration, to: Option<Duration>| {
            to.map_or("–".to_owned(), |to| {
                format!("{:.1} s", to.saturating_sub(from).as_secs_f64())
            })
        };
        let mut lines = vec![format!(
            "  {:>8}  {:<46} {:>7} {:>8} {:>7}",
            "at", "fault", "lasted", "noticed", "healed"
        )];
        for wound in &self.0 {
            let lost = match wound.promise {
                Promise::Progress => "",
                Promise::Safety => " *",
            };
            lines.push(format!(
                "  {:>6.1} s  {:<46} {:>7} {:>8} {:>7}{lost}",
                wound.since.as_secs_f64(),
                wound.says,
                seconds(wound.since, wound.undone),
                seconds(wound.since, wound.noticed),
                wound
                    .undone
                    .map_or("–".to_owned(), |undone| seconds(undone, wound.healed)),
            ));
        }
        if self.0.iter().any(|wound| wound.promise == Promise::Safety) {
            lines.push(
                "  * the majority was away: only safety was demanded until it had healed".into(),
            );
        }
        lines
    }
}

#[cfg(test)]
#[path = "wounds_tests.rs"]
mod tests;
