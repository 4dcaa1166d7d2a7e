//! Failed logins of an address and of its network, over all its sessions: who guesses has to wait.
//!
//! Each attempt costs something, and a successful one gets it back: so a hundred connections at once have no
//! more guesses than one. What was spent comes back with time, and nobody is locked out for good.
//!
//! Behind one address may be many devices, and one of them may guess. A device that has logged in from
//! there has an account of its own, which the others' failures do not touch. What remains: who guesses at
//! that very device's password from that very address takes from the same account. The device then finds
//! one attempt free every [`Guesses::PAUSE`], like the other.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use machine::Instant;
use std::collections::BTreeMap;

/// Accounts remembered of each kind. Beyond that, those that owe nothing make room; if there are none, all
/// are forgotten: so many are somebody's inventions, and counting anew is better than locking everybody
/// out or letting memory grow.
const MOST: usize = 65_536;

/// Bits of what one client has: all of an IPv4 address, and the /64 of a host with IPv6 (RFC 4291 §2.5.1).
const HOST_V4: u32 = 32;
const HOST_V6: u32 = 64;
/// Bits of what one owner has in one place, as in the limits on connections.
const NETWORK_V4: u32 = 24;
const NETWORK_V6: u32 = 48;

/// Who has failed how often.
#[derive(Debug)]
pub struct Guesses {
    per_address: u32,
    hosts: Accounts<IpAddr>,
    networks: Accounts<IpAddr>,
    known: Accounts<(IpAddr, String)>,
}

impl Guesses {
    /// Failures of one address at once. Somebody who configures a device mistypes some times.
    pub const PER_ADDRESS: u32 = 10;
    /// And then one each half minute: three thousand guesses a day, of which a made password
    /// (`glasshouse device login`) needs 2^119.
    pub const PAUSE: Duration = Duration::from_secs(30);
    /// A network has as much as ten of its addresses.
    const ADDRESSES: u32 = 10;

    /// `per_address`: failures at once, at least one.
    pub fn new(per_address: u32) -> Self {
        Self {
            per_address: per_address.max(1),
            hosts: Accounts::default(),
            networks: Accounts::default(),
            known: Accounts::default(),
        }
    }

    /// Whether `name` may be tried from `peer` now, and that it is tried.
    ///
    /// # Errors
    /// How long until the next attempt is free.
    pub fn attempt(&mut self, peer: IpAddr, name: &str, now: Instant) -> Result<(), Duration> {
        let host = prefix(peer, HOST_V4, HOST_V6);
        let known = (host, name.to_owned());
        if self.known.has(&known) {
            let wait = self.known.wait(&known, Self::PAUSE, self.most(), now);
            if wait.is_zero() {
                self.known.spend(known, Self::PAUSE, now);
                return Ok(());
            }
            return Err(wait);
        }
        let network = prefix(peer, NETWORK_V4, NETWORK_V6);
        let (share, most) = (Self::PAUSE / Self::ADDRESSES, self.most());
        let own = self.hosts.wait(&host, Self::PAUSE, most, now);
        let wait = own.max(self.networks.wait(&network, share, most, now));
        if !wait.is_zero() {
            return Err(wait);
        }
        self.hosts.spend(host, Self::PAUSE, now);
        self.networks.spend(network, share, now);
        Ok(())
    }

    /// The attempt was none to guard against.
    pub fn succeeded(&mut self, peer: IpAddr, name: &str, now: Instant) {
        let host = prefix(peer, HOST_V4, HOST_V6);
        let known = (host, name.to_owned());
        if self.known.has(&known) {
            return self.known.refund(&known, Self::PAUSE, now);
        }
        self.hosts.refund(&host, Self::PAUSE, now);
        let network = prefix(peer, NETWORK_V4, NETWORK_V6);
        let share = Self::PAUSE / Self::ADDRESSES;
        self.networks.refund(&network, share, now);
        self.known.open(known, now);
    }

    /// What an account may owe. A network's attempts cost a tenth, so that it has ten times as many.
    fn most(&self) -> Duration {
        Self::PAUSE.saturating_mul(self.per_address)
    }
}

/// The moment at which each account owes nothing.
#[derive(Debug)]
struct Accounts<K>(BTreeMap<K, Instant>);

