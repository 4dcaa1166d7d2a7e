//! One subscription's reader. There is no thread between: Cyclone's receiving thread wakes the
//! subscriber, who takes from the reader's cache himself.

use super::observer::Observer;
use super::sys::{self, Entity, OnData, Taken};
use crate::event::Meter;
use crate::lane::lock;
use crate::sample::Delivery;
use crate::subscription::Upstream;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

/// Between the receiving thread, the subscriber and the space that closes.
pub(super) struct Feed {
    bell: Arc<Bell>,
    /// Taken away by whoever closes; held while something is taken, so that nothing is deleted then.
    reader: Mutex<Option<Arc<Entity>>>,
}

/// What the reader's listener rings.
#[derive(Default)]
pub(super) struct Bell(Mutex<Ringing>);

#[derive(Default)]
struct Ringing {
    /// Something came since the subscriber last looked.
    rung: bool,
    closed: bool,
    waker: Option<Waker>,
}

impl Bell {
    /// One that makes the subscriber look once, whatever came before he was there.
    pub(super) fn rung() -> Self {
        Self(Mutex::new(Ringing {
            rung: true,
            ..Ringing::default()
        }))
    }

    fn ring(&self, closing: bool) {
        let waker = {
            let mut state = lock(&self.0);
            state.rung = true;
            state.closed |= closing;
            state.waker.take()
        };
        // Outside of the lock: a waker is somebody else's code.
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether to look; otherwise `context` is woken when there is a reason to.
    fn poll(&self, context: Option<&Context<'_>>) -> Poll<Look> {
        let mut state = lock(&self.0);
        if state.closed {
            return Poll::Ready(Look::Closed);
        }
        if std::mem::take(&mut state.rung) {
            return Poll::Ready(Look::Again);
        }
        if let Some(context) = context {
            state.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl OnData for Bell {
    fn on_data(&self) {
        self.ring(false);
    }
}

enum Look {
    Again,
    Closed,
}

impl Feed {
    pub(super) fn new(bell: Arc<Bell>, reader: Arc<Entity>) -> Self {
        Self {
            bell,
            reader: Mutex::new(Some(reader)),
        }
    }

    /// Ends the subscription and deletes the reader, which may wait for Cyclone.
    pub(super) fn close(&self) {
        self.bell.ring(true);
        let reader = lock(&self.reader).take();
        if let Some(reader) = reader {
            reader.delete();
        }
    }
}

/// What a subscription holds.
pub(super) struct Reading {
    feed: Arc<Feed>,
    /// Takes over the reader when the subscription is dropped.
    observer: Weak<Observer>,
    meter: Arc<Meter>,
    batch: Vec<Taken>,
    ready: VecDeque<Delivery>,
}

impl Reading {
    pub(super) fn new(feed: Arc<Feed>, observer: &Arc<Observer>, meter: Arc<Meter>) -> Self {
        Self {
            feed,
            observer: Arc::downgrade(observer),
            meter,
            batch: Vec::new(),
            ready: VecDeque::new(),
        }
    }

    fn poll(&mut self, context: Option<&Context<'_>>) -> Poll<Option<Delivery>> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                Meter::add(&self.meter.delivered);
                return Poll::Ready(Some(delivery));
            }
            match self.feed.bell.poll(context) {
                Poll::Ready(Look::Again) => self.take(),
                Poll::Ready(Look::Closed) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn take(&mut self) {
        let reader = lock(&self.feed.reader);
        let Some(reader) = reader.as_ref() else {
            return;
        };
        match sys::take(reader, &mut self.batch) {
            Ok(true) => self.feed.bell.ring(false),
            Ok(false) => {}
            // Only a deleted entity fails here: the domain is closing.
            Err(code) => {
                tracing::debug!(%code, "a data space reader ends");
                self.feed.bell.ring(true);
            }
        }
        for taken in self.batch.drain(..) {
            match taken {
                Taken::Sample(sample) => self.ready.push_back(Delivery::Sample(sample)),
                Taken::Disposed(key) => self.ready.push_back(Delivery::Disposed { key }),
                Taken::Malformed => Meter::add(&self.meter.malformed),
            }
        }
    }
}

impl Upstream for Reading {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll(Some(context))
    }

    fn try_next(&mut self) -> Option<Delivery> {
        match self.poll(None) {
            Poll::Ready(delivery) => delivery,
            Poll::Pending => None,
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // Deleting waits until no thread of Cyclone looks at the reader any more: not here, for this
        // may be an actor's thread.
        let reader = lock(&self.feed.reader).take();
        if let (Some(reader), Some(observer)) = (reader, self.observer.upgrade()) {
            observer.bury(reader);
        }
    }
}
