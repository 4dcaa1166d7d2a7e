use std::collections::BTreeSet;
use std::fmt;
use wire::{KeyEpoch, NodeId};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What one key epoch gives to the rest of the node, from the group's exporter (RFC 9420 §8.5).
/// Wiped from memory on drop; never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct EpochSecrets {
    /// The epoch, as the ledger counts it.
    #[zeroize(skip)]
    pub epoch: KeyEpoch,
    /// For the links between nodes.
    pub link: [u8; 32],
    /// For payloads on the data space.
    pub data: [u8; 32],
    /// Who else derives these: the leaves of the group, by name.
    #[zeroize(skip)]
    pub holders: BTreeSet<NodeId>,
}

impl PartialEq for EpochSecrets {
    /// For tests and for noticing a repeated announcement; not constant in time, so never on a
    /// value that an attacker supplies.
    fn eq(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.link == other.link && self.data == other.data
    }
}
impl Eq for EpochSecrets {}

impl fmt::Debug for EpochSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EpochSecrets {{ epoch: {}, link: redacted, data: redacted }}",
            self.epoch
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_key_bytes() {
        let secrets = EpochSecrets {
            epoch: KeyEpoch(7),
            link: [0xab; 32],
            data: [171; 32],
            holders: BTreeSet::new(),
        };
        let text = format!("{secrets:?} {secrets:#?}");
        assert!(text.contains("epoch: 7") && text.contains("redacted"));
        assert!(!text.contains("171") && !text.contains("ab, "), "{text}");
    }
}
