//! The models that nodes keep on their disks: the one in use, for the next start, and a few before it.

use super::world::World;
use crate::lockstep::invariants::{Kept, shadow};
use crate::lockstep::protocol::Program;
use learn::Shape;
use node::models::store;
use std::path::Path;
use wire::{Digest, Round};

/// Where a node keeps them, below its data directory.
const FOLDER: &str = "models";

impl World<'_> {
    /// Each node's models against the ledger's.
    pub(super) fn models(&mut self) {
        for place in &self.places {
            if !matches!(place.program, Program::Node { .. }) {
                continue;
            }
            for (round, name, path) in store::list(&place.dir.join(FOLDER)) {
                if let Some(kept) = read(&path, round, name) {
                    let holds = self.checks.model(&place.name, &kept);
                    self.record.check(holds);
                }
            }
        }
    }
}

/// `None`: it cannot be read; a node that finds that asks the others.
fn read(path: &Path, round: Round, name: Digest) -> Option<Kept> {
    let parameters = learn::file::decode(&std::fs::read(path).ok()?)
        .ok()?
        .parameters;
    let weights = Shape::default().parameter_count();
    // A control variate stands behind them, if there is one.
    let (head, variate) = match federation::scaffold::split(&parameters) {
        Some((head, variate)) if head.len() == weights => (head, shadow(variate)),
        Some(_) | None => (&parameters[..], None),
    };
    let squares = parameters.iter().map(|value| f64::from(*value).powi(2));
    Some(Kept {
        round: round.0,
        name: name.0,
        digest: federation::model_digest(&parameters).0,
        norm: squares.sum::<f64>().sqrt(),
        place: shadow(head),
        variate,
    })
}
