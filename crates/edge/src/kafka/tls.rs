//! TLS to brokers: their certificate is checked always, ours is shown where there is one.
//!
//! samsa's own TLS wants a client certificate and panics on files that do not fit, so the stream is
//! made here.

use super::{FeedError, Tls};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Reads the files anew for each connection: a renewed certificate is used from the next one on.
pub(super) fn settings(tls: &Tls) -> Result<Arc<ClientConfig>, FeedError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&tls.ca)? {
        roots
            .add(certificate)
            .map_err(|error| wrong(&tls.ca, format!("a certificate in it is no root: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&tls.ca, error.to_string()))?
        .with_root_certificates(roots);
    let config = match &tls.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let certificates = certificates(chain)?;
            let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| {
                let expected = "it should be a PEM file with a private key (BEGIN PRIVATE KEY)";
                wrong(key, expected.to_owned())
            })?;
            builder
                .with_client_auth_cert(certificates, secret)
                .map_err(|error| {
                    wrong(
                        key,
                        format!(
                            "it does not fit the certificate in {}: {error}",
                            chain.display()
                        ),
                    )
                })?
        }
    };
    Ok(Arc::new(config))
}

/// The handshake; the sentence says what failed.
pub(super) async fn shake_hands(
    settings: Arc<ClientConfig>,
    host: &str,
    stream: TcpStream,
) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| format!("{host} is no name that a certificate could be for"))?;
    let connected = TlsConnector::from(settings).connect(name, stream).await;
    connected.map_err(|error| format!("TLS: {error}"))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FeedError> {
    let pem = read(path)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    found.ok().filter(|found| !found.is_empty()).ok_or_else(|| {
        let expected = "it should be a PEM file with at least one CERTIFICATE";
        wrong(path, expected.to_owned())
    })
}

fn read(path: &Path) -> Result<Vec<u8>, FeedError> {
    std::fs::read(path).map_err(|error| wrong(path, error.to_string()))
}

fn wrong(path: &Path, problem: String) -> FeedError {
    FeedError::TlsFile {
        path: path.to_owned(),
        problem,
    }
}
