//! The port.

use crate::event::{Counters, SpaceEvent};
use crate::sample::Sample;
use crate::subscription::Subscription;
use crate::topic::Topic;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::broadcast;

/// A boxed future, so that the port stays usable as `dyn DataSpace`.
pub type SpaceFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A data space that this process takes part in. Dropping it closes it: what was accepted is
/// still written within a limit, subscriptions end.
pub trait DataSpace: Send + Sync + 'static {
    /// Hands `sample` over for writing and returns at once. The first use of a topic and partition
    /// makes its writer (well under a millisecond).
    fn publish(&self, topic: &Topic, partition: &str, sample: Sample) -> Result<(), PublishError>;

    /// As [`publish`](Self::publish), but waits for room instead of refusing. Cancel safe: a
    /// dropped future has published nothing.
    fn publish_wait<'a>(
        &'a self,
        topic: &'a Topic,
        partition: &'a str,
        sample: Sample,
    ) -> SpaceFuture<'a, Result<(), PublishError>>;

    /// Declares a key of the topic over, in order after what was published before.
    fn dispose(&self, topic: &Topic, partition: &str, key: &str) -> Result<(), PublishError>;

    /// Opens a subscription on `partitions`; `*` and `?` are wildcards as in POSIX `fnmatch`.
    /// Retained samples come first.
    fn subscribe(&self, topic: &Topic, partitions: &[&str])
    -> Result<Subscription, SubscribeError>;

    /// Events from now on; a receiver that lags behind loses the oldest.
    fn events(&self) -> broadcast::Receiver<SpaceEvent>;

    /// Waits until everything accepted so far is written and acknowledged by the matched readers.
    fn drain(&self, limit: Duration) -> SpaceFuture<'_, Result<(), DrainError>>;

    /// Totals since joining.
    fn counters(&self) -> Counters;
}

/// Why a sample was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Back-pressure: try later or pass it on to whoever sent the data.
    #[error(
        "the queue of topic {topic}, partition {partition:?}, holds its limit of {limit} samples; slow down and retry"
    )]
    Full {
        /// Topic.
        topic: String,
        /// Partition.
        partition: String,
        /// The topic's queue length.
        limit: usize,
    },
    /// Over [`SEALED_MAX`](crate::SEALED_MAX).
    #[error(
        "sealed payload of {len} bytes for key {key:?} is over the limit of {limit}; split the batch"
    )]
    TooLarge {
        /// Key.
        key: String,
        /// Length found.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Key or writer name that the type cannot carry.
    #[error("{field} {value:?} cannot be published: it must have 1 to 512 bytes and no NUL")]
    Name {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: String,
    },
    /// Not a partition one can write to.
    #[error(
        "{partition:?} is not a partition to publish in: use 1 to 128 bytes without *, ?, [, ], comma or NUL"
    )]
    Partition {
        /// What was given.
        partition: String,
    },
    /// More topic and partition pairs than a node may have.
    #[error(
        "topic {topic}, partition {partition:?}, would be writer number {limit} + 1 of this node; merge rooms or spread them over nodes"
    )]
    TooManyWriters {
        /// Topic.
        topic: String,
        /// Partition.
        partition: String,
        /// The limit.
        limit: usize,
    },
    /// The space is closing.
    #[error("the data space is closed")]
    Closed,
    /// The DDS implementation said no.
    #[error("the data space refused topic {topic}: {reason}")]
    Refused {
        /// Topic.
        topic: String,
        /// Its words.
        reason: String,
    },
}

/// Why a subscription was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// Not a partition expression.
    #[error(
        "{partition:?} is not a partition to subscribe to: use 1 to 128 bytes; * and ? are wildcards"
    )]
    Partition {
        /// What was given.
        partition: String,
    },
    /// Nothing to subscribe to.
    #[error(
        "a subscription of topic {topic} names no partition; name at least one, or \"*\" for all"
    )]
    NoPartition {
        /// Topic.
        topic: String,
    },
    /// The DDS implementation said no.
    #[error("the data space refused topic {topic}: {reason}")]
    Refused {
        /// Topic.
        topic: String,
        /// Its words.
        reason: String,
    },
}

/// Not everything got out in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "after {limit:?} topic {topic}, partition {partition:?}, still holds samples that are not written and acknowledged; a subscriber may be stuck"
)]
pub struct DrainError {
    /// The limit given.
    pub limit: Duration,
    /// The first topic that was not done.
    pub topic: String,
    /// Its partition.
    pub partition: String,
}
