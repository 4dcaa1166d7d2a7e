//! Listener and connections; or only connections, where somebody else brings them.

use crate::api;
use crate::codec::{Malformed, Reader, Writer};
use crate::state::Shared;
use crate::{BrokerConfig, TlsError};
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Largest request. Clients send batches of 1 MiB by default; several partitions share one.
const MAX_FRAME: usize = 16 << 20;
/// Room made for a request before any of it came.
const FIRST_READ: usize = 64 << 10;
/// Connections at once; one client opens two or three.
const MAX_CONNECTIONS: usize = 256;
/// Time for a TLS handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);
/// A connection that sends nothing for so long is closed (Kafka's connections.max.idle.ms).
const IDLE_LIMIT: Duration = Duration::from_secs(600);
/// How often groups are looked at for members that are gone.
const GROUP_TICK: Duration = Duration::from_millis(100);

/// A running broker. Dropping it closes the listener and every connection.
pub struct Broker {
    addr: SocketAddr,
    task: JoinHandle<()>,
}

/// A broker without a listener: it serves the connections that it is given.
pub struct Hall {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    groups: JoinHandle<()>,
}

impl Hall {
    /// Recovers what the folder holds. Clients are told that the broker is at
    /// [`advertised_host`](BrokerConfig::advertised_host) and the port of `bind`. It speaks plaintext:
    /// [`tls`](BrokerConfig::tls) is for listeners.
    pub fn open(config: BrokerConfig) -> Result<Self, StartError> {
        let host = host(&config, config.bind);
        let port = config.bind.port();
        let shared = Arc::new(Shared::new(config, host, port).map_err(StartError::Folder)?);
        let ticking = Arc::clone(&shared);
        let groups = tokio::spawn(async move {
            let mut tick = tokio::time::interval(GROUP_TICK);
            loop {
                tick.tick().await;
                api::groups::expire(&ticking);
            }
        });
        Ok(Self {
            shared,
            places: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            groups,
        })
    }

    /// Serves one connection until its client closes it.
    ///
    /// # Errors
    /// The connection broke, the client sent what is no request, or too many are open.
    pub fn serve<S>(&self, stream: S) -> impl Future<Output = io::Result<()>> + Send + 'static
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (shared, places) = (Arc::clone(&self.shared), Arc::clone(&self.places));
        async move {
            let _place = places.try_acquire_owned().map_err(io::Error::other)?;
            requests(&shared, stream).await
        }
    }
}

impl Drop for Hall {
    fn drop(&mut self) {
        self.groups.abort();
    }
}

fn host(config: &BrokerConfig, addr: SocketAddr) -> String {
    let host = config.advertised_host.clone();
    host.unwrap_or_else(|| addr.ip().to_string())
}

/// Why a broker did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address.
    #[error("broker cannot listen on {bind}: {error}")]
    Bind {
        /// Address asked for.
        bind: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// The folder.
    #[error("broker cannot use its folder: {0}")]
    Folder(io::Error),
    /// TLS settings.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

impl Broker {
    /// Recovers what the folder holds, binds and serves.
    pub async fn start(config: BrokerConfig) -> Result<Self, StartError> {
        let acceptor = config.tls.as_ref().map(|tls| tls.acceptor()).transpose()?;
        let bind = config.bind;
        let listener = TcpListener::bind(bind)
            .await
            .map_err(|error| StartError::Bind { bind, error })?;
        let addr = listener
            .local_addr()
            .map_err(|error| StartError::Bind { bind, error })?;
        let host = host(&config, addr);
        let shared = Arc::new(Shared::new(config, host, addr.port()).map_err(StartError::Folder)?);
        let task = tokio::spawn(serve(listener, shared, acceptor));
        Ok(Self { addr, task })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Closes everything and returns when that is done, so that the address is free again.
    pub async fn stop(mut self) {
        self.task.abort();
        // The task ends by this abort; there is nothing else to learn from it.
        let _aborted = (&mut self.task).await;
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>, acceptor: Option<TlsAcceptor>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    let mut tick = tokio::time::interval(GROUP_TICK);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, peer)) = accepted else { continue };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    tracing::warn!(%peer, "refused: too many connections");
                    continue;
                };
                let (shared, acceptor) = (Arc::clone(&shared), acceptor.clone());
                connections.spawn(async move {
                    let result = connection(&shared, stream, acceptor).await;
                    if let Err(error) = result {
                        tracing::debug!(%peer, %error, "connection closed");
                    }
                    drop(place);
                });
            }
            _ = tick.tick() => api::groups::expire(&shared),
            _ = connections.join_next(), if !connections.is_empty() => {}
        }
    }
}

async fn connection(
    shared: &Shared,
    stream: tokio::net::TcpStream,
    acceptor: Option<TlsAcceptor>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    match acceptor {
        None => requests(shared, stream).await,
        Some(acceptor) => {
            let stream = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await??;
            requests(shared, stream).await
        }
    }
}

/// One request after the other, answered in order.
async fn requests(
    shared: &Shared,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    loop {
        let Ok(first) = tokio::time::timeout(IDLE_LIMIT, stream.read_u32()).await else {
            return Ok(());
        };
        let len = match first {
            Ok(len) => len as usize,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        if len > MAX_FRAME {
            return Err(invalid(format!(
                "a request of {len} bytes is over the limit of {MAX_FRAME}"
            )));
        }
        // Grows with what really comes: the length alone makes nobody allocate.
        let mut frame = BytesMut::with_capacity(len.min(FIRST_READ));
        let mut body = (&mut stream).take(len as u64);
        while frame.len() < len {
            if body.read_buf(&mut frame).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let mut reader = Reader(frame.freeze());
        let header = api::Header::read(&mut reader)
            .map_err(|Malformed(item)| invalid(format!("header: {item}")))?;
        let Some(Writer(answer)) = api::handle(shared, &header, &mut reader)
            .await
            .map_err(|error| invalid(error.to_string()))?
        else {
            continue;
        };
        let mut whole = Writer::default();
        whole.count(4 + answer.len());
        whole.i32(header.correlation);
        whole.0.unsplit(answer);
        stream.write_all(&whole.0).await?;
        stream.flush().await?;
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
