//! Proofs and their verification. A verifier needs no tree, only roots it trusts.

use crate::{Hash, empty_root, leaf_hash, node_hash};

/// Longest proof accepted: a tree of 2^64 leaves has 64 levels, and a consistency proof one
/// hash more than that.
pub const MAX_PROOF_HASHES: usize = 65;

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The leaf lies outside the tree.
    #[error("leaf {index} cannot be in a tree of {size} leaves")]
    OutOfRange {
        /// The leaf.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// The older tree is the larger one.
    #[error("a log only grows: {old} leaves cannot have become {new}")]
    Shrunk {
        /// Older size.
        old: u64,
        /// Newer size.
        new: u64,
    },
    /// Too many or too few hashes for these sizes.
    #[error("a proof between these sizes has another number of hashes than {found}")]
    Length {
        /// Hashes in the proof.
        found: usize,
    },
    /// The proof leads to another root than the trusted one.
    #[error("the proof leads to root {computed}, the trusted root is {trusted}")]
    Root {
        /// Root computed from the proof.
        computed: Hash,
        /// Root to be met.
        trusted: Hash,
    },
}

/// Shows that a leaf is in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Index of the leaf, from 0.
    pub index: u64,
    /// Leaves in the tree.
    pub size: u64,
    /// Sibling hashes, from the leaf upwards.
    pub path: Vec<Hash>,
}

/// Shows that a tree grew out of an older one by appending only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Leaves in the older tree.
    pub old: u64,
    /// Leaves in the newer tree.
    pub new: u64,
    /// Hashes in the order of RFC 6962 §2.1.2.
    pub path: Vec<Hash>,
}

impl InclusionProof {
    /// Is `leaf` (its bytes) at `self.index` of the tree with this root? RFC 9162 §2.1.3.2.
    pub fn verify(&self, leaf: &[u8], root: &Hash) -> Result<(), ProofError> {
        self.verify_hash(leaf_hash(leaf), root)
    }

    /// As [`verify`](Self::verify), from the leaf's hash.
    pub fn verify_hash(&self, leaf: Hash, root: &Hash) -> Result<(), ProofError> {
        let Self {
            index,
            size,
            ref path,
        } = *self;
        if index >= size {
            return Err(ProofError::OutOfRange { index, size });
        }
        let wrong_length = ProofError::Length { found: path.len() };
        let (mut node, mut last) = (index, size - 1);
        let mut hash = leaf;
        for sibling in path {
            if last == 0 {
                return Err(wrong_length);
            }
            if node & 1 == 1 || node == last {
                hash = node_hash(sibling, &hash);
                // The right edge may skip levels at which it has no sibling.
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node_hash(&hash, sibling);
            }
            node >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(wrong_length);
        }
        meets(hash, root)
    }
}

impl ConsistencyProof {
    /// Did the tree with `new_root` grow out of the one with `old_root`? RFC 9162 §2.1.4.2.
    pub fn verify(&self, old_root: &Hash, new_root: &Hash) -> Result<(), ProofError> {
        let Self { old, new, ref path } = *self;
        if old > new {
            return Err(ProofError::Shrunk { old, new });
        }
        let wrong_length = || ProofError::Length { found: path.len() };
        if old == 0 || old == new {
            if !path.is_empty() {
                return Err(wrong_length());
            }
            return meets(if old == 0 { empty_root() } else { *new_root }, old_root);
        }
        // Where the old tree is complete, the path leaves out its root: it is the start.
        let mut hashes = old
            .is_power_of_two()
            .then_some(old_root)
            .into_iter()
            .chain(path);
        let first = hashes.next().ok_or_else(wrong_length)?;
        let (mut node, mut last) = (old - 1, new - 1);
        while node & 1 == 1 {
            node >>= 1;
            last >>= 1;
        }
        let (mut from_old, mut from_new) = (*first, *first);
        for hash in hashes {
            if last == 0 {
                return Err(wrong_length());
            }
            if node & 1 == 1 || node == last {
                from_old = node_hash(hash, &from_old);
                from_new = node_hash(hash, &from_new);
                while node & 1 == 0 && node != 0 {
                    node >>= 1;
                    last >>= 1;
                }
            } else {
                from_new = node_hash(&from_new, hash);
            }
            node >>= 1;
            last >>= 1;
        }
        if last != 0 {
            return Err(wrong_length());
        }
        meets(from_old, old_root)?;
        meets(from_new, new_root)
    }
}

fn meets(computed: Hash, trusted: &Hash) -> Result<(), ProofError> {
    if computed == *trusted {
        Ok(())
    } else {
        Err(ProofError::Root {
            computed,
            trusted: *trusted,
        })
    }
}
