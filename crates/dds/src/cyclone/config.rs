//! How a process joins a DDS domain, and the XML that Cyclone wants to hear.

use super::security::Security;
use crate::rules::QosFault;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

/// Participants that one host may run in one domain, unless configured: each tries the ports of an
/// index from 0 up, and a port range of 250 a domain has room for so many.
const PARTICIPANTS: u16 = 99;
/// RTPS 2.5 §9.6.2.3: where ports start, the distance between domains, and the highest offset of
/// participant 0 within one.
const PORT_BASE: u16 = 7400;
const DOMAIN_GAIN: u32 = 250;
const DISCOVERY_UNICAST: u32 = 10;
const USER_UNICAST: u32 = 11;
/// Highest domain id whose ports fit below 65536 with the usual base.
const DOMAIN_MAX: u32 = 230;
/// Interfaces of one participant; Cyclone's own limit is higher, no host of ours has as many.
const INTERFACES_MAX: usize = 8;

/// How to take part in a DDS domain. Everything is by code: no environment variable is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DomainConfig {
    /// Domain id, 0 to 230.
    pub domain: u32,
    /// Name separating clusters within a domain: only participants with the same tag meet. Empty:
    /// the default, which every DDS tool shares.
    pub tag: String,
    /// Addresses of the network interfaces to use, at least one.
    pub interfaces: Vec<IpAddr>,
    /// Discover by multicast. Off where there is none: containers, loopback, routed networks.
    pub multicast: bool,
    /// Hosts to look for participants on, `address` or `address:port`; names are looked up while
    /// joining, which waits for the resolver, and again every few seconds.
    pub peers: Vec<String>,
    /// A participant that was silent for this long is gone.
    pub lease: Duration,
    /// Where RTPS ports start; 250 times the domain id is added.
    pub port_base: u16,
    /// Fixed participant index: its unicast ports are `port_base + 250 × domain + 10` and `+ 11`,
    /// plus twice the index. `None`: the first index that is free on this host.
    pub participant: Option<u16>,
    /// Participants to expect on one host: ports tried on each peer that is given without one.
    pub participants: u16,
    /// Send the hash of the key with every sample (RTPS 2.5 §9.6.4.8). Implementations that cannot read
    /// the key of a disposal otherwise, such as Fast DDS 2, learn of disposals by it only.
    pub key_hashes: bool,
    /// Join only beside participants with certificates and permissions of the same house.
    pub security: Option<Security>,
}

impl DomainConfig {
    /// Loopback only: processes of one machine, without multicast.
    pub fn loopback(domain: u32) -> Self {
        let interface = IpAddr::from([127, 0, 0, 1]);
        Self {
            domain,
            tag: String::new(),
            interfaces: vec![interface],
            multicast: false,
            peers: vec![interface.to_string()],
            // Long enough for a starved process on a busy machine, short enough that a dead node's
            // readers do not hold up writers for long.
            lease: Duration::from_secs(5),
            port_base: PORT_BASE,
            participant: None,
            participants: PARTICIPANTS,
            key_hashes: false,
            security: None,
        }
    }

    /// The same with a tag.
    #[must_use]
    pub fn with_tag(mut self, tag: impl Into<String>) -> Self {
        self.tag = tag.into();
        self
    }

    /// The highest port it may use.
    fn highest_port(&self) -> u32 {
        let index = self.participant.unwrap_or(self.participants);
        u32::from(self.port_base)
            + DOMAIN_GAIN * self.domain
            + USER_UNICAST
            + 2 * u32::from(index.max(self.participants))
    }

    /// Where each participant of a host listens for others.
    pub(super) fn discovery_ports(&self) -> impl Iterator<Item = u16> {
        let first = u32::from(self.port_base) + DOMAIN_GAIN * self.domain + DISCOVERY_UNICAST;
        // Cyclone counts from 0 to its highest index.
        (0..=u32::from(self.participants))
            .filter_map(move |index| u16::try_from(first + 2 * index).ok())
    }

