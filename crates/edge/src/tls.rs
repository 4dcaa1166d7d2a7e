//! Certificates and TLS configurations (RFC 8446, RFC 5280), always with the aws-lc-rs provider.
//!
//! A mailbox that was given no certificate makes a self-signed one at its first start. Who wants
//! client certificates, too (Kafka, tests), gets them from an [`Authority`].

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

mod clients;
mod reload;

pub use reload::Reloading;

/// Why a certificate or a configuration could not be made or loaded.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("cannot {action} {file}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name cannot stand in a certificate.
    #[error("cannot make a certificate for {names:?}: {source}; give DNS names or IP addresses")]
    Make {
        /// The names.
        names: Vec<String>,
        /// What was wrong.
        source: rcgen::Error,
    },
    /// Text that should have been PEM (RFC 7468).
    #[error("the {what} is not usable PEM: {cause}")]
    Pem {
        /// Which one.
        what: &'static str,
        /// What was wrong.
        cause: String,
    },
    /// Certificate and key were read, but do not make a configuration.
    #[error("certificate, key or roots do not fit together: {0}")]
    Config(String),
}

/// A certificate (or chain, leaf first) with its private key, both as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Certified {
    /// `CERTIFICATE` blocks.
    pub certificate: String,
    /// A `PRIVATE KEY` block.
    pub key: String,
}

impl fmt::Debug for Certified {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certified")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

impl Certified {
    /// A fresh self-signed certificate for `names` (DNS names or IP addresses). A client that is
    /// given this very certificate as its root trusts it.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub fn self_signed(names: &[String]) -> Result<Self, TlsError> {
        let made = || {
            let key = KeyPair::generate()?;
            let certificate = leaf(names)?.self_signed(&key)?;
            Ok(Self {
                certificate: certificate.pem(),
                key: key.serialize_pem(),
            })
        };
        made().map_err(|source| TlsError::Make {
            names: names.to_vec(),
            source,
        })
    }

    /// Reads both from files.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| fs::read_to_string(path).map_err(file_error("read", path));
        Ok(Self {
            certificate: read(certificate)?,
            key: read(key)?,
        })
    }

    /// Loads `STEM-cert.pem` and `STEM-key.pem` from `dir`; if they are not there yet, makes a
    /// self-signed certificate for `names` and keeps it there, the key readable by its owner only.
    ///
    /// # Errors
    /// A file cannot be read or written; a name cannot stand in a certificate.
    pub fn load_or_create(dir: &Path, stem: &str, names: &[String]) -> Result<Self, TlsError> {
        let (certificate, key) = Self::files(dir, stem);
        // The certificate is written last: if it is there, the key is.
        if certificate.exists() {
            return Self::load(&certificate, &key);
        }
        let made = Self::self_signed(names)?;
        runtime::durable::create_dir(dir).map_err(file_error("create", dir))?;
        write_aside(&key, &made.key, 0o600).map_err(file_error("write", &key))?;
        write_aside(&certificate, &made.certificate, 0o644)
            .map_err(file_error("write", &certificate))?;
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(file_error("sync", dir))?;
        Ok(made)
    }

    /// The files that [`load_or_create`](Self::load_or_create) uses: certificate and key.
    pub fn files(dir: &Path, stem: &str) -> (PathBuf, PathBuf) {
        let file = |what: &str| dir.join(format!("{stem}-{what}.pem"));
        (file("cert"), file("key"))
    }

    /// SHA-256 of the leaf's DER: what a device's certificate is known by.
    ///
    /// # Errors
    /// It is not PEM.
    pub fn fingerprint(&self) -> Result<[u8; 32], TlsError> {
        let chain = self.chain()?;
        let leaf = chain.first().map_or(&[][..], |leaf| leaf);
        Ok(wire::Digest::of(leaf).0)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        certificates(&self.certificate, "certificate")
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| TlsError::Pem {
            what: "private key",
            cause: error.to_string(),
        })
    }
}

/// A small certificate authority in memory: issues for servers and for clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
}

