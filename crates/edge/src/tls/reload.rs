//! A certificate that is read again when its files change, so that renewing it needs no restart.

use super::{Certified, TlsError, config_error, file_error, provider};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// How often the files are looked at, at most: a handshake costs more than that look.
const LOOK: Duration = Duration::from_secs(1);

/// Certificate and key as they stand in two files.
#[derive(Debug)]
pub struct Reloading {
    certificate: PathBuf,
    key: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    looked: Instant,
    stamps: [Stamp; 2],
    current: Arc<CertifiedKey>,
    /// Whether the files of now were found wanting, so that it is said once.
    complained: bool,
}

/// When a file was changed, and its length.
type Stamp = (SystemTime, u64);

impl Reloading {
    /// Reads both.
    ///
    /// # Errors
    /// A file cannot be read, or they do not fit together.
    pub fn open(certificate: &Path, key: &Path) -> Result<Arc<Self>, TlsError> {
        let state = State {
            looked: Instant::now(),
            stamps: stamps(certificate, key)?,
            current: read(certificate, key)?,
            complained: false,
        };
        Ok(Arc::new(Self {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            state: Mutex::new(state),
        }))
    }

    /// What the files say now. If that is of no use (only one of them was replaced yet), what they
    /// said before.
    pub fn current(&self) -> Arc<CertifiedKey> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() >= LOOK {
            state.looked = Instant::now();
            self.look(&mut state);
        }
        Arc::clone(&state.current)
    }

    fn look(&self, state: &mut State) {
        // The stamps are taken first: what is written meanwhile is seen at the next look.
        let looked = stamps(&self.certificate, &self.key);
        let changed = match &looked {
            Ok(stamps) if *stamps == state.stamps => return,
            Ok(_) => read(&self.certificate, &self.key),
            Err(_) => Err(TlsError::Config("the files are not there".to_owned())),
        };
        match (looked, changed) {
            (Ok(stamps), Ok(current)) => {
                let file = self.certificate.display();
                tracing::info!(%file, "the mailbox has a new certificate");
                (state.stamps, state.current) = (stamps, current);
                state.complained = false;
            }
            (_, Err(error)) if !state.complained => {
                let file = self.certificate.display();
                tracing::warn!(%file, %error, "the new certificate is of no use, the old one stays");
                state.complained = true;
            }
            _ => {}
        }
    }
}

impl ResolvesServerCert for Reloading {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

fn stamps(certificate: &Path, key: &Path) -> Result<[Stamp; 2], TlsError> {
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).and_then(|data| Ok((data.modified()?, data.len())));
        metadata.map_err(file_error("look at", path))
    };
    Ok([stamp(certificate)?, stamp(key)?])
}

fn read(certificate: &Path, key: &Path) -> Result<Arc<CertifiedKey>, TlsError> {
    let own = Certified::load(certificate, key)?;
    let certified = CertifiedKey::from_der(own.chain()?, own.private_key()?, &provider());
    Ok(Arc::new(certified.map_err(config_error)?))
}
