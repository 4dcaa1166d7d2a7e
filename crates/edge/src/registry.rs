//! A schema registry over HTTP (Confluent's REST API, which Karapace and Apicurio have, too).
//!
//! One request at a time, off the caller's threads. What fails is tried again after a pause; until then the caller
//! holds back what needs the schema.

use crate::backoff::Backoff;
use base64::Engine as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use telemetry::transactions::Answer;
use telemetry::transactions::avro::MAX_SCHEMA_BYTES;
use tokio::task::JoinHandle;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Time limit for one request, all of it.
const CALL_LIMIT: Duration = Duration::from_secs(5);
/// So long a caller waits at once: a registry near by answers within it, and one that is silent must not keep
/// the feed from partitions that do not need it.
const PATIENCE: Duration = Duration::from_millis(200);
/// Pause after a fault, doubled each time up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A schema is text within JSON: every quotation mark has a backslash.
const MAX_BODY: u64 = 2 * MAX_SCHEMA_BYTES as u64 + 4096;
/// "Schema not found". Any other 404 comes from something that is no registry.
const SCHEMA_NOT_FOUND: u64 = 40_403;

/// How to reach a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// `http://` or `https://`, without the path of a call.
    pub url: String,
    /// Name and password, where it asks for them.
    pub login: Option<(String, String)>,
    /// PEM file with the authorities of its certificate.
    pub ca: Option<PathBuf>,
}

impl std::fmt::Debug for RegistryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RegistryConfig")
            .field("url", &self.url)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

/// Why a schema is not there yet. Asking again is right.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RegistryError {
    /// The answer takes its time.
    #[error("schema registry {url} has not answered yet")]
    Waiting {
        /// The registry.
        url: String,
    },
    /// It is not tried again before the pause is over.
    #[error("schema registry {url}: {reason}")]
    Failed {
        /// The registry.
        url: String,
        /// What went wrong last.
        reason: String,
    },
}

/// A registry.
pub struct Registry {
    config: RegistryConfig,
    asked: Option<(u32, JoinHandle<Result<Answer, String>>)>,
    backoff: Backoff,
    /// Why the latest request failed, if it did.
    failed: Option<String>,
    fetched: u64,
}

impl Registry {
    /// Nothing is asked yet.
    pub fn new(config: RegistryConfig) -> Self {
        Self {
            config,
            asked: None,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            failed: None,
            fetched: 0,
        }
    }

    /// Answers that came.
    pub fn fetched(&self) -> u64 {
        self.fetched
    }

    /// The schema of an id. May be cancelled: the request goes on, and the next call takes its answer.
    pub async fn schema(&mut self, id: u32) -> Result<Answer, RegistryError> {
        let waiting = |config: &RegistryConfig| RegistryError::Waiting {
            url: config.url.clone(),
        };
        if self.asked.is_none() {
            if let Some(reason) = &self.failed
                && self.backoff.lasts()
            {
                return Err(self.failure(reason));
            }
            let config = self.config.clone();
            let asking = tokio::task::spawn_blocking(move || ask(&config, id));
            self.asked = Some((id, asking));
        }
        let Some((asked, asking)) = &mut self.asked else {
            return Err(waiting(&self.config));
        };
        let asked = *asked;
        let Ok(ended) = tokio::time::timeout(PATIENCE, asking).await else {
            return Err(waiting(&self.config));
        };
        self.asked = None;
        match ended.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(answer) => {
                self.failed = None;
                self.backoff.over();
                self.fetched += 1;
                match asked == id {
                    true => Ok(answer),
                    // Whoever wanted it asks again.
                    false => Err(waiting(&self.config)),
                }
            }
            Err(reason) => {
                let error = self.failure(&reason);
                self.failed = Some(reason);
                self.backoff.longer();
                Err(error)
            }
        }
    }

    fn failure(&self, reason: &str) -> RegistryError {
        RegistryError::Failed {
            url: self.config.url.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// Certificates and connections are made anew for each request: there is one for each schema, not for each value.
fn ask(config: &RegistryConfig, id: u32) -> Result<Answer, String> {
    let agent = ureq::Agent::config_builder()
        .timeout_global(Some(CALL_LIMIT))
        .http_status_as_error(false)
        // A password must not follow where somebody points to.
        .max_redirects(0)
        .proxy(None)
        .tls_config(tls(config)?)
        .build()
        .new_agent();
    let url = format!("{}/schemas/ids/{id}", config.url.trim_end_matches('/'));
    let mut request = agent
        .get(&url)
        .header("Accept", "application/vnd.schemaregistry.v1+json");
    if let Some((name, password)) = &config.login {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        request = request.header("Authorization", format!("Basic {login}"));
    }
    let mut response = request.call().map_err(|error| why(config, error))?;
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(MAX_BODY);
    let body = body.read_to_vec().map_err(|error| error.to_string())?;
    answer(status, &body)
}

/// What failed before there was an answer. A certificate that is not believed is said to be it: somebody has to mend a file.
fn why(config: &RegistryConfig, error: ureq::Error) -> String {
    let from_tls = match &error {
        ureq::Error::Rustls(error) => Some(error),
        // A handshake is input and output, and so are its errors.
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref()),
        _ => None,
    };
    match (from_tls, &config.ca) {
        (Some(rustls::Error::InvalidCertificate(problem)), Some(ca)) => format!(
            "its certificate is not believed: {problem}; feed.registry.ca ({}) must hold its authority, and the certificate the name in feed.registry.url",
            ca.display()
        ),
        _ => error.to_string(),
    }
}

fn answer(status: u16, body: &[u8]) -> Result<Answer, String> {
    match status {
        200 => Answer::parse(body).map_err(|error| error.to_string()),
        404 if Answer::error_code(body) == Some(SCHEMA_NOT_FOUND) => Ok(Answer::Unknown),
        401 | 403 => Err(format!(
            "it refuses us with status {status}; look at feed.registry.username and password_file"
        )),
        404 => Err("status 404 of something that is no registry; look at feed.registry.url".into()),
        other => Err(format!("status {other}")),
    }
}

fn tls(config: &RegistryConfig) -> Result<TlsConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots: Vec<Certificate<'static>> = Vec::new();
    if let Some(path) = &config.ca {
        let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        for item in parse_pem(&pem).filter_map(Result::ok) {
            if let PemItem::Certificate(certificate) = item {
                roots.push(certificate);
            }
        }
        if roots.is_empty() {
            let path = path.display();
            return Err(format!(
                "{path}: it should be a PEM file with at least one CERTIFICATE"
            ));
        }
    }
    Ok(TlsConfig::builder()
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build())
}

#[cfg(test)]
mod tests;
