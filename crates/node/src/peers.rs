//! The ledger's way to the other nodes: over the cluster's links.

use cluster::{CallError, Cluster};
use futures::future::BoxFuture;
use replica::{ConsensusNet, NetError};
use std::time::Duration;
use wire::{Call, NodeId, Record, Reply};

/// A consensus message is answered within an election's time or not worth waiting for.
const CONSENSUS_LIMIT: Duration = Duration::from_secs(2);
/// A forwarded proposal waits for its commit.
const PROPOSE_LIMIT: Duration = Duration::from_secs(5);

/// Calls over links.
pub struct Peers {
    cluster: Cluster,
}

impl Peers {
    /// Over this node's links.
    pub fn new(cluster: Cluster) -> Self {
        Self { cluster }
    }
}

fn net_error(error: CallError) -> NetError {
    match error {
        CallError::NotLinked { node } => NetError::NoLink(node),
        CallError::Lost { node } | CallError::TimedOut { node, .. } => NetError::NoAnswer(node),
        CallError::Congested { .. }
        | CallError::NotSpoken { .. }
        | CallError::TooLarge { .. }
        | CallError::Malformed(_) => NetError::Unexpected {
            peer: NodeId::new("peer"),
            what: error.to_string(),
        },
    }
}

impl ConsensusNet for Peers {
    fn call<'a>(
        &'a self,
        to: &'a NodeId,
        bytes: Vec<u8>,
    ) -> BoxFuture<'a, Result<Vec<u8>, NetError>> {
        Box::pin(async move {
            match self
                .cluster
                .call(to, Call::Consensus(bytes), CONSENSUS_LIMIT)
                .await
            {
                Ok(Reply::Consensus(bytes)) => Ok(bytes),
                Ok(other) => Err(NetError::Unexpected {
                    peer: to.clone(),
                    what: format!("{other:?}"),
                }),
                Err(error) => Err(net_error(error)),
            }
        })
    }

    fn propose<'a>(
        &'a self,
        to: &'a NodeId,
        record: Record,
    ) -> BoxFuture<'a, Result<Reply, NetError>> {
        Box::pin(async move {
            let call = Call::Propose(Box::new(record));
            self.cluster
                .call(to, call, PROPOSE_LIMIT)
                .await
                .map_err(net_error)
        })
    }
}
