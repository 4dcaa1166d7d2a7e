//! Against `ct-merkle`, an independent implementation of RFC 6962.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use tlog::{Frontier, Tree};

/// Enough for seven levels and every shape of right edge; larger trees only repeat them.
const MOST_LEAVES: usize = 130;

fn bytes_of(path: &[tlog::Hash]) -> Vec<u8> {
    path.iter().flat_map(|hash| hash.0).collect()
}

proptest! {
    #[test]
    fn same_roots_and_same_proofs(
        leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..MOST_LEAVES),
        pick in any::<prop::sample::Index>(),
        earlier in any::<prop::sample::Index>(),
    ) {
        let mut oracle = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let (mut tree, mut frontier) = (Tree::new(), Frontier::new());
        for leaf in &leaves {
            oracle.push(leaf.clone());
            tree.append(leaf);
            frontier.append(leaf);
        }
        let size = leaves.len();
        let root = oracle.root();
        prop_assert_eq!(root.as_bytes().to_vec(), tree.root().0.to_vec());
        prop_assert_eq!(frontier.root(), tree.root());

        let index = pick.index(size);
        let proof = tree.prove_inclusion(index as u64, size as u64).unwrap();
        prop_assert_eq!(bytes_of(&proof.path), oracle.prove_inclusion(index).as_bytes().to_vec());
        proof.verify(&leaves[index], &tree.root()).unwrap();

        let old = 1 + earlier.index(size);
        let proof = tree.prove_consistency(old as u64, size as u64).unwrap();
        proof.verify(&tree.root_at(old as u64).unwrap(), &tree.root()).unwrap();
        if old < size {
            prop_assert_eq!(bytes_of(&proof.path), oracle.prove_consistency(size - old).as_bytes().to_vec());
        }
    }
}
