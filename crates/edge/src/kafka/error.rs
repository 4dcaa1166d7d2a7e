use super::batch::BatchError;
use super::topic_id::TopicId;
use std::path::PathBuf;

/// Why a call to Kafka failed. Except where [`is_permanent`](Self::is_permanent) says otherwise,
/// calling again is right: it waits for its back-off and connects anew.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FeedError {
    /// No address to try, or one that is none.
    #[error("bootstrap address {0:?} is not host:port; write for instance \"kafka.example:9093\"")]
    Address(String),
    /// What is configured must not be done.
    #[error("{0}")]
    Unsafe(&'static str),
    /// A TLS file is missing or wrong.
    #[error("TLS file {path}: {problem}")]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Nobody answered, or the handshakes failed.
    #[error("cannot connect to Kafka broker {address}: {reason}")]
    Connect {
        /// The broker.
        address: String,
        /// Why.
        reason: String,
    },
    /// A call took too long.
    #[error("{call} to Kafka broker {address} took longer than {limit_ms} ms")]
    Timeout {
        /// Name of the call in Kafka's protocol.
        call: &'static str,
        /// The broker.
        address: String,
        /// The limit.
        limit_ms: u64,
    },
    /// The connection broke, or the answer was not understood.
    #[error("{call} to Kafka broker {address} failed: {reason}")]
    Call {
        /// Name of the call.
        call: &'static str,
        /// The broker.
        address: String,
        /// Why.
        reason: String,
    },
    /// The broker answered with an error.
    #[error("Kafka refused {call} for {subject}: {code}")]
    Refused {
        /// Name of the call.
        call: &'static str,
        /// Topic, partition or group.
        subject: String,
        /// Kafka's error.
        code: String,
    },
    /// Records that are damaged, or that this build does not read.
    #[error("records of {topic} partition {partition}: {error}")]
    Batch {
        /// Kafka topic.
        topic: String,
        /// Kafka partition.
        partition: i32,
        /// What is wrong.
        error: BatchError,
    },
    /// A partition that the topic does not have, or that has no leader now.
    #[error("topic {topic} has no leader for partition {partition}")]
    NoLeader {
        /// Kafka topic.
        topic: String,
        /// Kafka partition.
        partition: i32,
    },
    /// The topic has another id than the one that was read, and the policy [`Fail`](super::OutOfRange::Fail) applies.
    #[error(
        "topic {topic} was deleted and made anew: it has the id {now}, what was read had {before}; choose the policy earliest or latest"
    )]
    MadeAnew {
        /// Kafka topic.
        topic: String,
        /// Whose records were read.
        before: TopicId,
        /// What has its name now.
        now: TopicId,
    },
    /// The policy [`Fail`](super::OutOfRange::Fail) applies.
    #[error(
        "offset {offset} of {topic} partition {partition} is out of range (the broker's records end at {high_watermark}); seek, or choose the policy earliest or latest"
    )]
    OutOfRange {
        /// Kafka topic.
        topic: String,
        /// Kafka partition.
        partition: i32,
        /// The offset asked for.
        offset: i64,
        /// The end of the partition.
        high_watermark: i64,
    },
}

impl FeedError {
    /// Calling again will not help before somebody changes something.
    pub const fn is_permanent(&self) -> bool {
        match self {
            Self::Address(_)
            | Self::Unsafe(_)
            | Self::TlsFile { .. }
            | Self::MadeAnew { .. }
            | Self::OutOfRange { .. } => true,
            Self::Connect { .. }
            | Self::Timeout { .. }
            | Self::Call { .. }
            | Self::Refused { .. }
            | Self::Batch { .. }
            | Self::NoLeader { .. } => false,
        }
    }
}

/// Kafka's name for an error code as far as reading and writing records meet it.
pub(super) fn code_name(code: i16) -> String {
    let name = match code {
        2 => "CorruptMessage",
        3 => "UnknownTopicOrPartition",
        5 => "LeaderNotAvailable",
        6 => "NotLeaderOrFollower",
        7 => "RequestTimedOut",
        9 => "ReplicaNotAvailable",
        10 => "MessageTooLarge",
        18 => "RecordListTooLarge",
        29 => "TopicAuthorizationFailed",
        56 => "KafkaStorageError",
        76 => {
            "UnsupportedCompressionType (the topic's setting compression.type=zstd needs a newer Fetch than samsa sends; let producers choose the codec)"
        }
        87 => "InvalidRecord",
        100 => "UnknownTopicId (the topic was deleted)",
        103 => "InconsistentTopicId (the topic was made anew)",
        _ => "see the protocol's error codes",
    };
    format!("error {code}, {name}")
}
