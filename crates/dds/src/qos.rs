//! What a topic promises. The words are those of the DDS specification (OMG DDS 1.4 §2.2.3).

use std::time::Duration;

/// Whether lost samples are sent again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reliability {
    /// Sent once: what the network loses is lost. For values that are repeated anyway.
    BestEffort,
    /// Sent again until every live reader has acknowledged.
    Reliable,
}

/// What late subscribers get.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Durability {
    /// Only what is published after they matched.
    Volatile,
    /// Also the last [`Qos::retained`] samples of every key, while the writer lives.
    TransientLocal,
}

/// What happens when a publisher's hand-over queue is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Overflow {
    /// The sample is refused and the caller decides (back-pressure).
    Refuse,
    /// A queued sample of the same key is replaced; refused only when there is none. For topics
    /// where only the newest value counts.
    Replace,
}

/// How a writer shows that it lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Liveliness {
    /// Its process lives, which the DDS implementation tells by itself; without a lease of its own
    /// the participant's counts ([`DomainConfig::lease`](crate::DomainConfig::lease)).
    Automatic {
        /// Silent for longer, and it counts as not alive.
        lease: Option<Duration>,
    },
    /// It publishes on this topic at least once a lease: a process that runs but does no work any
    /// more shows, too.
    ManualByTopic {
        /// Silent for longer, and it counts as not alive.
        lease: Duration,
    },
}

impl Liveliness {
    /// Its lease, if it has one of its own.
    pub const fn lease(self) -> Option<Duration> {
        match self {
            Self::Automatic { lease } => lease,
            Self::ManualByTopic { lease } => Some(lease),
        }
    }
}

/// Whose samples of a key count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// Everybody's.
    Shared,
    /// Those of the strongest live writer of the key; for roles that stand by for one another.
    Exclusive {
        /// Of this node's writers.
        strength: i32,
    },
}

/// How samples are marshalled (DDS-XTypes 1.3 §7.4). Readers take either, whatever is said here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Representation {
    /// Of DDS-XTypes 1.3, where an appendable type has its length before it.
    Xcdr2,
    /// The original encoding, the only one that older implementations read: Fast DDS 2, for example.
    Xcdr1,
}

/// The quality of service of a topic; ordered per key, never disposed by a writer's mere departure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Qos {
    /// Of delivery.
    pub reliability: Reliability,
    /// For late subscribers.
    pub durability: Durability,
    /// Samples per key kept for late subscribers (durability service history; without it a
    /// transient-local writer keeps one).
    pub retained: u16,
    /// Samples per key that wait for a subscriber that does not keep up; beyond it the oldest go
    /// (keep-last history of the reader). 1 says that only the newest counts, in the writer too;
    /// otherwise the writer keeps all until every live reader has acknowledged them.
    pub backlog: u16,
    /// Samples that wait in the hand-over queue of one topic and partition: with `retained` and
    /// `backlog` the resource limits of a topic.
    pub queue: usize,
    /// When that queue is full.
    pub overflow: Overflow,
    /// A writer's promise per key, asked for by the reader: a key silent for longer raises
    /// `SpaceEvent::DeadlineMissed` at the reader and `SpaceEvent::PromiseBroken` at the writer.
    pub deadline: Option<Duration>,
    /// How a writer shows that it lives: offered by the writer, asked for by the reader.
    pub liveliness: Liveliness,
    /// A sample older than this is not delivered any more.
    pub lifespan: Option<Duration>,
    /// A reader wants at most one sample of a key in this time (time-based filter).
    pub time_filter: Option<Duration>,
    /// Whose samples count.
    pub ownership: Ownership,
    /// How this node's writers marshal.
    pub representation: Representation,
}

impl Qos {
    /// Readings: last 16 per key for the next owner of a room (its window refills at once), a
    /// backlog of a quarter of an hour at one report a second, refused when the queue is full so
    /// that the mailbox can defer mail.
    pub const TELEMETRY: Self = Self {
        reliability: Reliability::Reliable,
        durability: Durability::TransientLocal,
        retained: 16,
        backlog: 1024,
        queue: 1024,
        overflow: Overflow::Refuse,
        deadline: None,
        liveliness: Liveliness::Automatic { lease: None },
        lifespan: None,
        time_filter: None,
        ownership: Ownership::Shared,
        representation: Representation::Xcdr2,
    };
    /// Scores, models: only the newest value of a key counts.
    pub const STATE: Self = Self {
        retained: 1,
        backlog: 1,
        queue: 256,
        overflow: Overflow::Replace,
        ..Self::TELEMETRY
    };
    /// Alerts: few, each of them matters, raise and clear of one id are both kept.
    pub const ALERT: Self = Self {
        retained: 4,
        backlog: 64,
        queue: 256,
        overflow: Overflow::Refuse,
        ..Self::TELEMETRY
    };
    /// A node's state, repeated every few seconds: best effort, for the next one makes up for it.
    pub const STATUS: Self = Self {
        reliability: Reliability::BestEffort,
        durability: Durability::Volatile,
        ..Self::STATE
    };

    /// A profile by the name that configurations use.
    pub fn profile(name: &str) -> Option<Self> {
        Self::PROFILES
            .into_iter()
            .find_map(|(known, qos)| (known == name).then_some(qos))
    }

    /// All profiles by name.
    pub const PROFILES: [(&str, Self); 4] = [
        ("telemetry", Self::TELEMETRY),
        ("state", Self::STATE),
        ("alert", Self::ALERT),
        ("status", Self::STATUS),
    ];
}
