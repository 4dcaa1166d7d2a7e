//! What the house demands of a commit beyond RFC 9420: known people, own leaf only.

use super::GroupError;
use crate::roster::Roster;
use openmls::prelude::{
    BasicCredential, Credential, Member, MlsGroup, Proposal, Sender, StagedCommit,
};
use wire::NodeId;

/// The node name in a basic credential.
pub(super) fn name_of(credential: &Credential) -> Option<NodeId> {
    let basic = BasicCredential::try_from(credential.clone()).ok()?;
    std::str::from_utf8(basic.identity()).ok().map(NodeId::from)
}

fn shown(credential: &Credential) -> String {
    name_of(credential).map_or_else(
        || "a member without a readable name".to_owned(),
        |name| name.0,
    )
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
    name_of(credential)
        .filter(|name| roster.knows(name, key))
        .ok_or_else(|| GroupError::NotInRoster {
            who: shown(credential),
        })
}

/// The rules for one commit; see [`super::KeyGroup::process_commit`].
pub(super) fn commit(
    group: &MlsGroup,
    sender: &Sender,
    staged: &StagedCommit,
    committer: &NodeId,
    roster: &Roster,
) -> Result<(), GroupError> {
    let leaf = staged
        .update_path_leaf_node()
        .ok_or_else(|| GroupError::Overreach {
            committer: committer.clone(),
            what: "no new keys in it".to_owned(),
        });
    if staged.self_removed() {
        return Err(GroupError::Removed {
            committer: committer.clone(),
        });
    }
    let leaf = leaf?;
    let name = in_roster(leaf.credential(), leaf.signature_key().as_slice(), roster)?;
    if &name != committer {
        return Err(GroupError::WrongCommitter {
            expected: committer.clone(),
            found: name.0,
        });
    }
    let overreach = |what: String| {
        Err(GroupError::Overreach {
            committer: committer.clone(),
            what,
        })
    };
    match sender {
        // A self-update keeps the leaf's owner and carries no proposal at all.
        Sender::Member(index) => {
            let before = group
                .member_at(*index)
                .and_then(|member| name_of(&member.credential));
            if before.as_ref() != Some(committer) {
                return overreach("it would rename a leaf".to_owned());
            }
            if let Some(queued) = staged.queued_proposals().next() {
                return overreach(format!("proposal {:?}", queued.proposal().proposal_type()));
            }
        }
        // An external join: the init secret, and at most the removal of its own stale leaf.
        Sender::NewMemberCommit => {
            for queued in staged.queued_proposals() {
                match queued.proposal() {
                    Proposal::ExternalInit(_) => {}
                    Proposal::Remove(remove) => {
                        let removed = group
                            .member_at(remove.removed())
                            .and_then(|member| name_of(&member.credential));
                        if removed.as_ref() != Some(committer) {
                            return overreach(format!(
                                "removal of {}",
                                removed.map_or_else(|| "an unknown leaf".to_owned(), |name| name.0)
                            ));
                        }
                    }
                    other => return overreach(format!("proposal {:?}", other.proposal_type())),
                }
            }
        }
        Sender::External(_) | Sender::NewMemberProposal => {
            return overreach("it comes from outside the group".to_owned());
        }
    }
    Ok(())
}
