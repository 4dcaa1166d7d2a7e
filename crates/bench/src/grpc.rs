//! As much of etcd's API as a closed loop of puts needs, by hand: two messages of `rpc.proto`
//! (etcd 3.4, `etcdserver/etcdserverpb`) in gRPC frames over HTTP/2. A gRPC framework would bring
//! a dozen crates for this.

use crate::Failure;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// `KV.Put`.
pub const PUT: &str = "/etcdserverpb.KV/Put";
/// `Maintenance.Status`.
pub const STATUS: &str = "/etcdserverpb.Maintenance/Status";
/// Ours alone: a closed loop of proposals within the replica's own process.
pub const EMBEDDED: &str = "/glasshouse.Bench/Embedded";

/// One connection to one member.
#[derive(Clone)]
pub struct Client {
    requests: SendRequest<Bytes>,
    authority: String,
}

/// What a member says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Its own id.
    pub member: u64,
    /// Whom it holds for the leader; 0: nobody.
    pub leader: u64,
}

impl Client {
    /// Connects; the connection lives on the current runtime as long as clones of this do.
    pub async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (requests, connection) = h2::client::handshake(stream).await?;
        tokio::spawn(async move {
            // Its end shows in every request on it.
            let _ = connection.await;
        });
        Ok(Self {
            requests,
            authority: address.to_string(),
        })
    }

    /// Puts `value` under `key`; done when it is committed.
    pub async fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        let mut message = BytesMut::with_capacity(key.len() + value.len() + 16);
        field_bytes(1, key, &mut message);
        field_bytes(2, value, &mut message);
        self.ask(PUT, message).await.map(drop)
    }

    /// Who this member is and who leads.
    pub async fn status(&mut self) -> Result<Status, Failure> {
        let answer = self.ask(STATUS, BytesMut::new()).await?;
        let header = fields(&answer).find_map(|(number, field)| match (number, field) {
            (1, Field::Bytes(header)) => Some(header),
            (_, Field::Bytes(_) | Field::Number(_)) => None,
        });
        Ok(Status {
            member: number(header.unwrap_or_default(), 2),
            leader: number(&answer, 4),
        })
    }

    /// `clients` loops of proposals of `size` bytes within the replica itself, for `millis`; gives
    /// their latencies in microseconds.
    pub async fn embedded(
        &mut self,
        clients: u64,
        size: u64,
        millis: u64,
    ) -> Result<Vec<u32>, Failure> {
        let mut message = BytesMut::new();
        for (at, value) in [(1, clients), (2, size), (3, millis)] {
            field_number(at, value, &mut message);
        }
        let answer = self.ask(EMBEDDED, message).await?;
        let latencies = answer.chunks_exact(4);
        Ok(latencies
            .map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect())
    }

    async fn ask(&mut self, path: &str, message: BytesMut) -> Result<Bytes, Failure> {
        let mut requests = self.requests.clone().ready().await?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}{path}", self.authority))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let (response, mut body) = requests.send_request(request, false)?;
        body.send_data(framed(&message), true)?;
        let response = response.await?;
        judge(response.headers())?; // a refusal may come without a body and trailers
        let mut body = response.into_body();
        let answer = collect(&mut body).await?;
        let trailers = body.trailers().await?.unwrap_or_default();
        judge(&trailers)?;
        unframed(answer)
    }
}

fn judge(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get("grpc-status").map(|status| status.as_bytes()) {
        None | Some(b"0") => Ok(()),
        Some(status) => {
            let why = headers
                .get("grpc-message")
                .map(|why| why.as_bytes())
                .unwrap_or_default();
            let (status, why) = (
                String::from_utf8_lossy(status),
                String::from_utf8_lossy(why),
            );
            Err(format!("gRPC status {status}: {why}").into())
        }
    }
}

/// A whole body; its flow-control window is given back as it comes.
pub async fn collect(body: &mut RecvStream) -> Result<Bytes, Failure> {
    let mut all = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk?;
        body.flow_control().release_capacity(chunk.len())?;
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// A message in its gRPC frame: not compressed, length, bytes.
pub fn framed(message: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(message);
    frame.freeze()
}

/// The message of a gRPC frame.
pub fn unframed(frame: Bytes) -> Result<Bytes, Failure> {
    match frame.get(..5) {
        Some(&[0, a, b, c, d]) if u32::from_be_bytes([a, b, c, d]) as usize == frame.len() - 5 => {
            Ok(frame.slice(5..))
        }
        Some(_) | None => Err("a body is not one uncompressed gRPC message".into()),
    }
}

/// A field of a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// Of wire type 0.
    Number(u64),
    /// Of wire type 2.
    Bytes(&'a [u8]),
}

/// Appends a field of wire type 2.
pub fn field_bytes(at: u64, value: &[u8], out: &mut BytesMut) {
    varint(at << 3 | 2, out);
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

/// Appends a field of wire type 0.
pub fn field_number(at: u64, value: u64, out: &mut BytesMut) {
    varint(at << 3, out);
    varint(value, out);
}

fn varint(mut value: u64, out: &mut BytesMut) {
    while value >= 0x80 {
        out.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// The fields of a message, as far as it is well-formed and has no others than of types 0 and 2.
pub fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = read_varint(&mut rest)?;
        let value = read_varint(&mut rest)?;
        let field = match key & 7 {
            0 => Field::Number(value),
            2 => {
                let (bytes, after) = rest.split_at_checked(usize::try_from(value).ok()?)?;
                rest = after;
                Field::Bytes(bytes)
            }
            _ => return None,
        };
        Some((key >> 3, field))
    })
}

/// The number in field `at`; 0, protobuf's default, when it is not there.
pub fn number(message: &[u8], at: u64) -> u64 {
    fields(message)
        .find_map(|(number, field)| match field {
            Field::Number(value) if number == at => Some(value),
            Field::Number(_) | Field::Bytes(_) => None,
        })
        .unwrap_or(0)
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_were_written() {
        let mut message = BytesMut::new();
        field_bytes(1, b"key", &mut message);
        field_number(2, 300, &mut message);
        field_number(4, u64::MAX, &mut message);
        assert_eq!(&message[..8], b"\x0a\x03key\x10\xac\x02");
        let found: Vec<_> = fields(&message).collect();
        let expected = [
            (1, Field::Bytes(b"key")),
            (2, Field::Number(300)),
            (4, Field::Number(u64::MAX)),
        ];
        assert_eq!(found, expected);
        assert_eq!((number(&message, 2), number(&message, 3)), (300, 0));
        assert_eq!(fields(b"\x0a\x09short").count(), 0);
    }

    #[test]
    fn frames_hold_one_message() {
        assert_eq!(unframed(framed(b"abc")).unwrap(), "abc");
        assert!(unframed(Bytes::from_static(b"\0\0\0\0\x04abc")).is_err());
        assert!(unframed(Bytes::from_static(b"\x01\0\0\0\x03abc")).is_err());
        assert!(unframed(Bytes::new()).is_err());
    }
}
