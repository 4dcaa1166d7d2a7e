//! What the house demands of a commit beyond RFC 9420: known people, and what the ledger says of
//! it, no more and no less.

use super::GroupError;
use crate::roster::{Membership, Roster};
use machine::mistakes::{self, Mistake};
use openmls::prelude::{
    BasicCredential, Credential, LeafNodeIndex, Member, MlsGroup, Proposal, Sender, StagedCommit,
};
use std::collections::{BTreeMap, BTreeSet};
use wire::{GroupCommitKind, NodeId};

/// The node name in a basic credential.
pub(super) fn name_of(credential: &Credential) -> Option<NodeId> {
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    std::str::from_utf8(basic.identity()).ok().map(NodeId::from)
}

fn shown(name: Option<NodeId>) -> String {
    name.map_or_else(
        || "a member without a readable name".to_owned(),
        |name| name.0,
    )
}

/// The leaves of these nodes, whatever key stands in them.
pub(super) fn leaves_of(
    group: &MlsGroup,
    nodes: &BTreeSet<NodeId>,
) -> BTreeMap<LeafNodeIndex, NodeId> {
    group
        .members()
        .filter_map(|member| Some((member.index, name_of(&member.credential)?)))
        .filter(|(_, name)| nodes.contains(name))
        .collect()
}

/// Every member is in the roster under the key of its leaf, or we do not want to be among them.
pub(super) fn members_in_roster(
    members: impl Iterator<Item = Member>,
    roster: &Roster,
) -> Result<(), GroupError> {
    for member in members {
        in_roster(&member.credential, &member.signature_key, roster)?;
    }
    Ok(())
}

fn in_roster(credential: &Credential, key: &[u8], roster: &Roster) -> Result<NodeId, GroupError> {
    let name = name_of(credential);
    match name {
        Some(name) if roster.knows(&name, key) => Ok(name),
        Some(_) | None => Err(GroupError::NotInRoster { who: shown(name) }),
    }
}

/// What the ledger says of a commit; see [`super::KeyGroup::process_commit`].
pub(super) struct Claim<'a> {
    pub(super) committer: &'a NodeId,
    pub(super) kind: &'a GroupCommitKind,
    pub(super) membership: &'a Membership,
}

impl Claim<'_> {
    /// Whether the message is that, no more and no less.
    pub(super) fn check(
        &self,
        group: &MlsGroup,
        sender: &Sender,
        staged: &StagedCommit,
    ) -> Result<(), GroupError> {
        if staged.self_removed() {
            return Err(GroupError::Removed {
                committer: self.committer.clone(),
            });
        }
        let Some(leaf) = staged.update_path_leaf_node() else {
            return self.overreach("no new keys in it".to_owned());
        };
        let roster = &self.membership.roster;
        let name = in_roster(leaf.credential(), leaf.signature_key().as_slice(), roster)?;
        if &name != self.committer {
            return Err(GroupError::WrongCommitter {
                expected: self.committer.clone(),
                found: name.0,
            });
        }
        match sender {
            Sender::Member(index) => {
                let before = group
                    .member_at(*index)
                    .and_then(|member| name_of(&member.credential));
                if before.as_ref() != Some(self.committer) {
                    return self.overreach("it would rename a leaf".to_owned());
                }
                self.by_member(group, staged)
            }
            Sender::NewMemberCommit => self.by_joiner(group, staged),
            Sender::External(_) | Sender::NewMemberProposal => {
                self.overreach("it comes from outside the group".to_owned())
            }
        }
    }

    fn by_member(&self, group: &MlsGroup, staged: &StagedCommit) -> Result<(), GroupError> {
        match self.kind {
            GroupCommitKind::Rotated { .. } => match staged.queued_proposals().next() {
                Some(queued) => self.overreach(self.shown(group, queued.proposal())),
                None => Ok(()),
            },
            GroupCommitKind::Removed { nodes } => {
                if !nodes.iter().eq(&self.membership.to_remove) {
                    return self.overreach(format!(
                        "removal of {nodes:?}, where {:?} have to be removed",
                        self.membership.to_remove
                    ));
                }
                self.removal(group, staged)
            }
            GroupCommitKind::Created { .. } => self.wrong_kind("new group", "change by a member"),
            GroupCommitKind::Joined => self.wrong_kind("join", "change by a member"),
        }
    }

    /// Exactly the leaves of those that have to go.
    fn removal(&self, group: &MlsGroup, staged: &StagedCommit) -> Result<(), GroupError> {
        let mut left = leaves_of(group, &self.membership.to_remove);
        if mistakes::on(Mistake::EvictedKeepsKeys) {
            return Ok(());
        }
        for queued in staged.queued_proposals() {
            let goes = match queued.proposal() {
                Proposal::Remove(remove) => left.remove(&remove.removed()),
                _ => None,
            };
            if goes.is_none() {
                return self.overreach(self.shown(group, queued.proposal()));
            }
        }
        match left.into_values().next() {
            Some(left) => Err(GroupError::Underreach {
                committer: self.committer.clone(),
                left,
            }),
            None => Ok(()),
        }
    }

    /// An external join: the init secret, and at most the removal of its own stale leaf.
    fn by_joiner(&self, group: &MlsGroup, staged: &StagedCommit) -> Result<(), GroupError> {
        match self.kind {
            GroupCommitKind::Joined => {}
            GroupCommitKind::Created { .. } => return self.wrong_kind("new group", "join"),
            GroupCommitKind::Rotated { .. } => return self.wrong_kind("rotation", "join"),
            GroupCommitKind::Removed { .. } => return self.wrong_kind("removal", "join"),
        }
        let own = leaves_of(group, &BTreeSet::from([self.committer.clone()]));
        for queued in staged.queued_proposals() {
            let fine = match queued.proposal() {
                Proposal::ExternalInit(_) => true,
                Proposal::Remove(remove) => own.contains_key(&remove.removed()),
                _ => false,
            };
            if !fine {
                return self.overreach(self.shown(group, queued.proposal()));
            }
        }
        Ok(())
    }

    fn shown(&self, group: &MlsGroup, proposal: &Proposal) -> String {
        let Proposal::Remove(remove) = proposal else {
            return format!("proposal {:?}", proposal.proposal_type());
        };
        let whose = group
            .member_at(remove.removed())
            .and_then(|member| name_of(&member.credential));
        format!("removal of {}", shown(whose))
    }

    fn overreach(&self, what: String) -> Result<(), GroupError> {
        Err(GroupError::Overreach {
            committer: self.committer.clone(),
            what,
        })
    }

    fn wrong_kind(&self, expected: &'static str, found: &'static str) -> Result<(), GroupError> {
        Err(GroupError::WrongKind {
            committer: self.committer.clone(),
            expected,
            found,
        })
    }
}
