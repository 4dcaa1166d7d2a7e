//! The data space: how it is joined, and what its topics promise.

use crate::check::Problems;
use dds::{
    DomainConfig, Durability, Liveliness, Overflow, Ownership, Qos, Reliability, Representation,
    Topic,
};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// `[dds]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Dds {
    /// DDS domain id, 0–230.
    pub domain: u32,
    /// Only participants with the same tag meet; empty is what every DDS tool has.
    pub tag: String,
    /// Addresses of the network interfaces the data space uses.
    #[serde(alias = "interface", deserialize_with = "one_or_many")]
    pub interfaces: Vec<IpAddr>,
    /// Discover others by multicast.
    pub multicast: bool,
    /// Where to look for other participants, `address`, `name`, either with `:port`; a name stands
    /// for all its addresses.
    pub peers: Vec<String>,
    /// A participant that was silent for this long is gone.
    pub lease_ms: u64,
    /// RTPS ports start here, plus 250 for each domain id.
    pub port_base: u16,
    /// Fixed participant index, and so fixed ports; absent: the first that is free.
    pub participant: Option<u16>,
    /// Participants to expect on one host: so many ports are tried on each peer.
    pub participants: u16,
    /// Send the hash of the key with every sample, for readers such as those of Fast DDS 2.
    pub key_hashes: bool,
    /// Certificates and permissions, where only who has them may join.
    pub security: Option<Security>,
    /// Topics by their short names, where they differ from the defaults.
    #[serde(rename = "topic")]
    pub topics: BTreeMap<String, TopicQos>,
}

impl Default for Dds {
    fn default() -> Self {
        let base = DomainConfig::loopback(0);
        Self {
            domain: 0,
            tag: String::new(),
            interfaces: vec![Ipv4Addr::LOCALHOST.into()],
            multicast: false,
            peers: vec!["127.0.0.1".into()],
            // Until then a dead node's readers hold back the writers of lossless topics. Twice the
            // time in which a link notices a dead peer.
            lease_ms: 4_000,
            port_base: base.port_base,
            participant: None,
            participants: base.participants,
            key_hashes: base.key_hashes,
            security: None,
            topics: BTreeMap::new(),
        }
    }
}

/// `[dds.security]`: the files of DDS Security 1.1, as docs/dds.md has them made.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Certificate of the authority that vouches for participants.
    pub identity_ca: PathBuf,
    /// Certificate of the authority that signed the two documents.
    pub permissions_ca: PathBuf,
    /// This node's certificate.
    pub certificate: PathBuf,
    /// Its private key, readable by its owner only.
    pub private_key: PathBuf,
    /// What is protected and how, signed; the same for all.
    pub governance: PathBuf,
    /// What this node may read and write, signed.
    pub permissions: PathBuf,
}

impl Security {
    pub(crate) fn paths(&mut self) -> [&mut PathBuf; 6] {
        [
            &mut self.identity_ca,
            &mut self.permissions_ca,
            &mut self.certificate,
            &mut self.private_key,
            &mut self.governance,
            &mut self.permissions,
        ]
    }

    fn files(&self) -> dds::Security {
        dds::Security {
            identity_ca: self.identity_ca.clone(),
            permissions_ca: self.permissions_ca.clone(),
            certificate: self.certificate.clone(),
            private_key: self.private_key.clone(),
            governance: self.governance.clone(),
            permissions: self.permissions.clone(),
        }
    }
}

