//! The way in: records are decrypted in the buffer they were received in.

use super::Shared;
use crate::detect::Pulse;
use crate::idle::IdleLimit;
use crate::noise::LinkError;
use crate::noise::record::{HEADER, MAX_CIPHERTEXT, Opener, Record};
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf, ReadHalf};

/// Bytes received and not yet handed on: the largest record and as much of those behind it. An
/// idle link touches the first page only.
const RECEIVED: usize = 2 * (HEADER + MAX_CIPHERTEXT);

/// The end that the session reads from.
pub struct LinkReader<S> {
    shared: Arc<Shared>,
    opener: Opener,
    connection: Option<IdleLimit<ReadHalf<S>>>,
    buffer: Box<[u8]>,
    /// Received, not yet decrypted.
    sealed: Range<usize>,
    /// Decrypted, not yet handed on.
    plain: Range<usize>,
    pulse: Pulse,
}

impl<S> LinkReader<S> {
    pub(super) fn new(
        shared: Arc<Shared>,
        opener: Opener,
        connection: ReadHalf<S>,
        silence_limit: Duration,
        pulse: Pulse,
    ) -> Self {
        Self {
            shared,
            opener,
            connection: Some(IdleLimit::new(connection, silence_limit)),
            buffer: vec![0; RECEIVED].into_boxed_slice(),
            sealed: 0..0,
            plain: 0..0,
            pulse,
        }
    }

    /// The next record's ciphertext, if all of it is here.
    fn next_record(&mut self) -> Option<Range<usize>> {
        let header = self.buffer[self.sealed.clone()].first_chunk::<HEADER>()?;
        let start = self.sealed.start + HEADER;
        let end = start + usize::from(u16::from_be_bytes(*header));
        (end <= self.sealed.end).then(|| {
            self.sealed.start = end;
            start..end
        })
    }

    /// Room for the rest of the next record.
    fn make_room(&mut self) {
        if self.sealed.is_empty() {
            self.sealed = 0..0;
        } else if self.sealed.start > RECEIVED / 2 {
            // The record may not fit behind; before, it does.
            self.buffer.copy_within(self.sealed.clone(), 0);
            self.sealed = 0..self.sealed.len();
        }
    }

    fn take(&mut self, record: Range<usize>) -> Result<(), LinkError> {
        let end = record.end;
        match self.opener.open(&mut self.buffer[record])? {
            Record::Data(data) => {
                self.pulse.heard();
                let end = end - crate::noise::resolver::TAG;
                self.plain = end - data.len()..end;
            }
            Record::Heartbeat => self.pulse.heartbeat(),
            Record::Dismissed(why) => {
                // It goes to the log: one line, whatever the peer put in.
                let why = why.replace(char::is_control, " ");
                let _ = self.shared.dismissed.set(why.clone()); // the first one stays
                return Err(LinkError::Dismissed { why });
            }
            Record::Have(epoch) => {
                self.shared.offers().offer(epoch);
                self.shared.offered.notify_one();
            }
            Record::Moved(epoch) => {
                self.opener.check_move(epoch)?;
                let mut offers = self.shared.offers();
                let secret = offers.announced.get(&epoch).cloned();
                let secret = secret.ok_or(LinkError::NotAnnounced { to: epoch })?;
                self.opener.advance(epoch, &secret);
                offers.receiving(epoch);
            }
        }
        Ok(())
    }
}

impl<S: AsyncRead> LinkReader<S> {
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        let Some(connection) = &mut self.connection else {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()));
        };
        let mut room = ReadBuf::new(&mut self.buffer[self.sealed.end..]);
        ready!(Pin::new(connection).poll_read(cx, &mut room))?;
        let received = room.filled().len();
        if received == 0 {
            let gone = io::Error::new(io::ErrorKind::UnexpectedEof, "closed by the peer");
            return Poll::Ready(Err(gone.into()));
        }
        self.sealed.end += received;
        Poll::Ready(Ok(()))
    }

    /// Until there are decrypted bytes.
    fn poll_plain(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LinkError>> {
        while self.plain.is_empty() {
            if let Some(record) = self.next_record() {
                self.take(record)?;
            } else {
                self.make_room();
                ready!(self.poll_receive(cx))?;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead> AsyncRead for LinkReader<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = this.poll_plain(cx);
        if polled.is_pending() {
            let mut reading = this.shared.reading();
            match &mut *reading {
                Some(known) => known.clone_from(cx.waker()),
                None => *reading = Some(cx.waker().clone()),
            }
        }
        if let Poll::Ready(Err(error)) = &polled {
            this.shared.end(error.to_string());
        }
        // Asked after the waker is in place. What the session gets is an end, not an error: the
        // reason is the handle's to tell.
        if this.shared.ended() {
            this.connection = None;
            return Poll::Ready(Ok(()));
        }
        ready!(polled).expect("errors end the link");
        let length = this.plain.len().min(to.remaining());
        let end = this.plain.start + length;
        to.put_slice(&this.buffer[this.plain.start..end]);
        this.plain.start = end;
        Poll::Ready(Ok(()))
    }
}

impl<S> Drop for LinkReader<S> {
    fn drop(&mut self) {
        self.shared.end("closed");
    }
}
