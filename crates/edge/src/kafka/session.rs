//! What a feed needs of its connections to a cluster, whoever makes them.

use super::counters::Counters;
use super::{FeedConfig, FeedError, OffsetCommit, Record, StartAt, TopicId};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// What came of one partition.
pub enum Part {
    /// What lies at its position; nothing may.
    Here {
        /// Kafka partition.
        partition: i32,
        /// The records.
        records: Vec<Record>,
        /// Where to go on.
        next_offset: i64,
        /// One past the last offset that the broker holds for consumers.
        high_watermark: i64,
    },
    /// What lies there cannot be read.
    Broken {
        /// Kafka partition.
        partition: i32,
        /// Why not.
        error: FeedError,
    },
    /// The broker does not have its position.
    OutOfRange {
        /// Kafka partition.
        partition: i32,
        /// The end, as far as it was told.
        high_watermark: i64,
    },
}

/// Connections to a cluster for one feed. After an error, or a call that was cancelled, it is dropped: an answer may be on
/// its way that nobody waits for.
pub trait Session: Sized + Send {
    /// Connects.
    fn open(
        config: &FeedConfig,
        counters: &Arc<Counters>,
    ) -> impl Future<Output = Result<Self, FeedError>> + Send;

    /// Itself, knowing of partitions and leaders what it has to know; `None`: another one has to be opened for that.
    fn current(self) -> impl Future<Output = Result<Option<Self>, FeedError>> + Send;

    /// Partitions that are to be read.
    fn partitions(&self) -> Vec<i32>;

    /// `None` where it is not told.
    fn topic_id(&self) -> Option<TopicId>;

    /// Committed offsets; partitions without one are left out.
    fn committed(
        &mut self,
        partitions: &[i32],
    ) -> impl Future<Output = Result<Vec<OffsetCommit>, FeedError>> + Send;

    /// Commits.
    fn commit(
        &mut self,
        offsets: &[OffsetCommit],
    ) -> impl Future<Output = Result<(), FeedError>> + Send;

    /// The first offset that is there, or the one behind the last.
    fn offset(
        &mut self,
        partition: i32,
        at: StartAt,
    ) -> impl Future<Output = Result<i64, FeedError>> + Send;

    /// What lies at these positions. Waits so long for the first of it. Partitions of which there is nothing to tell may be left out.
    fn fetch(
        &mut self,
        wanted: &BTreeMap<i32, i64>,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Part>, FeedError>> + Send;

    /// What was read ahead of a partition is not wanted any more.
    fn forget(&mut self, partition: i32);
}
