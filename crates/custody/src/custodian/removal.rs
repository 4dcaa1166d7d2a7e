//! Who ceases to be a member loses the keys: its leaf goes before anything else may happen.

use super::{
    Custodian, Duration, GroupCommitKind, Instant, MAX_PAUSE, Output, PROPOSAL_LIMIT, Pending,
    Search, State,
};
use crate::group::GroupError;
use crate::roster::Membership;

/// How long the members give the leader before each of them tries itself: it may hold no group (it
/// has restarted, and cannot join while somebody has to be removed), or be the one that goes. Up
/// to twice this, by chance, so that they do not all come at once.
const REMOVAL_PATIENCE: Duration = PROPOSAL_LIMIT;

impl Custodian {
    /// The ledger has changed who belongs to the group.
    pub(super) fn membership_changed(
        &mut self,
        now: Instant,
        membership: Membership,
        out: &mut Vec<Output>,
    ) {
        let more = membership.to_remove != self.membership.to_remove;
        self.membership = membership;
        if !self.is_member() {
            self.pending = None;
            self.group = None;
            self.search = Search::Due;
            return;
        }
        self.told_removed = false;
        // What is not on the ledger yet comes after this place, and can win no more.
        let to_remove = &self.membership.to_remove;
        if let Some(pending) = self.pending.take_if(|p| !p.may_win(to_remove)) {
            self.forget(now, pending, out);
        }
        if more && self.removal_due() {
            self.schedule_removal(now);
        }
    }

    /// Those that had to go are gone with this commit, by the ledger's own rule
    /// (`ledger::State::group_commit`).
    pub(super) fn removal_done(&mut self, kind: &GroupCommitKind) {
        match kind {
            GroupCommitKind::Created { .. } | GroupCommitKind::Removed { .. } => {
                self.membership.to_remove.clear();
            }
            GroupCommitKind::Joined | GroupCommitKind::Rotated { .. } => {}
        }
    }

    /// Whether this node itself belongs to the group.
    pub(super) fn is_member(&self) -> bool {
        let key = self.identity.key.verifying_key();
        self.membership.knows(&self.identity.node, key.as_bytes())
    }

    pub(super) fn removal_due(&self) -> bool {
        !self.membership.to_remove.is_empty()
    }

    /// The leader at once, the others if nothing comes of it.
    pub(super) fn schedule_removal(&mut self, now: Instant) {
        self.remove_from = if self.leader {
            now
        } else {
            let chance = f64::from(u16::from_be_bytes(self.rng.bytes())) / f64::from(u16::MAX);
            now + REMOVAL_PATIENCE + REMOVAL_PATIENCE.mul_f64(chance)
        };
    }

    pub(super) fn remove_if_due(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.remove_from > now {
            return;
        }
        match self.removal() {
            Some(Ok(pending)) => self.propose(now, pending, out),
            Some(Err(error)) => {
                self.remove_from = now + MAX_PAUSE;
                self.drop_group(&error.to_string(), out);
                self.rest(now);
            }
            None => {}
        }
    }

    fn removal(&mut self) -> Option<Result<Pending, GroupError>> {
        let nodes = &self.membership.to_remove;
        let kind = GroupCommitKind::Removed {
            nodes: nodes.iter().cloned().collect(),
        };
        let epoch = self.epoch.next();
        let commit = self.group.as_mut()?.remove(nodes);
        Some(commit.map(|commit| Pending::new(epoch, kind, commit, State::Step)))
    }

    /// Once, and not of a removal of long ago that the replay passes by.
    pub(super) fn say_removed(&mut self, out: &mut Vec<Output>) {
        // An empty roster says that nobody has told who belongs to the cluster yet.
        if !self.told_removed && !self.membership.roster.is_empty() {
            self.told_removed = true;
            out.push(Output::Removed);
        }
    }
}
