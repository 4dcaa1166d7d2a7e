//! A ledger as far as admissions need one: leaves, their tree, and notes signed by whom one likes.

use super::key;
use tlog::{Checkpoint, KeyName, NoteSigner, Tree};
use wire::{Act, Admission, Digest, MemberEntry, NodeId, ProposalId, Record, UnixMillis};

/// The leaf that admits, among the others.
pub(crate) const LEAF: u64 = 5;

pub(crate) fn entry(name: &str, address: &str) -> MemberEntry {
    MemberEntry {
        node: name.into(),
        identity: key(name).verifying_key().to_bytes(),
        address: address.to_owned(),
    }
}

pub(crate) fn record(act: Act) -> Record {
    Record {
        id: ProposalId([9; 16]),
        proposer: "a".into(),
        time: UnixMillis(1_700_000_000_000),
        act,
    }
}

pub(crate) fn admits(name: &str) -> Act {
    let MemberEntry {
        node,
        identity,
        address,
    } = entry(name, "127.0.0.1:7");
    Act::Admitted {
        node,
        identity,
        address,
        invitation: Digest([4; 32]),
    }
}

/// The admission by leaf [`LEAF`] of a log of `size` leaves of `cluster`; the leaf says `act`, and
/// the keys of `signers` signed, each under the name that stands with it.
pub(crate) fn admission(
    cluster: &str,
    size: u64,
    act: Act,
    signers: &[(&str, String)],
) -> Admission {
    let leaf = wire::encode(&record(act));
    let mut tree = Tree::new();
    for index in 0..size {
        if index == LEAF {
            tree.append(&leaf);
        } else {
            tree.append(&wire::encode(&record(Act::NodeUp {
                node: NodeId::from("a"),
                incarnation: index,
            })));
        }
    }
    let checkpoint = Checkpoint {
        origin: KeyName::new(&format!("glasshouse/{cluster}")).unwrap(),
        size,
        root: tree.root(),
    };
    let keys: Vec<_> = signers
        .iter()
        .map(|(who, name)| (KeyName::new(name).unwrap(), key(who)))
        .collect();
    let signers: Vec<_> = keys
        .iter()
        .map(|(name, key)| NoteSigner::new(name, key))
        .collect();
    let proof = tree.prove_inclusion(LEAF, size).unwrap();
    Admission {
        index: LEAF,
        leaf,
        path: proof.path.iter().map(|hash| hash.0).collect(),
        note: checkpoint.sign(&signers).unwrap().encode(),
    }
}

/// As [`admission`], of `name` to the cluster "house", signed by all of `signers` under the log's
/// own name.
pub(crate) fn admission_of(name: &str, signers: &[&str]) -> Admission {
    let signers: Vec<_> = signers
        .iter()
        .map(|who| (*who, "glasshouse/house".to_owned()))
        .collect();
    admission("house", 21, admits(name), &signers)
}
