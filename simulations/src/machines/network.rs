//! Events and when they happen; who reaches whom.

use machine::Instant;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::{Digest, Frame, Record, Round};

/// Something that will happen. `life` is the process it is meant for: what a dead process started
/// does not come back to its successor. Frames and proposals arrive all the same.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A machine's deadline.
    Tick {
        node: usize,
        life: u64,
    },
    Frame {
        from: usize,
        to: usize,
        frame: Arc<Frame>,
    },
    /// A proposal reaches the leader.
    Propose {
        from: usize,
        record: Arc<Record>,
    },
    /// Its proposer hears nothing more of it.
    Unknown {
        node: usize,
        life: u64,
        record: Arc<Record>,
    },
    /// A replica hears that the log is committed up to `upto`.
    Learn {
        node: usize,
        life: u64,
        upto: usize,
    },
    GroupInfo {
        from: usize,
        node: usize,
        life: u64,
        answer: Option<Vec<u8>>,
    },
    AnswersDone {
        node: usize,
        life: u64,
    },
    Trained {
        node: usize,
        life: u64,
        round: Round,
    },
    ModelAnswer {
        node: usize,
        life: u64,
        digest: Digest,
        found: Option<Arc<Vec<f32>>>,
    },
    /// A device reports at `node`.
    Reading {
        node: usize,
    },
    Payload {
        to: usize,
        device: usize,
        bytes: Arc<Vec<u8>>,
    },
    Fault,
    Heal {
        node: usize,
    },
    Restart {
        node: usize,
    },
    /// Followers miss the leader, or heartbeats find one again.
    Elect,
    /// The leader notices who is up.
    Steward,
}

/// Events in order of time; those of one moment in order of scheduling.
#[derive(Default)]
pub(crate) struct Queue {
    events: BTreeMap<(Instant, u64), Event>,
    scheduled: u64,
}

impl Queue {
    pub(crate) fn at(&mut self, when: Instant, event: Event) {
        self.scheduled += 1;
        self.events.insert((when, self.scheduled), event);
    }

    pub(crate) fn next(&mut self) -> Option<(Instant, Event)> {
        self.events
            .pop_first()
            .map(|((when, _), event)| (when, event))
    }
}

/// Cut-off nodes reach nobody and nobody reaches them.
#[derive(Default)]
pub(crate) struct Cuts(BTreeSet<usize>);

impl Cuts {
    pub(crate) fn cut(&mut self, node: usize) {
        self.0.insert(node);
    }

    pub(crate) fn heal(&mut self, node: usize) {
        self.0.remove(&node);
    }

    pub(crate) fn linked(&self, a: usize, b: usize) -> bool {
        a == b || !(self.0.contains(&a) || self.0.contains(&b))
    }
}
