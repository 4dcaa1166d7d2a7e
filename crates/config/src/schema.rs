//! The keys, their types and their defaults.

use crate::kafka::{Export, FeedOutOfRange, FeedRegistry, FeedStart, KafkaSasl};
use crate::learning::{ModelKind, OptimizerKind, Privacy, Robust, UpdateBuffer, UpdateCompression};
use crate::space::Dds;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use telemetry::alertmail::Settings;

/// The whole file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// The cluster it belongs to.
    pub cluster: Cluster,
    /// The SMTP door.
    pub mailbox: Mailbox,
    /// The Kafka door; absent: this house has no mainframe.
    pub feed: Option<Feed>,
    /// Events for others, if anybody wants them.
    pub export: Option<Export>,
    /// The data space.
    #[serde(default)]
    pub dds: Dds,
    /// Rooms and their home nodes.
    #[serde(default, rename = "room")]
    pub rooms: Vec<Room>,
    /// Devices that may report.
    #[serde(default, rename = "device")]
    pub devices: Vec<Device>,
    /// Federated learning.
    #[serde(default)]
    pub learning: Learning,
    /// Where alerts go; absent: they stay on the ledger and the status page.
    pub alerts: Option<Alerts>,
    /// Key epochs.
    #[serde(default)]
    pub keys: Keys,
}

/// `[node]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique in the cluster; letters, digits and `-`.
    pub name: String,
    /// Journals, ledger and quarantine live here.
    pub data_dir: PathBuf,
    /// Status page and `glasshouse status`; loopback only, for it has no login.
    #[serde(default = "default_admin")]
    pub admin: SocketAddr,
}

/// `[cluster]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// Name of the cluster; nodes of another cluster are refused.
    pub name: String,
    /// Where links from other nodes are taken.
    pub listen: SocketAddr,
    /// Where others reach it, `host:port`, if that is not `listen` itself: behind address
    /// translation, or when it listens on all addresses.
    pub address: Option<String>,
    /// File with this node's ed25519 seed, 64 hex digits, readable by its owner only.
    pub identity: PathBuf,
    /// Let an operator cut this node's links on command (`glasshouse cluster split`). For trials on
    /// one machine; a node that others reach over a network refuses it.
    #[serde(default)]
    pub allow_faults: bool,
    /// File with this node's proof of admission, as `glasshouse node join` writes it. Founders
    /// have none: they stand in the ledger's first leaf.
    pub admission: Option<PathBuf>,
    /// Speak no newer minor version than this one; for upgrading node by node, and back.
    pub level: Option<u16>,
    /// When a silent member is held for down.
    #[serde(default)]
    pub detection: Detection,
    /// The founders, this one included; for a node that joined later, the members it met. Once
    /// the ledger is there, it says who belongs to the cluster and this list is not looked at.
    #[serde(rename = "peer")]
    pub peers: Vec<Peer>,
}

/// `[cluster.detection]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detection {
    /// Each end of a link shows life this often.
    pub heartbeat_ms: u64,
    /// Suspicion φ (Hayashibara et al. 2004) from which a member counts as silent: a chance of
    /// one in 10^φ to be wrong, if its heartbeats keep to their habit.
    pub threshold: f64,
    /// A pause that is never suspicious: a busy scheduler, a slow disk.
    pub pause_ms: u64,
    /// A link may be gone for so long before its peer counts as silent.
    pub reconnect_ms: u64,
}

/// `[[cluster.peer]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// The member's `node.name`.
    pub name: String,
    /// Where its links arrive, `host:port`.
    pub address: String,
    /// Its ed25519 public key, 64 hex digits.
    pub identity: String,
}

