//! What the pure machines' outputs do. One file per machine, one arm per output.

mod aggregator;
mod custodian;
mod monitor;
mod participant;

pub use aggregator::AggregatorEffects;
pub use custodian::{CustodianEffects, Served};
pub use monitor::MonitorEffects;
pub use participant::{Contribution, Made, ParticipantEffects, Sent};

use cluster::Cluster;
use std::sync::Arc;
use std::time::Duration;
use wire::{Call, Digest, NodeId, Reply};

/// A peer on a link answers a small question in milliseconds; one that is busy electing or
/// replaying may take a second.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// Asks every linked peer at once; those that do not answer in time are left out.
async fn ask_all(cluster: &Cluster, call: &Call) -> Vec<(NodeId, Reply)> {
    let asks = cluster.links().into_keys().map(|peer| {
        let call = call.clone();
        async move {
            let reply = cluster.call(&peer, call, ASK_LIMIT).await;
            reply.ok().map(|reply| (peer, reply))
        }
    });
    futures::future::join_all(asks)
        .await
        .into_iter()
        .flatten()
        .collect()
}

/// The model with this digest, from whichever peer has it. One after the other: a model is
/// megabytes, and the first peer usually has it.
pub(crate) async fn fetch_model(cluster: &Cluster, digest: Digest) -> Option<Arc<Vec<f32>>> {
    for peer in cluster.links().into_keys() {
        let answer = cluster.call(&peer, Call::Model(digest), ASK_LIMIT).await;
        if let Ok(Reply::Model(Some((_, parameters)))) = answer
            && federation::model_digest(&parameters) == digest
        {
            return Some(Arc::new(parameters));
        }
    }
    None
}
