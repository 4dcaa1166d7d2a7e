//! Reading without a buffer of one's own: a connection that waits holds no memory for what may come.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

/// Bytes read at once, on the stack of whoever polls: what one TLS record carries (RFC 8446 §5.1), or a
/// dozen telemetry mails.
const READ: usize = 16 << 10;

/// After the last reply we read on for a moment, or closing with unread input would make the
/// kernel reset the connection and the client lose the reply.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// Reads what is there and gives it to `take`; nothing at the end of the stream.
pub(super) fn poll_read<S, T>(
    stream: &mut S,
    cx: &mut Context<'_>,
    take: impl FnOnce(&[u8]) -> T,
) -> Poll<io::Result<T>>
where
    S: AsyncRead + Unpin,
{
    let mut room = [const { MaybeUninit::uninit() }; READ];
    let mut buffer = ReadBuf::uninit(&mut room);
    ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
    Poll::Ready(Ok(take(buffer.filled())))
}

/// Closes our side, then reads until the client closes its own.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let close = async {
        stream.shutdown().await?;
        let mut left = LINGER_BYTES;
        while left > 0 {
            match poll_fn(|cx| poll_read(&mut stream, cx, <[u8]>::len)).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        io::Result::Ok(())
    };
    // Best effort: whatever goes wrong now, the session is over.
    let _ = timeout(LINGER, close).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_comes_in_order_and_then_nothing() {
        let (mut mine, mut theirs) = tokio::io::duplex(3 * READ);
        let sent: Vec<u8> = (0..2 * READ + 7).map(|at| (at % 251) as u8).collect();
        mine.write_all(&sent).await.expect("there is room");
        drop(mine);
        let mut came = Vec::new();
        loop {
            let read = poll_fn(|cx| {
                poll_read(&mut theirs, cx, |bytes| {
                    came.extend_from_slice(bytes);
                    bytes.len()
                })
            });
            match read.await.expect("it stands") {
                0 => break,
                read => assert!(read <= READ),
            }
        }
        assert_eq!(came, sent);
    }
}