    /// The first rule it breaks.
    pub fn fault(&self) -> Option<QosFault> {
        let fault = |field, found: String, rule: String| Some(QosFault { field, found, rule });
        let plain = |text: &str| {
            text.chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.:[]%/".contains(c))
        };
        if self.domain > DOMAIN_MAX {
            let rule = format!("0 to {DOMAIN_MAX}, for others have no ports");
            return fault("domain", self.domain.to_string(), rule);
        }
        if !plain(&self.tag) || self.tag.len() > 128 {
            let rule = "at most 128 letters, digits, - _ . : /";
            return fault("tag", format!("{:?}", self.tag), rule.into());
        }
        if !(1..=INTERFACES_MAX).contains(&self.interfaces.len()) {
            let rule = format!("1 to {INTERFACES_MAX} addresses of this host's interfaces");
            return fault("interfaces", format!("{:?}", self.interfaces), rule);
        }
        if self.interfaces.iter().any(IpAddr::is_unspecified) {
            let rule = "addresses of interfaces that this host has, such as 192.0.2.7";
            return fault("interfaces", format!("{:?}", self.interfaces), rule.into());
        }
        if let Some(peer) = self
            .peers
            .iter()
            .find(|peer| peer.is_empty() || !plain(peer))
        {
            let rule = "a list of host names or addresses, each also with :port";
            return fault("peers", format!("{peer:?}"), rule.into());
        }
        if !self.multicast && self.peers.is_empty() {
            let rule = "at least one host to find others through, or multicast must be true";
            return fault("peers", "[]".into(), rule.into());
        }
        if self.lease < Duration::from_secs(1) {
            let rule = "1000 or more, for less is a scheduling delay";
            return fault("lease_ms", self.lease.as_millis().to_string(), rule.into());
        }
        if self.participants == 0 || self.highest_port() > u32::from(u16::MAX) {
            let rule = format!(
                "so that the highest port, port_base + 250 × domain + 11 + 2 × participants, is at most 65535 (it is {})",
                self.highest_port()
            );
            return fault("participants", self.participants.to_string(), rule);
        }
        None
    }

    /// With the addresses that the peers stand for. They are asked for ever: Cyclone would forget one
    /// that does not answer for 30 s, and with it a node that starts later.
    pub(super) fn xml(&self, peers: &[String]) -> String {
        let Self {
            domain,
            tag,
            interfaces,
            multicast,
            peers: _,
            lease,
            port_base,
            participant,
            participants,
            key_hashes,
            // Properties of the participant.
            security: _,
        } = self;
        let peers = peers.iter().fold(String::new(), |mut text, peer| {
            let _ = write!(text, "<Peer address=\"{peer}\"/>");
            text
        });
        let interfaces = interfaces.iter().fold(String::new(), |mut text, address| {
            let _ = write!(
                text,
                "<NetworkInterface address=\"{address}\" multicast=\"{multicast}\"/>"
            );
            text
        });
        let index = participant.map_or_else(|| "auto".into(), |index| index.to_string());
        let lease = lease.as_millis();
        format!(
            "<CycloneDDS><Domain Id=\"{domain}\"><General><Interfaces>{interfaces}</Interfaces>\
             <AllowMulticast>{multicast}</AllowMulticast></General>\
             <Discovery><Tag>{tag}</Tag><ParticipantIndex>{index}</ParticipantIndex>\
             <MaxAutoParticipantIndex>{participants}</MaxAutoParticipantIndex>\
             <Ports><Base>{port_base}</Base></Ports>\
             <InitialLocatorPruneDelay>inf</InitialLocatorPruneDelay>\
             <Peers>{peers}</Peers><LeaseDuration>{lease}ms</LeaseDuration></Discovery>\
             <Internal><GenerateKeyhash>{key_hashes}</GenerateKeyhash></Internal></Domain></CycloneDDS>"
        )
    }
}
