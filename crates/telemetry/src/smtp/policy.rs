//! What a mailbox takes, from whom, and how much of it.

use super::address::{Address, AddressError};
use super::device::Devices;
use super::profile::Profile;
use super::sealed::HouseKey;
use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// Refuse messages without Date (RFC 5322 §3.6), unless a profile relaxes it. Off: such a report
    /// is as old as its arrival.
    pub require_date: bool,
    /// What named classes of devices are allowed beyond that. The first whose network the client is
    /// in applies, and no other.
    pub profiles: Vec<Profile>,
    /// Who can show to be whom.
    pub devices: Arc<Devices>,
    /// Opens sealed messages; without it they are messages like others.
    pub house_key: Option<Arc<HouseKey>>,
    /// Octets of messages in one session; behind them the client has to connect anew.
    pub max_session_octets: u64,
    /// Commands in a row that bring no message nearer (NOOP, RSET, EHLO, VRFY, HELP).
    pub max_idle_commands: u32,
    /// Failed logins in one session.
    pub max_login_failures: u32,
    /// How refusals are slowed down.
    pub tarpit: Tarpit,
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
    /// 512 MiB: a gateway's day; a client that means no harm connects again.
    pub const MAX_SESSION_OCTETS: u64 = 512 << 20;
    /// A client that keeps its session warm says NOOP some times between two messages.
    pub const MAX_IDLE_COMMANDS: u32 = 100;
    /// A person mistypes once or twice; a device never.
    pub const MAX_LOGIN_FAILURES: u32 = 3;

    /// Strict: TLS offered and required, a Date wanted, nothing relaxed.
    pub fn new(hostname: impl Into<String>, recipients: Recipients) -> Self {
        Self {
            hostname: hostname.into(),
            recipients,
            max_size: Self::MAX_SIZE,
            max_recipients: Self::MAX_RECIPIENTS,
            max_errors: Self::MAX_ERRORS,
            tls_available: true,
            require_tls: true,
            require_date: true,
            profiles: Vec::new(),
            devices: Arc::default(),
            house_key: None,
            max_session_octets: Self::MAX_SESSION_OCTETS,
            max_idle_commands: Self::MAX_IDLE_COMMANDS,
            max_login_failures: Self::MAX_LOGIN_FAILURES,
            tarpit: Tarpit::default(),
            timeouts: Timeouts::default(),
        }
    }

    /// The mailbox behind `<postmaster>` without a domain, which has to be there (§4.5.1): this host's, or that
    /// of the first domain that is ours. Where single addresses are listed it is one of those, or not ours.
    pub(super) fn postmaster(&self) -> Result<Address, AddressError> {
        let at = |domain: &str| Address::parse(&format!("postmaster@{domain}"));
        let here = at(&self.hostname)?;
        match self.recipients.domains.first() {
            Some(domain) if !self.recipients.accepts(&here) => at(domain),
            _ => Ok(here),
        }
    }

    /// The profile that applies to this peer.
    pub(super) fn profile(&self, peer: IpAddr) -> Option<&Profile> {
        let here = |profile: &&Profile| {
            let mut networks = profile.networks.iter();
            networks.any(|network| network.contains(peer))
        };
        self.profiles.iter().find(here)
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

/// How long the server waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For the whole of the next command.
    pub command: Duration,
    /// For the next bytes of a message.
    pub block: Duration,
    /// For a message in all.
    pub message: Duration,
    /// How long a message may come as slowly as it likes.
    pub grace: Duration,
    /// Octets per second that it must come with on the average after that.
    pub min_rate: u32,
}

impl Default for Timeouts {
    /// Command: §4.5.3.2.7. Block: §4.5.3.2.5. Message: the largest one at a slow modem's pace. Rate:
    /// half of what 1,200 baud carry, demanded once the time for a block is over; a sender that drips
    /// bytes does not hold a session for long.
    fn default() -> Self {
        Self {
            command: Duration::from_secs(5 * 60),
            block: Duration::from_secs(3 * 60),
            message: Duration::from_secs(30 * 60),
            grace: Duration::from_secs(3 * 60),
            min_rate: 64,
        }
    }
}

/// Refusals come slower and slower: who guesses or scans pays with time, who errs once does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tarpit {
    /// Refusals of a session that are answered at once.
    pub free: u32,
    /// The first delay; each further one is twice as long.
    pub first: Duration,
    /// And at most so long. Far below what clients wait for a reply (§4.5.3.2: five minutes).
    pub most: Duration,
}

impl Default for Tarpit {
    /// A client that probes what we can do errs two or three times.
    fn default() -> Self {
        Self {
            free: 3,
            first: Duration::from_millis(250),
            most: Duration::from_secs(4),
        }
    }
}

impl Tarpit {
    /// The delay of the `count`-th refusal, counted from one.
    pub(super) fn delay(&self, count: u32) -> Duration {
        match count.checked_sub(self.free.saturating_add(1)) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.first.saturating_mul(factor).min(self.most)
            }
        }
    }
}
