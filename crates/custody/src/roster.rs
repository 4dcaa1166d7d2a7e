use ed25519_dalek::VerifyingKey;
use std::collections::BTreeMap;
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
