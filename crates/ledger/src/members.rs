//! Who belongs to the cluster and who is up.

use crate::state::{Outcome, State, refuse};
use wire::{NodeId, Role};

/// A member of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its ed25519 identity key.
    pub identity: [u8; 32],
    /// By the ledger; a member is down until its first `NodeUp`.
    pub up: bool,
    /// Of the last `NodeUp`; 0 before the first.
    pub incarnation: u64,
    /// Why it is held for down.
    pub down_reason: Option<String>,
}

impl State {
    pub(crate) fn genesis(&mut self, cluster: &str, roster: &[(NodeId, [u8; 32])]) -> Outcome {
        if self.cluster.is_some() {
            return refuse("the log has its genesis already");
        }
        if roster.is_empty() {
            return refuse("a cluster has at least one member");
        }
        let member = |identity| Member {
            identity,
            up: false,
            incarnation: 0,
            down_reason: None,
        };
        let members: std::collections::BTreeMap<_, _> = roster
            .iter()
            .map(|(node, identity)| (node.clone(), member(*identity)))
            .collect();
        if members.len() != roster.len() {
            return refuse("the roster names a member twice");
        }
        self.cluster = Some(cluster.to_owned());
        self.members = members;
        Ok(())
    }

    pub(crate) fn node_up(&mut self, node: &NodeId, incarnation: u64) -> Outcome {
        let member = self.member_mut(node)?;
        if incarnation < member.incarnation {
            let known = member.incarnation;
            return refuse(format!(
                "{node} was already seen in incarnation {known}, this is the older {incarnation}"
            ));
        }
        if member.up && incarnation == member.incarnation {
            return refuse(format!("{node} is up already in incarnation {incarnation}"));
        }
        member.up = true;
        member.incarnation = incarnation;
        member.down_reason = None;
        Ok(())
    }

    pub(crate) fn node_down(&mut self, node: &NodeId, reason: &str) -> Outcome {
        let member = self.member_mut(node)?;
        if !member.up {
            return refuse(format!("{node} is down already"));
        }
        member.up = false;
        member.down_reason = Some(reason.to_owned());
        Ok(())
    }

    pub(crate) fn role_assigned(&mut self, role: &Role, node: &NodeId) -> Outcome {
        if !self.member(node)?.up {
            return refuse(format!("{node} is down and can take no role"));
        }
        if self.roles.get(role) == Some(node) {
            return refuse(format!("{node} holds {role:?} already"));
        }
        if !self.roles.contains_key(role) && self.roles.len() == crate::MAX_ROLES {
            return refuse(format!(
                "there are {} roles, which is the limit",
                crate::MAX_ROLES
            ));
        }
        self.roles.insert(role.clone(), node.clone());
        Ok(())
    }

    pub(crate) fn member(&self, node: &NodeId) -> Result<&Member, crate::state::Refusal> {
        self.members.get(node).ok_or_else(|| stranger(node))
    }

    fn member_mut(&mut self, node: &NodeId) -> Result<&mut Member, crate::state::Refusal> {
        self.members.get_mut(node).ok_or_else(|| stranger(node))
    }
}

fn stranger(node: &NodeId) -> crate::state::Refusal {
    crate::state::Refusal::Rule(format!("{node} is not a member of the cluster"))
}
