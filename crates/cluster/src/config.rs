use crate::noise::{Identity, Roster};
use async_trait::async_trait;
use ed25519_dalek::SigningKey;
use std::collections::BTreeMap;
use wire::{Call, Frame, NodeId, Reply};

/// Who this node is and who belongs to the cluster.
pub struct ClusterConfig {
    /// Name of the cluster; part of every handshake.
    pub cluster: String,
    /// This node.
    pub me: NodeId,
    /// Must grow with each start of the process, e.g. the wall clock in milliseconds.
    pub incarnation: u64,
    /// This node's identity key.
    pub identity: SigningKey,
    /// All nodes with their ed25519 identity keys; this one may be among them.
    pub roster: BTreeMap<NodeId, [u8; 32]>,
}

impl ClusterConfig {
    pub(super) fn split(self) -> (Identity, Roster, Vec<NodeId>) {
        let identity = Identity::new(
            &self.cluster,
            self.me.clone(),
            self.incarnation,
            &self.identity,
        );
        let peers = self
            .roster
            .keys()
            .filter(|node| **node != self.me)
            .cloned()
            .collect();
        (identity, self.roster.into_iter().collect(), peers)
    }
}

/// Serves what peers send. `from` is the proven identity of the link's other end.
#[async_trait]
pub trait GatewayHandler: Send + Sync + 'static {
    /// One frame. Frames of one peer come one after the other, in the order sent; the next one
    /// waits for this, and the peer's window with it, so hand slow work on.
    async fn frame(&self, from: NodeId, frame: Frame);

    /// One call. Calls run beside each other, each in its own task, and are dropped at the
    /// caller's time limit.
    async fn call(&self, from: NodeId, call: Call) -> Reply;
}
