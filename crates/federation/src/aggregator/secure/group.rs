//! One secure sum of a round, and when to wait no longer for it.

use crate::cohort::Selection;
use crate::fedavg::Mean;
use crate::privacy::noise::Noise;
use crate::secagg::{Context, Letters, Server, Shortfall, Stage};
use machine::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use wire::NodeId;

/// Steps whose answers a round waits for, in fractions of its deadline: keys and shares are exchanged while
/// participants train, and who is silent so early will not train in time either. From the update on
/// there is the rest.
const STEPS: [(u32, u32); 3] = [(1, 4), (1, 2), (3, 4)];

pub(in crate::aggregator) struct Group {
    pub(super) server: Server,
    /// Until when answers to this step are waited for if others suffice, behind those of later steps.
    until: Vec<Instant>,
    /// That time has passed, and too few have answered: the next answer wakes us, not the clock.
    overdue: bool,
    /// The mean of its updates, or why there is none.
    pub(super) outcome: Option<Result<Mean, String>>,
}

/// What a step depends on besides the group itself.
pub(super) struct Circumstances<'a> {
    pub(super) now: Instant,
    /// Of the round.
    pub(super) ends: Instant,
    pub(super) up: &'a BTreeSet<NodeId>,
    pub(super) declined: &'a BTreeMap<NodeId, String>,
    /// Fewest updates that are of use.
    pub(super) least: usize,
    /// How many are wanted of those asked.
    pub(super) selection: Selection,
    /// Nothing stands against taking the masks off.
    pub(super) may_unmask: bool,
}

impl Group {
    pub(super) fn new(context: Context, now: Instant, deadline: Duration) -> Self {
        let until = STEPS.iter().rev();
        Self {
            server: Server::new(Arc::new(context)),
            until: until
                .map(|(part, of)| now + deadline * *part / *of)
                .collect(),
            overdue: false,
            outcome: None,
        }
    }

    /// When to look again; `None`: at the end of the round.
    pub(super) fn due(&self) -> Option<Instant> {
        let waits = self.outcome.is_none() && !self.overdue;
        self.until.last().filter(|_| waits).copied()
    }

    /// Takes all steps whose time has come.
    pub(super) fn pursue(
        &mut self,
        at: &Circumstances<'_>,
        noise: Option<&mut Noise>,
        letters: &mut Letters,
    ) {
        while self.outcome.is_none() && self.is_time(at) {
            if self.server.stage() == Stage::Reveal {
                self.outcome = Some(self.server.sum(noise).map_err(|error| error.to_string()));
                return;
            }
            match self.server.advance() {
                Ok(more) => {
                    self.until.pop();
                    self.overdue = false;
                    letters.extend(more);
                }
                Err(shortfall) => self.outcome = Some(Err(shortfall.to_string())),
            }
        }
    }

    /// Whether this step is over. Where it cannot be, the group has failed.
    fn is_time(&mut self, at: &Circumstances<'_>) -> bool {
        let missing = self.server.missing();
        let silent = || missing.silent.iter();
        let waits = silent().any(|node| !at.declined.contains_key(node) && at.up.contains(node));
        let stage = self.server.stage();
        let due = self.until.last().is_none_or(|until| *until <= at.now);
        if let Some(shortfall) = &missing.shortfall {
            self.overdue = due;
            // One that is down may come back, but only before the first step: later it has lost its secrets.
            let lost = !waits && stage != Stage::Advertise;
            if lost || at.ends <= at.now {
                self.outcome = Some(Err(self.why(shortfall, &missing.silent, at.declined)));
            }
            return false;
        }
        let collected = self.server.survivors().len();
        match stage {
            // Every one more is one more in the sum, unless more were asked than are wanted.
            Stage::Advertise | Stage::Share if waits && !due => return false,
            Stage::Mask if waits && !due && collected < self.wanted(at) => return false,
            Stage::Mask if collected < at.least => {
                let least = at.least;
                let reason = format!("{collected} participants sent an update, {least} are needed");
                self.outcome = Some(Err(reason));
                return false;
            }
            // Enough are as good as all.
            Stage::Consent if !at.may_unmask => return false,
            Stage::Advertise | Stage::Share | Stage::Mask | Stage::Consent | Stage::Reveal => {}
        }
        true
    }

    fn wanted(&self, at: &Circumstances<'_>) -> usize {
        let cohort = self.server.context().parameters().cohort;
        at.selection.enough(cohort, at.least.min(cohort))
    }

    fn why(
        &self,
        shortfall: &Shortfall,
        silent: &[NodeId],
        declined: &BTreeMap<NodeId, String>,
    ) -> String {
        let mut reason = shortfall.to_string();
        let ours = |node: &NodeId| self.server.context().place(node).is_some();
        for (node, why) in declined.iter().filter(|(node, _)| ours(node)) {
            reason.push_str(&format!("; {node} declined: {why}"));
        }
        let silent = silent.iter().filter(|node| !declined.contains_key(*node));
        let silent: Vec<_> = silent.map(NodeId::as_str).collect();
        if !silent.is_empty() {
            reason.push_str(&format!("; not heard of: {}", silent.join(", ")));
        }
        reason
    }
}
