use super::acceptor::{Acceptor, TcpAcceptor};
use super::connection::{self, Shared};
use super::counters::SmtpCounters;
use super::places::Places;
use super::sink::MailSink;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use telemetry::smtp::Policy;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// Largest message a policy may allow, in octets: with its envelope it must fit into one stored
/// value ([`wire::codec::MAX_ENCODED`]).
pub const MAX_MESSAGE: u64 = wire::codec::MAX_ENCODED as u64 - (1 << 20);

/// How long sessions may finish what they are at when the server goes down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Pause after `accept` failed, which it does when file descriptors run out: they come back as
/// sessions end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener's configuration.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What is taken.
    pub policy: Policy,
    /// Certificate and versions for STARTTLS.
    pub tls: Arc<rustls::ServerConfig>,
    /// How many at once.
    pub limits: SmtpLimits,
}

/// How many sessions may be open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SmtpLimits {
    /// In all.
    pub sessions: usize,
    /// From one address.
    pub sessions_per_address: usize,
}

impl Default for SmtpLimits {
    /// In all: what a small host has memory for if each one sends. Per address: a gateway that
    /// collects a room's gear needs some dozens.
    fn default() -> Self {
        Self {
            sessions: 10_000,
            sessions_per_address: 200,
        }
    }
}

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The address is not to be had.
    #[error("cannot listen for mail on {listen}: {source}; free the port or choose another")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The policy promises more than can be stored.
    #[error(
        "a message limit of {max_size} octets is over the {MAX_MESSAGE} that can be stored; lower it"
    )]
    MaxSize {
        /// What the policy says.
        max_size: u64,
    },
}

/// A running mailbox door.
#[derive(Debug)]
pub struct SmtpServer {
    local: SocketAddr,
    counters: Arc<SmtpCounters>,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
}

impl SmtpServer {
    /// Listens, and serves until [`shutdown`](Self::shutdown) or drop.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(config: SmtpConfig, sink: Arc<dyn MailSink>) -> Result<Self, BindError> {
        check(&config.policy)?;
        let listen = config.listen;
        let (acceptor, local) = TcpAcceptor::bind(listen)
            .await
            .map_err(|source| BindError::Listen { listen, source })?;
        Self::serve_on(
            acceptor,
            SmtpConfig {
                listen: local,
                ..config
            },
            sink,
        )
    }

    /// Serves what `acceptor` gives until [`shutdown`](Self::shutdown) or drop; `config.listen` is
    /// only a name for it.
    ///
    /// # Errors
    /// [`BindError::MaxSize`].
    pub fn serve_on(
        acceptor: impl Acceptor,
        config: SmtpConfig,
        sink: Arc<dyn MailSink>,
    ) -> Result<Self, BindError> {
        check(&config.policy)?;
        let SmtpConfig {
            listen: local,
            policy,
            tls,
            limits,
        } = config;
        let counters = Arc::new(SmtpCounters::default());
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            policy: Arc::new(policy),
            acceptor: TlsAcceptor::from(tls),
            sink,
            counters: Arc::clone(&counters),
            epoch: Instant::now(),
            stopped,
        });
        let places = Places::new(
            limits.sessions,
            limits.sessions_per_address,
            Arc::clone(&counters),
        );
        let listener = tokio::spawn(serve(acceptor, Arc::new(places), shared));
        Ok(Self {
            local,
            counters,
            stop,
            listener,
        })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Its counters; they go on counting.
    pub fn counters(&self) -> Arc<SmtpCounters> {
        Arc::clone(&self.counters)
    }

    /// Takes no more connections, lets messages on their way finish (for ten seconds), tells the
    /// others 421.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if self.listener.await.is_err() {
            tracing::error!("the mail listener had panicked");
        }
    }
}

fn check(policy: &Policy) -> Result<(), BindError> {
    let max_size = policy.max_size;
    if max_size > MAX_MESSAGE {
        return Err(BindError::MaxSize { max_size });
    }
    Ok(())
}

async fn serve<A: Acceptor>(mut acceptor: A, places: Arc<Places>, shared: Arc<Shared>) {
    let mut stopped = shared.stopped.clone();
    let mut sessions = JoinSet::new();
    loop {
        tokio::select! {
            accepted = acceptor.accept() => match accepted {
                Ok((stream, peer)) => {
                    admit(&acceptor, stream, peer, &places, &shared, &mut sessions);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a mail connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            // Sessions that ended are cleared away as we go.
            Some(_) = sessions.join_next() => {}
            // Told to stop, or the handle is gone.
            () = connection::stop(&mut stopped) => break,
        }
    }
    drop(acceptor);
    let finish = async { while sessions.join_next().await.is_some() {} };
    if timeout(SHUTDOWN_GRACE, finish).await.is_err() {
        tracing::warn!(open = sessions.len(), "mail sessions cut off at shutdown");
        sessions.shutdown().await;
    }
}

fn admit<A: Acceptor>(
    acceptor: &A,
    stream: A::Stream,
    peer: IpAddr,
    places: &Arc<Places>,
    shared: &Arc<Shared>,
    sessions: &mut JoinSet<()>,
) {
    let peer = peer.to_canonical();
    match places.take(peer) {
        Some(place) => {
            SmtpCounters::add(&shared.counters.sessions, 1);
            let shared = Arc::clone(shared);
            sessions.spawn(async move {
                connection::run(stream, peer, &shared).await;
                drop(place);
            });
        }
        None => {
            SmtpCounters::add(&shared.counters.turned_away, 1);
            tracing::info!(%peer, "mail connection turned away, too many are open");
            acceptor.turn_away(
                stream,
                b"421 4.3.2 too many connections, try again later\r\n",
            );
        }
    }
}
