//! Applications to join, on the side of a member.
//!
//! A secret has 128 bits: guessing is hopeless at any rate. The limits here keep strangers from
//! costing more than a little work and a few log lines.

use super::config::Applicant;
use super::counters::count;
use super::links::Links;
use super::quiet::Quiet;
use crate::noise::{self, Channel, HandshakeError};
use runtime::clock;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wire::{Application, Welcome};

/// Applications being heard at one time: each may wait for the ledger.
pub const MAX_APPLICANTS: usize = 8;

/// Applications heard a second, on average. People join nodes by hand.
const RATE: f64 = 4.0;

/// And at most so many in one go: a rack that is started by a script.
const BURST: f64 = 16.0;

/// Longest application: a certificate of some 200 bytes, a secret, an address.
const MAX_APPLICATION: usize = 2048;

/// Time for the application to arrive after the handshake, and for the answer to be taken.
const SPEAK_LIMIT: Duration = Duration::from_secs(2);

/// Time for the node to decide: a leaf has to be committed and a checkpoint cosigned, and there
/// may be an election first.
pub const APPLY_LIMIT: Duration = Duration::from_secs(15);

pub(super) struct Door {
    links: Arc<Links>,
    places: Arc<Semaphore>,
    bucket: Mutex<Bucket>,
    quiet: Quiet,
}

/// A token bucket.
struct Bucket {
    tokens: f64,
    at: machine::Instant,
}

impl Bucket {
    fn take(&mut self, now: machine::Instant) -> bool {
        let earned = now.since(self.at).as_secs_f64() * RATE;
        self.tokens = (self.tokens + earned).min(BURST);
        self.at = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

impl Door {
    pub(super) fn new(links: &Arc<Links>) -> Self {
        Self {
            links: Arc::clone(links),
            places: Arc::new(Semaphore::new(MAX_APPLICANTS)),
            bucket: Mutex::new(Bucket {
                tokens: BURST,
                at: clock::now(),
            }),
            quiet: Quiet::default(),
        }
    }

    /// A place for one more applicant, before anything is computed for it.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, HandshakeError> {
        let full = HandshakeError::TooManyApplicants;
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            return Err(full);
        };
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        if bucket.take(clock::now()) {
            Ok(place)
        } else {
            Err(full)
        }
    }

    /// Hears one application and answers it.
    pub(super) async fn hear<S>(&self, place: OwnedSemaphorePermit, mut channel: Channel<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        if let Err(complaint) = self.exchange(&mut channel).await {
            count(&self.links.counters.refused_applications);
            self.quiet
                .warn(format!("an application to join: {complaint}"));
        }
        // The answer is on its way; the other end closes when it has it.
        let _ = tokio::time::timeout(SPEAK_LIMIT, channel.finish()).await;
        drop(place);
    }

    async fn exchange<S>(&self, channel: &mut Channel<S>) -> Result<(), String>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let receiving = channel.receive::<Application>(MAX_APPLICATION);
        let application = tokio::time::timeout(SPEAK_LIMIT, receiving)
            .await
            .map_err(|_| format!("nothing said within {SPEAK_LIMIT:?}"))?
            .map_err(|error| error.to_string())?;
        let certificate = &application.certificate;
        let welcome = match noise::verify(&self.links.identity, certificate, channel.static_key()) {
            Ok(peer) => {
                count(&self.links.counters.applications);
                let applicant = Applicant {
                    node: peer.node,
                    identity: peer.identity,
                };
                self.apply(applicant, application).await
            }
            Err(error) => {
                count(&self.links.counters.refused_applications);
                Welcome::Refused(error.to_string())
            }
        };
        if let Welcome::Refused(why) = &welcome {
            self.quiet
                .warn(format!("an application to join is refused: {why}"));
        }
        tokio::time::timeout(SPEAK_LIMIT, channel.send(&welcome))
            .await
            .map_err(|_| format!("the answer was not taken within {SPEAK_LIMIT:?}"))?
            .map_err(|error| error.to_string())
    }

    async fn apply(&self, applicant: Applicant, application: Application) -> Welcome {
        let node = applicant.node.clone();
        let deciding = self.links.handler.apply(applicant, application);
        let welcome = tokio::time::timeout(APPLY_LIMIT, deciding)
            .await
            .unwrap_or_else(|_| {
                Welcome::Refused(format!(
                    "the cluster did not decide within {APPLY_LIMIT:?}; has it a leader? try again"
                ))
            });
        if let Welcome::Admitted { .. } = &welcome {
            tracing::info!("node {node} joined through this node");
        }
        welcome
    }
}
