//! A private certificate authority with one certificate for servers and one for clients, for
//! trials in which gear, brokers and nodes of one machine trust each other.

use crate::files::{self, FileError, PUBLIC, SECRET};
use edge::tls;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// The files.
pub struct Pki {
    /// The root.
    pub ca: PathBuf,
    /// For servers on `localhost`.
    pub server_certificate: PathBuf,
    /// Its key.
    pub server_key: PathBuf,
    /// For a client.
    pub client_certificate: PathBuf,
    /// Its key.
    pub client_key: PathBuf,
}

/// Why there are no certificates.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// Could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Could not be made.
    #[error(transparent)]
    Certificate(#[from] tls::TlsError),
}

impl Pki {
    /// Makes everything under `dir`; `authority` and `client` are the names in the certificates.
    /// Servers are on this host, and at `more` addresses.
    pub fn create(
        dir: &Path,
        authority: &str,
        client: &str,
        more: &[IpAddr],
    ) -> Result<Self, PkiError> {
        let pki = Self {
            ca: dir.join("ca.pem"),
            server_certificate: dir.join("server.pem"),
            server_key: dir.join("server.key"),
            client_certificate: dir.join("client.pem"),
            client_key: dir.join("client.key"),
        };
        let authority = tls::Authority::new(authority)?;
        files::write(&pki.ca, authority.certificate(), PUBLIC)?;
        for (name, certificate, key) in [
            ("localhost", &pki.server_certificate, &pki.server_key),
            (client, &pki.client_certificate, &pki.client_key),
        ] {
            let mut names = vec![name.to_owned(), "127.0.0.1".to_owned()];
            names.extend(more.iter().map(ToString::to_string));
            let issued = authority.issue(&names)?;
            files::write(certificate, &issued.certificate, PUBLIC)?;
            files::write(key, &issued.key, SECRET)?;
        }
        Ok(pki)
    }
}
