//! The eight-leaf vectors of the Certificate Transparency reference implementation
//! (google/certificate-transparency, merkletree tests).
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use tlog::{
    ConsistencyProof, Frontier, Hash, InclusionProof, ProofError, Tree, TreeError, empty_root,
};

const LEAVES: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];

const ROOTS: [&str; 9] = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

const N01: &str = ROOTS[2];
const N0: &str = ROOTS[1];
const N1: &str = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7";
const N23: &str = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e";
const N4: &str = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b";
const N45: &str = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a";
const N67: &str = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0";
const N4567: &str = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4";
const N0123: &str = ROOTS[4];

fn hash(hex_text: &str) -> Hash {
    Hash(hex::decode(hex_text).unwrap().try_into().unwrap())
}

fn path(hashes: &[&str]) -> Vec<Hash> {
    hashes.iter().map(|h| hash(h)).collect()
}

fn leaves() -> Vec<Vec<u8>> {
    LEAVES
        .iter()
        .map(|leaf| hex::decode(leaf).unwrap())
        .collect()
}

fn tree() -> Tree {
    let mut tree = Tree::new();
    leaves().iter().for_each(|leaf| {
        tree.append(leaf);
    });
    tree
}

#[test]
fn roots_of_every_size() {
    let (mut frontier, mut growing) = (Frontier::new(), Tree::new());
    assert_eq!(frontier.root(), empty_root());
    for (n, leaf) in leaves().iter().enumerate() {
        assert_eq!(frontier.append(leaf), n as u64);
        assert_eq!(growing.append(leaf), n as u64);
        assert_eq!(frontier.root(), hash(ROOTS[n + 1]), "frontier of {}", n + 1);
        assert_eq!(growing.root(), hash(ROOTS[n + 1]), "tree of {}", n + 1);
    }
    for (size, root) in ROOTS.iter().enumerate() {
        assert_eq!(
            tree().root_at(size as u64).unwrap(),
            hash(root),
            "root of the first {size}"
        );
    }
}

#[test]
fn inclusion_paths() {
    let check = |index: u64, size: u64, expected: &[&str]| {
        let proof = tree().prove_inclusion(index, size).unwrap();
        assert_eq!(
            proof,
            InclusionProof {
                index,
                size,
                path: path(expected)
            }
        );
        let leaf = &leaves()[index as usize];
        proof.verify(leaf, &hash(ROOTS[size as usize])).unwrap();
    };
    check(0, 1, &[]);
    check(0, 8, &[N1, N23, N4567]);
    check(5, 8, &[N4, N67, N0123]);
    check(2, 3, &[N01]);
    check(1, 5, &[N0, N23, N4]);
}

#[test]
fn consistency_paths() {
    let check = |old: u64, new: u64, expected: &[&str]| {
        let proof = tree().prove_consistency(old, new).unwrap();
        assert_eq!(
            proof,
            ConsistencyProof {
                old,
                new,
                path: path(expected)
            }
        );
        proof
            .verify(&hash(ROOTS[old as usize]), &hash(ROOTS[new as usize]))
            .unwrap();
    };
    check(0, 8, &[]);
    check(1, 1, &[]);
    check(1, 8, &[N1, N23, N4567]);
    check(6, 8, &[N45, N67, N0123]);
    check(2, 5, &[N23, N4]);
}

#[test]
fn questions_without_an_answer() {
    assert_eq!(
        tree().prove_inclusion(3, 3),
        Err(TreeError::NoSuchLeaf { index: 3, size: 3 })
    );
    assert_eq!(
        tree().prove_inclusion(0, 9),
        Err(TreeError::TooFew { size: 9, have: 8 })
    );
    assert_eq!(
        tree().prove_consistency(5, 4),
        Err(TreeError::Backwards { old: 5, new: 4 })
    );
    assert_eq!(
        tree().root_at(9),
        Err(TreeError::TooFew { size: 9, have: 8 })
    );
}

#[test]
fn every_wrong_proof_is_refused() {
    let tree = tree();
    for size in 1..=8 {
        let root = tree.root_at(size).unwrap();
        for index in 0..size {
            let good = tree.prove_inclusion(index, size).unwrap();
            let leaf = tree.leaf(index).unwrap();
            good.verify_hash(leaf, &root).unwrap();
            let refused = |proof: InclusionProof| proof.verify_hash(leaf, &root).unwrap_err();

            assert!(good.verify_hash(N1_ELSEWHERE, &root).is_err());
            for at in 0..good.path.len() {
                let mut altered = good.clone();
                altered.path[at].0[31] ^= 1;
                assert!(matches!(refused(altered), ProofError::Root { .. }));
            }
            let mut longer = good.clone();
            longer.path.push(root);
            refused(longer);
            let mut shorter = good.clone();
            if shorter.path.pop().is_some() {
                refused(shorter);
            }
            let outside = InclusionProof {
                index: size,
                ..good.clone()
            };
            assert!(matches!(refused(outside), ProofError::OutOfRange { .. }));
        }
        for old in 1..size {
            let old_root = tree.root_at(old).unwrap();
            let good = tree.prove_consistency(old, size).unwrap();
            assert!(good.verify(&root, &root).is_err());
            assert!(good.verify(&old_root, &old_root).is_err());
            for at in 0..good.path.len() {
                let mut altered = good.clone();
                altered.path[at].0[0] ^= 0x80;
                assert!(altered.verify(&old_root, &root).is_err());
                let mut shorter = good.clone();
                shorter.path.remove(at);
                assert!(shorter.verify(&old_root, &root).is_err());
            }
            let mut longer = good.clone();
            longer.path.push(root);
            assert!(longer.verify(&old_root, &root).is_err());
            let backwards = ConsistencyProof {
                old: size,
                new: old,
                path: good.path.clone(),
            };
            assert_eq!(
                backwards.verify(&root, &old_root),
                Err(ProofError::Shrunk {
                    old: size,
                    new: old
                })
            );
        }
    }
    // From the empty tree there is one old root only, and between equals the roots are equal.
    let empty = ConsistencyProof {
        old: 0,
        new: 8,
        path: Vec::new(),
    };
    assert!(empty.verify(&hash(ROOTS[1]), &tree.root()).is_err());
    let equal = ConsistencyProof {
        old: 8,
        new: 8,
        path: Vec::new(),
    };
    assert!(equal.verify(&hash(ROOTS[7]), &tree.root()).is_err());
}

/// A leaf hash that is in no tree here.
const N1_ELSEWHERE: Hash = Hash([7; 32]);
