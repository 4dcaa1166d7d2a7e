//! Connections to brokers: sockets, or what a simulated network or a tunnel gives. What crosses them.

use bytes::{BufMut, BytesMut};
use futures::future::BoxFuture;
use samsa::prelude::encode::ToByte;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Largest answer that is taken, whatever length a broker announces: a fetch of [`FeedConfig::max_bytes`] with a single
/// larger batch, and room around it.
///
/// [`FeedConfig::max_bytes`]: super::FeedConfig::max_bytes
const MAX_ANSWER: u32 = 64 << 20;

/// A connection that carries Kafka's protocol. `Sync`, so that who holds a client across an
/// await can be spawned.
pub trait Connection: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Connection for S {}

/// Connects to brokers.
pub trait Dialer: Send + Sync + 'static {
    /// Connects to the broker that calls itself `host:port`.
    fn dial<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Box<dyn Connection>>>;
}

/// How brokers are reached.
#[derive(Clone, Default)]
pub enum Reach {
    /// By sockets of the operating system, protected as [`Security`](super::Security) says.
    #[default]
    Sockets,
    /// By a dialer. What it gives carries the protocol as it is, so this goes with
    /// [`Security::PLAINTEXT`](super::Security::PLAINTEXT) only.
    Dialer(Arc<dyn Dialer>),
}

impl PartialEq for Reach {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sockets, Self::Sockets) => true,
            (Self::Dialer(mine), Self::Dialer(theirs)) => Arc::ptr_eq(mine, theirs),
            (Self::Sockets, Self::Dialer(_)) | (Self::Dialer(_), Self::Sockets) => false,
        }
    }
}

impl Eq for Reach {}

impl std::fmt::Debug for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sockets => "Sockets",
            Self::Dialer(_) => "Dialer",
        })
    }
}

/// One request, one answer.
pub(super) async fn exchange<R: ToByte + Sync + Send>(
    connection: &mut Box<dyn Connection>,
    request: &R,
) -> io::Result<BytesMut> {
    send(connection, request).await?;
    receive(connection, BytesMut::new()).await
}

/// A request behind its length.
pub(super) async fn send<R: ToByte + Sync + Send>(
    connection: &mut Box<dyn Connection>,
    request: &R,
) -> io::Result<()> {
    let mut body = BytesMut::new();
    request
        .encode(&mut body)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut whole = BytesMut::with_capacity(4 + body.len());
    whole.put_u32(length);
    whole.unsplit(body);
    connection.write_all(&whole).await?;
    connection.flush().await
}

/// An answer behind its length. Room for it is made at once, in `room` if that is enough, and filled as bytes arrive.
pub(super) async fn receive(
    connection: &mut Box<dyn Connection>,
    room: BytesMut,
) -> io::Result<BytesMut> {
    let length = connection.read_u32().await?;
    if length > MAX_ANSWER {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("an answer of {length} bytes is over the limit of {MAX_ANSWER}"),
        ));
    }
    let mut rest = connection.take(u64::from(length));
    let length = length as usize;
    let mut answer = match room.capacity() {
        enough if enough >= length => room,
        _ => BytesMut::with_capacity(length),
    };
    answer.clear();
    while rest.limit() > 0 {
        if rest.read_buf(&mut answer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(answer)
}
