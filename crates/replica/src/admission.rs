//! Proof of membership, for links to members whose ledger is behind.

use super::StoreError;
use super::handle::{Inner, Ledger};
use super::leaves::{LEAVES, LeafReader};
use super::notary::Cosigned;
use runtime::blocking::in_place;
use std::time::Duration;
use tlog::{Tree, TreeError};
use tokio::time::timeout;
use wire::{Admission, NodeId};

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum AdmissionError {
    /// The ledger here does not know the node.
    #[error("{0} is not a member, by this node's ledger")]
    NoMember(NodeId),
    /// It needs none.
    #[error(
        "{0} stands in the genesis: every node knows it from its configuration, there is no admission to prove"
    )]
    Founder(NodeId),
    /// A majority has not yet signed for the leaf.
    #[error(
        "no majority of the members has signed for leaf {leaf} within {within:?}; are they up and linked?"
    )]
    NotCosigned {
        /// The leaf that admits it.
        leaf: u64,
        /// The time limit.
        within: Duration,
    },
    /// The leaves cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tree cannot answer.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

impl Ledger {
    /// The leaf that admitted `node`, with its inclusion proof under a checkpoint that a majority
    /// of the members signed; waits for such a checkpoint.
    pub async fn admission(
        &self,
        node: &NodeId,
        limit: Duration,
    ) -> Result<Admission, AdmissionError> {
        let inner = self.inner();
        let state = inner.store.now().state;
        let member = state.members.get(node);
        let member = member.ok_or_else(|| AdmissionError::NoMember(node.clone()))?;
        let leaf = member
            .admitted
            .ok_or_else(|| AdmissionError::Founder(node.clone()))?;
        let mut news = inner.notary.news();
        let covers = |newest: &Option<Cosigned>| {
            newest
                .as_ref()
                .is_some_and(|newest| newest.checkpoint.size > leaf)
        };
        let newest = match timeout(limit, news.wait_for(covers)).await {
            Ok(Ok(newest)) => newest.clone(),
            Ok(Err(_)) | Err(_) => None,
        };
        let not_cosigned = AdmissionError::NotCosigned {
            leaf,
            within: limit,
        };
        let newest = newest.ok_or(not_cosigned)?;
        in_place(|| prove(inner, leaf, newest))
    }
}

/// Reads the leaves anew: admissions are rare, and a tree in memory would cost every node 64 bytes
/// a leaf for ever.
fn prove(inner: &Inner, index: u64, newest: Cosigned) -> Result<Admission, AdmissionError> {
    let path = inner.dir.join(LEAVES);
    let mut reader = LeafReader::open(&path)?;
    let (mut tree, mut leaf) = (Tree::new(), Vec::new());
    let size = newest.checkpoint.size;
    while tree.size() < size {
        let Ok((stored, _, _)) = reader.next()? else {
            break;
        };
        if tree.append(&stored.bytes) == index {
            leaf = stored.bytes;
        }
    }
    let proof = tree.prove_inclusion(index, size)?;
    Ok(Admission {
        index,
        leaf,
        path: proof.path.into_iter().map(|hash| hash.0).collect(),
        note: newest.note,
    })
}
