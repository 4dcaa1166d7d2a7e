//! What was seen while the house ran, and what of it must never be: invariants that are looked at
//! with every answer of every node. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::Level;
use wire::status::Status;

/// One node's answer, and its process.
#[derive(Clone, Copy)]
pub(crate) struct Sight<'a> {
    /// Its number.
    pub(crate) node: u8,
    /// What it says, if it answered.
    pub(crate) status: Option<&'a Status>,
    /// Bytes of memory that its process has.
    pub(crate) memory: Option<u64>,
}

/// A node: libtorch, the data space's buffers, the ledger of a run of minutes. A leak or an
/// unbounded queue goes through this within a run; without one a node stays below half of it.
pub(crate) const MEMORY_LIMIT: u64 = 400 << 20;

/// Longest time, from when it was last seen to when it was seen again.
#[derive(Clone, Copy, Default, Debug)]
struct Stretch {
    since: Option<Duration>,
    longest: Duration,
    longest_at: Duration,
}

impl Stretch {
    /// It happened, or does not count now.
    fn reset(&mut self, now: Duration) {
        self.look(now);
        self.since = Some(now);
    }

    fn look(&mut self, now: Duration) {
        let Some(since) = self.since else { return };
        let took = now.saturating_sub(since);
        if took > self.longest {
            (self.longest, self.longest_at) = (took, since);
        }
    }
}

/// A stretch of time for the report.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Longest {
    /// How long.
    pub(crate) took: Duration,
    /// From when on.
    pub(crate) from: Duration,
}

/// Everything seen.
#[derive(Default)]
pub(crate) struct Watch {
    nodes: u8,
    leaders: BTreeMap<u64, BTreeSet<String>>,
    roots: BTreeMap<u64, (String, u8)>,
    /// Node → (uptime, key epoch) as last seen.
    epochs: BTreeMap<u8, (f64, u64)>,
    newest_epoch: u64,
    size: u64,
    accepted: u64,
    commits: Stretch,
    promised: Stretch,
    mails: Stretch,
    memory: BTreeMap<u8, u64>,
    restarts: BTreeMap<(u8, String), u64>,
    complaints: BTreeSet<String>,
}

impl Watch {
    /// Over a cluster of so many.
    pub(crate) fn new(nodes: u8) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// What was seen at `now`. `promised`: the plan promises progress at this moment. `accepted`:
    /// mails acknowledged so far.
    pub(crate) fn note(
        &mut self,
        now: Duration,
        promised: bool,
        accepted: u64,
        seen: &[Sight<'_>],
    ) {
        let mut grown = false;
        for sight in seen {
            if let Some(memory) = sight.memory {
                let most = self.memory.entry(sight.node).or_default();
                *most = memory.max(*most);
            }
            if let Some(status) = sight.status {
                self.leader(status);
                self.root(sight.node, status);
                self.epoch(sight.node, status);
                self.tree(sight.node, status);
                grown |= status.ledger.size > self.size;
                self.size = self.size.max(status.ledger.size);
            }
        }
        if grown {
            self.commits.reset(now);
        } else {
            self.commits.look(now);
        }
        if promised && !grown {
            self.promised.look(now);
        } else {
            if grown {
                self.promised.look(now);
            }
            self.promised.since = Some(now);
        }
        if accepted > self.accepted && self.mails.since.is_some() {
            self.mails.reset(now);
            self.accepted = accepted;
        } else {
            self.mails.look(now);
        }
    }

    /// The load begins: what is measured is measured from here.
    pub(crate) fn begin(&mut self, now: Duration) {
        let fresh = Stretch {
            since: Some(now),
            ..Stretch::default()
        };
        (self.commits, self.promised, self.mails) = (fresh, fresh, fresh);
    }

    /// The load ends, and with it what it is measured by.
    pub(crate) fn end(&mut self, now: Duration) {
        self.mails.look(now);
        self.mails.since = None;
    }

    /// Nobody has looked for a while: what happened meanwhile is not known.
    pub(crate) fn unobserved(&mut self) {
        (self.commits.since, self.promised.since) = (None, None);
    }

    fn complain(&mut self, text: String) {
        self.complaints.insert(text);
    }

    fn leader(&mut self, status: &Status) {
        let Some(leader) = &status.leader else { return };
        let leaders = self.leaders.entry(status.term).or_default();
        leaders.insert(leader.to_string());
        if leaders.len() > 1 {
            let names: Vec<String> = leaders.iter().cloned().collect();
            let text = format!(
                "term {} has two leaders: {}",
                status.term,
                names.join(" and ")
            );
            self.complain(text);
        }
    }

    fn root(&mut self, node: u8, status: &Status) {
        let (size, root) = (status.ledger.size, &status.ledger.root);
        if size == 0 {
            return;
        }
        let known = self
            .roots
            .entry(size)
            .or_insert_with(|| (root.clone(), node));
        if known.0 != *root {
            let text = format!(
                "node-{node} and node-{} have different histories: their roots at {size} leaves differ",
                known.1
            );
            self.complain(text);
        }
    }

    fn epoch(&mut self, node: u8, status: &Status) {
        let (uptime, epoch) = (status.uptime_s, status.key_epoch.0);
        let before = self.epochs.insert(node, (uptime, epoch));
        if let Some((then, former)) = before
            && uptime >= then
            && epoch < former
        {
            self.complain(format!(
                "node-{node} went back from key epoch {former} to {epoch}"
            ));
        }
        self.newest_epoch = self.newest_epoch.max(epoch);
    }

    fn tree(&mut self, node: u8, status: &Status) {
        for actor in &status.tree {
            if let Some(supervisor) = &actor.supervisor
                && supervisor.used > supervisor.intensity
            {
                self.complain(format!(
                    "node-{node}: the supervisor {:?} has restarted {} times within {} ms, and {} are allowed",
                    actor.path, supervisor.used, supervisor.period_ms, supervisor.intensity
                ));
            }
            if actor.restarts > 0 {
                let most = self.restarts.entry((node, actor.path.clone())).or_default();
                *most = actor.restarts.max(*most);
            }
        }
    }

    /// What must never have been.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let mut complaints: Vec<String> = self.complaints.iter().cloned().collect();
        for (node, most) in &self.memory {
            if *most > MEMORY_LIMIT {
                complaints.push(format!(
                    "node-{node} had {} MiB of memory, and {} are allowed",
                    most >> 20,
                    MEMORY_LIMIT >> 20
                ));
            }
        }
        complaints
    }

