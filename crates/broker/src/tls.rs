//! TLS with required client certificates.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::sync::Arc;

/// PEM texts.
#[derive(Clone)]
pub struct BrokerTls {
    /// The broker's certificate chain.
    pub cert_chain_pem: String,
    /// Its private key.
    pub key_pem: String,
    /// Authorities whose certificates clients must show; `None`: clients stay anonymous.
    pub client_ca_pem: Option<String>,
}

impl std::fmt::Debug for BrokerTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerTls")
            .field("client_ca", &self.client_ca_pem.is_some())
            .finish_non_exhaustive()
    }
}

/// TLS settings that do not work.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("broker TLS: {item}: {reason}")]
pub struct TlsError {
    /// Which of the settings.
    pub item: &'static str,
    /// Why.
    pub reason: String,
}

impl BrokerTls {
    pub(crate) fn acceptor(&self) -> Result<tokio_rustls::TlsAcceptor, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let wrong = |item| {
            move |error: &dyn std::fmt::Display| TlsError {
                item,
                reason: error.to_string(),
            }
        };
        let chain = certificates(&self.cert_chain_pem, "certificate chain")?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|error| wrong("private key")(&error))?;
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong("protocol versions")(&error))?;
        let builder = match &self.client_ca_pem {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = rustls::RootCertStore::empty();
                for certificate in certificates(pem, "client authorities")? {
                    roots
                        .add(certificate)
                        .map_err(|error| wrong("client authorities")(&error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| wrong("client authorities")(&error))?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder
            .with_single_cert(chain, key)
            .map_err(|error| wrong("certificate chain and private key")(&error))?;
        Ok(tokio_rustls::TlsAcceptor::from(Arc::new(config)))
    }
}

fn certificates(pem: &str, item: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match found {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(TlsError {
            item,
            reason: "the PEM text has no CERTIFICATE".to_owned(),
        }),
        Err(error) => Err(TlsError {
            item,
            reason: error.to_string(),
        }),
    }
}
