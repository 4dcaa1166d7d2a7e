//! Where mail connections come from: TCP in real use, something in memory in a simulation.

use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Waker};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

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

/// A Unix socket, for a mail server on this host.
#[derive(Debug)]
pub(super) struct UnixAcceptor {
    listener: UnixListener,
    path: PathBuf,
}

impl UnixAcceptor {
    /// Owner and group may connect. A socket that a former run left behind is replaced; one that
    /// somebody listens at is not.
    pub(super) async fn bind(path: &Path) -> io::Result<Self> {
        if UnixStream::connect(path).await.is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        if fs::symlink_metadata(path).is_ok_and(|data| is_socket(&data)) {
            fs::remove_file(path)?;
        }
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
        })
    }
}

fn is_socket(data: &fs::Metadata) -> bool {
    use std::os::unix::fs::FileTypeExt;
    data.file_type().is_socket()
}

impl Drop for UnixAcceptor {
    fn drop(&mut self) {
        // If it stays, the next start replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

impl Acceptor for UnixAcceptor {
    type Stream = UnixStream;

    /// Whoever connects is on this host.
    async fn accept(&mut self) -> io::Result<(UnixStream, IpAddr)> {
        let (stream, _) = self.listener.accept().await?;
        Ok((stream, Ipv4Addr::LOCALHOST.into()))
    }
}
