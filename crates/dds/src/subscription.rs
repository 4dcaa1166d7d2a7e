//! A subscription, as its reader's owner sees it.

use crate::sample::{Delivery, Sample};
use std::future::poll_fn;
use std::task::{Context, Poll};
use tokio::task::coop::cooperative;

/// Deliveries waiting in one subscription of the in-memory data space. When that many are unread, its
/// reader keeps the newest of every key instead.
pub(crate) const UNREAD_MAX: usize = 256;

/// The reader behind a subscription, which its drop closes.
pub(crate) trait Upstream: Send {
    /// The next delivery; `None` when there will be none any more.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>>;

    /// A delivery that is here already.
    fn try_next(&mut self) -> Option<Delivery>;
}

/// An open subscription. Dropping it closes the reader.
pub struct Subscription {
    topic: String,
    reader: Box<dyn Upstream>,
}

impl Subscription {
    pub(crate) fn new(topic: &str, reader: Box<dyn Upstream>) -> Self {
        Self {
            topic: topic.to_owned(),
            reader,
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The next delivery; `None` when the space has closed. Cancel safe.
    pub async fn recv(&mut self) -> Option<Delivery> {
        // A topic that never pauses must not keep its runtime from the other tasks.
        cooperative(poll_fn(|context| self.reader.poll_next(context))).await
    }

    /// The next sample, passing over disposals; `None` when the space has closed. Cancel safe.
    pub async fn sample(&mut self) -> Option<Sample> {
        loop {
            match self.recv().await? {
                Delivery::Sample(sample) => return Some(sample),
                Delivery::Disposed { .. } => {}
            }
        }
    }

    /// A delivery that is here already.
    pub fn try_recv(&mut self) -> Option<Delivery> {
        self.reader.try_next()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
