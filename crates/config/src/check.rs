//! Rules that types cannot express.

use super::Config;
use edge::smtp::MAX_MESSAGE;
use std::collections::BTreeSet;
use std::fmt;

/// One complaint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// Dotted key.
    pub key: String,
    /// The value found.
    pub value: String,
    /// What would be right.
    pub rule: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is {}; it must be {}",
            self.key, self.value, self.rule
        )
    }
}

/// Longest heartbeat: some gear mails a status once a month; rarer is no sign of life.
const MAX_HEARTBEAT_S: u64 = 32 * 24 * 3_600;

/// Most alert mails one by one: beyond a hundred in a window nobody reads them.
const MAX_DIGEST_AFTER: usize = 100;

/// Longest a digest gathers, in seconds: an alert that is told an hour late is told too late.
const MAX_DIGEST_WINDOW_S: u64 = 3_600;

/// Longest an alert counts as the same again, in seconds: the next day somebody else is on duty.
const MAX_REPEAT_S: u64 = 24 * 3_600;

pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// A rule that was found broken elsewhere, with its value in words.
    pub(super) fn add(&mut self, key: String, value: String, rule: String) {
        self.0.push(Problem { key, value, rule });
    }

    pub(super) fn require(
        &mut self,
        ok: bool,
        key: impl Into<String>,
        value: impl fmt::Debug,
        rule: impl Into<String>,
    ) {
        if !ok {
            self.0.push(Problem {
                key: key.into(),
                value: format!("{value:?}"),
                rule: rule.into(),
            });
        }
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 63
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

pub(super) fn is_host_port(text: &str) -> bool {
    text.rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl Config {
    /// All violated rules, in file order; empty when the file is good.
    pub fn problems(&self) -> Vec<Problem> {
        let mut found = Problems(Vec::new());
        self.check_cluster(&mut found);
        self.check_doors(&mut found);
        self.check_house(&mut found);
        self.check_learning(&mut found);
        found.0
    }

    fn check_cluster(&self, found: &mut Problems) {
        const NAME: &str = "1 to 63 letters, digits or `-`";
        found.require(is_name(&self.node.name), "node.name", &self.node.name, NAME);
        found.require(
            self.node.admin.ip().is_loopback(),
            "node.admin",
            self.node.admin,
            "a loopback address such as 127.0.0.1:7100, for the status page has no login",
        );
        found.require(
            is_name(&self.cluster.name),
            "cluster.name",
            &self.cluster.name,
            NAME,
        );
        found.require(
            !self.cluster.allow_faults || self.cluster.listen.ip().is_loopback(),
            "cluster.allow_faults",
            self.cluster.allow_faults,
            format!(
                "false, for `cluster.listen` is {} and links are cut on command only in trials on loopback",
                self.cluster.listen
            ),
        );
        let mut names = BTreeSet::new();
        for (i, peer) in self.cluster.peers.iter().enumerate() {
            let key = |field: &str| format!("cluster.peer[{i}].{field}");
            found.require(is_name(&peer.name), key("name"), &peer.name, NAME);
            found.require(
                names.insert(&peer.name),
                key("name"),
                &peer.name,
                "unique among the peers",
            );
            found.require(
                is_host_port(&peer.address),
                key("address"),
                &peer.address,
                "`host:port`",
            );
            let bytes = hex::decode(&peer.identity)
                .ok()
                .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
            found.require(
                bytes.is_some_and(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).is_ok()),
                key("identity"),
                &peer.identity,
                "an ed25519 public key of 64 hex digits, as `glasshouse identity` prints it",
            );
        }
        self.check_detection(found);
        let newest = wire::Level::NEWEST.0;
        found.require(
            self.cluster.level.is_none_or(|level| level <= newest),
            "cluster.level",
            self.cluster.level,
            format!("at most {newest}, which is the newest level of this program"),
        );
        found.require(
            self.cluster.address.as_deref().is_none_or(is_host_port),
            "cluster.address",
            &self.cluster.address,
            "`host:port` as other nodes reach it",
        );
        found.require(
            self.cluster.address.is_some() || !self.cluster.listen.ip().is_unspecified(),
            "cluster.address",
            &self.cluster.address,
            "given when `cluster.listen` is all addresses, for others cannot dial that",
        );
        found.require(
            names.contains(&self.node.name) || self.cluster.admission.is_some(),
            "cluster.peer",
            &names,
            format!("a list that includes this node, `{}`", self.node.name),
        );
    }

    fn check_detection(&self, found: &mut Problems) {
        let detection = &self.cluster.detection;
        found.require(
            (20..=1_000).contains(&detection.heartbeat_ms),
            "cluster.detection.heartbeat_ms",
            detection.heartbeat_ms,
            "between 20 and 1000: more often is load, more seldom finds no death in two seconds",
        );
        found.require(
            detection.threshold >= 1.0 && detection.threshold <= 100.0,
            "cluster.detection.threshold",
            detection.threshold,
            "between 1 and 100; 8 is usual",
        );
        found.require(
            (1..=60_000).contains(&detection.pause_ms),
            "cluster.detection.pause_ms",
            detection.pause_ms,
            "between 1 and 60000",
        );
        found.require(
            (1..=60_000).contains(&detection.reconnect_ms),
            "cluster.detection.reconnect_ms",
            detection.reconnect_ms,
            "between 1 and 60000",
        );
    }

    fn check_doors(&self, found: &mut Problems) {
        let mailbox = &self.mailbox;
        found.require(
            !mailbox.domains.is_empty(),
            "mailbox.domains",
            &mailbox.domains,
            "at least one recipient domain, for a mailbox that accepts nobody is of no use",
        );
        found.require(
            (1 << 10..=MAX_MESSAGE).contains(&mailbox.max_message_bytes),
            "mailbox.max_message_bytes",
            mailbox.max_message_bytes,
            format!("between 1024 and {MAX_MESSAGE} bytes"),
        );
        found.require(
            mailbox.max_sessions > 0,
            "mailbox.max_sessions",
            mailbox.max_sessions,
            "at least 1",
        );
        found.require(
            (1..=mailbox.max_sessions).contains(&mailbox.max_sessions_per_address),
            "mailbox.max_sessions_per_address",
            mailbox.max_sessions_per_address,
            "between 1 and mailbox.max_sessions",
        );
        self.check_mailbox(found);
        found.require(
            mailbox.certificate.is_some() == mailbox.key.is_some(),
            "mailbox.certificate",
            &mailbox.certificate,
            "given together with mailbox.key, or neither",
        );
        if let Some(feed) = &self.feed {
            feed.access().check(found);
            found.require(
                ["records", "json", "registry"].contains(&feed.format.as_str()),
                "feed.format",
                &feed.format,
                "\"records\", \"json\" or \"registry\"",
            );
            feed.check_registry(found);
            found.require(
                feed.copybook.is_some() || feed.format != "records",
                "feed.copybook",
                &feed.copybook,
                "the file that describes a record, since the values are records",
            );
            found.require(
                feed.code_page
                    .parse::<telemetry::ebcdic::CodePage>()
                    .is_ok(),
                "feed.code_page",
                &feed.code_page,
                "\"037\", \"273\", \"500\", \"1047\" or \"1140\"",
            );
            found.require(
                feed.framing
                    .parse::<telemetry::copybook::framing::Framing>()
                    .is_ok(),
                "feed.framing",
                &feed.framing,
                "\"fixed\", \"rdw\" or \"bdw\"",
            );
            for (i, name) in feed.windows_by.iter().enumerate() {
                found.require(
                    name.parse::<telemetry::transactions::Dimension>().is_ok(),
                    format!("feed.windows_by[{i}]"),
                    name,
                    "\"key\", \"type\", \"terminal\" or \"response\"",
                );
            }
            found.require(
                feed.fields.terminal.is_some()
                    || !feed.windows_by.iter().any(|name| name == "terminal"),
                "feed.fields.terminal",
                &feed.fields.terminal,
                "the terminal's field, since feed.windows_by names it",
            );
            found.require(
                (1..=256).contains(&feed.shares),
                "feed.shares",
                feed.shares,
                "1 to 256: no more than partitions that the topic will ever have",
            );
            found.require(
                (100..=3_600_000).contains(&feed.window_ms),
                "feed.window_ms",
                feed.window_ms,
                "between 100 and 3600000 milliseconds",
            );
        }
        if let Some(export) = &self.export {
            export.check(found);
        }
        if let Some(alerts) = &self.alerts {
            found.require(
                is_host_port(&alerts.relay),
                "alerts.relay",
                &alerts.relay,
                "host:port",
            );
            found.require(
                !alerts.to.is_empty(),
                "alerts.to",
                &alerts.to,
                "at least one address",
            );
            for (key, address) in std::iter::once(("alerts.from", &alerts.from))
                .chain(alerts.to.iter().map(|to| ("alerts.to", to)))
            {
                found.require(address.contains('@'), key, address, "a mail address");
            }
            found.require(
                (1..=MAX_DIGEST_AFTER).contains(&alerts.digest_after),
                "alerts.digest_after",
                alerts.digest_after,
                format!("1 to {MAX_DIGEST_AFTER}"),
            );
            found.require(
                (1..=MAX_DIGEST_WINDOW_S).contains(&alerts.digest_window_s),
                "alerts.digest_window_s",
                alerts.digest_window_s,
                format!("1 to {MAX_DIGEST_WINDOW_S}"),
            );
            found.require(
                alerts.repeat_s <= MAX_REPEAT_S,
                "alerts.repeat_s",
                alerts.repeat_s,
                format!("0 to {MAX_REPEAT_S}"),
            );
        }
    }

    fn check_house(&self, found: &mut Problems) {
        self.dds.check(found);
        let topics = dds::Topic::ALL;
        let topics: Vec<&str> = topics.iter().map(|(_, topic)| topic.name()).collect();
        for (i, topic) in self.keys.origin_proof.iter().enumerate() {
            found.require(
                topics.contains(&topic.as_str()),
                format!("keys.origin_proof[{i}]"),
                topic,
                format!("one of the topics {}", topics.join(", ")),
            );
        }
        let peers: BTreeSet<&str> = self
            .cluster
            .peers
            .iter()
            .map(|peer| peer.name.as_str())
            .collect();
        let member = format!("one of the cluster's nodes {peers:?}");
        let mut rooms = BTreeSet::new();
        for (i, room) in self.rooms.iter().enumerate() {
            let key = |field: &str| format!("room[{i}].{field}");
            found.require(
                rooms.insert(room.name.as_str()),
                key("name"),
                &room.name,
                "unique among the rooms",
            );
            found.require(
                peers.contains(room.home.as_str()),
                key("home"),
                &room.home,
                &member,
            );
        }
        let in_rooms = format!("one of the rooms {rooms:?}");
        if let Some(feed) = &self.feed {
            found.require(
                rooms.contains(feed.room.as_str()),
                "feed.room",
                &feed.room,
                &in_rooms,
            );
            found.require(
                feed.home
                    .as_ref()
                    .is_none_or(|home| peers.contains(home.as_str())),
                "feed.home",
                &feed.home,
                &member,
            );
        }
        let (mut ids, mut addresses) = (BTreeSet::new(), BTreeSet::new());
        for (i, device) in self.devices.iter().enumerate() {
            let key = |field: &str| format!("device[{i}].{field}");
            found.require(
                ids.insert(&device.id),
                key("id"),
                &device.id,
                "unique among the devices",
            );
            found.require(
                rooms.contains(device.room.as_str()),
                key("room"),
                &device.room,
                &in_rooms,
            );
            found.require(
                !device.addresses.is_empty(),
                key("addresses"),
                &device.addresses,
                "at least one sender address",
            );
            found.require(
                device
                    .heartbeat_s
                    .is_none_or(|seconds| (1..=MAX_HEARTBEAT_S).contains(&seconds)),
                key("heartbeat_s"),
                device.heartbeat_s,
                format!("between 1 and {MAX_HEARTBEAT_S} seconds"),
            );
            for address in &device.addresses {
                found.require(
                    addresses.insert(address.to_ascii_lowercase()),
                    key("addresses"),
                    address,
                    "used by one device only",
                );
            }
            device.check_proofs(i, found);
        }
    }

    fn check_learning(&self, found: &mut Problems) {
        let learning = &self.learning;
        found.require(
            (2..=self.cluster.peers.len().max(2)).contains(&learning.min_cohort),
            "learning.min_cohort",
            learning.min_cohort,
            "between 2 (a mean of one would reveal it) and the number of nodes",
        );
        found.require(
            learning.secure_aggregation != Some(true)
                || learning.min_cohort >= crate::learning::MIN_SECURE_COHORT,
            "learning.secure_aggregation",
            "true",
            "false while learning.min_cohort is below 3: the sum of two updates tells each of the two the other's",
        );
        found.require(
            (100..=3_600_000).contains(&learning.round_timeout_ms),
            "learning.round_timeout_ms",
            learning.round_timeout_ms,
            "between 100 and 3600000 milliseconds",
        );
        found.require(
            (100..=3_600_000).contains(&learning.resend_ms),
            "learning.resend_ms",
            learning.resend_ms,
            "between 100 and 3600000 milliseconds",
        );
        found.require(
            (1..=100).contains(&learning.local_epochs),
            "learning.local_epochs",
            learning.local_epochs,
            "between 1 and 100",
        );
        found.require(
            learning
                .learning_rate
                .is_none_or(|rate| rate > 0.0 && rate <= 1.0),
            "learning.learning_rate",
            learning.learning_rate,
            "above 0 and at most 1",
        );
        found.require(
            (learning.min_examples.max(1)..=100_000).contains(&learning.window),
            "learning.window",
            learning.window,
            "between learning.min_examples and 100000",
        );
        found.require(
            learning.personal_epochs <= 20,
            "learning.personal_epochs",
            learning.personal_epochs,
            "at most 20; beyond it a node unlearns what it has from the others",
        );
        found.require(
            (1e-9..=0.1).contains(&learning.false_alarm_rate),
            "learning.false_alarm_rate",
            learning.false_alarm_rate,
            "between 0.000000001 and 0.1 false alarms per example",
        );
        learning.check_algorithms(found);
        found.require(
            self.keys.grace_epochs >= 1,
            "keys.grace_epochs",
            self.keys.grace_epochs,
            "at least 1, or samples in flight at a key change would be lost",
        );
    }
}
