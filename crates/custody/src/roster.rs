use ed25519_dalek::VerifyingKey;
use std::collections::{BTreeMap, BTreeSet};
use wire::NodeId;

/// The nodes that may be members of the group, with their ed25519 identity keys.
/// Whoever is not in it is refused, whatever the group's cryptography says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster(BTreeMap<NodeId, [u8; 32]>);

impl Roster {
    /// From pairs of name and ed25519 public key. A later pair of the same name replaces an
    /// earlier one.
    pub fn new(members: impl IntoIterator<Item = (NodeId, [u8; 32])>) -> Self {
        Self(members.into_iter().collect())
    }

    /// Whether `node` is known under exactly this key.
    pub fn knows(&self, node: &NodeId, key: &[u8]) -> bool {
        self.0.get(node).is_some_and(|known| known == key)
            && VerifyingKey::try_from(key).is_ok_and(|key| !key.is_weak())
    }

    /// How many nodes it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it names nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Who belongs to the group as of one place on the ledger. Each commit is judged by the membership
/// at its own place, never by a later one: only so do all members judge alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// Who may have a leaf in the group.
    pub roster: Roster,
    /// Former members that may still have one (`ledger::Keys::to_remove`). While there are any,
    /// the ledger lets only the commit that removes exactly these win, or a new group.
    pub to_remove: BTreeSet<NodeId>,
}

impl Membership {
    /// Of a cluster from which nobody has to be removed.
    pub fn of(roster: Roster) -> Self {
        Self {
            roster,
            to_remove: BTreeSet::new(),
        }
    }

    /// Whether `node` belongs to the group under this key.
    pub fn knows(&self, node: &NodeId, key: &[u8]) -> bool {
        self.roster.knows(node, key) && !self.to_remove.contains(node)
    }
}
