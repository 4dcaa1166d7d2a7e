//! The bounded hand-over between publishers and the thread that writes: one lane per topic and
//! partition, so that a stuck room does not hold up the others.
//!
//! Who finds the lane at rest may write himself ([`Queue::claim`]): waking the thread takes longer than
//! writing. What comes while somebody writes waits in the queue, so the order is that of the offers.

use crate::event::Meter;
use crate::partition;
use crate::qos::Overflow;
use crate::sample::{NAME_MAX, SEALED_MAX, Sample};
use crate::space::PublishError;
use crate::topic::Topic;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Writers of one node: rooms × topics, with room for growth. Each costs a thread.
pub(crate) const LANES_MAX: usize = 256;

/// An offer that follows the last write so soon is one of a burst: it goes to the thread, where several
/// share a datagram. Sealing a sample takes about as long.
pub(crate) const BURST: Duration = Duration::from_micros(10);

/// What the lane's thread takes at once: enough small samples to fill a datagram (14,720 bytes), few enough that the
/// queue's limit still says how much waits. Whoever waits for room is woken once for all of them.
const BATCH: usize = 64;

/// Bytes of written samples that go back to their publishers to be freed ([`Queue::give_back`]).
const SPENT_MAX: usize = 64 << 10;

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

    /// Bytes of its payload.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Write(sample) => sample.sealed.len(),
            Self::Dispose(_) => 0,
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
    /// Written, and to be freed by the next publisher.
    spent: Vec<Item>,
    writing: Writing,
    /// When the last write ended, once there was one.
    rested: Option<Instant>,
    closed: bool,
}

/// Who has an item that is not written yet.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Writing {
    #[default]
    Nobody,
    /// The lane's thread; it looks into the queue again before it waits.
    Thread,
    /// A publisher, by a [`Claim`].
    Caller,
}

/// The right to write past the empty queue; ends when dropped.
pub(crate) struct Claim<'a> {
    queue: &'a Queue,
    now: fn() -> Instant,
}

impl Claim<'_> {
    /// Could not be written at once: first in the queue, for the thread.
    pub(crate) fn hand_over(self, item: Item) {
        lock(&self.queue.state).items.push_front(item);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let rested = (self.now)();
        let mut state = lock(&self.queue.state);
        state.writing = Writing::Nobody;
        state.rested = Some(rested);
        if !state.items.is_empty() || state.closed {
            self.queue.filled.notify_one();
        }
        if state.items.is_empty() {
            self.queue.idle.notify_waiters();
        }
    }
}

impl State {
    /// Moves a batch at most; whether there was anything.
    fn take(&mut self, batch: &mut VecDeque<Item>) -> bool {
        let count = self.items.len().min(BATCH);
        batch.extend(self.items.drain(..count));
        count > 0
    }
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
        // Declared first, so it is freed when the lock is free again.
        let mut spent = Vec::new();
        let mut state = lock(&self.state);
        std::mem::swap(&mut spent, &mut state.spent);
        if state.closed {
            return Offer::Closed;
        }
        if state.items.len() < self.limit {
            state.items.push_back(item);
            Meter::add(&meter.accepted);
            // Whoever writes looks here when he is done.
            if state.writing == Writing::Nobody {
                self.filled.notify_one();
            }
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

    /// The right to write an item directly, if nothing waits or is being written and the last write is
    /// not of the same burst.
    pub(crate) fn claim(&self, now: fn() -> Instant) -> Option<Claim<'_>> {
        let mut state = lock(&self.state);
        let rests = state.writing == Writing::Nobody && state.items.is_empty() && !state.closed;
        if !rests || state.rested.is_some_and(|rested| now() < rested + BURST) {
            return None;
        }
        state.writing = Writing::Caller;
        Some(Claim { queue: self, now })
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

    /// Fills `batch` with what is next, waiting for something; false once closed and empty. Asking says
    /// that the former batch is done.
    pub(crate) fn next(&self, now: fn() -> Instant, batch: &mut VecDeque<Item>) -> bool {
        let rested = now();
        let mut state = lock(&self.state);
        if state.writing == Writing::Thread {
            state.writing = Writing::Nobody;
            state.rested = Some(rested);
        }
        loop {
            if state.writing == Writing::Nobody {
                if state.take(batch) {
                    state.writing = Writing::Thread;
                    drop(state);
                    self.room.notify_waiters();
                    return true;
                }
                self.idle.notify_waiters();
                if state.closed {
                    return false;
                }
            }
            state = self
                .filled
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Fills `batch` with what is next, if there is something; otherwise the former still counts as being written.
    /// Nothing for a thread that has written none yet: what waits would be overtaken by who claims the lane.
    pub(crate) fn take_ready(&self, batch: &mut VecDeque<Item>) -> bool {
        let mut state = lock(&self.state);
        let some = state.writing == Writing::Thread && state.take(batch);
        drop(state);
        if some {
            self.room.notify_waiters();
        }
        some
    }

    /// Takes what was written out of `spent`, for the next publisher to free. With memory that one thread allocates
    /// and another one frees, both wait for the allocator's lock: that took a third of the time of either.
    pub(crate) fn give_back(&self, spent: &mut Vec<Item>) {
        let mut bytes = 0;
        spent.retain(|item| {
            bytes += item.len();
            bytes <= SPENT_MAX
        });
        // What nobody fetched meanwhile is freed here.
        std::mem::swap(&mut lock(&self.state).spent, spent);
        spent.clear();
    }

    /// The next item, if there is one; it counts as being written until the next is asked for. For a
    /// writer without a thread and without claims.
    pub(crate) fn try_next(&self) -> Option<Item> {
        let mut state = lock(&self.state);
        let item = state.items.pop_front();
        if item.is_some() {
            state.writing = Writing::Thread;
            self.room.notify_waiters();
        } else {
            state.writing = Writing::Nobody;
            self.idle.notify_waiters();
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
                if state.items.is_empty() && state.writing == Writing::Nobody {
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
