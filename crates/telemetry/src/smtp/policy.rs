//! What a mailbox takes, from whom, and how much of it.

use super::address::Address;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;

/// Rules of one listener.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Our name in the greeting (§4.3.1).
    pub hostname: String,
    /// Who is at home here.
    pub recipients: Recipients,
    /// Largest message in octets, announced by SIZE (RFC 1870).
    pub max_size: u64,
    /// Most recipients of one message.
    pub max_recipients: usize,
    /// Most refusals in a row; an accepted message forgives them.
    pub max_errors: u32,
    /// Whether STARTTLS is offered.
    pub tls_available: bool,
    /// Refuse MAIL in clear, unless a profile relaxes it.
    pub require_tls: bool,
    /// What named classes of devices are allowed beyond that. The first that matches applies.
    pub profiles: Vec<Profile>,
    /// How long we wait.
    pub timeouts: Timeouts,
}

impl Policy {
    /// 10 MiB: a device's log excerpt fits, and a thousand sessions do not exhaust a small host.
    pub const MAX_SIZE: u64 = 10 << 20;
    /// What §4.5.3.1.8 demands at least; gear sends to one or two.
    pub const MAX_RECIPIENTS: usize = 100;
    /// A confused client has made its point by then; a scanner has not got far.
    pub const MAX_ERRORS: u32 = 20;

    /// Strict: TLS offered and required, nothing relaxed.
    pub fn new(hostname: impl Into<String>, recipients: Recipients) -> Self {
        Self {
            hostname: hostname.into(),
            recipients,
            max_size: Self::MAX_SIZE,
            max_recipients: Self::MAX_RECIPIENTS,
            max_errors: Self::MAX_ERRORS,
            tls_available: true,
            require_tls: true,
            profiles: Vec::new(),
            timeouts: Timeouts::default(),
        }
    }

    /// The first profile for this peer that allows `relaxation`.
    pub(super) fn relaxed(&self, peer: IpAddr, relaxation: Relaxation) -> Option<&Profile> {
        self.profiles.iter().find(|profile| {
            profile.relaxes.contains(&relaxation)
                && profile
                    .networks
                    .iter()
                    .any(|network| network.contains(peer))
        })
    }
}

/// Recipients that are ours. What is not listed does not exist: there is no relaying.
#[derive(Clone, Default, Debug)]
pub struct Recipients {
    domains: BTreeSet<String>,
    addresses: BTreeSet<String>,
}

impl Recipients {
    /// Every mailbox of `domains`, and exactly the `addresses` besides; case does not matter.
    pub fn new<T: AsRef<str>>(
        domains: impl IntoIterator<Item = T>,
        addresses: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            domains: domains
                .into_iter()
                .map(|text| text.as_ref().to_lowercase())
                .collect(),
            addresses: addresses
                .into_iter()
                .map(|text| text.as_ref().to_lowercase())
                .collect(),
        }
    }

    /// Whether the mailbox is ours. A local part that carries a second address (`a%b@ours`,
    /// `b!a@ours`, `"a@b"@ours`), as old relays understood it, is taken only if it is listed.
    pub fn accepts(&self, address: &Address) -> bool {
        self.addresses.contains(&address.as_str().to_lowercase())
            || self.domains.contains(address.domain()) && !address.local().contains(['%', '!', '@'])
    }
}

/// A class of devices, known by where they are, and what it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Profile {
    /// For logs and for the mark on accepted mail.
    pub name: String,
    /// Where such devices are.
    pub networks: Vec<Network>,
    /// What they are allowed.
    pub relaxes: BTreeSet<Relaxation>,
}

impl Profile {
    /// The profile of that name: devices in `networks` may deliver without TLS.
    pub fn allow_plaintext_from(networks: Vec<Network>) -> Self {
        let relaxes = BTreeSet::from([Relaxation::Plaintext]);
        Self {
            name: "allow_plaintext_from".to_owned(),
            networks,
            relaxes,
        }
    }
}

/// One rule that a profile can relax.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Relaxation {
    /// Delivery without TLS although the policy requires it.
    Plaintext,
}

/// A range of addresses in CIDR notation (RFC 4632, RFC 4291 §2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `None`: the prefix is longer than the address.
    pub fn new(address: IpAddr, prefix: u8) -> Option<Self> {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        (prefix <= bits).then_some(Self { address, prefix })
    }

    /// Reads `192.0.2.0/24`, or a single address.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once('/') {
            Some((address, prefix)) => Self::new(address.parse().ok()?, prefix.parse().ok()?),
            None => {
                let address: IpAddr = text.parse().ok()?;
                Self::new(address, if address.is_ipv4() { 32 } else { 128 })
            }
        }
    }

    /// Whether `peer` is within; an IPv4 address mapped into IPv6 counts as what it is.
    pub fn contains(&self, peer: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, peer.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                let shift = 32 - prefix;
                ours.to_bits().checked_shr(shift) == theirs.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                let shift = 128 - prefix;
                ours.to_bits().checked_shr(shift) == theirs.to_bits().checked_shr(shift)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// How long the server waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For the whole of the next command.
    pub command: Duration,
    /// For the next bytes of a message.
    pub block: Duration,
    /// For a message in all.
    pub message: Duration,
}

impl Default for Timeouts {
    /// Command: §4.5.3.2.7. Block: §4.5.3.2.5. Message: the largest one at a slow modem's pace; it
    /// keeps a sender that drips bytes from holding a session for ever.
    fn default() -> Self {
        Self {
            command: Duration::from_secs(5 * 60),
            block: Duration::from_secs(3 * 60),
            message: Duration::from_secs(30 * 60),
        }
    }
}
