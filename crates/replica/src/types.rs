//! The types openraft works with here.

use serde::{Deserialize, Serialize};
use wire::NodeId;

/// The encoding of a `wire::Record`, kept as bytes: what is hashed into the tree is what the
/// leader wrote, whatever version of the software reads it later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Leaf(pub(super) Vec<u8>);

/// What applying an entry answers: the leaf that carries the proposal (the first one, if it was
/// proposed twice); `None` for Raft's own entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Answer(pub(super) Option<u64>);

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

/// Raft's number for a node: the first eight bytes of SHA-256 of its name. Unlike an index into
/// the roster it stays when the roster changes; that two members collide is refused at start.
pub(super) fn raft_id(node: &NodeId) -> u64 {
    let digest = wire::Digest::of(node.as_str().as_bytes()).0;
    u64::from_be_bytes(digest[..8].try_into().expect("a digest has 32 bytes"))
}