/// `[dds.topic.NAME]`: a profile and what differs from it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TopicQos {
    /// What to start from; absent: the topic's own default.
    pub profile: Option<String>,
    /// `reliable` or `best-effort`.
    pub reliability: Option<ReliabilityKind>,
    /// `transient-local` or `volatile`.
    pub durability: Option<DurabilityKind>,
    /// Samples per key for late readers.
    pub retained: Option<u16>,
    /// Samples per key that wait for a slow reader.
    pub backlog: Option<u16>,
    /// Samples that wait to be written.
    pub queue: Option<usize>,
    /// `refuse` or `replace`, when the queue is full.
    pub overflow: Option<OverflowKind>,
    /// Each key at least once in so many milliseconds.
    pub deadline_ms: Option<u64>,
    /// `automatic` or `manual`.
    pub liveliness: Option<LivelinessKind>,
    /// A writer without a sign of life for so long is not alive.
    pub lease_ms: Option<u64>,
    /// Samples older than this are not delivered.
    pub lifespan_ms: Option<u64>,
    /// Readers take at most one sample of a key in this time.
    pub time_filter_ms: Option<u64>,
    /// `shared` or `exclusive`.
    pub ownership: Option<OwnershipKind>,
    /// Of this node's writers under exclusive ownership; the strongest counts.
    pub strength: Option<i32>,
    /// `xcdr2` or `xcdr1`: how this node's writers marshal.
    pub representation: Option<RepresentationKind>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$variant_doc])* $variant),* }
    };
}

words!(
    /// `reliability`
    ReliabilityKind {
        /// Lost samples are sent again.
        Reliable,
        /// Lost samples are lost.
        BestEffort
    }
);
words!(
    /// `durability`
    DurabilityKind {
        /// Late readers get what is retained.
        TransientLocal,
        /// They do not.
        Volatile
    }
);
words!(
    /// `overflow`
    OverflowKind {
        /// The publisher is told to wait.
        Refuse,
        /// An older sample of the key gives way.
        Replace
    }
);
words!(
    /// `liveliness`
    LivelinessKind {
        /// The process lives.
        Automatic,
        /// It publishes.
        Manual
    }
);
words!(
    /// `ownership`
    OwnershipKind {
        /// Every writer counts.
        Shared,
        /// The strongest counts.
        Exclusive
    }
);

words!(
    /// `representation`
    RepresentationKind {
        /// Of DDS-XTypes 1.3.
        Xcdr2,
        /// What older implementations read.
        Xcdr1
    }
);

impl TopicQos {
    /// On top of `default`, or of the profile it names.
    fn qos(&self, default: Qos) -> Qos {
        let mut qos = self
            .profile
            .as_deref()
            .and_then(Qos::profile)
            .unwrap_or(default);
        if let Some(kind) = self.reliability {
            qos.reliability = match kind {
                ReliabilityKind::Reliable => Reliability::Reliable,
                ReliabilityKind::BestEffort => Reliability::BestEffort,
            };
        }
        if let Some(kind) = self.durability {
            qos.durability = match kind {
                DurabilityKind::TransientLocal => Durability::TransientLocal,
                DurabilityKind::Volatile => Durability::Volatile,
            };
        }
        if let Some(kind) = self.overflow {
            qos.overflow = match kind {
                OverflowKind::Refuse => Overflow::Refuse,
                OverflowKind::Replace => Overflow::Replace,
            };
        }
        qos.retained = self.retained.unwrap_or(qos.retained);
        qos.backlog = self.backlog.unwrap_or(qos.backlog);
        qos.queue = self.queue.unwrap_or(qos.queue);
        let time = |ms: Option<u64>| ms.map(Duration::from_millis);
        qos.deadline = time(self.deadline_ms).or(qos.deadline);
        qos.lifespan = time(self.lifespan_ms).or(qos.lifespan);
        qos.time_filter = time(self.time_filter_ms).or(qos.time_filter);
        let lease = time(self.lease_ms);
        qos.liveliness = match (self.liveliness, lease) {
            (None | Some(LivelinessKind::Automatic), Some(lease)) => {
                Liveliness::Automatic { lease: Some(lease) }
            }
            (Some(LivelinessKind::Automatic), None) => Liveliness::Automatic { lease: None },
            (Some(LivelinessKind::Manual), Some(lease)) => Liveliness::ManualByTopic { lease },
            // Manual without a lease is refused by `check`.
            (Some(LivelinessKind::Manual) | None, None) => qos.liveliness,
        };
        qos.ownership = match self.ownership {
            Some(OwnershipKind::Exclusive) => Ownership::Exclusive {
                strength: self.strength.unwrap_or(0),
            },
            Some(OwnershipKind::Shared) => Ownership::Shared,
            None => qos.ownership,
        };
        if let Some(kind) = self.representation {
            qos.representation = match kind {
                RepresentationKind::Xcdr2 => Representation::Xcdr2,
                RepresentationKind::Xcdr1 => Representation::Xcdr1,
            };
        }
        qos
    }

