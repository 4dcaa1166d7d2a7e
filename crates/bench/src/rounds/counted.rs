//! TCP with a count of all bytes, handshakes and heartbeats included.

use cluster::{TcpTransport, Transport};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use wire::NodeId;

/// Bytes that all connections of this process have carried.
#[derive(Default)]
pub(super) struct Bytes {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Bytes {
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

/// The product's transport, counted.
pub(super) struct Counted {
    inner: TcpTransport,
    bytes: Arc<Bytes>,
}

impl Counted {
    pub(super) fn new(inner: TcpTransport, bytes: Arc<Bytes>) -> Self {
        Self { inner, bytes }
    }

    fn count(&self, inner: TcpStream) -> CountedStream {
        let bytes = Arc::clone(&self.bytes);
        CountedStream { inner, bytes }
    }
}

impl Transport for Counted {
    type Stream = CountedStream;

    async fn dial(&self, peer: &NodeId, address: &str) -> io::Result<CountedStream> {
        Ok(self.count(self.inner.dial(peer, address).await?))
    }

    async fn accept(&self) -> io::Result<CountedStream> {
        Ok(self.count(self.inner.accept().await?))
    }
}

pub(super) struct CountedStream {
    inner: TcpStream,
    bytes: Arc<Bytes>,
}

impl AsyncRead for CountedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        let read = (buffer.filled().len() - before) as u64;
        self.bytes.received.fetch_add(read, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, data))?;
        self.bytes.sent.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
