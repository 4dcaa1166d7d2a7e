//! The steward: on the leader, keeps the ledger's view of members and roles true.

use cluster::Cluster;
use ledger::{Wanted, assign};
use replica::Ledger;
use runtime::clock;
use runtime::service::{ServiceError, StopSignal};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use wire::{Act, NodeId};

/// How often the leader looks around.
const LOOK: Duration = Duration::from_millis(250);
/// A member without a link for this long is held for down. A link notices a dead peer within its
/// own limit; this only rides out a reconnect.
const UNLINKED_LIMIT: Duration = Duration::from_millis(1_000);

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Steward {
    /// This node.
    pub me: NodeId,
    /// Grows with each start of the process.
    pub incarnation: u64,
    /// The ledger.
    pub ledger: Ledger,
    /// The links.
    pub cluster: Cluster,
    /// Roles and their homes, by the configuration.
    pub wanted: Vec<Wanted>,
}

impl Steward {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut unlinked_since = BTreeMap::new();
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                _ = look.tick() => {}
            }
            // Followers watch, too: the next leader then knows since when a peer is gone.
            let acts = self.observe(&mut unlinked_since);
            if !self.ledger.leads() {
                continue;
            }
            for act in acts {
                tracing::info!("steward: {act:?}");
                if let Err(error) = self.ledger.propose(act).await {
                    // The next look decides anew.
                    tracing::debug!("steward: {error}");
                    break;
                }
            }
        }
    }

    /// The acts that make the ledger's view true: members first, then what follows for roles.
    fn observe(&self, unlinked_since: &mut BTreeMap<NodeId, machine::Instant>) -> Vec<Act> {
        let state = self.ledger.state();
        let links = self.cluster.links();
        let now = clock::now();
        let mut acts = Vec::new();
        let mut up = BTreeSet::new();
        for (node, member) in &state.members {
            let incarnation = if *node == self.me {
                Some(self.incarnation)
            } else {
                links.get(node).map(|link| link.incarnation)
            };
            match incarnation {
                Some(incarnation) => {
                    unlinked_since.remove(node);
                    up.insert(node.clone());
                    if !member.up || member.incarnation < incarnation {
                        acts.push(Act::NodeUp {
                            node: node.clone(),
                            incarnation,
                        });
                    }
                }
                None => {
                    let since = *unlinked_since.entry(node.clone()).or_insert(now);
                    if member.up && now.since(since) < UNLINKED_LIMIT {
                        up.insert(node.clone());
                    } else if member.up {
                        let reason =
                            format!("no link to it for {} ms", now.since(since).as_millis());
                        acts.push(Act::NodeDown {
                            node: node.clone(),
                            reason,
                        });
                    }
                }
            }
        }
        acts.extend(assign(&self.wanted, &up, &state.roles));
        acts
    }
}