    /// Terms in which somebody led.
    pub(crate) fn terms(&self) -> usize {
        self.leaders.len()
    }

    /// Ledger sizes at which roots were compared.
    pub(crate) fn sizes(&self) -> usize {
        self.roots.len()
    }

    /// The newest key epoch seen.
    pub(crate) fn newest_epoch(&self) -> u64 {
        self.newest_epoch
    }

    /// Most memory that a node had, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.memory.values().copied().max().unwrap_or(0)
    }

    /// Restarts of actors, each node's most.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts.values().sum()
    }

    /// Actors that were restarted, for people.
    pub(crate) fn restarted(&self) -> BTreeSet<String> {
        let paths = self.restarts.keys().map(|(_, path)| path.clone());
        paths.collect()
    }

    /// Longest time without a commit.
    pub(crate) fn without_commit(&self) -> Longest {
        longest(self.commits)
    }

    /// Longest time without a commit while progress was promised.
    pub(crate) fn without_promised_commit(&self) -> Longest {
        longest(self.promised)
    }

    /// Longest time in which no mailbox took a mail.
    pub(crate) fn without_mail(&self) -> Longest {
        longest(self.mails)
    }

    /// Everyone answers, is up by everyone's ledger, has a vote, agrees on the leader, hears everyone
    /// and is at about the same key epoch, at most one change behind.
    pub(crate) fn lacks(&self, seen: &[Sight<'_>]) -> Option<String> {
        let all = usize::from(self.nodes);
        let statuses: Vec<(u8, &Status)> = seen
            .iter()
            .filter_map(|sight| Some((sight.node, sight.status?)))
            .collect();
        if let Some(silent) = seen.iter().find(|sight| sight.status.is_none()) {
            return Some(format!("node-{} does not answer", silent.node));
        }
        let newest = statuses.iter().map(|(_, status)| status.key_epoch.0).max();
        let newest = newest.unwrap_or(0);
        let largest = statuses.iter().map(|(_, status)| status.ledger.size).max();
        let leader = statuses
            .first()
            .and_then(|(_, status)| status.leader.clone());
        for (node, status) in statuses {
            let down: Vec<&String> = status
                .members
                .iter()
                .filter(|(_, up)| !**up)
                .map(|(name, _)| name)
                .collect();
            let lacks = if status.leader.is_none() {
                "knows no leader".to_owned()
            } else if status.leader != leader {
                "follows another leader".to_owned()
            } else if status.members.len() != all || !down.is_empty() {
                format!("holds {down:?} for down")
            } else if status.links.len() + 1 != all {
                format!("has links to {} of {} others", status.links.len(), all - 1)
            } else if status.key_epoch.0 == 0 || status.key_epoch.0 + EPOCH_SLACK < newest {
                format!("is at key epoch {} of {newest}", status.key_epoch)
            } else if let Some((peer, epoch)) = status
                .links
                .iter()
                .find(|(_, epoch)| **epoch + EPOCH_SLACK < newest)
            {
                format!("speaks to {peer} under epoch {epoch} of {newest}")
            } else if status.ledger.level < Level::NEWEST.0 {
                format!("has a ledger of level {}", status.ledger.level)
            } else if status.ledger.voters.len() != all {
                format!("sees {} voters", status.ledger.voters.len())
            } else if status.ledger.size + SIZE_SLACK < largest.unwrap_or(0) {
                format!(
                    "has {} leaves of {}",
                    status.ledger.size,
                    largest.unwrap_or(0)
                )
            } else {
                continue;
            };
            return Some(format!("node-{node} {lacks}"));
        }
        None
    }
}

/// How far a node may be behind another that was asked a moment later.
const EPOCH_SLACK: u64 = 2;
const SIZE_SLACK: u64 = 20;

fn longest(stretch: Stretch) -> Longest {
    Longest {
        took: stretch.longest,
        from: stretch.longest_at,
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
