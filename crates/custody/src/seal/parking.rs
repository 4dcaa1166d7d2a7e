use machine::Instant;
use std::collections::VecDeque;
use std::time::Duration;
use wire::KeyEpoch;

/// Payloads held back at once. A few seconds of a busy room, while this node catches up on one
/// ledger entry; beyond it the oldest is given up.
pub const MAX_PARKED: usize = 4_096;

/// Payloads sealed under an epoch that this node has not reached yet: a writer that hears of a
/// new epoch first is ahead of its readers by a few milliseconds.
#[derive(Debug)]
pub struct Parking<T> {
    limit: Duration,
    parked: VecDeque<(Instant, KeyEpoch, T)>,
}

impl<T> Parking<T> {
    /// Give up on a payload after `limit`.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            parked: VecDeque::new(),
        }
    }

    /// Hold `item`, sealed under `epoch`, back. Returns the one that had to make room, if any.
    pub fn park(&mut self, now: Instant, epoch: KeyEpoch, item: T) -> Option<T> {
        let displaced = if self.parked.len() >= MAX_PARKED {
            self.parked.pop_front().map(|(_, _, item)| item)
        } else {
            None
        };
        self.parked.push_back((now, epoch, item));
        displaced
    }

    /// Everything that is worth trying again now that `reached` started, in order of arrival.
    pub fn release(&mut self, reached: KeyEpoch) -> Vec<T> {
        let (ready, rest): (VecDeque<_>, VecDeque<_>) = self
            .parked
            .drain(..)
            .partition(|(_, epoch, _)| *epoch <= reached);
        self.parked = rest;
        ready.into_iter().map(|(_, _, item)| item).collect()
    }

    /// Everything that has waited too long; to be counted as refused.
    pub fn give_up(&mut self, now: Instant) -> Vec<T> {
        let mut given_up = Vec::new();
        while let Some((since, _, _)) = self.parked.front()
            && now.since(*since) >= self.limit
        {
            given_up.extend(self.parked.pop_front().map(|(_, _, item)| item));
        }
        given_up
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.parked.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }
}
