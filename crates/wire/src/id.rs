//! Identifiers. Newtypes, so that a room is never passed where a device is meant.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! name {
    ($(#[$doc:meta])* $id:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $id(pub String);

        impl $id {
            /// From any text.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl From<&str> for $id {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

macro_rules! number {
    ($(#[$doc:meta])* $id:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
        pub struct $id(pub u64);

        impl $id {
            /// The one after this.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

name! {
    /// A node of the cluster, by the name the configuration gives it; stable across restarts.
    NodeId
}
name! {
    /// One device that reports: a UPS, a PDU, a BMC, a host, a mainframe terminal.
    DeviceId
}
name! {
    /// A machine room. Raw readings stay in their room's DDS partition.
    RoomId
}
/// Longest name of a tenant, in bytes; it stays on the ledger for ever.
pub const MAX_TENANT_NAME: usize = 64;

/// Whether the owner of some nodes' data may be called so.
pub fn is_tenant_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    (1..=MAX_TENANT_NAME).contains(&name.len()) && name.chars().all(fits)
}

number! {
    /// A round of federated learning; the first one is 1.
    Round
}
number! {
    /// The cluster-wide key epoch: the count of group commits on the ledger. Never goes back.
    KeyEpoch
}
number! {
    /// Milliseconds since the Unix epoch, UTC.
    UnixMillis
}

number! {
    /// Microseconds since the Unix epoch, UTC: where latencies are measured.
    UnixMicros
}

impl UnixMicros {
    /// The millisecond it falls into.
    pub const fn millis(self) -> UnixMillis {
        UnixMillis(self.0 / 1_000)
    }
}

/// Chosen at random by the proposer, so that a retried proposal is committed once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ProposalId(pub [u8; 16]);

/// SHA-256 of something.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// SHA-256 of `bytes` (FIPS 180-4).
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        Self(sha2::Sha256::digest(bytes).into())
    }
}
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…")
    }
}
