use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use wire::NodeId;

/// How bytes get from node to node. The single seam between production and simulation:
/// everything above it is the same code.
pub trait Transport: Send + Sync + 'static {
    /// A connection. Nothing about it is trusted.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Connects to where `peer` is said to be.
    fn dial(&self, peer: &NodeId) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The next connection from outside.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// TCP.
#[derive(Debug)]
pub struct TcpTransport {
    listener: TcpListener,
    addresses: BTreeMap<NodeId, String>,
}

impl TcpTransport {
    /// Listens on `listen`; peers are dialed at their `host:port`.
    pub async fn bind(listen: SocketAddr, addresses: BTreeMap<NodeId, String>) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
        })?;
        Ok(Self::new(listener, addresses))
    }

    /// Uses a listener that is bound already.
    pub fn new(listener: TcpListener, addresses: BTreeMap<NodeId, String>) -> Self {
        Self {
            listener,
            addresses,
        }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Transport for TcpTransport {
    type Stream = TcpStream;

    async fn dial(&self, peer: &NodeId) -> io::Result<TcpStream> {
        let address = self.addresses.get(peer).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("no address for node {peer} in [peers]"),
            )
        })?;
        let stream = TcpStream::connect(address).await?;
        // Calls are small and their latency counts.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