/// `[mailbox]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// Where gear delivers.
    pub listen: SocketAddr,
    /// The name in greetings and certificates.
    #[serde(default = "default_hostname")]
    pub hostname: String,
    /// Recipient domains taken; anything else is refused (no relaying).
    pub domains: Vec<String>,
    /// Refuse MAIL before STARTTLS.
    #[serde(default = "yes")]
    pub require_tls: bool,
    /// Largest message in bytes (RFC 1870).
    #[serde(default = "default_message_bytes")]
    pub max_message_bytes: u64,
    /// Sessions at one time.
    #[serde(default = "default_sessions")]
    pub max_sessions: usize,
    /// Sessions at one time from one address.
    #[serde(default = "default_sessions_per_address")]
    pub max_sessions_per_address: usize,
    /// Sessions at one time from one network, a /24 of IPv4 or a /48 of IPv6.
    #[serde(default = "default_sessions_per_network")]
    pub max_sessions_per_network: usize,
    /// Messages of one device in a minute; as many may come at once.
    #[serde(default = "default_messages_per_minute")]
    pub max_messages_per_minute: u32,
    /// Bytes of messages in one session; behind them the client has to connect again.
    #[serde(default = "default_session_bytes")]
    pub max_session_bytes: u64,
    /// Failed logins of one address at once; then one each half minute. Its network has ten times as many.
    #[serde(default = "default_failed_logins")]
    pub max_failed_logins: u32,
    /// Bytes per second that a message must come with on the average, once it has taken three minutes.
    #[serde(default = "default_min_rate")]
    pub min_rate: u32,
    /// Refuse messages without Date (RFC 5322 §3.6), unless a profile relaxes it.
    #[serde(default = "yes")]
    pub require_date: bool,
    /// Where gear delivers with TLS from the first byte on (port 465).
    pub implicit_tls: Option<SocketAddr>,
    /// The Unix socket at which a mail server of this host delivers by LMTP.
    pub lmtp: Option<PathBuf>,
    /// Load balancers, as networks: their connections, and no others, begin with a PROXY header of
    /// version 2.
    #[serde(default)]
    pub proxies: Vec<String>,
    /// PEM certificate; absent: a self-signed one is made at first start. Read again when it changes.
    pub certificate: Option<PathBuf>,
    /// PEM private key of `certificate`.
    pub key: Option<PathBuf>,
    /// Folder with pattern files (`*.toml`) and functions (`*.wasm`) for gear that the built-in formats do not know.
    pub formats: Option<PathBuf>,
    /// Classes of devices that need a rule relaxed. The first whose network a client is in applies.
    #[serde(default, rename = "profile", skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<MailProfile>,
}

/// `[[mailbox.profile]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MailProfile {
    /// The mark on messages that would have been refused without it.
    pub name: String,
    /// Where such devices are: `192.0.2.0/24` or a single address.
    pub networks: Vec<String>,
    /// What is relaxed: `plaintext`, `empty_helo`, `address_literals`, `missing_brackets`, `bare_lf`,
    /// `no_date`.
    pub relaxes: Vec<String>,
}

/// `[feed]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// Bootstrap brokers, `host:port`.
    pub brokers: Vec<String>,
    /// Kafka topic with the transaction records.
    pub topic: String,
    /// Consumer group whose offsets are committed.
    #[serde(default = "default_group")]
    pub group: String,
    /// What the values are: `records` (EBCDIC, by the copybook), `json`, or `registry` (Avro or JSON in Confluent's
    /// wire format, by the schemas of a registry).
    #[serde(default = "default_feed_format")]
    pub format: String,
    /// COBOL copybook that describes a record; not for JSON.
    pub copybook: Option<PathBuf>,
    /// EBCDIC code page of DISPLAY fields: `037`, `273`, `500`, `1047` or `1140`.
    #[serde(default = "default_code_page")]
    pub code_page: String,
    /// How records lie in a Kafka value: `fixed` (one after the other), `rdw` or `bdw`.
    #[serde(default = "default_framing")]
    pub framing: String,
    /// Which alternative (REDEFINES) a record holds: `ALTERNATIVE when FIELD is VALUE, VALUE`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<String>,
    /// What windows are kept by: `key`, `type`, `terminal`, `response`.
    #[serde(default = "default_windows_by")]
    pub windows_by: Vec<String>,
    /// Which fields mean what.
    #[serde(default)]
    pub fields: FeedFields,
    /// Event-time window in milliseconds.
    #[serde(default = "default_window_ms")]
    pub window_ms: u64,
    /// The room the mainframe stands in.
    pub room: String,
    /// In how many shares the topic's partitions are read, each by one node at a time.
    #[serde(default = "default_shares")]
    pub shares: u16,
    /// Node that reads all shares while it is up; without one they are spread evenly.
    pub home: Option<String>,
    /// Where to begin in a partition that nobody has read yet.
    #[serde(default)]
    pub start: FeedStart,
    /// What to do when the broker has the place no more where the feed stands.
    #[serde(default)]
    pub out_of_range: FeedOutOfRange,
    /// PEM file with the CA of the brokers; with it the connection uses TLS.
    pub ca: Option<PathBuf>,
    /// PEM client certificate, where brokers ask for one.
    pub certificate: Option<PathBuf>,
    /// PEM client key.
    pub key: Option<PathBuf>,
    /// Name and password, where brokers ask for them.
    pub sasl: Option<KafkaSasl>,
    /// Where schemas lie.
    pub registry: Option<FeedRegistry>,
}

