//! Rounds that take updates as they come: what the ledger says of models and of updates that are in one.

use super::{RefusedUpdate, Update};
use crate::fedbuff::{Bases, Buffer};
use machine::mistakes::{self, Mistake};
use std::collections::BTreeMap;
use wire::{Digest, NodeId, Round};

/// The same on every node that has read as much of the ledger.
pub(super) struct Buffered {
    buffer: Buffer,
    bases: Bases,
    /// The last round that each participant's update is in. At most one entry for each that ever was a member.
    counted: BTreeMap<NodeId, Round>,
    /// What came between two rounds, for the next one: at most one of each member that is up. Where others are always
    /// faster, the update of a slow one would find no open round, and its work be thrown away.
    early: BTreeMap<NodeId, Update>,
}

impl Buffered {
    pub(super) fn new(buffer: Buffer) -> Self {
        Self {
            buffer,
            bases: Bases::new(buffer),
            counted: BTreeMap::new(),
            early: BTreeMap::new(),
        }
    }

    pub(super) fn opened(&mut self, model: Digest) {
        self.bases.opened(model);
    }

    pub(super) fn closed(&mut self, round: Round, participants: Vec<NodeId>) {
        let counted = participants.into_iter().map(|node| (node, round));
        self.counted.extend(counted);
        let counted = &self.counted;
        self.early
            .retain(|_, update| is_new(counted, update).is_ok());
    }

    /// An update that came while no round was open; a later one of the same node is as good or better. False: it is in a
    /// model already.
    pub(super) fn hold(&mut self, update: Update) -> bool {
        let is_new = is_new(&self.counted, &update).is_ok();
        if is_new {
            self.early.insert(update.node.clone(), update);
        }
        is_new
    }

    /// They, for the round that has been opened.
    pub(super) fn take_early(&mut self) -> BTreeMap<NodeId, Update> {
        std::mem::take(&mut self.early)
    }

    pub(super) fn rolled_back(&mut self) {
        self.bases.rolled_back();
        self.early.clear();
    }

    /// τ of an update, unless it comes a second time.
    pub(super) fn age(&self, update: &Update) -> Result<usize, RefusedUpdate> {
        if !mistakes::on(Mistake::UpdateCountedAgain) {
            is_new(&self.counted, update)?;
        }
        self.bases.age(update.base).ok_or(RefusedUpdate::Stale {
            base: update.base,
            most: self.buffer.max_staleness,
        })
    }
}

/// A participant trains from the model of a round that was opened after its last update counted.
fn is_new(counted: &BTreeMap<NodeId, Round>, update: &Update) -> Result<(), RefusedUpdate> {
    let Update { round, node, .. } = update;
    match counted.get(node).filter(|counted| round <= counted) {
        None => Ok(()),
        Some(counted) => Err(RefusedUpdate::Counted {
            node: node.clone(),
            of: *round,
            counted: *counted,
        }),
    }
}
