//! Peers given by name, looked up again while the domain is open.
//!
//! Cyclone DDS has no call that adds a peer, so addresses that turn up later hear of us in another way. A
//! socket of ours is one of the peers that Cyclone is given. What arrives there, our own announcement as
//! Cyclone made it (RTPS 2.5 §8.5.3: participant, locators, lease; whose datagram it comes in plays no
//! part), is sent on to them. Who hears of us answers, and from there on Cyclone has met it.

use super::config::DomainConfig;
use super::peers;
use super::threads::{Worker, now};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How often names are looked up: a pod that is back shows within seconds, and a resolver does not notice.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long the thread may take to notice that it should end.
const NOTICE: Duration = Duration::from_millis(200);
/// Addresses beside those of the start. More are not announced to: a name stands for a house's nodes.
const LATE_MAX: usize = 64;
/// Participants of this process in the domain whose announcements are kept. There is one, but for tests.
const PARTICIPANTS_MAX: usize = 64;
/// Cyclone repeats an announcement every 30 s to who does not answer, as our socket does not. One that
/// was not repeated three times is of a participant that is gone.
const STALE: Duration = Duration::from_secs(100);
/// An announcement has some 400 bytes; this is the largest datagram.
const DATAGRAM_MAX: usize = 65_536;
/// How long closing waits. A lookup that hangs goes on for as long as the resolver wants, and is left.
const END_LIMIT: Duration = Duration::from_secs(1);

/// The socket, before the domain is open.
pub(super) struct Lookup {
    socket: UdpSocket,
    /// What Cyclone is told: where our socket is.
    pub(super) place: String,
}

impl Lookup {
    /// `None` when all peers are addresses, or there is no socket to be had: then it stays with what was
    /// found at the start.
    pub(super) fn of(config: &DomainConfig) -> Option<Self> {
        let interface = *config.interfaces.first()?;
        config.peers.iter().find(|peer| peers::is_name(peer))?;
        let bound = UdpSocket::bind((interface, 0)).and_then(|socket| {
            socket.set_read_timeout(Some(NOTICE))?;
            let place = socket.local_addr()?.to_string();
            Ok(Self { socket, place })
        });
        bound
            .inspect_err(|error| {
                tracing::warn!(%error, "names of DDS peers are not looked up again: no socket on {interface}");
            })
            .ok()
    }

    /// Starts looking; `known` are the addresses that Cyclone asks by itself.
    pub(super) fn start(self, config: &DomainConfig, known: &[String]) -> Option<Looking> {
        let stop = Arc::new(AtomicBool::new(false));
        let body = Looker {
            config: config.clone(),
            known: known.iter().cloned().collect(),
            late: BTreeSet::new(),
            announcements: BTreeMap::new(),
            socket: self.socket,
        };
        let worker = Worker::spawn("dds-lookup".into(), {
            let stop = Arc::clone(&stop);
            move || body.run(&stop)
        });
        let worker = worker.inspect_err(|error| {
            tracing::warn!(%error, "names of DDS peers are not looked up again: no thread");
        });
        Some(Looking {
            stop,
            worker: Some(worker.ok()?),
        })
    }
}

/// Looks until it is dropped.
pub(super) struct Looking {
    stop: Arc<AtomicBool>,
    worker: Option<Worker>,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(worker) = self.worker.take() {
            worker.join_by(now() + END_LIMIT);
        }
    }
}

/// The thread's state.
struct Looker {
    config: DomainConfig,
    known: BTreeSet<String>,
    late: BTreeSet<String>,
    /// By GUID prefix: the last announcement, and when it came.
    announcements: BTreeMap<[u8; 12], (Vec<u8>, Instant)>,
    socket: UdpSocket,
}

impl Looker {
    fn run(mut self, stop: &AtomicBool) {
        let mut next = now() + LOOK_AGAIN;
        let mut buffer = vec![0; DATAGRAM_MAX];
        while !stop.load(Ordering::Acquire) {
            // An error is the timeout, or an ICMP message about somebody who is not there.
            if let Ok((length, from)) = self.socket.recv_from(&mut buffer) {
                self.keep(&buffer[..length], from.ip());
            }
            if now() >= next {
                self.look();
                self.announce();
                next = now() + LOOK_AGAIN;
            }
        }
    }

