//! Which qualities of service make sense alone, and which meet (OMG DDS 1.4 §2.2.3).

use crate::qos::{Durability, Liveliness, Ownership, Qos, Reliability};
use std::fmt;
use std::time::Duration;

/// Shortest time that a policy may name: below it a scheduling delay looks like a failure.
const SHORTEST: Duration = Duration::from_millis(10);
/// Longest hand-over queue; at `SEALED_MAX` a sample it may already hold 64 GiB in theory, and at
/// the usual kilobyte 64 MiB.
const QUEUE_MAX: usize = 65_536;

/// A quality of service that contradicts itself.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{field}` is {found}; it must be {rule}")]
pub struct QosFault {
    /// Field of [`Qos`], as configurations name it.
    pub field: &'static str,
    /// What it holds.
    pub found: String,
    /// What would be right.
    pub rule: String,
}

impl Qos {
    /// The first rule it breaks.
    pub fn fault(&self) -> Option<QosFault> {
        let wrong = |field, found: String, rule: String| Some(QosFault { field, found, rule });
        let times = [
            ("deadline", self.deadline),
            ("liveliness lease", self.liveliness.lease()),
            ("lifespan", self.lifespan),
            ("time_filter", self.time_filter),
        ];
        for (field, time) in times {
            if let Some(time) = time.filter(|time| *time < SHORTEST) {
                let rule = format!("{SHORTEST:?} or more, for less is a scheduling delay");
                return wrong(field, format!("{time:?}"), rule);
            }
        }
        if self.retained == 0 {
            let rule = "1 or more; without samples for late readers say durability volatile";
            return wrong("retained", "0".into(), rule.into());
        }
        if self.durability == Durability::TransientLocal && self.backlog < self.retained {
            let rule = format!(
                "at least `retained` ({}), or a late reader loses what was kept for it",
                self.retained
            );
            return wrong("backlog", self.backlog.to_string(), rule);
        }
        if !(1..=QUEUE_MAX).contains(&self.queue) {
            return wrong("queue", self.queue.to_string(), format!("1 to {QUEUE_MAX}"));
        }
        if self.durability == Durability::TransientLocal
            && self.reliability == Reliability::BestEffort
        {
            let rule = "reliable where durability is transient-local, for retained samples reach a late reader by retransmission; or make durability volatile";
            return wrong("reliability", "best-effort".into(), rule.into());
        }
        if let (Some(filter), Some(deadline)) = (self.time_filter, self.deadline)
            && filter > deadline
        {
            let rule = format!(
                "at most the deadline ({deadline:?}), or a reader filters out what it waits for"
            );
            return wrong("time_filter", format!("{filter:?}"), rule);
        }
        if let (Liveliness::ManualByTopic { lease }, Some(deadline)) =
            (self.liveliness, self.deadline)
            && lease < deadline
        {
            let rule = format!(
                "at least the deadline ({deadline:?}), or a writer that keeps it counts as dead in between"
            );
            return wrong("liveliness lease", format!("{lease:?}"), rule);
        }
        None
    }
}

/// A policy that a reader asks for and a writer offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Policy {
    /// [`Qos::reliability`].
    Reliability,
    /// [`Qos::durability`].
    Durability,
    /// [`Qos::deadline`].
    Deadline,
    /// [`Qos::ownership`].
    Ownership,
    /// [`Qos::liveliness`].
    Liveliness,
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reliability => "reliability",
            Self::Durability => "durability",
            Self::Deadline => "deadline",
            Self::Ownership => "ownership",
            Self::Liveliness => "liveliness",
        })
    }
}

impl Policy {
    /// What `qos` says about it, in words.
    pub(crate) fn of(self, qos: &Qos) -> String {
        let time = |time: Option<Duration>| {
            time.map_or_else(|| "without limit".into(), |time| format!("{time:?}"))
        };
        match self {
            Self::Reliability => match qos.reliability {
                Reliability::BestEffort => "best-effort".into(),
                Reliability::Reliable => "reliable".into(),
            },
            Self::Durability => match qos.durability {
                Durability::Volatile => "volatile".into(),
                Durability::TransientLocal => "transient-local".into(),
            },
            Self::Deadline => time(qos.deadline),
            Self::Ownership => match qos.ownership {
                Ownership::Shared => "shared".into(),
                Ownership::Exclusive { .. } => "exclusive".into(),
            },
            Self::Liveliness => match qos.liveliness {
                Liveliness::Automatic { lease } => format!("automatic, lease {}", time(lease)),
                Liveliness::ManualByTopic { lease } => format!("manual-by-topic, lease {lease:?}"),
            },
        }
    }
}

/// The first policy by which a writer that offers `offered` and a reader that asks for `requested`
/// do not meet, in the order in which Cyclone DDS looks.
pub(crate) fn mismatch(offered: &Qos, requested: &Qos) -> Option<Policy> {
    // No time given means for ever, which is longer than any.
    let longer = |offered: Option<Duration>, requested: Option<Duration>| {
        requested.is_some_and(|requested| offered.is_none_or(|offered| offered > requested))
    };
    let manual = |qos: &Qos| matches!(qos.liveliness, Liveliness::ManualByTopic { .. });
    let exclusive = |qos: &Qos| matches!(qos.ownership, Ownership::Exclusive { .. });
    if requested.reliability > offered.reliability {
        Some(Policy::Reliability)
    } else if requested.durability > offered.durability {
        Some(Policy::Durability)
    } else if longer(offered.deadline, requested.deadline) {
        Some(Policy::Deadline)
    } else if exclusive(offered) != exclusive(requested) {
        Some(Policy::Ownership)
    } else if manual(requested) && !manual(offered)
        || longer(offered.liveliness.lease(), requested.liveliness.lease())
    {
        Some(Policy::Liveliness)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
