use crate::sample::{Delivery, Sample};
use tokio::sync::mpsc;

/// Deliveries waiting in one subscription. When that many are unread, the reader behind it stops
/// taking, and its cache keeps the newest of every key. At SEALED_MAX each that
/// is 256 MiB: the most one stuck subscriber can hold here.
pub(crate) const UNREAD_MAX: usize = 256;

/// The reader behind a subscription, which its drop closes.
pub(crate) trait Upstream: Send {
    /// A delivery was taken: there is room for another.
    fn taken(&self) {}
}

/// An open subscription. Dropping it closes the reader.
pub struct Subscription {
    topic: String,
    deliveries: mpsc::Receiver<Delivery>,
    /// Keeps the reader alive; declared last, so the channel closes first.
    reader: Box<dyn Upstream>,
}

impl Subscription {
    pub(crate) fn new(
        topic: &str,
        deliveries: mpsc::Receiver<Delivery>,
        reader: Box<dyn Upstream>,
    ) -> Self {
        Self {
            topic: topic.to_owned(),
            deliveries,
            reader,
        }
    }

    /// The topic's name.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// The next delivery; `None` when the space has closed. Cancel safe.
    pub async fn recv(&mut self) -> Option<Delivery> {
        let delivery = self.deliveries.recv().await;
        self.reader.taken();
        delivery
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
        let delivery = self.deliveries.try_recv().ok();
        self.reader.taken();
        delivery
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
