use super::HandshakeError;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use runtime::entropy;
use wire::{Certificate, CertificateBody, NodeId};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Who is at the other end of a link, proven.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The node.
    pub node: NodeId,
    /// Its incarnation.
    pub incarnation: u64,
    /// Its ed25519 identity key. That it is the right one for this name is for the table of
    /// members to say.
    pub identity: [u8; 32],
}

/// This node as its peers see it, for one run of the process.
#[derive(Clone)]
pub struct Identity {
    certificate: Certificate,
    static_secret: Zeroizing<[u8; 32]>,
}

impl Identity {
    /// Draws a static key for this incarnation and certifies it.
    pub fn new(cluster: &str, node: NodeId, incarnation: u64, signing: &SigningKey) -> Self {
        let static_secret = Zeroizing::new(entropy::bytes());
        let body = CertificateBody {
            cluster: cluster.to_owned(),
            node,
            incarnation,
            identity: signing.verifying_key().to_bytes(),
            static_key: PublicKey::from(&StaticSecret::from(*static_secret)).to_bytes(),
        };
        let signature = signing
            .sign(&Certificate::signed_bytes(&body))
            .to_bytes()
            .to_vec();
        Self {
            certificate: Certificate { body, signature },
            static_secret,
        }
    }

    /// What is shown to peers.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) fn static_secret(&self) -> &[u8; 32] {
        &self.static_secret
    }

    pub(crate) fn cluster(&self) -> &str {
        &self.certificate.body.cluster
    }

    pub(crate) fn node(&self) -> &NodeId {
        &self.certificate.body.node
    }

    #[cfg(test)]
    pub(super) fn with_certificate(mut self, certificate: Certificate) -> Self {
        self.certificate = certificate;
        self
    }
}

/// Checks `certificate` from a handshake of `me` in which the peer proved to hold `static_key`:
/// whoever is there holds the identity key that it names.
pub(crate) fn verify(
    me: &Identity,
    certificate: &Certificate,
    static_key: &[u8],
) -> Result<Peer, HandshakeError> {
    let body = &certificate.body;
    let node = body.node.clone();
    if body.cluster != me.cluster() {
        return Err(HandshakeError::ForeignCluster {
            found: body.cluster.clone(),
            expected: me.cluster().to_owned(),
        });
    }
    if node == *me.node() {
        return Err(HandshakeError::Myself { node });
    }
    let signed = VerifyingKey::from_bytes(&body.identity)
        .ok()
        .zip(Signature::from_slice(&certificate.signature).ok());
    let valid = signed.is_some_and(|(key, signature)| {
        key.verify_strict(&Certificate::signed_bytes(body), &signature)
            .is_ok()
    });
    if !valid {
        return Err(HandshakeError::BadSignature { node });
    }
    if body.static_key != static_key {
        return Err(HandshakeError::WrongStaticKey { node });
    }
    Ok(Peer {
        node,
        incarnation: body.incarnation,
        identity: body.identity,
    })
}
