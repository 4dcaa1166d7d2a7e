//! Topics by name.

use crate::qos::Qos;
use std::borrow::Cow;

/// A topic: name and quality of service. All parties must agree on what a reader may ask for
/// ([`crate::Policy`]).
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
    /// Sealed announcements of models, keyed by model.
    pub const MODELS: Self = Self::fixed("glasshouse_models", Qos::STATE);
    /// Sealed state of nodes, keyed by node.
    pub const STATUS: Self = Self::fixed("glasshouse_status", Qos::STATUS);

    /// All of them, each with the short name that configurations use.
    pub const ALL: [(&str, Self); 5] = [
        ("readings", Self::READINGS),
        ("scores", Self::SCORES),
        ("alerts", Self::ALERTS),
        ("models", Self::MODELS),
        ("status", Self::STATUS),
    ];

    const fn fixed(name: &'static str, qos: Qos) -> Self {
        Self {
            name: Cow::Borrowed(name),
            qos,
        }
    }

    /// One of [`Topic::ALL`] by its short name.
    pub fn known(short: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find_map(|(name, topic)| (name == short).then_some(topic))
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