impl<K> Default for Accounts<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Accounts<K> {
    fn has(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// How long until it owes no more than `most` with `cost` on top.
    fn wait(&self, key: &K, cost: Duration, most: Duration, now: Instant) -> Duration {
        let debt = self.0.get(key).map_or(Duration::ZERO, |at| at.since(now));
        (debt + cost).saturating_sub(most)
    }

    fn spend(&mut self, key: K, cost: Duration, now: Instant) {
        self.make_room(now);
        let at = self.0.entry(key).or_insert(now);
        *at = (*at).max(now) + cost;
    }

    fn refund(&mut self, key: &K, cost: Duration, now: Instant) {
        if let Some(at) = self.0.get_mut(key) {
            let debt = at.since(now).saturating_sub(cost);
            *at = now + debt;
        }
    }

    fn open(&mut self, key: K, now: Instant) {
        self.make_room(now);
        self.0.entry(key).or_insert(now);
    }

    fn make_room(&mut self, now: Instant) {
        if self.0.len() >= MOST {
            self.0.retain(|_, at| *at > now);
        }
        if self.0.len() >= MOST {
            self.0.clear();
        }
    }
}

/// The first address of what has these bits in common.
fn prefix(address: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let host = 32 - v4;
            Ipv4Addr::from_bits(address.to_bits() >> host << host).into()
        }
        IpAddr::V6(address) => {
            let host = 128 - v6;
            Ipv6Addr::from_bits(address.to_bits() >> host << host).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

    fn later(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    /// How many of many attempts are let through.
    fn tries(guesses: &mut Guesses, peer: IpAddr, name: &str, now: Instant) -> usize {
        let attempts = 0..200;
        attempts
            .filter(|_| guesses.attempt(peer, name, now).is_ok())
            .count()
    }

    #[test]
    fn an_address_has_some_at_once_and_then_one_each_half_minute() {
        let mut guesses = Guesses::new(10);
        assert_eq!(tries(&mut guesses, HERE, "ups-1", later(0)), 10);
        assert_eq!(guesses.attempt(HERE, "x", later(0)), Err(Guesses::PAUSE));
        let wait = guesses.attempt(HERE, "ups-1", later(29));
        assert_eq!(wait, Err(Duration::from_secs(1)));
        assert_eq!(tries(&mut guesses, HERE, "ups-1", later(30)), 1);
        assert_eq!(tries(&mut guesses, HERE, "ups-1", later(90)), 2);
        assert_eq!(tries(&mut guesses, HERE, "ups-1", later(86_400)), 10);
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8));
        assert_eq!(tries(&mut guesses, other, "ups-1", later(86_400)), 10);
    }

    #[test]
    fn a_network_has_as_much_as_ten_addresses() {
        let mut guesses = Guesses::new(10);
        let mut all = 0;
        for host in 1..=20 {
            let peer = IpAddr::V4(Ipv4Addr::new(192, 0, 2, host));
            all += tries(&mut guesses, peer, "ups-1", later(0));
        }
        assert!((91..=100).contains(&all), "{all}");
        let elsewhere = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
        assert_eq!(tries(&mut guesses, elsewhere, "ups-1", later(0)), 10);
        // A host with IPv6 has a /64 to come from.
        let mut guesses = Guesses::new(10);
        let v6 = |low: u16| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 1, 0, 0, 0, low));
        let all: usize = (1..=5)
            .map(|low| tries(&mut guesses, v6(low), "ups-1", later(0)))
            .sum();
        assert_eq!(all, 10);
    }

    #[test]
    fn who_logs_in_pays_nothing_and_the_others_do_not_lock_it_out() {
        let mut guesses = Guesses::new(3);
        for second in 0..100 {
            assert_eq!(guesses.attempt(HERE, "ups-1", later(second)), Ok(()));
            guesses.succeeded(HERE, "ups-1", later(second));
        }
        // Another device behind the same address tries names and passwords.
        assert_eq!(tries(&mut guesses, HERE, "admin", later(100)), 3);
        assert!(guesses.attempt(HERE, "root", later(100)).is_err());
        assert_eq!(guesses.attempt(HERE, "ups-1", later(100)), Ok(()));
        guesses.succeeded(HERE, "ups-1", later(100));
        // It knows the name: then the two share an account, and one attempt is free each half minute.
        assert_eq!(tries(&mut guesses, HERE, "ups-1", later(100)), 3);
        assert!(guesses.attempt(HERE, "ups-1", later(101)).is_err());
        assert_eq!(guesses.attempt(HERE, "ups-1", later(130)), Ok(()));
        // From elsewhere the name is nobody's.
        let elsewhere = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
        assert_eq!(tries(&mut guesses, elsewhere, "ups-1", later(130)), 3);
    }

    #[test]
    fn memory_is_bounded() {
        let mut guesses = Guesses::new(1);
        for number in 0..(2 * MOST as u32 + 7) {
            let peer = IpAddr::V4(Ipv4Addr::from_bits(number << 8));
            let _ = guesses.attempt(peer, "ups-1", Instant::ZERO);
            guesses.succeeded(peer, "ups-1", Instant::ZERO);
            assert!(guesses.hosts.0.len() <= MOST && guesses.known.0.len() <= MOST);
        }
        let mapped: IpAddr = "::ffff:192.0.2.7".parse().expect("an address");
        assert_eq!(prefix(mapped, HOST_V4, HOST_V6), HERE);
    }
}
