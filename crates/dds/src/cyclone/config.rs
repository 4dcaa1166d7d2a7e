//! How a process joins a DDS domain, and the XML that Cyclone wants to hear.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// Participants that one host may run in one domain; each tries the ports of an index from 0 up.
const PARTICIPANTS_MAX: u32 = 99;

/// How to take part in a DDS domain. Everything is by code: no environment variable is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainConfig {
    /// Domain id, 0 to 230 (RTPS 2.5 §9.6.2.3: ports start at 7400 + 250 × id).
    pub domain: u32,
    /// Name separating clusters within a domain: only participants with the same tag meet. Empty:
    /// the default, which every DDS tool shares.
    pub tag: String,
    /// Address of the network interface to use.
    pub interface: IpAddr,
    /// Discover by multicast. Off where there is none: containers, loopback, routed networks.
    pub multicast: bool,
    /// Hosts to look for participants on, `address` or `address:port`.
    pub peers: Vec<String>,
    /// A participant that was silent for this long is gone.
    pub lease: Duration,
}

impl DomainConfig {
    /// Loopback only: processes of one machine, without multicast.
    pub fn loopback(domain: u32) -> Self {
        let interface = IpAddr::from([127, 0, 0, 1]);
        Self {
            domain,
            tag: String::new(),
            interface,
            multicast: false,
            peers: vec![interface.to_string()],
            // Long enough for a starved process on a busy machine, short enough that a dead node's
            // readers do not hold up writers for long.
            lease: Duration::from_secs(5),
        }
    }

    /// The same with a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }

    /// What is wrong with it, in a sentence.
    pub(super) fn problem(&self) -> Option<String> {
        let plain = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.:[]%/".contains(c))
        };
        if self.domain > 230 {
            return Some(format!(
                "DDS domain {} has no ports: use 0 to 230",
                self.domain
            ));
        }
        if !plain(&self.tag) || self.tag.len() > 128 {
            return Some(format!(
                "DDS domain tag {:?}: use at most 128 letters, digits, - _ . : /",
                self.tag
            ));
        }
        if let Some(peer) = self
            .peers
            .iter()
            .find(|peer| peer.is_empty() || !plain(peer))
        {
            return Some(format!(
                "DDS peer {peer:?} is not an address: use host, address or address:port"
            ));
        }
        if self.lease < Duration::from_secs(1) {
            return Some(format!(
                "DDS lease of {:?} is shorter than a scheduling delay: use 1 s or more",
                self.lease
            ));
        }
        None
    }

    pub(super) fn xml(&self) -> String {
        let Self {
            domain,
            tag,
            interface,
            multicast,
            peers,
            lease,
        } = self;
        let peers = peers.iter().fold(String::new(), |mut text, peer| {
            let _ = write!(text, "<Peer address=\"{peer}\"/>");
            text
        });
        let lease = lease.as_millis();
        format!(
            "<CycloneDDS><Domain Id=\"{domain}\"><General><Interfaces>\
             <NetworkInterface address=\"{interface}\" multicast=\"{multicast}\"/></Interfaces>\
             <AllowMulticast>{multicast}</AllowMulticast></General>\
             <Discovery><Tag>{tag}</Tag><ParticipantIndex>auto</ParticipantIndex>\
             <MaxAutoParticipantIndex>{PARTICIPANTS_MAX}</MaxAutoParticipantIndex>\
             <Peers>{peers}</Peers><LeaseDuration>{lease}ms</LeaseDuration></Discovery>\
             </Domain></CycloneDDS>"
        )
    }
}
