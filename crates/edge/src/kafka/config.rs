use super::Reach;
use std::path::PathBuf;
use std::time::Duration;

/// How to reach a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClientConfig {
    /// `host:port` of some of the brokers, tried in order.
    pub bootstrap: Vec<String>,
    /// Encryption and authentication.
    pub security: Security,
    /// The way there.
    pub reach: Reach,
    /// Told to the broker, seen in its logs.
    pub client_id: String,
    /// Time limit for connecting, handshakes included.
    pub connect_limit: Duration,
    /// Time limit for one call, on top of the wait that a fetch itself asks for.
    pub call_limit: Duration,
}

impl ClientConfig {
    /// Defaults for a cluster near by: 5 s to connect, 10 s a call.
    pub fn new(bootstrap: impl IntoIterator<Item = impl Into<String>>, security: Security) -> Self {
        Self {
            bootstrap: bootstrap.into_iter().map(Into::into).collect(),
            security,
            reach: Reach::Sockets,
            client_id: "glasshouse".to_owned(),
            connect_limit: Duration::from_secs(5),
            call_limit: Duration::from_secs(10),
        }
    }
}

/// Encryption and authentication.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Security {
    /// None. What crosses such a connection is counted as plaintext.
    Plaintext,
    /// TLS with both certificates checked. PEM files; the key is PKCS#8.
    MutualTls {
        /// Certificates of the authorities that a broker's certificate may come from.
        ca: PathBuf,
        /// Our certificate chain.
        cert: PathBuf,
        /// Our private key.
        key: PathBuf,
    },
    /// SASL (SCRAM or PLAIN, whichever the broker offers) on an unencrypted connection.
    SaslPlaintext(Sasl),
    /// SASL within mutual TLS.
    SaslMutualTls {
        /// User.
        sasl: Sasl,
        /// As in `MutualTls`.
        ca: PathBuf,
        /// As in `MutualTls`.
        cert: PathBuf,
        /// As in `MutualTls`.
        key: PathBuf,
    },
}

impl Security {
    /// True when the bytes on the wire are encrypted.
    pub const fn encrypted(&self) -> bool {
        match self {
            Self::Plaintext | Self::SaslPlaintext(_) => false,
            Self::MutualTls { .. } | Self::SaslMutualTls { .. } => true,
        }
    }
}

/// A SASL user.
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    /// Name.
    pub username: String,
    /// Password; not shown by `Debug`.
    pub password: String,
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sasl")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// What to consume and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedConfig {
    /// The cluster.
    pub client: ClientConfig,
    /// Kafka topic.
    pub topic: String,
    /// Consumer group: the name under which offsets are committed. It has no members, partitions
    /// are assigned by us.
    pub group: String,
    /// Partitions to read.
    pub partitions: Partitions,
    /// Where to begin in a partition without a committed offset.
    pub start: StartAt,
    /// What to do when the offset is gone.
    pub out_of_range: OutOfRange,
    /// How long a poll waits for records.
    pub max_wait: Duration,
    /// Bytes that one poll asks of one broker.
    pub max_bytes: i32,
    /// Bytes that one poll asks of one partition. A single larger batch still comes whole.
    pub partition_max_bytes: i32,
}

impl FeedConfig {
    /// All partitions of `topic` from the earliest record, earliest again when retention was
    /// faster than we: no record that is still there is passed over.
    pub fn new(client: ClientConfig, topic: impl Into<String>, group: impl Into<String>) -> Self {
        Self {
            client,
            topic: topic.into(),
            group: group.into(),
            partitions: Partitions::All,
            start: StartAt::Earliest,
            out_of_range: OutOfRange::Earliest,
            max_wait: Duration::from_millis(250),
            max_bytes: 4 << 20,
            partition_max_bytes: 1 << 20,
        }
    }
}

/// Which partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Partitions {
    /// All that the topic has, new ones within a minute.
    All,
    /// Only these.
    Some(Vec<i32>),
}

/// Where to begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StartAt {
    /// The oldest record that is still there.
    Earliest,
    /// Only what comes from now on.
    Latest,
}

/// What to do when the broker no longer has, or never had, the offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutOfRange {
    /// Go on at the oldest record.
    Earliest,
    /// Go on at the end.
    Latest,
    /// Return an error until somebody seeks.
    Fail,
}
