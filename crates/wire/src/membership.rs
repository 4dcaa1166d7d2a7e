//! Entering and leaving the cluster: invitations, admissions, and what is said on the way in.

use crate::{Certificate, Digest, Level, NodeId, UnixMillis};
use serde::{Deserialize, Serialize};

/// Names one copy of a node's ledger. A node that lost its disk comes back under another one:
/// consensus must not take the new, empty replica for the old one, whose votes it has forgotten.
/// 0: the founding replica.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
pub struct StoreId(pub u64);

impl StoreId {
    /// Of the nodes named in the genesis, until they lose their disk.
    pub const FOUNDING: Self = Self(0);
}

/// How a member ceased to be one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Removal {
    /// It asked for it.
    Left,
    /// Others decided so.
    Evicted {
        /// Why, in the operator's words.
        reason: String,
    },
}

/// A member as others need to know it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberEntry {
    /// Its name.
    pub node: NodeId,
    /// Its ed25519 identity key.
    pub identity: [u8; 32],
    /// `host:port` where its links arrive.
    pub address: String,
}

/// Proof of membership: the leaf that admitted a node, its inclusion proof (RFC 6962 §2.1.1), and
/// a checkpoint that a majority of the members cosigned. This is what "certified by the cluster"
/// means: there is no certificate authority whose key could be stolen.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Admission {
    /// Index of the leaf.
    pub index: u64,
    /// The leaf's bytes: a [`crate::Record`] with [`crate::Act::Admitted`].
    #[serde(with = "serde_bytes")]
    pub leaf: Vec<u8>,
    /// The audit path, from the leaf upwards.
    pub path: Vec<[u8; 32]>,
    /// The checkpoint as a signed note.
    pub note: String,
}

/// What an invitation carries to the one invited. It is a bearer secret: whoever has it may join
/// once, until it expires.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Invitation {
    /// Name of the cluster.
    pub cluster: String,
    /// Shown to a member once the member has proved its own identity; only its digest is on the
    /// ledger.
    pub secret: [u8; 16],
    /// The only node that may use it, if restricted.
    pub node: Option<NodeId>,
    /// Good until then.
    pub expires: UnixMillis,
    /// Members at the time of the invitation: where to knock, and whom to believe.
    pub members: Vec<MemberEntry>,
}

/// First handshake message's payload from level 1 on; the first release sends none.
/// In clear, but bound into the handshake's hash: altering it breaks the link.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Greeting {
    /// The initiator's level.
    pub level: Level,
    /// What it wants.
    pub purpose: Purpose,
}

/// Why somebody knocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Purpose {
    /// A member, to link.
    Link,
    /// Somebody with an invitation, to join.
    Join,
}

/// Payload of the second and third handshake message between nodes of level 1 and above.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Introduction {
    /// What the first release says.
    pub hello: crate::Hello,
    /// The speaker's level.
    pub level: Level,
    /// Proof of membership for a peer whose ledger is behind; founders have none.
    pub admission: Option<Box<Admission>>,
}

/// The joiner's request, over the encrypted channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Application {
    /// Proves name and identity key.
    pub certificate: Certificate,
    /// From the invitation.
    pub secret: [u8; 16],
    /// `host:port` where its links will arrive.
    pub address: String,
    /// What it speaks.
    pub level: Level,
}

/// The answer to an [`Application`].
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Welcome {
    /// Admitted.
    Admitted {
        /// The proof.
        admission: Box<Admission>,
        /// All members, the new one included.
        members: Vec<MemberEntry>,
    },
    /// Not admitted; a sentence.
    Refused(String),
}

impl Invitation {
    /// What the ledger knows of the secret.
    pub fn digest(&self) -> Digest {
        Self::digest_of(&self.secret)
    }

    /// As [`digest`](Self::digest), for a secret that was shown.
    pub fn digest_of(secret: &[u8; 16]) -> Digest {
        Digest::of(&[b"glasshouse invitation 1\0".as_slice(), secret].concat())
    }
}
