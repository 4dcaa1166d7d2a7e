//! Kafka: a [`Feed`] of records and a small [`Producer`].
//!
//! `samsa` supplies the requests and answers of the protocol; sockets with a bound on what they take, TLS and the choice of
//! a SASL mechanism are ours (`dialer`, `tls`, `sasl`); the record batches of a Fetch
//! response are decoded here (`fetch`, `batch`), since samsa's parser loses data on real ones
//! (`docs/decisions/`). `feed` keeps positions over sessions, which are ours (`fetcher`) or librdkafka's. One call is in
//! flight per connection; while a broker has more, that is the next Fetch. Whatever goes wrong, a time limit, a
//! cancelled call, a refused byte, drops the whole connection set; the next call waits out a jittered
//! back-off and builds a new one, positions are kept.
//!
//! Offsets are committed only by the caller, after the effects of the records are durable.

pub mod batch;
mod client;
mod config;
mod counters;
mod dialer;
mod error;
mod feed;
pub mod fetch;
mod fetcher;
pub mod harness;
mod link;
mod metadata;
mod partitioner;
mod producer;
#[cfg(feature = "rdkafka")]
mod rdkafka;
mod reader;
mod sasl;
mod session;
mod tls;
mod topic_id;
mod writer;

pub use batch::{Codec, Header, Record};
pub use client::create_topic;
pub use config::{
    ClientConfig, FeedConfig, Mechanism, OutOfRange, Partitions, Sasl, Security, StartAt, Tls,
};
pub use counters::{Counters, Snapshot};
pub use dialer::{Connection, Dialer, Reach};
pub use error::FeedError;
pub use feed::FeedOn;
pub use partitioner::partition_of;
pub use producer::{NewRecord, Producer};
pub use topic_id::TopicId;

use std::future::Future;
use std::time::Duration;

/// A [`Feed`] by samsa's requests and our decoder.
pub type KafkaFeed = FeedOn<fetcher::Fetcher>;

/// A [`Feed`] by librdkafka.
#[cfg(feature = "rdkafka")]
pub type RdkafkaFeed = FeedOn<rdkafka::Session>;

/// Records of one partition, in order of their offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionRecords {
    /// Kafka partition.
    pub partition: i32,
    /// The records; may be empty where only control records or aborted transactions lay, or where the reader moved.
    pub records: Vec<Record>,
    /// Where the next poll goes on.
    pub next_offset: i64,
    /// One past the last offset that the broker holds for consumers.
    pub high_watermark: i64,
    /// The broker did not have the position any more, and the policy went on elsewhere: these records
    /// do not follow the ones before.
    pub moved: bool,
}

/// An offset to commit, or that is committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetCommit {
    /// Kafka partition.
    pub partition: i32,
    /// The next record to read.
    pub offset: i64,
    /// The committer's own note, at most 4 KiB by Kafka's default.
    pub metadata: String,
}

/// A stream of records from one Kafka topic. Calls may be cancelled at any await: the next one
/// starts from a new connection and the last position.
pub trait Feed: Send {
    /// The next records, some hundred KiB where there are many; empty when none came within the configured wait.
    fn poll(&mut self) -> impl Future<Output = Result<Vec<PartitionRecords>, FeedError>> + Send;

    /// Makes offsets the place where another process goes on. Call it after the effects of all
    /// records below are durable.
    fn commit(
        &mut self,
        offsets: &[OffsetCommit],
    ) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// What is committed for this feed's partitions; one that has no commit is left out.
    fn committed(&mut self) -> impl Future<Output = Result<Vec<OffsetCommit>, FeedError>> + Send;

    /// Go on reading a partition from `offset`.
    fn seek(&mut self, partition: i32, offset: i64);

    /// Go on reading a partition from `offset`, but not before the pause is over: what is there cannot be taken yet.
    fn hold(&mut self, partition: i32, offset: i64, pause: Duration);

    /// What happened since the start.
    fn counters(&self) -> Snapshot;
}
