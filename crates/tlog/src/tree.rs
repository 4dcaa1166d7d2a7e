//! A tree that can prove: it keeps the hash of every complete subtree.

use crate::{ConsistencyProof, Hash, InclusionProof, empty_root, leaf_hash, node_hash};

/// A question that the tree cannot answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// No such leaf in a tree of that size.
    #[error("leaf {index} is not in a tree of {size} leaves; the last one is {size} - 1")]
    NoSuchLeaf {
        /// The leaf asked for.
        index: u64,
        /// Size of the tree asked about.
        size: u64,
    },
    /// Larger than what is here.
    #[error("a tree of {size} leaves was asked for, only {have} are here; read more leaves first")]
    TooFew {
        /// Size asked for.
        size: u64,
        /// Leaves held.
        have: u64,
    },
    /// The older tree is the larger one.
    #[error("consistency runs from the older to the newer tree, not from {old} to {new} leaves")]
    Backwards {
        /// Size given as the older.
        old: u64,
        /// Size given as the newer.
        new: u64,
    },
}

/// Hashes of all complete subtrees: `levels[k][i]` covers the leaves `i·2^k .. (i+1)·2^k`.
///
/// Takes 64 bytes a leaf, and answers for every earlier size of the log as well.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    levels: Vec<Vec<Hash>>,
}

impl Tree {
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
        let index = self.size();
        let mut hash = leaf;
        let mut level = 0;
        loop {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let row = &mut self.levels[level];
            row.push(hash);
            match row.as_slice() {
                [.., left, right] if row.len().is_multiple_of(2) => hash = node_hash(left, right),
                _ => return index,
            }
            level += 1;
        }
    }

    /// Number of leaves.
    pub fn size(&self) -> u64 {
        self.levels.first().map_or(0, |leaves| leaves.len() as u64)
    }

    /// Hash of one leaf.
    pub fn leaf(&self, index: u64) -> Option<Hash> {
        self.levels
            .first()?
            .get(usize::try_from(index).ok()?)
            .copied()
    }

    /// Root over all leaves.
    pub fn root(&self) -> Hash {
        self.subtree(0, self.size())
    }

    /// Root over the first `size` leaves.
    pub fn root_at(&self, size: u64) -> Result<Hash, TreeError> {
        self.holds(size)?;
        Ok(self.subtree(0, size))
    }

    /// `PATH(index, D[size])`, RFC 6962 §2.1.1.
    pub fn prove_inclusion(&self, index: u64, size: u64) -> Result<InclusionProof, TreeError> {
        self.holds(size)?;
        if index >= size {
            return Err(TreeError::NoSuchLeaf { index, size });
        }
        let mut path = Vec::new();
        let (mut start, mut end) = (0, size);
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                path.push(self.subtree(middle, end));
                end = middle;
            } else {
                path.push(self.subtree(start, middle));
                start = middle;
            }
        }
        path.reverse();
        Ok(InclusionProof { index, size, path })
    }

    /// `PROOF(old, D[new])`, RFC 6962 §2.1.2. Empty where there is nothing to show: from the
    /// empty tree, and between equal sizes.
    pub fn prove_consistency(&self, old: u64, new: u64) -> Result<ConsistencyProof, TreeError> {
        self.holds(new)?;
        if old > new {
            return Err(TreeError::Backwards { old, new });
        }
        let mut path = Vec::new();
        if old > 0 {
            let (mut start, mut end) = (0, new);
            // `start == 0` while the old root itself is the subtree reached: the verifier has it.
            while end != old {
                let middle = start + split(end - start);
                if old <= middle {
                    path.push(self.subtree(middle, end));
                    end = middle;
                } else {
                    path.push(self.subtree(start, middle));
                    start = middle;
                }
            }
            if start != 0 {
                path.push(self.subtree(start, end));
            }
        }
        path.reverse();
        Ok(ConsistencyProof { old, new, path })
    }

    fn holds(&self, size: u64) -> Result<(), TreeError> {
        let have = self.size();
        if size > have {
            Err(TreeError::TooFew { size, have })
        } else {
            Ok(())
        }
    }

    /// `MTH(D[start:end])`, where the range is one that RFC 6962's recursion visits: `start` is
    /// a multiple of the range's length rounded up to a power of two.
    fn subtree(&self, start: u64, end: u64) -> Hash {
        let len = end - start;
        if len == 0 {
            return empty_root();
        }
        if len.is_power_of_two() {
            let level = len.trailing_zeros();
            return self.levels[level as usize][(start >> level) as usize];
        }
        let middle = start + split(len);
        node_hash(&self.subtree(start, middle), &self.subtree(middle, end))
    }
}

/// The largest power of two smaller than `len`, for `len > 1`.
fn split(len: u64) -> u64 {
    1 << (63 - (len - 1).leading_zeros())
}
