//! A reader that fails when nothing arrives for a while: on a link with heartbeats, silence is
//! death. (ractor_cluster pings, but never acts on a missing answer.)

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Wraps a reader with a limit on silence.
pub struct IdleLimit<R> {
    inner: R,
    limit: Duration,
    /// Since when a read waits: a consumer that is slow to read is not the peer's silence.
    waiting: Option<Instant>,
    /// Goes off no later than the limit and is set again then: a read that waits a moment, as
    /// most do, costs no timer.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<R> IdleLimit<R> {
    /// Reads fail with `TimedOut` when nothing arrives for `limit`.
    pub fn new(inner: R, limit: Duration) -> Self {
        Self {
            inner,
            limit,
            waiting: None,
            alarm: None,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for IdleLimit<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Poll::Ready(result) = Pin::new(&mut this.inner).poll_read(cx, buffer) {
            this.waiting = None;
            return Poll::Ready(result);
        }
        let limit = this.limit;
        let end = *this.waiting.get_or_insert_with(Instant::now) + limit;
        let alarm = this
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(end)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            if alarm.deadline() >= end {
                break;
            }
            alarm.as_mut().reset(end);
        }
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("nothing heard for {limit:?}"),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    #[tokio::test(start_paused = true)]
    async fn silence_fails_and_traffic_does_not() {
        let (mut far, near) = duplex(16);
        let mut near = IdleLimit::new(near, Duration::from_secs(2));
        let writer = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(1900)).await;
                far.write_all(b"x").await.unwrap();
            }
            far
        });
        let mut bytes = [0; 5];
        near.read_exact(&mut bytes).await.unwrap();
        let _far = writer.await.unwrap();
        let before = Instant::now();
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(before.elapsed().as_millis(), 2000);
    }
}
