//! The way out: what the session writes is encrypted into one buffer, and leaves it when the
//! session flushes or the buffer is full.

use super::Shared;
use crate::noise::LinkError;
use crate::noise::record::{MAX_DATA, Record, Sealer};
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use tokio::io::{AsyncWrite, WriteHalf};

/// Bytes sealed and not yet taken by the connection before the session has to wait. Back-pressure
/// starts here; at most one record more than this is held.
const HELD: usize = 64 << 10;

/// Who writes to the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Party {
    Session,
    Keeper,
}

/// Those of them that wait. A connection remembers the last one only, so it is given this one
/// waker, which wakes both.
#[derive(Default)]
pub(super) struct Wakers(Mutex<[Option<Waker>; 2]>);

impl Wakers {
    fn waiting(&self) -> MutexGuard<'_, [Option<Waker>; 2]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait(&self, party: Party, waker: &Waker) {
        let place = &mut self.waiting()[party as usize];
        match place {
            Some(known) => known.clone_from(waker),
            None => *place = Some(waker.clone()),
        }
    }

    fn wake_but(&self, party: Party) {
        let others = {
            let mut waiting = self.waiting();
            waiting[party as usize] = None;
            std::mem::take(&mut *waiting)
        };
        others.into_iter().flatten().for_each(Waker::wake);
    }

    pub(super) fn wake_all(&self) {
        let all = std::mem::take(&mut *self.waiting());
        all.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}

pub(super) struct Outbound<S> {
    sealer: Sealer,
    /// Records sealed; those before `written` have left.
    out: Vec<u8>,
    written: usize,
    /// Bytes that have left on the whole.
    left: u64,
    /// The connection may hold some of them back.
    unflushed: bool,
    /// `None`: at its end.
    connection: Option<WriteHalf<S>>,
    wakers: Arc<Wakers>,
    /// Wakes them all.
    waker: Waker,
}

impl<S: AsyncWrite> Outbound<S> {
    pub(super) fn new(sealer: Sealer, connection: WriteHalf<S>, wakers: Arc<Wakers>) -> Self {
        Self {
            sealer,
            out: Vec::new(),
            written: 0,
            left: 0,
            unflushed: false,
            connection: Some(connection),
            waker: Waker::from(Arc::clone(&wakers)),
            wakers,
        }
    }

    pub(super) fn seal(&mut self, record: Record<'_>) -> Result<(), LinkError> {
        self.sealer.seal(record, &mut self.out)
    }

    /// Says `Moved` under the old key and goes on under the new one.
    pub(super) fn advance(
        &mut self,
        epoch: wire::KeyEpoch,
        secret: &[u8; 32],
    ) -> Result<(), LinkError> {
        self.sealer.advance(epoch, secret, &mut self.out)
    }

    fn held(&self) -> usize {
        self.out.len() - self.written
    }

    /// All that is sealed so far will have left when so many bytes have.
    pub(super) fn sealed(&self) -> u64 {
        self.left + self.held() as u64
    }

    /// Until `bytes` have left on the whole.
    pub(super) fn poll_left(
        &mut self,
        cx: &mut Context<'_>,
        party: Party,
        bytes: u64,
    ) -> Poll<io::Result<()>> {
        if self.left >= bytes && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        self.wakers.wait(party, cx.waker());
        let mut both = Context::from_waker(&self.waker);
        while self.left < bytes {
            let piece = &self.out[self.written..];
            let taken = ready!(Pin::new(&mut *connection).poll_write(&mut both, piece))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += taken;
            self.left += taken as u64;
            self.unflushed = true;
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written > HELD {
            self.out.drain(..self.written);
            self.written = 0;
        }
        ready!(Pin::new(connection).poll_flush(&mut both))?;
        self.unflushed = false;
        // Whoever waits for the same bytes need not wait for the connection.
        self.wakers.wake_but(party);
        Poll::Ready(Ok(()))
    }

    /// Nothing more comes; what the connection does not take at once is lost.
    pub(super) fn shut(&mut self) {
        if let Some(mut connection) = self.connection.take() {
            let mut nobody = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut connection).poll_shutdown(&mut nobody); // the peer may be gone
        }
    }
}

/// The end that the session writes to.
pub struct LinkWriter<S> {
    shared: Arc<Shared>,
    outbound: Arc<Mutex<Outbound<S>>>,
    /// Bytes of the session sealed so far.
    bytes: u64,
}

impl<S> LinkWriter<S> {
    pub(super) fn new(shared: Arc<Shared>, outbound: Arc<Mutex<Outbound<S>>>) -> Self {
        Self {
            shared,
            outbound,
            bytes: 0,
        }
    }
}

impl<S: AsyncWrite> LinkWriter<S> {
    fn poll_with<T>(
        &self,
        cx: &mut Context<'_>,
        go: impl FnOnce(&mut Outbound<S>, &mut Context<'_>) -> Poll<Result<T, LinkError>>,
    ) -> Poll<io::Result<T>> {
        let result = {
            let mut outbound = self.outbound.lock().unwrap_or_else(PoisonError::into_inner);
            let result = go(&mut outbound, cx);
            // Asked after going, so that an end meanwhile has woken us or is seen here.
            if self.shared.ended() {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            ready!(result)
        };
        Poll::Ready(result.map_err(|error| {
            self.shared.end(error.to_string());
            io::ErrorKind::BrokenPipe.into()
        }))
    }
}

impl<S: AsyncWrite> AsyncWrite for LinkWriter<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_with(cx, |outbound, cx| {
            if outbound.held() > HELD {
                let enough = outbound.sealed() - HELD as u64;
                ready!(outbound.poll_left(cx, Party::Session, enough))?;
            }
            let data = &data[..data.len().min(MAX_DATA)];
            Poll::Ready(outbound.seal(Record::Data(data)).map(|()| data.len()))
        });
        if let Poll::Ready(Ok(taken)) = polled {
            self.get_mut().bytes += taken as u64;
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.poll_with(cx, |outbound, cx| {
            let all = outbound.sealed();
            outbound
                .poll_left(cx, Party::Session, all)
                .map_err(LinkError::from)
        });
        if let Poll::Ready(Ok(())) = polled {
            self.shared.flushed.store(self.bytes, Ordering::Release);
            self.shared.flush.notify_one();
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl<S> Drop for LinkWriter<S> {
    fn drop(&mut self) {
        self.shared.end("closed");
    }
}
