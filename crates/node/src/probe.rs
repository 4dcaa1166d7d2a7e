//! A look into a running node, without a socket: for simulations and tests. It shows what the node's
//! own parts see, and acts as an operator does; nothing of the node depends on it.

use crate::board::Board;
use crate::control::Control;
use crate::effects::Contribution;
use crate::models::Models;
use crate::space::SealedSpace;
use cluster::Cluster;
use cluster::noise::EpochTable;
use replica::Ledger;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::broadcast;
use wire::control::{Answer, Ask};
use wire::status::Status;
use wire::{Digest, KeyEpoch, NodeId, Round};

/// Cheap to clone; stays valid while the node runs, and what it shows afterwards is what was last.
#[derive(Clone)]
pub struct Probe {
    pub(crate) control: Control,
    pub(crate) cluster: Cluster,
    pub(crate) epochs: EpochTable,
    pub(crate) space: Arc<SealedSpace>,
    pub(crate) models: Arc<Models>,
    pub(crate) updates: broadcast::Sender<Contribution>,
    pub(crate) incarnation: u64,
}

impl Probe {
    /// The node.
    pub fn me(&self) -> &NodeId {
        &self.control.me
    }

    /// Grows with each start.
    pub fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// Views, leadership, phase, leaves, cosigned size; and proposals.
    pub fn ledger(&self) -> &Ledger {
        &self.control.ledger
    }

    /// Links and suspicions.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Newest key epoch that the links may move to.
    pub fn link_epoch(&self) -> KeyEpoch {
        self.epochs.newest().unwrap_or_default()
    }

    /// Key epoch that samples are sealed under; 0: none yet.
    pub fn data_epoch(&self) -> KeyEpoch {
        *self.space.epochs().borrow()
    }

    /// Who holds the keys of that epoch: the leaves of the key group as this node knows it.
    pub fn holders(&self) -> BTreeSet<NodeId> {
        self.space.holders()
    }

    /// The sealed data space, for following its epochs and for trying whether a sample opens.
    pub fn space(&self) -> &Arc<SealedSpace> {
        &self.space
    }

    /// The model in use, if there is one: the round that made it and its digest.
    pub fn model(&self) -> Option<(Round, Digest)> {
        let current = self.models.follow();
        let current = current.borrow();
        current
            .as_ref()
            .map(|used| (used.model.round, used.model.digest))
    }

    /// Follows what this node hands over as a participant.
    pub fn contributions(&self) -> broadcast::Receiver<Contribution> {
        self.updates.subscribe()
    }

    /// What the status page shows.
    pub fn status(&self) -> Status {
        self.board().status()
    }

    /// The counters.
    pub fn board(&self) -> &Arc<Board> {
        &self.control.board
    }

    /// Key epochs in use on each link: ours, the peer's.
    pub fn link_epochs(&self) -> BTreeMap<NodeId, (KeyEpoch, KeyEpoch)> {
        let links = self.cluster.links().into_iter();
        links
            .map(|(node, link)| (node, (link.sending_epoch, link.receiving_epoch)))
            .collect()
    }

    /// What the control socket would answer: invite, evict, leave, split and the rest.
    pub async fn ask(&self, ask: Ask) -> Answer {
        self.control.answer(ask).await
    }
}
