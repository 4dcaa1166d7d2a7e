//! What a node tells about itself: `GET /status.json`, `glasshouse status`, the live page.

mod tree;

pub use tree::{ActorKind, ActorState, ActorStatus, MailboxStatus, StrategyName, SupervisorStatus};

use crate::{Alert, KeyEpoch, NodeId, Role, Round};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A node's own view, all counters since its process started unless said otherwise.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// Software version.
    pub version: String,
    /// Seconds since start.
    pub uptime_s: f64,
    /// Leader as this node sees it.
    pub leader: Option<NodeId>,
    /// Consensus term.
    pub term: u64,
    /// Members and whether they are up, by the ledger.
    pub members: BTreeMap<String, bool>,
    /// Peers with an authenticated link right now, with the key epoch the link's sending
    /// direction uses (0: still the handshake's key).
    pub links: BTreeMap<String, u64>,
    /// What this node knows of each other member.
    pub peers: BTreeMap<String, PeerStatus>,
    /// Roles held by this node.
    pub roles: Vec<Role>,
    /// Mail.
    pub mail: MailStatus,
    /// Kafka.
    pub kafka: KafkaStatus,
    /// Out to Kafka.
    pub export: ExportStatus,
    /// Data space.
    pub dds: DdsStatus,
    /// Learning.
    pub learning: LearningStatus,
    /// Current key epoch here.
    pub key_epoch: KeyEpoch,
    /// Ledger.
    pub ledger: LedgerStatus,
    /// Alerts.
    pub alerts: AlertStatus,
    /// Bytes of application payload this node put on or took from any socket without encryption.
    pub plaintext_payload_bytes: u64,
    /// The supervision tree: parents before their children, children in start order.
    pub tree: Vec<ActorStatus>,
}

impl Status {
    /// Path → restarts, of every actor.
    pub fn restarts(&self) -> BTreeMap<String, u64> {
        self.tree
            .iter()
            .map(|actor| (actor.path.clone(), actor.restarts))
            .collect()
    }
}

/// One other member, as this node hears it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PeerStatus {
    /// Where its links arrive.
    pub address: String,
    /// Is there an authenticated link?
    pub linked: bool,
    /// Suspicion φ of the failure detector; 0: just heard.
    pub phi: f64,
    /// Milliseconds since it was last heard.
    pub silent_ms: u64,
    /// Of its process.
    pub incarnation: u64,
    /// Minor version spoken on the link.
    pub level: u16,
}

/// Mail counters.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MailStatus {
    /// Messages answered 250 (each one durable before the answer).
    pub accepted: u64,
    /// Messages or recipients refused.
    pub rejected: u64,
    /// Accepted messages that no decoder understood; kept in quarantine.
    pub quarantined: u64,
    /// Accepted again after a lost 250; counted once.
    pub duplicates: u64,
    /// Accepted, not yet worked off.
    pub pending: u64,
    /// Who read them: formats by name, the operator's own among them.
    pub formats: BTreeMap<String, FormatStatus>,
}

/// A format's share of the mails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FormatStatus {
    /// Mails read.
    pub read: u64,
    /// Mails that it took and could not read.
    pub failed: u64,
}

/// Kafka counters.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct KafkaStatus {
    /// Records taken.
    pub records: u64,
    /// Records that the copybook refused; kept in quarantine.
    pub quarantined: u64,
    /// Times the connection was rebuilt.
    pub reconnects: u64,
    /// Why partitions wait, if some do.
    pub held_back: Option<String>,
}

/// Counters of what goes out to Kafka.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExportStatus {
    /// Events that brokers have acknowledged.
    pub acknowledged: u64,
    /// Scores left out, since an outage or a full disk lasted too long.
    pub shed: u64,
}

