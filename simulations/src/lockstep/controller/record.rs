//! What is kept of a run: hashes, coverage, the story, broken rules.

use crate::lockstep::invariants::Broken;
use crate::lockstep::protocol::Seen;
use crate::outcome::{Happening, Kind, Violation};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

#[derive(Default)]
pub(super) struct Recorder {
    pub(super) now: u64,
    tell: bool,
    trace: Sha256,
    wire: Sha256,
    pub(super) events: u64,
    pub(super) coverage: BTreeSet<u64>,
    pub(super) story: Vec<Happening>,
    pub(super) violations: Vec<Violation>,
}

impl Recorder {
    pub(super) fn new(tell: bool) -> Self {
        Self {
            tell,
            ..Self::default()
        }
    }

    /// Something that two runs of one plan have in common.
    pub(super) fn event(&mut self, what: &impl Serialize) {
        // Serializing plain data into memory does not fail.
        let bytes = postcard::to_stdvec(&(self.now, what)).unwrap_or_default();
        self.trace.update((bytes.len() as u64).to_le_bytes());
        self.trace.update(bytes);
        self.events += 1;
    }

    /// Bytes between processes.
    pub(super) fn wire(&mut self, conn: u64, bytes: &[u8]) {
        self.wire.update(conn.to_le_bytes());
        self.wire.update((bytes.len() as u64).to_le_bytes());
        self.wire.update(bytes);
    }

    /// A kind of event in a kind of state.
    pub(super) fn covers(&mut self, event: &str, state: &impl Serialize) {
        let state = postcard::to_stdvec(state).unwrap_or_default();
        let digest = Sha256::new()
            .chain_update(event)
            .chain_update([0])
            .chain_update(state);
        let digest = digest.finalize();
        let mut hash = [0; 8];
        hash.copy_from_slice(&digest[..8]);
        self.coverage.insert(u64::from_le_bytes(hash));
    }

    /// Something that a process showed. Log lines are for people: nothing follows from them.
    pub(super) fn seen(&mut self, lane: &str, seen: &Seen) {
        if !matches!(seen, Seen::Kind(Kind::Log(_))) {
            self.event(&(lane, seen));
        }
    }

    /// Part of the story, if that is wanted.
    pub(super) fn tell(&mut self, lane: &str, what: impl FnOnce() -> Kind) {
        if self.tell {
            self.story.push(Happening {
                at_ms: self.now,
                lane: lane.to_owned(),
                what: what(),
            });
        }
    }

    /// Something the controller did.
    pub(super) fn fault(&mut self, lane: &str, what: &str) {
        self.event(&(lane, what));
        self.tell(lane, || Kind::Fault(what.to_owned()));
    }

    /// A rule that did not hold.
    pub(super) fn check(&mut self, holds: Result<(), Broken>) {
        if let Err(Broken { rule, detail }) = holds {
            self.violations.push(Violation {
                id: rule.id.to_owned(),
                says: rule.says.to_owned(),
                at_ms: self.now,
                detail,
            });
        }
    }

    pub(super) fn trace_hash(&self) -> String {
        hex::encode(self.trace.clone().finalize())
    }

    pub(super) fn wire_hash(&self) -> String {
        hex::encode(self.wire.clone().finalize())
    }
}
