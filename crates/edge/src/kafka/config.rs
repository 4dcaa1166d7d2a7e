use super::Reach;
use std::collections::BTreeSet;
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

/// Encryption and authentication. The default is none: what crosses such a connection is counted as
/// plaintext.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Security {
    /// TLS.
    pub tls: Option<Tls>,
    /// Authentication by name and password.
    pub sasl: Option<Sasl>,
}

impl Security {
    /// Neither.
    pub const PLAINTEXT: Self = Self {
        tls: None,
        sasl: None,
    };

    /// TLS with both certificates checked.
    pub fn mutual_tls(ca: PathBuf, cert: PathBuf, key: PathBuf) -> Self {
        Self {
            tls: Some(Tls {
                ca,
                client: Some((cert, key)),
            }),
            sasl: None,
        }
    }

    /// True when the bytes on the wire are encrypted.
    pub const fn encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// A password that would cross in clear.
    pub(super) fn tells_its_password(&self) -> bool {
        let plain = self.sasl.as_ref().map(|sasl| sasl.mechanism) == Some(Mechanism::Plain);
        plain && !self.encrypted()
    }
}

/// PEM files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tls {
    /// Certificates of the authorities that a broker's certificate may come from.
    pub ca: PathBuf,
    /// Our certificate chain and private key, where brokers ask for them.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// How a password is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mechanism {
    /// RFC 7677: neither end learns the password from the other.
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
    /// RFC 4616: in clear, so under TLS only.
    Plain,
}

/// A SASL user.
#[derive(Clone, PartialEq, Eq)]
pub struct Sasl {
    /// How the password is shown. No other is tried.
    pub mechanism: Mechanism,
    /// Name.
    pub username: String,
    /// Password; not shown by `Debug`.
    pub password: String,
}

impl std::fmt::Debug for Sasl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sasl")
            .field("mechanism", &self.mechanism)
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
    /// Age at which a connection set is built anew, so that new partitions and moved leaders are seen.
    pub metadata_age: Duration,
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
            metadata_age: Duration::from_secs(60),
        }
    }
}

/// Which partitions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Partitions {
    /// All that the topic has; new ones when the connection set is built anew.
    All,
    /// Only these.
    Some(Vec<i32>),
    /// Those whose number leaves one of `held` when divided by `of`, new ones when the connection set is built anew.
    Shares {
        /// How many shares the topic has.
        of: u16,
        /// Which of them are ours.
        held: BTreeSet<u16>,
    },
}

impl Partitions {
    /// Of all partitions of the topic, those to read.
    pub(super) fn of(&self, all: impl Iterator<Item = i32>) -> Vec<i32> {
        match self {
            Self::All => all.collect(),
            Self::Some(partitions) => partitions.clone(),
            Self::Shares { of, held } => {
                let of = i32::from((*of).max(1));
                let ours = |partition: &i32| {
                    let share = u16::try_from(partition.rem_euclid(of));
                    share.is_ok_and(|share| held.contains(&share))
                };
                all.filter(ours).collect()
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_divide_whatever_partitions_there_are() {
        let shares = |of, held: &[u16]| Partitions::Shares {
            of,
            held: held.iter().copied().collect(),
        };
        assert_eq!(shares(3, &[0]).of(0..8), [0, 3, 6]);
        assert_eq!(shares(3, &[1, 2]).of(0..8), [1, 2, 4, 5, 7]);
        assert_eq!(shares(3, &[2]).of(0..2), [0; 0]);
        assert_eq!(shares(1, &[0]).of(0..2), [0, 1]);
        assert_eq!(shares(3, &[]).of(0..8), [0; 0]);
    }
}
