//! A commit of our own between its making and the ledger's word on it.

use super::{
    Custodian, GroupCommitKind, Instant, JoinInfo, KeyEpoch, KeyGroup, MAX_ATTEMPTS, MAX_PAUSE,
    Output, PROPOSAL_LIMIT,
};
use crate::group::GroupError;
use std::collections::BTreeSet;
use wire::{Act, NodeId};

/// At most one exists at a time.
pub(super) struct Pending {
    /// The only epoch it can open.
    pub(super) epoch: KeyEpoch,
    pub(super) kind: GroupCommitKind,
    pub(super) commit: Vec<u8>,
    pub(super) state: State,
    pub(super) attempts: u32,
    /// When it is proposed again, unless its fate is known by then.
    pub(super) due: Instant,
}

/// What its win would mean. The groups are boxed: an MLS state is some kilobytes.
pub(super) enum State {
    Create(Box<KeyGroup>),
    Join(Box<KeyGroup>),
    /// The group itself holds the pending commit.
    Step,
}

impl Pending {
    pub(super) fn new(
        epoch: KeyEpoch,
        kind: GroupCommitKind,
        commit: Vec<u8>,
        state: State,
    ) -> Self {
        Self {
            epoch,
            kind,
            commit,
            state,
            attempts: 0,
            due: Instant::ZERO,
        }
    }

    /// Whether a commit on the ledger is this one, not one of this node's former life.
    pub(super) fn is(&self, kind: &GroupCommitKind, commit: &[u8]) -> bool {
        self.kind == *kind && self.commit == commit
    }

    /// Whether the ledger can still let it win, if its epoch is free (`ledger::State::group_commit`).
    pub(super) fn may_win(&self, to_remove: &BTreeSet<NodeId>) -> bool {
        match &self.kind {
            GroupCommitKind::Created { .. } => true,
            GroupCommitKind::Joined | GroupCommitKind::Rotated { .. } => to_remove.is_empty(),
            GroupCommitKind::Removed { nodes } => nodes.iter().eq(to_remove),
        }
    }
}

impl Custodian {
    pub(super) fn create(&mut self) -> Result<Pending, GroupError> {
        let id: [u8; 16] = self.rng.bytes();
        let group = KeyGroup::create_with(&id, self.identity.clone(), self.rng.clone())?;
        let kind = GroupCommitKind::Created { group: id.to_vec() };
        Ok(Pending::new(
            self.epoch.next(),
            kind,
            Vec::new(),
            State::Create(Box::new(group)),
        ))
    }

    pub(super) fn join(&mut self, info: &JoinInfo) -> Result<Pending, GroupError> {
        let join = KeyGroup::external_join_with(
            &info.group_info,
            self.identity.clone(),
            &self.membership.roster,
            self.rng.clone(),
        )?;
        let state = State::Join(Box::new(join.group));
        // Not `next()`: the number is a peer's word, and it must not overflow us.
        let epoch = KeyEpoch(info.epoch.0.saturating_add(1));
        Ok(Pending::new(
            epoch,
            GroupCommitKind::Joined,
            join.commit,
            state,
        ))
    }

    pub(super) fn rotation(&mut self) -> Option<Result<Pending, GroupError>> {
        let kind = GroupCommitKind::Rotated { round: self.closed };
        let epoch = self.epoch.next();
        let commit = self.group.as_mut()?.rotate();
        Some(commit.map(|commit| Pending::new(epoch, kind, commit, State::Step)))
    }

    pub(super) fn propose(&mut self, now: Instant, mut pending: Pending, out: &mut Vec<Output>) {
        pending.attempts += 1;
        pending.due = now + PROPOSAL_LIMIT;
        out.push(Output::Propose(Act::GroupCommit {
            epoch: pending.epoch,
            committer: self.identity.node.clone(),
            kind: pending.kind.clone(),
            commit: pending.commit.clone(),
        }));
        self.pending = Some(pending);
    }

    pub(super) fn proposal_failed(
        &mut self,
        now: Instant,
        epoch: KeyEpoch,
        reason: &str,
        out: &mut Vec<Output>,
    ) {
        if self
            .pending
            .as_ref()
            .is_none_or(|pending| pending.epoch != epoch)
        {
            return;
        }
        let pause = self.pause();
        if let Some(pending) = self.pending.as_mut() {
            pending.due = now + pause;
        }
        out.push(Output::Note(format!(
            "proposal for key epoch {epoch} is repeated in {} ms: {reason}",
            pause.as_millis()
        )));
    }

    /// The ledger says that it cannot win. As a rule this node knows why, having been told of
    /// whatever stands before it on the ledger. Where it does not, the ledger must not be flooded
    /// with one like it after the other.
    pub(super) fn lost(&mut self, now: Instant, pending: Pending, out: &mut Vec<Output>) {
        if pending.epoch > self.epoch && pending.may_win(&self.membership.to_remove) {
            out.push(Output::Note(format!(
                "the ledger refused the commit for key epoch {} for no reason that this node knows; \
                 the next attempt is made in {} s",
                pending.epoch,
                MAX_PAUSE.as_secs()
            )));
            self.rotate_from = now + MAX_PAUSE;
            self.remove_from = now + MAX_PAUSE;
        }
        self.forget(now, pending, out);
    }

    /// The same bytes again, as long as they can still win; built anew when that led nowhere.
    pub(super) fn repeat_if_due(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Some(mut pending) = self.pending.take_if(|pending| pending.due <= now) else {
            return;
        };
        let rotation = matches!(pending.kind, GroupCommitKind::Rotated { .. });
        let removal = matches!(pending.kind, GroupCommitKind::Removed { .. });
        if rotation && !self.leader {
            // The new leader sees to it; ours may still win, so it is kept and only kept.
            pending.due = now + PROPOSAL_LIMIT;
            self.pending = Some(pending);
        } else if pending.attempts < MAX_ATTEMPTS {
            self.propose(now, pending, out);
        } else {
            out.push(Output::Note(format!(
                "proposal for key epoch {} made {MAX_ATTEMPTS} times without an outcome; starting over",
                pending.epoch
            )));
            if rotation {
                self.rotate_from = now + MAX_PAUSE;
            }
            if removal {
                self.remove_from = now + MAX_PAUSE;
            }
            self.forget(now, pending, out);
        }
    }
}