/// `[feed.fields]`: names of copybook fields.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct FeedFields {
    /// Event time.
    pub timestamp: String,
    /// Transaction type.
    pub kind: String,
    /// What windows are kept per, e.g. region or terminal group.
    pub key: String,
    /// Amount.
    pub amount: String,
    /// Response code; `00` is success.
    pub response: String,
    /// Latency in milliseconds.
    pub latency: String,
    /// Terminal, where windows are kept by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminal: Option<String>,
}

/// `[[room]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Room {
    /// Name; also its DDS partition.
    pub name: String,
    /// Node that watches and learns it while up.
    pub home: String,
}

/// `[[device]]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Device {
    /// Unique id.
    pub id: String,
    /// Its room.
    pub room: String,
    /// Class: devices of one class share the meaning of their metrics.
    pub class: String,
    /// Sender addresses it is known by.
    pub addresses: Vec<String>,
    /// Its addresses are good from these networks only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// SHA-256 of its client certificate, 64 hex digits; then its addresses alone are not enough.
    pub certificate: Option<String>,
    /// What is kept of its password, as `glasshouse device login` prints it; its id is its login name.
    /// Then its addresses alone are not enough.
    pub login: Option<String>,
    /// The ed25519 public key that signs its sealed messages, 64 hex digits; then nothing else counts.
    pub key: Option<String>,
    /// It reports at least once in so many seconds; absent: its rhythm is learned.
    pub heartbeat_s: Option<u64>,
}

/// `[learning]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Learning {
    /// Fewest participants that make a round count.
    pub min_cohort: usize,
    /// A round ends at the latest after this.
    pub round_timeout_ms: u64,
    /// A participant that has not answered is asked again after this.
    pub resend_ms: u64,
    /// Rest between rounds.
    pub pause_ms: u64,
    /// Passes over the local examples in a round.
    pub local_epochs: usize,
    /// Step size of local training; absent: 0.002 of Adam, with `optimizer = "scaffold"` 0.05 of plain gradient
    /// descent.
    pub learning_rate: Option<f64>,
    /// A node joins rounds once it holds this many examples.
    pub min_examples: usize,
    /// Examples kept per device.
    pub window: usize,
    /// What the shared model looks at; the same on all nodes.
    pub model: ModelKind,
    /// Passes over a node's own examples by which it makes each shared model its own; 0: none. What it makes never
    /// leaves it, and is used only where it explains the node's other examples better.
    pub personal_epochs: usize,
    /// False alarms per example that thresholds are set for.
    pub false_alarm_rate: f64,
    /// Nobody sees single updates, only their sum; the same on all nodes. Absent: yes where `min_cohort`
    /// is at least three and neither `robust` nor `privacy` asks to see updates. The sum of two would tell
    /// each of them the other's update.
    pub secure_aggregation: Option<bool>,
    /// Sums that are seen of a secure round, each of a group of three or more: what `robust` compares.
    pub secure_groups: usize,
    /// The server's step, or SCAFFOLD; the same on all nodes.
    pub optimizer: OptimizerKind,
    /// Its size; absent: 1 for `fedavg`, 0.01 for the others.
    pub server_learning_rate: Option<f64>,
    /// How much of the former steps goes into the next; absent: 0 for `fedavg` and `fedadagrad`, 0.9 for the
    /// others.
    pub server_momentum: Option<f64>,
    /// μ of FedProx: holds participants with unlike data together; 0: none.
    pub proximal_mu: f64,
    /// Part of the nodes that are up wanted in a round.
    pub cohort_fraction: f64,
    /// At most so many of them; absent: no bound.
    pub cohort_size: Option<usize>,
    /// So many times more are asked than are wanted; a round ends when enough have answered.
    pub over_selection: f64,
    /// Against participants that lie.
    pub robust: Robust,
    /// Differential privacy; absent: none.
    pub privacy: Option<Privacy>,
    /// Smaller updates; absent: whole ones.
    pub compression: Option<UpdateCompression>,
    /// Updates as they come, from earlier models, too; absent: a round waits for its own. The same on all nodes.
    pub buffer: Option<UpdateBuffer>,
}

