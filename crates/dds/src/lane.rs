//! The bounded hand-over between publishers and the thread that writes: one lane per topic and
//! partition, so that a stuck room does not hold up the others.

use crate::event::Meter;
use crate::partition;
use crate::qos::Overflow;
use crate::sample::{NAME_MAX, SEALED_MAX, Sample};
use crate::space::PublishError;
use crate::topic::Topic;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Writers of one node: rooms × topics, with room for growth. Each costs a thread.
pub(crate) const LANES_MAX: usize = 256;

/// What waits in a lane.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Write(Sample),
    Dispose(String),
}

impl Item {
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Write(sample) => &sample.key,
            Self::Dispose(key) => key,
        }
    }
}

/// Answer to an offer; a refused item comes back.
#[derive(Debug)]
pub(crate) enum Offer {
    Accepted,
    Replaced,
    Full(Item),
    Closed,
}

/// Lock that survives a panic of another holder: every critical section here leaves valid state.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses what the type or the partition rules do not allow.
pub(crate) fn validate(partition: &str, item: &Item) -> Result<(), PublishError> {
    if !partition::is_name(partition) {
        return Err(PublishError::Partition {
            partition: partition.to_owned(),
        });
    }
    let name = |field, value: &str| {
        let fits = !value.is_empty() && value.len() <= NAME_MAX && !value.contains('\0');
        if fits {
            Ok(())
        } else {
            Err(PublishError::Name {
                field,
                value: value.chars().take(64).collect(),
            })
        }
    };
    name("key", item.key())?;
    if let Item::Write(sample) = item {
        name("writer", &sample.writer)?;
        if sample.sealed.len() > SEALED_MAX {
            let len = sample.sealed.len();
            return Err(PublishError::TooLarge {
                key: sample.key.clone(),
                len,
                limit: SEALED_MAX,
            });
        }
    }
    Ok(())
}

/// The queue of one lane.
pub(crate) struct Queue {
    state: Mutex<State>,
    limit: usize,
    overflow: Overflow,
    filled: Condvar,
    room: Notify,
    idle: Notify,
}

#[derive(Default)]
struct State {
    items: VecDeque<Item>,
    /// An item is with the writing thread.
    busy: bool,
    closed: bool,
}

impl Queue {
    pub(crate) fn new(topic: &Topic) -> Self {
        let qos = topic.qos();
        Self {
            state: Mutex::default(),
            limit: qos.queue.max(1),
            overflow: qos.overflow,
            filled: Condvar::new(),
            room: Notify::new(),
            idle: Notify::new(),
        }
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes `item` or gives it back; never waits.
    pub(crate) fn offer(&self, item: Item, meter: &Meter) -> Offer {
        let mut state = lock(&self.state);
        if state.closed {
            return Offer::Closed;
        }
        if state.items.len() < self.limit {
            state.items.push_back(item);
            Meter::add(&meter.accepted);
            self.filled.notify_one();
            return Offer::Accepted;
        }
        match self.overflow {
            Overflow::Refuse => Offer::Full(item),
            Overflow::Replace => match state
                .items
                .iter()
                .position(|queued| queued.key() == item.key())
            {
                // Out with the oldest of the key, in at the end: the key's order stays.
                Some(oldest) => {
                    state.items.remove(oldest);
                    state.items.push_back(item);
                    Meter::add(&meter.accepted);
                    Meter::add(&meter.replaced);
                    Offer::Replaced
                }
                None => Offer::Full(item),
            },
        }
    }

    /// As [`offer`](Self::offer), waiting for room; false: closed.
    pub(crate) async fn push(&self, mut item: Item, meter: &Meter) -> bool {
        loop {
            let mut room = std::pin::pin!(self.room.notified());
            // Listen before looking, or a slot freed in between is missed.
            room.as_mut().enable();
            item = match self.offer(item, meter) {
                Offer::Accepted | Offer::Replaced => return true,
                Offer::Closed => return false,
                Offer::Full(item) => item,
            };
            room.await;
        }
    }

    /// The next item, waiting for one; `None` once closed and empty. Taking the next one says that
    /// the former is done.
    pub(crate) fn next(&self) -> Option<Item> {
        let mut state = lock(&self.state);
        state.busy = false;
        loop {
            if let Some(item) = state.items.pop_front() {
                state.busy = true;
                self.room.notify_waiters();
                return Some(item);
            }
            self.idle.notify_waiters();
            if state.closed {
                return None;
            }
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next item, if there is one; otherwise the former still counts as being written.
    pub(crate) fn take_ready(&self) -> Option<Item> {
        let mut state = lock(&self.state);
        let item = state.items.pop_front()?;
        state.busy = true;
        self.room.notify_waiters();
        Some(item)
    }

    /// The next item, if there is one; as [`next`](Self::next) it ends the former.
    pub(crate) fn try_next(&self) -> Option<Item> {
        let mut state = lock(&self.state);
        let item = state.items.pop_front();
        state.busy = item.is_some();
        if state.busy {
            self.room.notify_waiters()
        } else {
            self.idle.notify_waiters()
        }
        item
    }

    /// Waits until nothing is queued or being written.
    pub(crate) async fn until_idle(&self) {
        loop {
            let mut idle = std::pin::pin!(self.idle.notified());
            idle.as_mut().enable();
            {
                let state = lock(&self.state);
                if state.items.is_empty() && !state.busy {
                    return;
                }
            }
            idle.await;
        }
    }

    /// Accepts nothing more; what is queued is still handed out.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_all();
        self.room.notify_waiters();
    }

    /// Throws away what is queued; how much it was.
    pub(crate) fn discard(&self) -> usize {
        std::mem::take(&mut lock(&self.state).items).len()
    }
}

#[cfg(test)]
mod tests;
