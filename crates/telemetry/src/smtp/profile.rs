//! Classes of devices that need a rule relaxed, and where they are.

use super::address::Lenient;
use core::net::IpAddr;
use std::collections::BTreeSet;

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

    /// What of the commands' grammar it relaxes.
    pub(super) fn lenient(&self) -> Lenient {
        Lenient {
            empty_helo: self.relaxes.contains(&Relaxation::EmptyHelo),
            literals: self.relaxes.contains(&Relaxation::AddressLiterals),
            brackets: self.relaxes.contains(&Relaxation::MissingBrackets),
        }
    }
}

/// One rule that a profile can relax.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Relaxation {
    /// Delivery without TLS although the policy requires it.
    Plaintext,
    /// HELO and EHLO without a name (RFC 5321 §4.1.1.1 wants one).
    EmptyHelo,
    /// Address literals that are none: `a@10.0.0.1`, `a@[fe80::1]` (§4.1.3). They are put right.
    AddressLiterals,
    /// Paths without angle brackets, or with a blank before them (§4.1.2).
    MissingBrackets,
    /// A LF that stands alone in a message becomes CRLF (§2.3.8). It never is part of an end of data.
    BareLf,
    /// Messages without Date (RFC 5322 §3.6).
    NoDate,
}

impl Relaxation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Plaintext,
        Self::EmptyHelo,
        Self::AddressLiterals,
        Self::MissingBrackets,
        Self::BareLf,
        Self::NoDate,
    ];

    /// Its name in a configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::EmptyHelo => "empty_helo",
            Self::AddressLiterals => "address_literals",
            Self::MissingBrackets => "missing_brackets",
            Self::BareLf => "bare_lf",
            Self::NoDate => "no_date",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|relaxation| relaxation.name() == name)
    }
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
