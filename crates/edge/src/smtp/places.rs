//! Who may be connected: a limit in all, and one for each address.

use super::counters::SmtpCounters;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The places of a listener.
#[derive(Debug)]
pub(super) struct Places {
    total: usize,
    per_address: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
    counters: Arc<SmtpCounters>,
}

/// One place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(total: usize, per_address: usize, counters: Arc<SmtpCounters>) -> Self {
        Self {
            total,
            per_address,
            taken: Mutex::default(),
            counters,
        }
    }

    /// A place for this address, if there is one.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        let open = self.counters.open.load(Ordering::Relaxed);
        let here = taken.get(&address).copied().unwrap_or(0);
        if open >= self.total as u64 || here >= self.per_address {
            return None;
        }
        taken.insert(address, here + 1);
        SmtpCounters::add(&self.counters.open, 1);
        Some(Place {
            places: Arc::clone(self),
            address,
        })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        match taken.get_mut(&self.address) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => {
                taken.remove(&self.address);
            }
        }
        self.places.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}