    fn check(&self, name: &str, default: Qos, found: &mut Problems) {
        let key = |field: &str| format!("dds.topic.{name}.{field}");
        let profiles = Qos::PROFILES.map(|(name, _)| name);
        found.require(
            self.profile
                .as_deref()
                .is_none_or(|name| Qos::profile(name).is_some()),
            key("profile"),
            &self.profile,
            format!("one of {profiles:?}"),
        );
        found.require(
            self.liveliness != Some(LivelinessKind::Manual) || self.lease_ms.is_some(),
            key("lease_ms"),
            self.lease_ms,
            "given, since liveliness is manual: how often a writer publishes at least",
        );
        found.require(
            self.strength.is_none() || self.ownership == Some(OwnershipKind::Exclusive),
            key("strength"),
            self.strength,
            "left out, or ownership made \"exclusive\": among shared writers nobody is stronger",
        );
        if let Some(fault) = self.qos(default).fault() {
            let field = match fault.field {
                "deadline" => "deadline_ms",
                "lifespan" => "lifespan_ms",
                "time_filter" => "time_filter_ms",
                "liveliness lease" => "lease_ms",
                other => other,
            };
            found.add(key(field), fault.found, fault.rule);
        }
    }
}

impl Dds {
    /// How the domain is joined, with `peers` as they stand here: names are not looked up yet.
    pub fn domain_config(&self) -> DomainConfig {
        DomainConfig {
            domain: self.domain,
            tag: self.tag.clone(),
            interfaces: self.interfaces.clone(),
            multicast: self.multicast,
            peers: self.peers.clone(),
            lease: Duration::from_millis(self.lease_ms),
            port_base: self.port_base,
            participant: self.participant,
            participants: self.participants,
            key_hashes: self.key_hashes,
            security: self.security.as_ref().map(Security::files),
        }
    }

    /// The topics that differ from their defaults.
    pub fn configured_topics(&self) -> Vec<Topic> {
        let known = |(name, qos): (&String, &TopicQos)| {
            let topic = Topic::known(name)?;
            let qos = qos.qos(*topic.qos());
            Some(topic.with_qos(qos))
        };
        self.topics.iter().filter_map(known).collect()
    }

    pub(crate) fn check(&self, found: &mut Problems) {
        let domain = self.domain_config();
        if let Some(fault) = domain.fault() {
            found.add(format!("dds.{}", fault.field), fault.found, fault.rule);
        }
        found.require(
            self.security.is_none() || dds::Security::BUILT_IN,
            "dds.security",
            "given",
            "left out, for this program is built without DDS Security; `cargo build --release --features security` builds it in",
        );
        let names = Topic::ALL.map(|(name, _)| name);
        for (name, qos) in &self.topics {
            match Topic::known(name) {
                Some(topic) => qos.check(name, *topic.qos(), found),
                None => found.require(
                    false,
                    format!("dds.topic.{name}"),
                    name,
                    format!("one of the topics {names:?}"),
                ),
            }
        }
    }
}

/// A list, or one value for a list of one.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "an IP address or a list of IP addresses")]
    enum OneOrMany {
        One(IpAddr),
        Many(Vec<IpAddr>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    })
}