impl Authority {
    /// A fresh one.
    ///
    /// # Errors
    /// The name cannot stand in a certificate.
    pub fn new(name: &str) -> Result<Self, TlsError> {
        let made = || {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::new(Vec::new())?;
            params.distinguished_name = common_name(name);
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            let certificate = params.self_signed(&key)?.pem();
            Ok(Self {
                issuer: Issuer::new(params, key),
                certificate,
            })
        };
        made().map_err(|source| TlsError::Make {
            names: vec![name.to_owned()],
            source,
        })
    }

    /// Its certificate, to be trusted as a root.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for `names`, good for server and client.
    ///
    /// # Errors
    /// A name cannot stand in a certificate.
    pub fn issue(&self, names: &[String]) -> Result<Certified, TlsError> {
        let made = || {
            let key = KeyPair::generate()?;
            let certificate = leaf(names)?.signed_by(&key, &self.issuer)?;
            Ok(Certified {
                certificate: certificate.pem(),
                key: key.serialize_pem(),
            })
        };
        made().map_err(|source| TlsError::Make {
            names: names.to_vec(),
            source,
        })
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("certificate", &self.certificate)
            .finish_non_exhaustive()
    }
}

/// A server that asks clients for nothing. TLS 1.2 and 1.3.
///
/// # Errors
/// Certificate and key are not usable.
pub fn server_config(own: &Certified) -> Result<Arc<ServerConfig>, TlsError> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(config_error)?
        .with_no_client_auth()
        .with_single_cert(own.chain()?, own.private_key()?)
        .map_err(config_error)?;
    Ok(Arc::new(config))
}

/// A mailbox's server: a certificate that may be renewed, and `clients`: whether certificates of
/// clients are asked for, which are then known by their fingerprint. TLS 1.2 and 1.3.
///
/// # Errors
/// The library has none of its protocol versions.
pub fn mailbox_config(own: Arc<Reloading>, clients: bool) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = provider();
    let algorithms = provider.signature_verification_algorithms;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(config_error)?;
    let config = if clients {
        config.with_client_cert_verifier(Arc::new(clients::ByFingerprint { algorithms }))
    } else {
        config.with_no_client_auth()
    };
    Ok(Arc::new(config.with_cert_resolver(own)))
}

/// A server that takes only clients with a certificate under `client_roots` (PEM).
///
/// # Errors
/// Certificate, key or roots are not usable.
pub fn mutual_server_config(
    own: &Certified,
    client_roots: &str,
) -> Result<Arc<ServerConfig>, TlsError> {
    let roots = Arc::new(root_store(client_roots)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .build()
        .map_err(|error| TlsError::Config(error.to_string()))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(config_error)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(own.chain()?, own.private_key()?)
        .map_err(config_error)?;
    Ok(Arc::new(config))
}

/// A client that trusts `roots` (PEM) and nothing else.
///
/// # Errors
/// The roots are not usable.
pub fn client_config(roots: &str) -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(config_error)?
        .with_root_certificates(root_store(roots)?)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The same with a certificate of its own.
///
/// # Errors
/// Certificate, key or roots are not usable.
pub fn mutual_client_config(roots: &str, own: &Certified) -> Result<Arc<ClientConfig>, TlsError> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(config_error)?
        .with_root_certificates(root_store(roots)?)
        .with_client_auth_cert(own.chain()?, own.private_key()?)
        .map_err(config_error)?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn root_store(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(pem, "root certificate")? {
        store.add(certificate).map_err(config_error)?;
    }
    Ok(store)
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|error| TlsError::Pem {
            what,
            cause: error.to_string(),
        })?;
    if found.is_empty() {
        return Err(TlsError::Pem {
            what,
            cause: "it has no CERTIFICATE block".to_owned(),
        });
    }
    Ok(found)
}

fn leaf(names: &[String]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name = common_name(names.first().map_or("glasshouse", String::as_str));
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    Ok(params)
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

/// So that a crash leaves a whole file or none.
fn write_aside(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let aside = path.with_extension("pem.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&aside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(aside, path)
}

fn file_error(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> TlsError {
    move |source| TlsError::File {
        action,
        file: file.to_owned(),
        source,
    }
}

fn config_error(error: rustls::Error) -> TlsError {
    TlsError::Config(error.to_string())
}

#[cfg(test)]
mod tests;
