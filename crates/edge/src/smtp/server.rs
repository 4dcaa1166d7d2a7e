use super::acceptor::{Acceptor, TcpAcceptor, UnixAcceptor};
use super::connection::{self, Opening, Shared};
use super::counters::SmtpCounters;
use super::places::Places;
use super::proxied;
use super::sink::MailSink;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use telemetry::smtp::{Guesses, Network, Policy, Protocol, Rates};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use wire::UnixMicros;

/// Largest message a policy may allow, in octets: with its envelope it must fit into one stored
/// value ([`wire::codec::MAX_ENCODED`]).
pub const MAX_MESSAGE: u64 = wire::codec::MAX_ENCODED as u64 - (1 << 20);

/// How long sessions may finish what they are at when the server goes down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);

/// Pause after `accept` failed, which it does when file descriptors run out: they come back as
/// sessions end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Proxied connections beyond the places, whose header has not come yet.
const PROXIED: usize = 1_000;

/// For telling a client that there is no place.
const COURTESY: Duration = Duration::from_secs(1);

/// A mailbox's configuration.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to listen with TLS from the first byte on (RFC 8314 §3).
    pub implicit_tls: Option<SocketAddr>,
    /// The Unix socket at which LMTP (RFC 2033) is spoken.
    pub lmtp: Option<PathBuf>,
    /// Load balancers: their connections, and no others, begin with a PROXY header of version 2.
    pub proxies: Vec<Network>,
    /// What is taken.
    pub policy: Policy,
    /// Certificate and versions for STARTTLS.
    pub tls: Arc<rustls::ServerConfig>,
    /// How many at once.
    pub limits: SmtpLimits,
    /// What arrivals are dated by: a clock that may be set at any moment. Nothing else goes by it;
    /// whatever waits goes by one that only moves forward.
    pub wall_clock: fn() -> UnixMicros,
}

impl SmtpConfig {
    /// One listener with STARTTLS and the usual limits.
    pub fn new(listen: SocketAddr, policy: Policy, tls: Arc<rustls::ServerConfig>) -> Self {
        Self {
            listen,
            implicit_tls: None,
            lmtp: None,
            proxies: Vec::new(),
            policy,
            tls,
            limits: SmtpLimits::default(),
            wall_clock,
        }
    }
}

fn wall_clock() -> UnixMicros {
    // Before 1970 only if the host's clock is that wrong; then the epoch is as good as any.
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    UnixMicros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// How many sessions may be open, and how many messages may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SmtpLimits {
    /// In all.
    pub sessions: usize,
    /// From one address.
    pub sessions_per_address: usize,
    /// From one network: a /24 of IPv4, a /48 of IPv6.
    pub sessions_per_network: usize,
    /// From one device: one that has shown who it is, or else one address and sender.
    pub messages_per_minute: u32,
    /// Failed logins of one address at once; its network has ten times as many.
    pub failed_logins: u32,
}

impl Default for SmtpLimits {
    /// In all: what a small host has memory for if each one sends. Per address: a gateway that
    /// collects a room's gear needs some dozens. Per network: a hall. Per device: a hundred in a
    /// second, which no sensor needs for long and a device that has gone mad exceeds.
    fn default() -> Self {
        Self {
            sessions: 10_000,
            sessions_per_address: 200,
            sessions_per_network: 2_000,
            messages_per_minute: 6_000,
            failed_logins: Guesses::PER_ADDRESS,
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
    /// The socket's place is not to be had.
    #[error(
        "cannot listen for LMTP at {path}: {source}; remove what is there or choose another place"
    )]
    Socket {
        /// The place.
        path: PathBuf,
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
    implicit_tls: Option<SocketAddr>,
    listeners: Vec<JoinHandle<()>>,
}

impl SmtpServer {
    /// Listens, and serves until [`shutdown`](Self::shutdown) or drop.
    ///
    /// # Errors
    /// See [`BindError`].
    pub async fn bind(config: SmtpConfig, sink: Arc<dyn MailSink>) -> Result<Self, BindError> {
        check(&config.policy)?;
        let tcp = async |listen| {
            let bound = TcpAcceptor::bind(listen).await;
            bound.map_err(|source| BindError::Listen { listen, source })
        };
        let (acceptor, listen) = tcp(config.listen).await?;
        let implicit = match config.implicit_tls {
            Some(listen) => Some(tcp(listen).await?),
            None => None,
        };
        let lmtp = match config.lmtp.clone() {
            Some(path) => {
                let bound = UnixAcceptor::bind(&path).await;
                Some(bound.map_err(|source| BindError::Socket { path, source })?)
            }
            None => None,
        };
        let config = SmtpConfig { listen, ..config };
        let (mut server, places, shared) = Self::begin(config, sink);
        server.listen(acceptor, Opening::Clear(Protocol::Esmtp), &places, &shared);
        if let Some((acceptor, local)) = implicit {
            server.implicit_tls = Some(local);
            server.listen(acceptor, Opening::Tls, &places, &shared);
        }
        if let Some(acceptor) = lmtp {
            server.listen(acceptor, Opening::Clear(Protocol::Lmtp), &places, &shared);
        }
        Ok(server)
    }