/// `[alerts]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// SMTP relay, `host:port`.
    pub relay: String,
    /// Sender address.
    pub from: String,
    /// Recipients.
    pub to: Vec<String>,
    /// PEM file with the relay's root; absent: the public web roots.
    pub ca: Option<PathBuf>,
    /// Refuse to send without STARTTLS.
    #[serde(default = "yes")]
    pub require_tls: bool,
    /// Mails within a window that go out one by one; more are gathered into a digest.
    #[serde(default = "default_digest_after")]
    pub digest_after: usize,
    /// How long a digest gathers.
    #[serde(default = "default_digest_window_s")]
    pub digest_window_s: u64,
    /// The same kind of alert of the same device, raised again within this time, is counted in the
    /// next digest and is no mail of its own; 0: it always is one.
    #[serde(default = "default_repeat_s")]
    pub repeat_s: u64,
}

/// `[keys]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Former epochs whose samples can still be opened.
    pub grace_epochs: u64,
    /// And for how long at most.
    pub grace_ms: u64,
    /// File with the key that wraps the data keys of what rests on this node's disk; absent:
    /// `wrapping.key` in `node.data_dir`.
    pub wrapping_key: Option<PathBuf>,
    /// Topics of the data space whose samples carry their writer's signature, and are refused without; the
    /// same on all nodes.
    pub origin_proof: Vec<String>,
}

impl Mailbox {
    /// A mailbox with nothing but defaults, for one recipient domain.
    pub fn at(listen: SocketAddr, domain: &str) -> Self {
        Self {
            listen,
            hostname: default_hostname(),
            domains: vec![domain.to_owned()],
            require_tls: yes(),
            max_message_bytes: default_message_bytes(),
            max_sessions: default_sessions(),
            max_sessions_per_address: default_sessions_per_address(),
            max_sessions_per_network: default_sessions_per_network(),
            max_messages_per_minute: default_messages_per_minute(),
            max_session_bytes: default_session_bytes(),
            max_failed_logins: default_failed_logins(),
            min_rate: default_min_rate(),
            require_date: yes(),
            implicit_tls: None,
            lmtp: None,
            proxies: Vec::new(),
            profiles: Vec::new(),
            certificate: None,
            key: None,
            formats: None,
        }
    }
}
impl Default for Detection {
    fn default() -> Self {
        Self {
            heartbeat_ms: 100,
            threshold: 8.0,
            pause_ms: 1_000,
            reconnect_ms: 500,
        }
    }
}
impl Default for FeedFields {
    fn default() -> Self {
        let names = telemetry::transactions::FieldNames::default();
        Self {
            timestamp: names.timestamp,
            kind: names.kind,
            key: names.key,
            amount: names.amount,
            response: names.response,
            latency: names.latency,
            terminal: names.terminal,
        }
    }
}
impl Default for Learning {
    fn default() -> Self {
        Self {
            min_cohort: 2,
            round_timeout_ms: 10_000,
            resend_ms: 3_000,
            pause_ms: 60_000,
            local_epochs: 2,
            learning_rate: None,
            min_examples: 64,
            window: 2_000,
            model: ModelKind::default(),
            personal_epochs: 0,
            false_alarm_rate: 1e-4,
            secure_aggregation: None,
            secure_groups: 1,
            optimizer: OptimizerKind::default(),
            server_learning_rate: None,
            server_momentum: None,
            proximal_mu: 0.0,
            cohort_fraction: 1.0,
            cohort_size: None,
            over_selection: 1.0,
            robust: Robust::default(),
            privacy: None,
            compression: None,
            buffer: None,
        }
    }
}
impl Default for Keys {
    fn default() -> Self {
        Self {
            grace_epochs: 8,
            grace_ms: 60_000,
            wrapping_key: None,
            // What people act on. A reading counts with others, and a signature costs more than its seal.
            origin_proof: vec!["glasshouse_alerts".into(), "glasshouse_models".into()],
        }
    }
}

