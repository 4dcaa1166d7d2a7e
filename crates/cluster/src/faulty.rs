//! A transport that can be cut off from chosen peers, for trials and tests. Whether a node runs on
//! it is for its configuration to say.
//!
//! A cut cable tells nobody anything: no reset, no end of stream. What TCP has not delivered it
//! keeps and tries again, so bytes are held here, not lost: a short cut is a pause, a long one
//! is noticed by the links' own limits on silence.
//! - Towards a blocked peer, dialing hangs, and established connections neither give nor take.
//! - Who is behind an accepted connection shows in the handshake; from then on it is cut off as well.
//! - A connection closed while cut stays open underneath until the cut heals (at most
//!   [`LINGER`]): its end must not reach the peer either.

use super::Transport;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use wire::NodeId;

/// How long a closed connection is kept from ending while it is cut: far longer than the peer's
/// links live in silence, and short enough that a long cut does not pile up sockets.
const LINGER: Duration = Duration::from_secs(30);

/// Switches the faults of one node's transport; cheap to clone.
#[derive(Clone, Debug)]
pub struct Faults(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    blocked: watch::Sender<BTreeSet<NodeId>>,
    /// Who waits on a cut connection, by connection and direction.
    waiting: Mutex<BTreeMap<(u64, Direction), Waker>>,
    next_connection: AtomicU64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Direction {
    In,
    Out,
}

impl Faults {
    fn new() -> Self {
        Self(Arc::new(Shared {
            blocked: watch::Sender::new(BTreeSet::new()),
            waiting: Mutex::default(),
            next_connection: AtomicU64::new(0),
        }))
    }

    /// Cuts this node off from exactly these peers from now on; none: all is well again.
    pub fn block(&self, peers: BTreeSet<NodeId>) {
        self.0.blocked.send_replace(peers);
        let waiting = std::mem::take(&mut *self.waiting());
        waiting.into_values().for_each(Waker::wake);
    }

    /// From whom it is cut off.
    pub fn blocked(&self) -> BTreeSet<NodeId> {
        self.0.blocked.borrow().clone()
    }

    fn blocks(&self, peer: &NodeId) -> bool {
        self.0.blocked.borrow().contains(peer)
    }

    /// Returns when `peer` is not blocked.
    async fn healed(&self, peer: &NodeId) {
        let mut blocked = self.0.blocked.subscribe();
        // The sender lives in `self`.
        let _ = blocked.wait_for(|blocked| !blocked.contains(peer)).await;
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<(u64, Direction), Waker>> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Any transport, with a switch.
#[derive(Debug)]
pub struct FaultyTransport<T> {
    inner: T,
    faults: Faults,
}

impl<T: Transport> FaultyTransport<T> {
    /// Around `inner`; no faults until they are switched on.
    pub fn new(inner: T) -> (Self, Faults) {
        let faults = Faults::new();
        let switch = faults.clone();
        (Self { inner, faults }, switch)
    }

    /// The transport inside.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    fn wrap(&self, stream: T::Stream, peer: Option<NodeId>) -> FaultyStream<T::Stream> {
        FaultyStream {
            inner: Some(stream),
            peer,
            number: self
                .faults
                .0
                .next_connection
                .fetch_add(1, Ordering::Relaxed),
            faults: self.faults.clone(),
        }
    }
}

impl<T: Transport> Transport for FaultyTransport<T> {
    type Stream = FaultyStream<T::Stream>;

    async fn dial(&self, peer: &NodeId, address: &str) -> io::Result<Self::Stream> {
        self.faults.healed(peer).await;
        let stream = self.inner.dial(peer, address).await?;
        Ok(self.wrap(stream, Some(peer.clone())))
    }

    async fn accept(&self) -> io::Result<Self::Stream> {
        let stream = self.inner.accept().await?;
        Ok(self.wrap(stream, None))
    }

    fn proven(&self, connection: &mut Self::Stream, peer: &NodeId) {
        connection.peer = Some(peer.clone());
        if let Some(inner) = &mut connection.inner {
            self.inner.proven(inner, peer);
        }
    }
}

/// A connection that can be cut.
pub struct FaultyStream<S: Send + 'static> {
    /// Taken when dropped.
    inner: Option<S>,
    /// `None`: not known yet.
    peer: Option<NodeId>,
    number: u64,
    faults: Faults,
}

impl<S: Unpin + Send> FaultyStream<S> {
    /// The connection, if it is not cut; otherwise whoever polls is woken when the cut changes.
    fn poll_whole(
        &mut self,
        direction: Direction,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Pin<&mut S>>> {
        if let Some(peer) = self.peer.as_ref() {
            // Registered first and looked at second: no change is missed in between.
            if self.faults.blocks(peer) {
                let key = (self.number, direction);
                self.faults.waiting().insert(key, cx.waker().clone());
                if self.faults.blocks(peer) {
                    return Poll::Pending;
                }
            }
        }
        match self.inner.as_mut() {
            Some(inner) => Poll::Ready(Ok(Pin::new(inner))),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl<S: AsyncRead + Unpin + Send> AsyncRead for FaultyStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = std::task::ready!(self.get_mut().poll_whole(Direction::In, cx))?;
        inner.poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin + Send> AsyncWrite for FaultyStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = std::task::ready!(self.get_mut().poll_whole(Direction::Out, cx))?;
        inner.poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = std::task::ready!(self.get_mut().poll_whole(Direction::Out, cx))?;
        inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = std::task::ready!(self.get_mut().poll_whole(Direction::Out, cx))?;
        inner.poll_shutdown(cx)
    }
}

impl<S: Send + 'static> Drop for FaultyStream<S> {
    fn drop(&mut self) {
        let mut waiting = self.faults.waiting();
        waiting.remove(&(self.number, Direction::In));
        waiting.remove(&(self.number, Direction::Out));
        drop(waiting);
        let (Some(inner), Some(peer)) = (self.inner.take(), self.peer.take()) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        if self.faults.blocks(&peer) {
            let faults = self.faults.clone();
            runtime.spawn(async move {
                // Either way it may end now.
                let _ = tokio::time::timeout(LINGER, faults.healed(&peer)).await;
                drop(inner);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
    use tokio::sync::{Mutex as AsyncMutex, mpsc};
    use tokio::time::{Instant, timeout};

    const SOON: Duration = Duration::from_secs(1);

    /// Every connection dialed comes out at `accept`'s other end.
    struct Pipes {
        dialed: mpsc::Sender<DuplexStream>,
        accepted: AsyncMutex<mpsc::Receiver<DuplexStream>>,
    }

    impl Transport for Pipes {
        type Stream = DuplexStream;

        async fn dial(&self, _: &NodeId, _: &str) -> io::Result<DuplexStream> {
            let (near, far) = duplex(64);
            self.dialed.send(far).await.map_err(io::Error::other)?;
            Ok(near)
        }

        async fn accept(&self) -> io::Result<DuplexStream> {
            let accepted = self.accepted.lock().await.recv().await;
            accepted.ok_or_else(|| io::ErrorKind::NotConnected.into())
        }
    }

    fn pipes() -> (FaultyTransport<Pipes>, Faults) {
        let (dialed, accepted) = mpsc::channel(4);
        FaultyTransport::new(Pipes {
            dialed,
            accepted: AsyncMutex::new(accepted),
        })
    }

    fn only(peer: &str) -> BTreeSet<NodeId> {
        [NodeId::from(peer)].into_iter().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_holds_bytes_both_ways_and_gives_them_back_when_it_heals() {
        let (transport, faults) = pipes();
        let mut near = transport.dial(&"b".into(), "").await.unwrap();
        let mut far = transport.inner().accept().await.unwrap();
        near.write_all(b"one").await.unwrap();
        far.read_exact(&mut [0; 3]).await.unwrap();

        faults.block(only("b"));
        far.write_all(b"two").await.unwrap();
        let mut three = [0; 3];
        assert!(timeout(SOON, near.read_exact(&mut three)).await.is_err());
        assert!(timeout(SOON, near.write_all(b"no")).await.is_err());
        assert!(timeout(SOON, far.read_u8()).await.is_err());

        let healer = faults.clone();
        let healing = tokio::spawn(async move {
            tokio::time::sleep(SOON).await;
            healer.block(BTreeSet::new());
        });
        let before = Instant::now();
        near.read_exact(&mut three).await.unwrap();
        assert_eq!((&three, before.elapsed()), (b"two", SOON));
        near.write_all(b"yes").await.unwrap();
        far.read_exact(&mut three).await.unwrap();
        assert_eq!(&three, b"yes");
        healing.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn dialing_hangs_and_the_end_of_a_cut_connection_is_not_seen_until_it_heals() {
        let (transport, faults) = pipes();
        let near = transport.dial(&"b".into(), "").await.unwrap();
        let mut far = transport.inner().accept().await.unwrap();
        faults.block(only("b"));
        assert!(
            timeout(SOON, transport.dial(&"b".into(), ""))
                .await
                .is_err()
        );
        transport.dial(&"c".into(), "").await.unwrap();
        drop(near);
        assert!(
            timeout(SOON, far.read_u8()).await.is_err(),
            "the end was seen"
        );
        faults.block(BTreeSet::new());
        let end = timeout(SOON, far.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
        timeout(SOON, transport.dial(&"b".into(), ""))
            .await
            .unwrap()
            .unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_accepted_connection_is_cut_once_its_peer_is_proven() {
        let (transport, faults) = pipes();
        let mut far = transport.inner().dial(&"me".into(), "").await.unwrap();
        let mut near = transport.accept().await.unwrap();
        faults.block(only("b"));
        far.write_all(b"?!").await.unwrap();
        assert_eq!(near.read_u8().await.unwrap(), b'?');
        transport.proven(&mut near, &"b".into());
        assert!(timeout(SOON, near.read_u8()).await.is_err());
        faults.block(only("c"));
        assert_eq!(near.read_u8().await.unwrap(), b'!');
    }
}
