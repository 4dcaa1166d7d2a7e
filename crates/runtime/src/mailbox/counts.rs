//! What became of a mailbox's letters, for whoever operates the node.

use crate::clock;
use machine::Instant;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use wire::status::MailboxStatus;

/// Shared by an address and the letters on their way to it.
#[derive(Default, Debug)]
pub(super) struct Counts {
    waiting: Mutex<Waiting>,
    peak: AtomicU64,
    delivered: AtomicU64,
    shed: AtomicU64,
    refused: AtomicU64,
    delayed: AtomicU64,
    lost: AtomicU64,
    longest_wait_ms: AtomicU64,
}

/// When the letters on their way were posted. Never more than the mailbox's capacity, since each
/// entry belongs to a permit.
#[derive(Default, Debug)]
struct Waiting {
    next: u64,
    posted: BTreeMap<u64, Instant>,
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

impl Counts {
    pub(super) fn shed(&self) {
        self.shed.fetch_add(1, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn delayed(&self) {
        self.delayed.fetch_add(1, Relaxed);
    }

    /// All but depth and capacity.
    pub(super) fn status(&self, now: Instant) -> MailboxStatus {
        let oldest = self.waiting().posted.values().min().copied();
        MailboxStatus {
            depth: 0,
            capacity: 0,
            peak: self.peak.load(Relaxed),
            oldest_ms: oldest.map(|posted| millis(now.since(posted))),
            delivered: self.delivered.load(Relaxed),
            shed: self.shed.load(Relaxed),
            refused: self.refused.load(Relaxed),
            delayed: self.delayed.load(Relaxed),
            lost: self.lost.load(Relaxed),
            longest_wait_ms: self.longest_wait_ms.load(Relaxed),
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Two numbers and a map that are never left half changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    OnItsWay,
    Delivered,
    Withdrawn,
}

/// A letter's place in its mailbox: given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    counts: Arc<Counts>,
    number: u64,
    posted: Instant,
    fate: Fate,
    _permit: OwnedSemaphorePermit,
}

impl Ticket {
    pub(super) fn new(counts: Arc<Counts>, posted: Instant, permit: OwnedSemaphorePermit) -> Self {
        let number = {
            let mut waiting = counts.waiting();
            waiting.next += 1;
            let number = waiting.next;
            waiting.posted.insert(number, posted);
            let depth = u64::try_from(waiting.posted.len()).unwrap_or(u64::MAX);
            counts.peak.fetch_max(depth, Relaxed);
            number
        };
        Self {
            counts,
            number,
            posted,
            fate: Fate::OnItsWay,
            _permit: permit,
        }
    }

    /// The actor has taken the letter up.
    pub(crate) fn delivered(&mut self) {
        self.fate = Fate::Delivered;
        self.counts.delivered.fetch_add(1, Relaxed);
        let waited = millis(clock::now().since(self.posted));
        self.counts.longest_wait_ms.fetch_max(waited, Relaxed);
    }

    /// The letter goes back to its sender.
    pub(super) fn withdraw(mut self) {
        self.fate = Fate::Withdrawn;
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.counts.waiting().posted.remove(&self.number);
        match self.fate {
            Fate::OnItsWay => {
                self.counts.lost.fetch_add(1, Relaxed);
            }
            Fate::Delivered | Fate::Withdrawn => {}
        }
    }
}
