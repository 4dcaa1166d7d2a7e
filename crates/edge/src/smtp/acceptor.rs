//! Where mail connections come from: TCP in real use, something in memory in a simulation.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Waker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// Gives one connection after the other to an [`SmtpServer`](super::SmtpServer).
pub trait Acceptor: Send + 'static {
    /// A connection. Nothing about it is trusted.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection and the address that it comes from. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Stream, IpAddr)>> + Send;

    /// Says `line` to a connection that there is no place for, if it can be said without waiting.
    fn turn_away(&self, mut stream: Self::Stream, line: &'static [u8]) {
        let mut context = Context::from_waker(Waker::noop());
        // Nobody waits for the rest: the line is a courtesy.
        let _ = Pin::new(&mut stream).poll_write(&mut context, line);
    }
}

/// TCP.
#[derive(Debug)]
pub(super) struct TcpAcceptor {
    listener: TcpListener,
}

impl TcpAcceptor {
    pub(super) async fn bind(listen: SocketAddr) -> io::Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind(listen).await?;
        let local = listener.local_addr()?;
        Ok((Self { listener }, local))
    }
}

impl Acceptor for TcpAcceptor {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, IpAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        // Replies are written whole; waiting for more to send would only delay them.
        let _ = stream.set_nodelay(true);
        Ok((stream, peer.ip()))
    }

    fn turn_away(&self, stream: TcpStream, line: &'static [u8]) {
        // One packet that a fresh connection's buffer always takes; not worth a wait.
        let _ = stream.try_write(line);
    }
}
