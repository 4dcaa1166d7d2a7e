//! The ledger's way to the other nodes: [`replica`]'s net over [`cluster`]'s links. Neither of the
//! two knows the other.

use cluster::{CallError, Cluster};
use futures::future::BoxFuture;
use replica::{ConsensusNet, NetError};
use std::time::Duration;
use wire::{Call, Frame, NodeId, Reply};

/// A consensus message is answered within an election's time or not worth waiting for.
const CONSENSUS_LIMIT: Duration = Duration::from_secs(2);
/// A forwarded proposal waits for its commit.
const PROPOSE_LIMIT: Duration = Duration::from_secs(5);

/// Calls and frames over the links of a [`Cluster`].
pub struct Peers {
    cluster: Cluster,
}

impl Peers {
    /// Over this node's links.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }
}

fn net_error(to: &NodeId, error: CallError) -> NetError {
    match error {
        CallError::NotLinked { node } => NetError::NoLink(node),
        CallError::Lost { node } | CallError::TimedOut { node, .. } => NetError::NoAnswer(node),
        CallError::NotSpoken { node, .. } => NetError::NotSpoken(node),
        CallError::Congested { .. } | CallError::TooLarge { .. } | CallError::Malformed(_) => {
            NetError::Unexpected {
                peer: to.clone(),
                what: error.to_string(),
            }
        }
    }
}

impl ConsensusNet for Peers {
    fn call<'a>(&'a self, to: &'a NodeId, call: Call) -> BoxFuture<'a, Result<Reply, NetError>> {
        Box::pin(async move {
            let limit = match &call {
                Call::Propose(_) => PROPOSE_LIMIT,
                Call::Consensus(_)
                | Call::GroupInfo
                | Call::Model(_)
                | Call::Cosign { .. }
                | Call::ReadIndex
                | Call::Holdings
                | Call::Opinion(_) => CONSENSUS_LIMIT,
            };
            self.cluster
                .call(to, call, limit)
                .await
                .map_err(|error| net_error(to, error))
        })
    }

    fn cast(&self, to: &NodeId, frame: Frame) {
        if let Err(error) = self.cluster.cast(to, frame) {
            tracing::debug!("{error}");
        }
    }

    fn peers(&self) -> Vec<NodeId> {
        self.cluster.links().into_keys().collect()
    }
}
