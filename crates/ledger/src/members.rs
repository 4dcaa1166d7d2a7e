//! Who belongs to the cluster and who is up.

use crate::state::{Outcome, State, refuse};
use wire::{Act, Digest, Level, NodeId, Removal, Role, StoreId, UnixMillis};

/// Most members. Each one has a vote and a link to each other one; beyond a few dozen a cluster is
/// slower, not safer.
pub const MAX_MEMBERS: usize = 64;

/// Most invitations open at once; each is a bearer secret that somebody could lose.
pub const MAX_INVITATIONS: usize = 64;

/// Former members remembered, so that they can be told why nobody talks to them.
pub const MAX_REMOVED: usize = 256;

/// An invitation that may still be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// The only name that may use it, if restricted.
    pub node: Option<NodeId>,
    /// Not after this.
    pub expires: UnixMillis,
}

/// A former member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removed {
    /// Its identity key.
    pub identity: [u8; 32],
    /// How it ceased to be a member.
    pub cause: Removal,
    /// Leaf that says so.
    pub leaf: u64,
}

/// Who asks to be admitted.
pub(crate) struct Applicant<'a> {
    pub(crate) node: &'a NodeId,
    pub(crate) identity: [u8; 32],
    pub(crate) address: &'a str,
}

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
    /// `host:port` of its links; `None`: where the configuration says.
    pub address: Option<String>,
    /// Its replica; `None`: it has not told yet, and takes no part in consensus.
    pub store: Option<StoreId>,
    /// Leaf that admitted it; `None`: it stands in the genesis.
    pub admitted: Option<u64>,
}

impl State {
    pub(crate) fn genesis(&mut self, cluster: &str, roster: &[(NodeId, [u8; 32])]) -> Outcome {
        if self.cluster.is_some() {
            return refuse("the log has its genesis already");
        }
        if roster.is_empty() {
            return refuse("a cluster has at least one member");
        }
        if roster.len() > MAX_MEMBERS {
            return refuse(format!("a cluster has at most {MAX_MEMBERS} members"));
        }
        let member = |identity| Member {
            identity,
            up: false,
            incarnation: 0,
            down_reason: None,
            address: None,
            store: Some(StoreId::FOUNDING),
            admitted: None,
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
        match role {
            Role::FeedShare(share) => self.divide(share)?,
            Role::Feed(topic) if self.level >= Level::FEEDS => {
                return refuse(format!(
                    "{topic} is read in shares since level {}",
                    Level::FEEDS
                ));
            }
            Role::Feed(_) | Role::Room(_) => {}
        }
        self.roles.insert(role.clone(), node.clone());
        Ok(())
    }

    /// Acts of a level wait until the ledger has it. Raising it is itself of the level it raises.
    pub(crate) fn check_level(&self, act: &Act) -> Outcome {
        let raises = matches!(act, Act::LevelRaised { .. });
        if raises || act.level() <= self.level {
            return Ok(());
        }
        refuse(format!(
            "the act is of level {}, the ledger has level {}",
            act.level(),
            self.level
        ))
    }

    pub(crate) fn level_raised(&mut self, level: Level) -> Outcome {
        let next = Level(self.level.0 + 1);
        if level != next {
            return refuse(format!("the next level is {next}, not {level}"));
        }
        self.level = level;
        Ok(())
    }

    /// `now` is the clock of whoever proposes: every replica must come to the same answer.
    pub(crate) fn invited(
        &mut self,
        now: UnixMillis,
        invitation: Digest,
        node: Option<&NodeId>,
        expires: UnixMillis,
    ) -> Outcome {
        if expires <= now {
            return refuse("the invitation has expired before it was made");
        }
        if let Some(node) = node.filter(|node| self.members.contains_key(*node)) {
            return refuse(format!("{node} is a member already"));
        }
        if self.invitations.contains_key(&invitation) {
            return refuse("this invitation is open already");
        }
        self.invitations.retain(|_, open| open.expires > now);
        if self.invitations.len() == MAX_INVITATIONS {
            return refuse(format!(
                "{MAX_INVITATIONS} invitations are open, which is the limit; use them or let them expire"
            ));
        }
        let node = node.cloned();
        self.invitations
            .insert(invitation, Invited { node, expires });
        Ok(())
    }

    pub(crate) fn admitted(
        &mut self,
        index: u64,
        now: UnixMillis,
        applicant: &Applicant<'_>,
        invitation: &Digest,
    ) -> Outcome {
        let Applicant {
            node,
            identity,
            address,
        } = applicant;
        let Some(open) = self.invitations.get(invitation) else {
            return refuse("the invitation is unknown, used or expired; ask for a new one");
        };
        if open.expires <= now {
            return refuse("the invitation has expired; ask for a new one");
        }
        if let Some(other) = open.node.as_ref().filter(|other| other != node) {
            return refuse(format!("the invitation is for {other}, not for {node}"));
        }
        if self.members.contains_key(*node) {
            return refuse(format!(
                "{node} is a member already; evict it first if its identity key is lost"
            ));
        }
        if self.keys.to_remove.contains(*node) {
            return refuse(format!(
                "the former {node} is still being removed from the key group; try again"
            ));
        }
        if let Some((other, _)) = self
            .members
            .iter()
            .find(|(_, member)| member.identity == *identity)
        {
            return refuse(format!("{other} has the same identity key"));
        }
        if self.members.len() == MAX_MEMBERS {
            return refuse(format!(
                "there are {MAX_MEMBERS} members, which is the limit"
            ));
        }
        self.invitations.remove(invitation);
        self.removed.remove(*node);
        let member = Member {
            identity: *identity,
            up: false,
            incarnation: 0,
            down_reason: None,
            address: Some((*address).to_owned()),
            store: None,
            admitted: Some(index),
        };
        self.members.insert((*node).clone(), member);
        Ok(())
    }

    pub(crate) fn removed(
        &mut self,
        index: u64,
        proposer: &NodeId,
        node: &NodeId,
        cause: &Removal,
    ) -> Outcome {
        let identity = self.member(node)?.identity;
        match cause {
            Removal::Left if proposer != node => {
                return refuse(format!("only {node} itself can leave; others evict it"));
            }
            Removal::Left | Removal::Evicted { .. } => {}
        }
        if self.members.len() == 1 {
            return refuse(format!("{node} is the last member and cannot go"));
        }
        self.members.remove(node);
        // Unassigned, so that the steward finds them a holder.
        self.roles.retain(|_, holder| holder != node);
        if self.keys.group.is_some() {
            self.keys.to_remove.insert(node.clone());
        }
        let gone = Removed {
            identity,
            cause: cause.clone(),
            leaf: index,
        };
        self.removed.insert(node.clone(), gone);
        if self.removed.len() > MAX_REMOVED {
            let oldest = self.removed.iter().min_by_key(|(_, gone)| gone.leaf);
            if let Some(oldest) = oldest.map(|(node, _)| node.clone()) {
                self.removed.remove(&oldest);
            }
        }
        Ok(())
    }

    pub(crate) fn introduced(
        &mut self,
        proposer: &NodeId,
        node: &NodeId,
        address: &str,
        store: StoreId,
    ) -> Outcome {
        if proposer != node {
            return refuse(format!("only {node} itself can say where it is"));
        }
        let member = self.member_mut(node)?;
        if member.address.as_deref() == Some(address) && member.store == Some(store) {
            return refuse(format!("{node} has said so already"));
        }
        member.address = Some(address.to_owned());
        member.store = Some(store);
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