    /// Only what this host sent: strangers must not use us to speak to others.
    fn keep(&mut self, datagram: &[u8], from: IpAddr) {
        let ours = from.is_loopback() || self.config.interfaces.contains(&from);
        let Some(prefix) = guid_prefix(datagram).filter(|_| ours) else {
            return;
        };
        let time = now();
        self.announcements
            .retain(|_, (_, kept)| time.saturating_duration_since(*kept) < STALE);
        if self.announcements.len() < PARTICIPANTS_MAX || self.announcements.contains_key(&prefix) {
            self.announcements.insert(prefix, (datagram.to_vec(), time));
        }
    }

    fn look(&mut self) {
        let Some(like) = self.config.interfaces.first() else {
            return;
        };
        let found = peers::resolve(&self.config.peers, *like).addresses;
        let late = found.into_iter().filter(|peer| !self.known.contains(peer));
        let late: BTreeSet<String> = late.take(LATE_MAX).collect();
        for peer in late.difference(&self.late) {
            tracing::info!(peer, "a name of the DDS peers has a new address");
        }
        self.late = late;
    }

    fn announce(&self) {
        for place in self.late.iter().flat_map(|peer| self.places(peer)) {
            for (datagram, _) in self.announcements.values() {
                // Whoever is not there yet hears the next one.
                let _ = self.socket.send_to(datagram, place);
            }
        }
    }

    /// Where participants of a peer listen: its port, or those of so many participants.
    fn places(&self, peer: &str) -> Vec<SocketAddr> {
        if let Ok(place) = peer.parse() {
            return vec![place];
        }
        let Ok(ip) = peer.parse::<IpAddr>() else {
            return Vec::new();
        };
        self.config
            .discovery_ports()
            .map(|port| SocketAddr::new(ip, port))
            .collect()
    }
}

/// RTPS 2.5 §9.4.4: magic, version, vendor, and then whose message it is.
fn guid_prefix(datagram: &[u8]) -> Option<[u8; 12]> {
    let rest = datagram.strip_prefix(b"RTPS")?;
    rest.get(4..16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looker() -> Looker {
        Looker {
            config: DomainConfig::loopback(1),
            known: BTreeSet::new(),
            late: BTreeSet::new(),
            announcements: BTreeMap::new(),
            socket: UdpSocket::bind("127.0.0.1:0").unwrap(),
        }
    }

    #[test]
    fn only_messages_of_this_host_are_kept_the_last_of_each_participant() {
        let mut looker = looker();
        let message =
            |prefix: u8, text: u8| [b"RTPS\x02\x05\x01\x10", &[prefix; 12][..], &[text]].concat();
        let here = IpAddr::from([127, 0, 0, 1]);
        looker.keep(&message(1, 1), here);
        looker.keep(&message(1, 2), here);
        looker.keep(&message(2, 3), here);
        looker.keep(&message(3, 4), IpAddr::from([192, 0, 2, 7]));
        looker.keep(b"RTPS", here);
        looker.keep(b"something else altogether", here);
        let kept: Vec<&[u8]> = looker
            .announcements
            .values()
            .map(|(kept, _)| &kept[..])
            .collect();
        assert_eq!(kept, [message(1, 2), message(2, 3)]);
        (0..200).for_each(|prefix| looker.keep(&message(prefix, 0), here));
        assert_eq!(looker.announcements.len(), PARTICIPANTS_MAX);
    }

    #[test]
    fn an_address_stands_for_the_ports_of_its_participants() {
        let looker = looker();
        assert_eq!(
            looker.places("192.0.2.7:7"),
            ["192.0.2.7:7".parse().unwrap()]
        );
        let places = looker.places("192.0.2.7");
        assert_eq!(places.len(), 100);
        assert_eq!(
            places[..2],
            [
                "192.0.2.7:7660".parse().unwrap(),
                "192.0.2.7:7662".parse().unwrap()
            ]
        );
        assert_eq!(looker.places("name"), []);
    }
}
