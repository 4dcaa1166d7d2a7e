//! A short exchange of single messages after a handshake: what an application goes through.

use super::record::{HEADER, MAX_DATA, Opener, Record, Sealer};
use super::{LinkError, LinkKeys};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Encrypted single messages, each of one record.
pub struct Channel<S> {
    stream: S,
    sealer: Sealer,
    opener: Opener,
    static_key: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Channel<S> {
    pub(super) fn new(stream: S, keys: LinkKeys, static_key: Vec<u8>) -> Self {
        let LinkKeys { sealer, opener } = keys;
        Self {
            stream,
            sealer,
            opener,
            static_key,
        }
    }

    /// The x25519 key that the other end proved to hold.
    pub fn static_key(&self) -> &[u8] {
        &self.static_key
    }

    /// Sends a message.
    pub async fn send<T: Serialize>(&mut self, message: &T) -> Result<(), LinkError> {
        let bytes = wire::encode(message);
        let (len, limit) = (bytes.len(), MAX_DATA);
        if len > limit {
            return Err(LinkError::TooLong { len, limit });
        }
        let mut out = Vec::new();
        self.sealer.seal(Record::Data(&bytes), &mut out)?;
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// Receives a message of at most `limit` encoded bytes.
    pub async fn receive<T: DeserializeOwned>(&mut self, limit: usize) -> Result<T, LinkError> {
        let mut header = [0; HEADER];
        self.stream.read_exact(&mut header).await?;
        let len = usize::from(u16::from_be_bytes(header));
        if len > limit.saturating_add(RECORD_OVERHEAD) {
            return Err(LinkError::TooLong { len, limit });
        }
        let mut sealed = vec![0; len];
        self.stream.read_exact(&mut sealed).await?;
        match self.opener.open(&mut sealed)? {
            Record::Data(bytes) => Ok(wire::decode(bytes)?),
            Record::Heartbeat | Record::Have(_) | Record::Moved(_) | Record::Dismissed(_) => {
                Err(LinkError::OutOfPlace)
            }
        }
    }

    /// Says that nothing more comes.
    pub async fn finish(mut self) {
        // The peer may be gone already.
        let _ = self.stream.shutdown().await;
    }
}

/// Kind and tag around a record's data.
const RECORD_OVERHEAD: usize = super::resolver::TAG + 1;
