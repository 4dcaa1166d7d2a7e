//! What the data space tells about itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Discovery and contract events. Counts are the current ones of that endpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpaceEvent {
    /// A reader appeared for one of our writers.
    ReaderMatched {
        /// Topic.
        topic: String,
        /// Our writer's partition.
        partition: String,
        /// Readers matched now.
        readers: u32,
    },
    /// A reader left (closed, or its lease ran out).
    ReaderLost {
        /// Topic.
        topic: String,
        /// Our writer's partition.
        partition: String,
        /// Readers matched now.
        readers: u32,
    },
    /// A writer appeared for one of our readers.
    WriterMatched {
        /// Topic.
        topic: String,
        /// Writers matched now.
        writers: u32,
    },
    /// A writer left (closed, or its lease ran out).
    WriterLost {
        /// Topic.
        topic: String,
        /// Writers matched now.
        writers: u32,
    },
    /// A key of a subscribed topic was silent for longer than the topic's deadline.
    DeadlineMissed {
        /// Topic.
        topic: String,
        /// The key, where it is known: of several at once, Cyclone tells the last.
        key: Option<String>,
        /// The topic's deadline.
        deadline: Duration,
        /// Misses since the reader was made.
        total: u32,
    },
    /// One of our own writers did not do in time what its topic promises.
    PromiseBroken {
        /// Topic.
        topic: String,
        /// Our writer's partition.
        partition: String,
        /// What it promised.
        promise: Promise,
        /// How often it was broken since the writer was made.
        total: u32,
    },
    /// A matched writer has not shown life for its lease.
    LivelinessLost {
        /// Topic.
        topic: String,
        /// Our reader's partitions, with commas between.
        partitions: String,
        /// Matched writers that are alive.
        alive: u32,
        /// Matched writers that are not.
        silent: u32,
    },
    /// A matched writer that had been silent shows life again, or left.
    LivelinessRegained {
        /// Topic.
        topic: String,
        /// Our reader's partitions, with commas between.
        partitions: String,
        /// Matched writers that are alive.
        alive: u32,
        /// Matched writers that are not.
        silent: u32,
    },
    /// Another endpoint of the topic asks for or offers what ours cannot meet: they do not match.
    IncompatibleQos {
        /// Topic.
        topic: String,
        /// What does not fit, in words, naming both ends.
        sentence: String,
    },
}

/// What a writer promises in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// A sample of every key within the topic's deadline.
    Deadline,
    /// A sign of life within its lease.
    Liveliness,
}

/// Totals since the space was joined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Samples handed over by publishers and accepted.
    pub accepted: u64,
    /// Samples refused because a queue was full.
    pub refused: u64,
    /// Samples replaced in a queue by a newer one of the same key.
    pub replaced: u64,
    /// Samples written to the data space.
    pub written: u64,
    /// Samples and disposals delivered into subscriptions.
    pub delivered: u64,
    /// Samples dropped on arrival because they break the type's rules (key not UTF-8, too large).
    pub malformed: u64,
}

#[derive(Default, Debug)]
pub(crate) struct Meter {
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) replaced: AtomicU64,
    pub(crate) written: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) malformed: AtomicU64,
}

impl Meter {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Counters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counters {
            accepted: get(&self.accepted),
            refused: get(&self.refused),
            replaced: get(&self.replaced),
            written: get(&self.written),
            delivered: get(&self.delivered),
            malformed: get(&self.malformed),
        }
    }
}
