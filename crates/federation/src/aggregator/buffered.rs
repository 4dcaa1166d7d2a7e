//! Rounds that take updates as they come: what the ledger says of models and of updates that are in one.

use super::{RefusedUpdate, Update};
use crate::fedbuff::{Bases, Buffer};
use std::collections::BTreeMap;
use wire::{Digest, NodeId, Round};

/// The same on every node that has read as much of the ledger.
pub(super) struct Buffered {
    buffer: Buffer,
    bases: Bases,
    /// The last round that each participant's update is in. At most one entry for each that ever was a member.
    counted: BTreeMap<NodeId, Round>,
}

impl Buffered {
    pub(super) fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            bases: Bases::new(buffer),
            counted: BTreeMap::new(),
        }
    }

    pub(super) fn opened(&mut self, model: Digest) {
        self.bases.opened(model);
    }

    pub(super) fn closed(&mut self, round: Round, participants: Vec<NodeId>) {
        let counted = participants.into_iter().map(|node| (node, round));
        self.counted.extend(counted);
    }

    pub(super) fn rolled_back(&mut self) {
        self.bases.rolled_back();
    }

    /// τ of an update. A participant trains from the model of a round that was opened after its last update
    /// counted; one of before comes a second time.
    pub(super) fn age(&self, update: &Update) -> Result<usize, RefusedUpdate> {
        let Update { round, node, .. } = update;
        if let Some(counted) = self.counted.get(node).filter(|counted| round <= counted) {
            return Err(RefusedUpdate::Counted {
                node: node.clone(),
                of: *round,
                counted: *counted,
            });
        }
        self.bases.age(update.base).ok_or(RefusedUpdate::Stale {
            base: update.base,
            most: self.buffer.max_staleness,
        })
    }
}
