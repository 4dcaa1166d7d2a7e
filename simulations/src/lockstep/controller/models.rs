//! The models that nodes use, as they lie on their disks: a node keeps the one in use for its next start.

use super::world::World;
use crate::lockstep::invariants::{Kept, shadow};
use crate::lockstep::protocol::Program;
use std::path::Path;
use wire::{Digest, Round};

/// Where a node keeps it, below its data directory.
const FILE: &str = "model";

impl World<'_> {
    /// Each node's model against the ledger's.
    pub(super) fn models(&mut self) {
        for place in &self.places {
            if !matches!(place.program, Program::Node { .. }) {
                continue;
            }
            if let Some(kept) = read(&place.dir.join(FILE)) {
                let holds = self.checks.model(&place.name, &kept);
                self.record.check(holds);
            }
        }
    }
}

/// `None`: there is none yet, or what there is cannot be read; a node that finds that asks the others.
fn read(path: &Path) -> Option<Kept> {
    let bytes = std::fs::read(path).ok()?;
    let (round, name, parameters): (Round, Digest, Vec<f32>) = wire::decode(&bytes).ok()?;
    let squares = parameters.iter().map(|value| f64::from(*value).powi(2));
    Some(Kept {
        round: round.0,
        name: name.0,
        digest: federation::model_digest(&parameters).0,
        norm: squares.sum::<f64>().sqrt(),
        place: shadow(&parameters),
    })
}
