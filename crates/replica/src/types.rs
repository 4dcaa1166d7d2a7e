//! The types openraft works with here.

use openraft::EntryPayload;
use serde::{Deserialize, Serialize};
use wire::{NodeId, StoreId};

/// The encoding of a `wire::Record`, or of several (see [`batch`](super::batch)), kept as bytes:
/// what is hashed into the tree is what the leader wrote, whatever version of the software reads it
/// later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Leaf(pub(super) Vec<u8>);

/// What applying an entry answers: for each of its proposals the leaf that carries it (the first
/// one, if it was proposed twice); empty for Raft's own entries.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Answer(pub(super) Vec<u64>);

openraft::declare_raft_types!(
    pub(super) Types:
        D = Leaf,
        R = Answer,
        NodeId = u64,
        Node = openraft::BasicNode,
        SnapshotData = super::snapshot::LeavesFile,
);

pub(super) type Raft = openraft::Raft<Types>;
pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Membership = openraft::StoredMembership<u64, openraft::BasicNode>;
pub(super) type StorageError = openraft::StorageError<u64>;

/// Bytes of acts in `entries`; the rest of them is small.
pub(super) fn weight(entries: &[Entry]) -> u64 {
    let acts = entries.iter().map(|entry| match &entry.payload {
        EntryPayload::Normal(leaf) => leaf.0.len() as u64,
        EntryPayload::Blank | EntryPayload::Membership(_) => 0,
    });
    acts.sum()
}

/// Raft's number for a replica: the first eight bytes of SHA-256 of the node's name, and of its
/// store where that is not the founding one. Unlike an index into the roster it stays when the
/// roster changes; that two members collide is refused at start.
pub(super) fn raft_id(node: &NodeId, store: StoreId) -> u64 {
    let mut name = node.as_str().as_bytes().to_vec();
    if store != StoreId::FOUNDING {
        // No name has a zero byte in it, so no name can pass for another one's store.
        name.push(0);
        name.extend_from_slice(&store.0.to_be_bytes());
    }
    let digest = wire::Digest::of(&name).0;
    u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}
