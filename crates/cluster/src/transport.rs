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

    /// Connects to `address` (`host:port`), where `peer` is said to be.
    fn dial(
        &self,
        peer: &NodeId,
        address: &str,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The next connection from outside.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;

    /// The handshake on an accepted connection has shown that `peer` is at its other end. Nothing
    /// depends on it but transports that treat peers differently.
    fn proven(&self, _connection: &mut Self::Stream, _peer: &NodeId) {}
}

/// TCP.
#[derive(Debug)]
pub struct TcpTransport {
    listener: TcpListener,
}

impl TcpTransport {
    /// Listens on `listen`.
    pub async fn bind(listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen on {listen}: {error}"))
        })?;
        Ok(Self::new(listener))
    }

    /// Uses a listener that is bound already.
    pub fn new(listener: TcpListener) -> Self {
        Self { listener }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Transport for TcpTransport {
    type Stream = TcpStream;

    async fn dial(&self, _peer: &NodeId, address: &str) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))?;
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
