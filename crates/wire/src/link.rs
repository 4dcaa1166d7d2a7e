//! What two nodes tell each other on a link: who they are, and the wrapping of frames and calls
//! between their gateways.

use crate::{Call, Frame, NodeId};
use serde::{Deserialize, Serialize};

/// A secret that one end of a link hands to the other inside the handshake. Mail that carries it
/// came over that link: nobody else knows it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Capability(pub [u8; 16]);

impl std::fmt::Debug for Capability {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Capability(…)")
    }
}

/// What a certificate says: this static key is used by that node during that incarnation.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateBody {
    /// Name of the cluster.
    pub cluster: String,
    /// The node.
    pub node: NodeId,
    /// Grows with each start of the node's process.
    pub incarnation: u64,
    /// The node's ed25519 identity key.
    pub identity: [u8; 32],
    /// The x25519 static key of this incarnation.
    pub static_key: [u8; 32],
}

/// A certificate body and the identity key's signature over it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Certificate {
    /// What is certified.
    pub body: CertificateBody,
    /// ed25519, 64 bytes, over [`Certificate::signed_bytes`].
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
}

impl Certificate {
    /// The bytes a signature is over: a domain of their own, then the encoded body.
    pub fn signed_bytes(body: &CertificateBody) -> Vec<u8> {
        let mut bytes = b"glasshouse link certificate v1\0".to_vec();
        bytes.extend(crate::encode(body));
        bytes
    }
}

/// Payload of the second and third handshake message.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Who speaks.
    pub certificate: Certificate,
    /// What the other end must show with every frame and call on this link.
    pub capability: Capability,
}

/// Between gateways, one way.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum Cast {
    /// A frame.
    Frame {
        /// The sender's capability at the receiver.
        capability: Capability,
        /// Counts the sender's frames on this link, from 1.
        number: u64,
        /// The frame.
        frame: Box<Frame>,
    },
    /// The receiver has handled all frames up to this number: they no longer count against the
    /// sender's window.
    Credit {
        /// The sender's capability at the receiver (of this credit).
        capability: Capability,
        /// Number of the last frame handled.
        through: u64,
    },
}

/// Between gateways, answered by an encoded [`crate::Reply`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Request {
    /// The caller's capability at the callee.
    pub capability: Capability,
    /// The call.
    pub call: Call,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Frame, Reply, Round, decode, encode};

    /// Bytes that nodes of different builds exchange; a change here needs a new version.
    #[test]
    fn encodings_are_pinned() {
        let capability = Capability([0xc; 16]);
        let body = CertificateBody {
            cluster: "house".to_owned(),
            node: "a".into(),
            incarnation: 300,
            identity: [1; 32],
            static_key: [2; 32],
        };
        let frame = Box::new(Frame::Decline {
            round: Round(5),
            node: "b".into(),
            reason: "no".to_owned(),
        });
        let (one, two, cap) = ("01".repeat(32), "02".repeat(32), "0c".repeat(16));
        let pinned: [(Vec<u8>, String); 5] = [
            (
                encode(&Hello {
                    certificate: Certificate {
                        body,
                        signature: vec![3; 3],
                    },
                    capability,
                }),
                format!("0105686f757365{}ac02{one}{two}03030303{cap}", "0161"),
            ),
            (
                encode(&Cast::Frame {
                    capability,
                    number: 9,
                    frame,
                }),
                format!("0100{cap}0902050162026e6f"),
            ),
            (
                encode(&Cast::Credit {
                    capability,
                    through: 128,
                }),
                format!("0101{cap}8001"),
            ),
            (
                encode(&Request {
                    capability,
                    call: Call::Consensus(vec![7, 8]),
                }),
                format!("01{cap}00020708"),
            ),
            (
                encode(&Reply::Consensus(vec![7, 8])),
                "0100020708".to_owned(),
            ),
        ];
        for (bytes, expected) in pinned {
            assert_eq!(hex::encode(bytes), expected);
        }
        // Plain vectors of bytes and serde_bytes are the same on the wire.
        let plain: Vec<u8> = decode(&encode(&vec![7_u8, 8])).unwrap();
        assert_eq!(plain, [7, 8]);
    }
}