    /// Serves what `acceptor` gives until [`shutdown`](Self::shutdown) or drop; `config.listen` is
    /// only a name for it, and the other listeners are not opened.
    ///
    /// # Errors
    /// [`BindError::MaxSize`].
    pub fn serve_on(
        acceptor: impl Acceptor,
        config: SmtpConfig,
        sink: Arc<dyn MailSink>,
    ) -> Result<Self, BindError> {
        check(&config.policy)?;
        let (mut server, places, shared) = Self::begin(config, sink);
        server.listen(acceptor, Opening::Clear(Protocol::Esmtp), &places, &shared);
        Ok(server)
    }

    fn begin(config: SmtpConfig, sink: Arc<dyn MailSink>) -> (Self, Arc<Places>, Arc<Shared>) {
        let counters = Arc::new(SmtpCounters::default());
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            policy: Arc::new(config.policy),
            acceptor: TlsAcceptor::from(config.tls),
            sink,
            counters: Arc::clone(&counters),
            epoch: Instant::now(),
            stopped,
            rates: Mutex::new(Rates::new(config.limits.messages_per_minute)),
            guesses: Mutex::new(Guesses::new(config.limits.failed_logins)),
            proxies: config.proxies,
            wall_clock: config.wall_clock,
        });
        let places = Arc::new(Places::new(config.limits, Arc::clone(&counters)));
        let server = Self {
            local: config.listen,
            counters,
            stop,
            implicit_tls: None,
            listeners: Vec::new(),
        };
        (server, places, shared)
    }

    fn listen(
        &mut self,
        acceptor: impl Acceptor,
        opening: Opening,
        places: &Arc<Places>,
        shared: &Arc<Shared>,
    ) {
        let door = Door {
            opening,
            places: Arc::clone(places),
            shared: Arc::clone(shared),
        };
        self.listeners.push(tokio::spawn(door.serve(acceptor)));
    }

    /// Where it listens with TLS from the first byte on.
    pub const fn implicit_tls_addr(&self) -> Option<SocketAddr> {
        self.implicit_tls
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
        for listener in self.listeners {
            if listener.await.is_err() {
                tracing::error!("a mail listener had panicked");
            }
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

/// One listener.
#[derive(Clone)]
struct Door {
    opening: Opening,
    places: Arc<Places>,
    shared: Arc<Shared>,
}

const FULL: &[u8] = b"421 4.3.2 too many connections, try again later\r\n";

impl Door {
    async fn serve<A: Acceptor>(self, mut acceptor: A) {
        let mut stopped = self.shared.stopped.clone();
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                accepted = acceptor.accept() => match accepted {
                    Ok((stream, peer)) => {
                        self.admit(&acceptor, stream, peer.to_canonical(), &mut sessions);
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
        &self,
        acceptor: &A,
        stream: A::Stream,
        peer: IpAddr,
        sessions: &mut JoinSet<()>,
    ) {
        let is_proxied = self.opening != Opening::Clear(Protocol::Lmtp)
            && self.shared.proxies.iter().any(|proxy| proxy.contains(peer));
        if is_proxied {
            // Whose place it will be is not known yet; the wait for that is short, and bounded.
            if sessions.len() >= self.places.total() + PROXIED {
                self.count_turned_away(peer);
                return acceptor.turn_away(stream, FULL);
            }
            let door = self.clone();
            sessions.spawn(async move { door.run_proxied(stream, peer).await });
            return;
        }
        match self.places.take(peer) {
            Some(place) => {
                SmtpCounters::add(&self.shared.counters.sessions, 1);
                let (shared, opening) = (Arc::clone(&self.shared), self.opening);
                sessions.spawn(async move {
                    connection::run(stream, peer, opening, &shared).await;
                    drop(place);
                });
            }
            None => {
                self.count_turned_away(peer);
                acceptor.turn_away(stream, FULL);
            }
        }
    }

    async fn run_proxied<S>(&self, mut stream: S, proxy: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        let peer = match proxied::source(&mut stream, proxy).await {
            Ok(peer) => peer,
            Err(error) => {
                SmtpCounters::add(&self.shared.counters.errors, 1);
                tracing::warn!(%proxy, %error, "a proxy's connection is closed");
                return;
            }
        };
        let Some(place) = self.places.take(peer) else {
            self.count_turned_away(peer);
            // A courtesy, in a buffer that is empty; the client may have gone.
            let _ = timeout(COURTESY, stream.write_all(FULL)).await;
            return;
        };
        SmtpCounters::add(&self.shared.counters.sessions, 1);
        connection::run(stream, peer, self.opening, &self.shared).await;
        drop(place);
    }

    fn count_turned_away(&self, peer: IpAddr) {
        SmtpCounters::add(&self.shared.counters.turned_away, 1);
        tracing::info!(%peer, "mail connection turned away, too many are open");
    }
}
