//! Who may be connected: a limit in all, one for each address, and one for each network.

use super::counters::SmtpCounters;
use super::server::SmtpLimits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bits of a network: what one owner usually has in one place (RFC 6177 §2 for IPv6).
const NETWORK_V4: u32 = 24;
const NETWORK_V6: u32 = 48;

/// The places of a mailbox.
#[derive(Debug)]
pub(super) struct Places {
    limits: SmtpLimits,
    taken: Mutex<Taken>,
    counters: Arc<SmtpCounters>,
}

#[derive(Debug, Default)]
struct Taken {
    addresses: HashMap<IpAddr, usize>,
    networks: HashMap<IpAddr, usize>,
}

/// One place; free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
}

impl Places {
    pub(super) fn new(limits: SmtpLimits, counters: Arc<SmtpCounters>) -> Self {
        Self {
            limits,
            taken: Mutex::default(),
            counters,
        }
    }

    /// How many there are.
    pub(super) const fn total(&self) -> usize {
        self.limits.sessions
    }

    /// A place for this address, if there is one.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken();
        let open = self.counters.open.load(Ordering::Relaxed);
        let network = network(address);
        let here = taken.addresses.get(&address).copied().unwrap_or(0);
        let near = taken.networks.get(&network).copied().unwrap_or(0);
        if open >= self.limits.sessions as u64
            || here >= self.limits.sessions_per_address
            || near >= self.limits.sessions_per_network
        {
            return None;
        }
        taken.addresses.insert(address, here + 1);
        taken.networks.insert(network, near + 1);
        SmtpCounters::add(&self.counters.open, 1);
        Some(Place {
            places: Arc::clone(self),
            address,
        })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken();
        release(&mut taken.addresses, self.address);
        release(&mut taken.networks, network(self.address));
        self.places.counters.open.fetch_sub(1, Ordering::Relaxed);
    }
}

fn release(counts: &mut HashMap<IpAddr, usize>, key: IpAddr) {
    match counts.get_mut(&key) {
        Some(count) if *count > 1 => *count -= 1,
        Some(_) | None => {
            counts.remove(&key);
        }
    }
}

/// The address of the network that an address is in.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let host = 32 - NETWORK_V4;
            Ipv4Addr::from_bits(address.to_bits() >> host << host).into()
        }
        IpAddr::V6(address) => {
            let host = 128 - NETWORK_V6;
            Ipv6Addr::from_bits(address.to_bits() >> host << host).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_network_and_in_all() {
        let limits = SmtpLimits {
            sessions: 7,
            sessions_per_address: 2,
            sessions_per_network: 3,
            ..SmtpLimits::default()
        };
        let places = Arc::new(Places::new(limits, Arc::default()));
        let take = |text: &str| places.take(text.parse().expect("an address"));
        let mut held = Vec::new();
        let table = [
            ("192.0.2.1", true),
            ("192.0.2.1", true),
            ("192.0.2.1", false),
            ("192.0.2.2", true),
            ("192.0.2.3", false),
            ("192.0.3.1", true),
            ("2001:db8:1:1::1", true),
            ("2001:db8:1:2::1", true),
            ("2001:db8:1:3::1", true),
            ("2001:db8:2::1", false),
        ];
        for (address, expected) in table {
            let place = take(address);
            assert_eq!(place.is_some(), expected, "{address}");
            held.extend(place);
        }
        held.clear();
        let taken = places.taken();
        assert!(taken.addresses.is_empty() && taken.networks.is_empty());
        assert_eq!(places.counters.open.load(Ordering::Relaxed), 0);
    }
}