/// Data-space counters.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DdsStatus {
    /// Samples written.
    pub published: u64,
    /// Samples taken and opened.
    pub received: u64,
    /// Of those, written by another process.
    pub received_remote: u64,
    /// Samples refused (wrong key, tampered, replayed, expired epoch).
    pub refused: u64,
    /// By topic, with the reasons of what was refused.
    pub topics: BTreeMap<String, TopicStatus>,
    /// Readings in the received samples.
    pub readings: u64,
    /// Bytes of sealed payload written.
    pub sealed_bytes: u64,
    /// Mail's end of data → sample opened at the room's owner, in ms.
    pub mail_to_dds_p50_ms: f64,
    /// As above, 99th percentile.
    pub mail_to_dds_p99_ms: f64,
    /// Number of latencies behind the two.
    pub mail_to_dds_count: u64,
    /// The latencies themselves as (microseconds, count), ascending, for merging across nodes.
    pub mail_to_dds_us: Vec<(u64, u64)>,
}

/// Counters of one topic of the data space.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TopicStatus {
    /// Samples written.
    pub published: u64,
    /// Samples opened and understood.
    pub received: u64,
    /// Samples refused, by reason.
    pub refused: BTreeMap<String, u64>,
}

/// Learning counters.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LearningStatus {
    /// Last closed round by the ledger.
    pub round: Round,
    /// Rounds closed, by the ledger.
    pub closed: u64,
    /// Rounds abandoned, by the ledger.
    pub abandoned: u64,
    /// Loss of each closed round, oldest first; at most the last 200.
    pub losses: Vec<(u64, f64)>,
    /// Devices with enough rows to be scored.
    pub devices: u64,
    /// Windows scored.
    pub scored: u64,
    /// Training examples held.
    pub examples: u64,
    /// Models of rounds that explained this node's normal rows too badly to be used here.
    pub models_refused: u64,
    /// Metrics that were found to have a new normal.
    pub drifts: u64,
}

/// Ledger.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LedgerStatus {
    /// Committed leaves.
    pub size: u64,
    /// Merkle root, hex.
    pub root: String,
    /// Leaves under the newest checkpoint that a majority of the members cosigned.
    pub cosigned: u64,
    /// What the replica is doing, in words.
    pub phase: String,
    /// Minor version of the ledger's acts.
    pub level: u16,
    /// This node's replica.
    pub store: u64,
    /// Members with a vote in consensus.
    pub voters: Vec<NodeId>,
    /// Members that are being brought up to date before they get a vote.
    pub learners: Vec<NodeId>,
    /// Mails that ingest acts account for, over all nodes.
    pub mails: u64,
    /// Kafka records that ingest acts account for.
    pub records: u64,
    /// Alerts raised, over all nodes and times.
    pub alerts_raised: u64,
    /// Alerts cleared, over all nodes and times.
    pub alerts_cleared: u64,
}

/// An alert mail that did not reach somebody, by a notification (RFC 3464) that anybody may have sent.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Bounce {
    /// Message-ID of the alert mail.
    pub mail: String,
    /// Who did not get it.
    pub recipient: String,
    /// Enhanced status code (RFC 3463).
    pub status: String,
    /// What the other side said.
    pub diagnostic: String,
}

/// Alerts.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AlertStatus {
    /// Raised by this node.
    pub raised: u64,
    /// Cleared by this node.
    pub cleared: u64,
    /// Alert mails accepted by the relay.
    pub mailed: u64,
    /// Mails waiting for the relay, a digest that still gathers among them.
    pub waiting: u64,
    /// Alert mails that the relay refused for good.
    pub refused: u64,
    /// Alert mails that came back, counted by recipient.
    pub bounced: u64,
    /// The latest of those, newest last, at most 20.
    pub bounces: Vec<Bounce>,
    /// Open ones of the whole house by the ledger, newest first, at most 50.
    pub open: Vec<Alert>,
    /// All raised by this node, oldest first, at most 500 (the demo compares them with labels).
    pub history: Vec<Alert>,
}
