//! `ractor_cluster` always opens a TCP listener that admits whoever knows the cookie. Ours stands
//! behind TLS without a certificate, on loopback: every handshake fails before the cookie is asked.

use ractor_cluster::IncomingEncryptionMode;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

#[derive(Debug)]
struct NoCertificate;

impl ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}

/// An acceptor that lets nobody in.
pub(super) fn closed() -> Result<IncomingEncryptionMode, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoCertificate));
    Ok(IncomingEncryptionMode::Tls(Arc::new(config).into()))
}
