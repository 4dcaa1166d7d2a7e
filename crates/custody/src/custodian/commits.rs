//! The ledger has decided an epoch: go along.

use super::{
    Custodian, FIRST_PAUSE, GroupCommitKind, Instant, KeyEpoch, KeyGroup, NodeId, Output, Search,
    State,
};

impl Custodian {
    pub(super) fn committed(
        &mut self,
        now: Instant,
        epoch: KeyEpoch,
        committer: &NodeId,
        kind: &GroupCommitKind,
        commit: &[u8],
        out: &mut Vec<Output>,
    ) {
        if epoch <= self.epoch {
            out.push(Output::Note(format!(
                "group commit for key epoch {epoch} ignored: this node is at {} already",
                self.epoch
            )));
            return;
        }
        let former = std::mem::replace(&mut self.epoch, epoch);
        if let GroupCommitKind::Rotated { round } = kind {
            self.rotated = self.rotated.max(*round);
        }
        let own = self.decide_pending(now, epoch, committer, kind, commit, out);
        if !own {
            self.follow(former, committer, kind, commit, out);
        }
        self.removal_done(kind);
        if self.group.is_some() {
            self.failures = 0;
            self.empty_polls = 0;
            self.search = Search::Due;
        } else if self.caught_up && self.pending.is_none() {
            // Somebody holds a group at this epoch: worth asking soon, whatever the pause was.
            self.empty_polls = 0;
            self.rest_for(now, FIRST_PAUSE);
        }
    }

    /// The epoch is taken: adopt our proposal if it is the one that took it, else forget it if it
    /// was for this epoch or an earlier one. True when ours won.
    fn decide_pending(
        &mut self,
        now: Instant,
        epoch: KeyEpoch,
        committer: &NodeId,
        kind: &GroupCommitKind,
        commit: &[u8],
        out: &mut Vec<Output>,
    ) -> bool {
        let Some(pending) = self.pending.take_if(|pending| pending.epoch <= epoch) else {
            return false;
        };
        if pending.epoch != epoch || *committer != self.identity.node || !pending.is(kind, commit) {
            self.forget(now, pending, out);
            return false;
        }
        match pending.state {
            State::Create(group) | State::Join(group) => self.group = Some(*group),
            State::Step => {
                let merged = self
                    .group
                    .as_mut()
                    .map_or(Ok(()), KeyGroup::merge_own_pending);
                if let Err(error) = merged {
                    self.drop_group(&error.to_string(), out);
                }
            }
        }
        true
    }

    /// Another node's commit took the epoch: go along with it or leave the group.
    fn follow(
        &mut self,
        former: KeyEpoch,
        committer: &NodeId,
        kind: &GroupCommitKind,
        commit: &[u8],
        out: &mut Vec<Output>,
    ) {
        let Some(group) = self.group.as_mut() else {
            return;
        };
        match kind {
            GroupCommitKind::Created { .. } => {
                let reason = format!("{committer} created a new group");
                self.drop_group(&reason, out);
            }
            GroupCommitKind::Joined
            | GroupCommitKind::Rotated { .. }
            | GroupCommitKind::Removed { .. } => {
                if self.epoch != former.next() {
                    let reason = format!(
                        "no commit seen between key epochs {former} and {}",
                        self.epoch
                    );
                    self.drop_group(&reason, out);
                } else if let Err(error) =
                    group.process_commit(commit, committer, kind, &self.membership)
                {
                    self.drop_group(&error.to_string(), out);
                }
            }
        }
    }

    pub(super) fn drop_group(&mut self, reason: &str, out: &mut Vec<Output>) {
        self.group = None;
        out.push(Output::Note(format!(
            "left the key group at key epoch {} and join again: {reason}",
            self.epoch
        )));
    }
}
