//! The right edge of the tree: all an appender has to remember.

use crate::{Hash, empty_root, leaf_hash, node_hash};

/// Roots of the complete subtrees along the right edge, largest first. One for each set bit of
/// the size, so at most 64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    edge: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a leaf by its bytes; returns its index.
    pub fn append(&mut self, leaf: &[u8]) -> u64 {
        self.append_hash(leaf_hash(leaf))
    }

    /// Appends a leaf by its hash; returns its index.
    pub fn append_hash(&mut self, leaf: Hash) -> u64 {
        let index = self.size;
        let mut hash = leaf;
        // Each trailing one bit of the old size is a complete subtree that the new leaf completes
        // into one of twice the size, as in binary addition.
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.edge.push(hash);
        self.size += 1;
        index
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// `MTH` over all leaves, RFC 6962 §2.1.
    pub fn root(&self) -> Hash {
        let mut right_to_left = self.edge.iter().rev();
        match right_to_left.next() {
            None => empty_root(),
            Some(last) => right_to_left.fold(*last, |right, left| node_hash(left, &right)),
        }
    }
}
