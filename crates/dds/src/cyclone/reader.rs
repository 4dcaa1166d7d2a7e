//! One subscription's reader: a thread between Cyclone's cache and a bounded channel.

use super::sys::{self, Code, Entity, Taken, WaitSet};
use crate::event::Meter;
use crate::sample::Delivery;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc};

/// Ends the reader behind a subscription.
pub(super) struct Stop {
    stopped: AtomicBool,
    /// Ends a wait for room in the channel.
    blocked: Notify,
    /// Ends a wait for data.
    guard: Arc<Entity>,
}

impl Stop {
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.blocked.notify_one();
        self.guard.trigger(true);
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }
}

/// In a subscription: dropping it stops the reader without waiting for it.
pub(super) struct StopOnDrop(pub(super) Arc<Stop>);

impl crate::subscription::Upstream for StopOnDrop {}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// What the thread needs.
pub(super) struct ReaderLoop {
    pub(super) reader: Arc<Entity>,
    waits: WaitSet,
    _condition: Arc<Entity>,
    deliveries: mpsc::Sender<Delivery>,
    stop: Arc<Stop>,
    meter: Arc<Meter>,
    /// Waits for room in the channel or for the stop, whichever comes first.
    waiter: Runtime,
}

impl ReaderLoop {
    pub(super) fn new(
        participant: &Arc<Entity>,
        reader: Arc<Entity>,
        deliveries: mpsc::Sender<Delivery>,
        meter: Arc<Meter>,
    ) -> Result<Self, String> {
        let text = |code: Code| code.to_string();
        let waits = WaitSet::new(participant).map_err(text)?;
        let condition = waits.attach_data(&reader).map_err(text)?;
        let waiter = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| error.to_string())?;
        let stop = Arc::new(Stop {
            stopped: AtomicBool::new(false),
            blocked: Notify::new(),
            guard: waits.guard(),
        });
        Ok(Self {
            reader,
            waits,
            _condition: condition,
            deliveries,
            stop,
            meter,
            waiter,
        })
    }

    pub(super) fn stop(&self) -> Arc<Stop> {
        Arc::clone(&self.stop)
    }

    /// The thread's body.
    pub(super) fn run(self) {
        let (mut tokens, mut batch) = (Vec::new(), Vec::new());
        while !self.stop.is_stopped() {
            if let Err(code) = self
                .waits
                .wait(&mut tokens)
                .and_then(|()| self.drain(&mut batch))
            {
                // Only a deleted entity fails here: the domain is closing.
                tracing::debug!(%code, "a data space reader ends");
                return;
            }
        }
    }

    fn drain(&self, batch: &mut Vec<Taken>) -> Result<(), Code> {
        while !self.stop.is_stopped() && sys::take(&self.reader, batch)? {
            for taken in batch.drain(..) {
                let delivery = match taken {
                    Taken::Sample(sample) => Delivery::Sample(sample),
                    Taken::Disposed(key) => Delivery::Disposed { key },
                    Taken::Malformed => {
                        Meter::add(&self.meter.malformed);
                        continue;
                    }
                };
                if !self.deliver(delivery) {
                    self.stop.stop();
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// False when nobody listens any more.
    fn deliver(&self, delivery: Delivery) -> bool {
        let delivered = match self.deliveries.try_send(delivery) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(delivery)) => self.waiter.block_on(async {
                tokio::select! {
                    () = self.stop.blocked.notified() => false,
                    sent = self.deliveries.send(delivery) => sent.is_ok(),
                }
            }),
        };
        if delivered {
            Meter::add(&self.meter.delivered);
        }
        delivered
    }
}