fn default_feed_format() -> String {
    "records".into()
}
fn default_framing() -> String {
    "fixed".into()
}
fn default_windows_by() -> Vec<String> {
    vec!["key".into()]
}
fn default_admin() -> SocketAddr {
    ([127, 0, 0, 1], 7100).into()
}
fn default_hostname() -> String {
    "glasshouse".into()
}
fn default_message_bytes() -> u64 {
    10 << 20
}
fn default_sessions() -> usize {
    1_000
}
fn default_sessions_per_address() -> usize {
    100
}
fn default_sessions_per_network() -> usize {
    500
}
fn default_messages_per_minute() -> u32 {
    6_000
}
fn default_session_bytes() -> u64 {
    512 << 20
}
fn default_failed_logins() -> u32 {
    10
}

fn default_min_rate() -> u32 {
    64
}
fn default_digest_after() -> usize {
    Settings::DIGEST_AFTER
}
fn default_digest_window_s() -> u64 {
    Settings::DIGEST_WINDOW.as_secs()
}
fn default_repeat_s() -> u64 {
    Settings::REPEAT.as_secs()
}
fn default_group() -> String {
    "glasshouse".into()
}
fn default_code_page() -> String {
    "037".into()
}
/// A few for each node of a cluster of three to five, so that they come out even.
fn default_shares() -> u16 {
    12
}

fn default_window_ms() -> u64 {
    1_000
}
fn yes() -> bool {
    true
}

impl Config {
    pub(super) fn resolve_paths(&mut self, base: &Path) {
        let resolve = |path: &mut PathBuf| {
            if path.is_relative() {
                *path = base.join(&*path);
            }
        };
        let resolve_some = |path: &mut Option<PathBuf>| path.as_mut().map(resolve);
        resolve(&mut self.node.data_dir);
        resolve(&mut self.cluster.identity);
        resolve_some(&mut self.cluster.admission);
        resolve_some(&mut self.keys.wrapping_key);
        resolve_some(&mut self.mailbox.certificate);
        resolve_some(&mut self.mailbox.key);
        resolve_some(&mut self.mailbox.lmtp);
        resolve_some(&mut self.mailbox.formats);
        if let Some(feed) = &mut self.feed {
            resolve_some(&mut feed.copybook);
            resolve_some(&mut feed.ca);
            resolve_some(&mut feed.certificate);
            resolve_some(&mut feed.key);
            if let Some(sasl) = &mut feed.sasl {
                resolve(&mut sasl.password_file);
            }
            if let Some(registry) = &mut feed.registry {
                resolve_some(&mut registry.password_file);
                resolve_some(&mut registry.ca);
            }
        }
        if let Some(export) = &mut self.export {
            resolve_some(&mut export.ca);
            resolve_some(&mut export.certificate);
            resolve_some(&mut export.key);
            if let Some(sasl) = &mut export.sasl {
                resolve(&mut sasl.password_file);
            }
        }
        if let Some(security) = &mut self.dds.security {
            security.paths().into_iter().for_each(resolve);
        }
        if let Some(alerts) = &mut self.alerts {
            resolve_some(&mut alerts.ca);
        }
    }
}
