//! Topics and what they promise. The words are those of the DDS specification (OMG DDS 1.4 §2.2.3).

use std::borrow::Cow;
use std::time::Duration;

/// What late subscribers get.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// The quality of service of a topic; always reliable, ordered per key, never disposed by a
/// writer's mere departure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Qos {
    /// For late subscribers.
    pub durability: Durability,
    /// Samples per key kept for late subscribers (durability service history; without it a
    /// transient-local writer keeps one).
    pub retained: u16,
    /// Samples per key that wait for a subscriber that does not keep up; beyond it the oldest go
    /// (keep-last history of the reader). 1 says that only the newest counts, in the writer too;
    /// otherwise the writer keeps all until every live reader has acknowledged them.
    pub backlog: u16,
    /// Samples that wait in the hand-over queue of one topic and partition.
    pub queue: usize,
    /// When that queue is full.
    pub overflow: Overflow,
    /// A writer's promise per key, asked for by the reader: a key silent for longer raises
    /// `SpaceEvent::DeadlineMissed` (never in memory, where there is no clock).
    pub deadline: Option<Duration>,
}

impl Qos {
    /// Readings: last 16 per key for the next owner of a room (its window refills at once), a
    /// backlog of a quarter of an hour at one report a second, refused when the queue is full so
    /// that the mailbox can defer mail.
    pub const TELEMETRY: Self = Self {
        durability: Durability::TransientLocal,
        retained: 16,
        backlog: 1024,
        queue: 1024,
        overflow: Overflow::Refuse,
        deadline: None,
    };
    /// Scores: only the newest value of a key counts.
    pub const STATE: Self = Self {
        durability: Durability::TransientLocal,
        retained: 1,
        backlog: 1,
        queue: 256,
        overflow: Overflow::Replace,
        deadline: None,
    };
    /// Alerts: few, each of them matters, raise and clear of one id are both kept.
    pub const ALERT: Self = Self {
        durability: Durability::TransientLocal,
        retained: 4,
        backlog: 64,
        queue: 256,
        overflow: Overflow::Refuse,
        deadline: None,
    };
}

/// A topic: name and quality of service. All parties must agree on durability.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topic {
    name: Cow<'static, str>,
    qos: Qos,
}

impl Topic {
    /// Sealed readings, keyed by device.
    pub const READINGS: Self = Self::fixed("glasshouse_readings", Qos::TELEMETRY);
    /// Sealed scores, keyed by device.
    pub const SCORES: Self = Self::fixed("glasshouse_scores", Qos::STATE);
    /// Sealed alerts, keyed by alert id.
    pub const ALERTS: Self = Self::fixed("glasshouse_alerts", Qos::ALERT);

    /// Sealed announcements of the model that the last round made, keyed by cluster.
    pub const MODELS: Self = Self::fixed("glasshouse_models", Qos::STATE);
    /// Sealed views that nodes have of themselves, keyed by node.
    pub const NODES: Self = Self::fixed("glasshouse_nodes", Qos::STATE);

    /// All topics of a house.
    pub const ALL: [Self; 5] = [
        Self::READINGS,
        Self::SCORES,
        Self::ALERTS,
        Self::MODELS,
        Self::NODES,
    ];

    const fn fixed(name: &'static str, qos: Qos) -> Self {
        Self {
            name: Cow::Borrowed(name),
            qos,
        }
    }

    /// Another topic. `None` unless the name is a DDS name: a letter, then letters, digits and
    /// underscores, at most 128 bytes.
    pub fn new(name: &str, qos: Qos) -> Option<Self> {
        let legal = name.len() <= 128
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        legal.then(|| Self {
            name: Cow::Owned(name.to_owned()),
            qos,
        })
    }

    /// Its name on the data space.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its quality of service.
    pub const fn qos(&self) -> &Qos {
        &self.qos
    }

    /// The same topic with another quality of service.
    #[must_use]
    pub fn with_qos(mut self, qos: Qos) -> Self {
        self.qos = qos;
        self
    }
}
