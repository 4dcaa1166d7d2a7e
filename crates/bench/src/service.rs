//! The replica's side of [`crate::grpc`]: answers etcd's `Put` and `Status`, so that one
//! client measures both.

use crate::Failure;
use crate::grpc::{self, Field, Status};
use crate::samples::micros;
use async_trait::async_trait;
use bytes::{BufMut as _, Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};

/// What is served.
#[async_trait]
pub trait Served: Send + Sync + 'static {
    /// Commits `value`; gives its place in the log.
    async fn put(&self, value: &[u8]) -> Result<u64, Failure>;

    /// Who this is and who leads.
    fn status(&self) -> Status;
}

/// Accepts connections for ever.
pub async fn serve(address: SocketAddr, served: Arc<dyn Served>) -> Result<(), Failure> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            // A client that goes away in the middle is no news.
            let _ = connection(stream, served).await;
        });
    }
}

async fn connection(stream: TcpStream, served: Arc<dyn Served>) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(request) = connection.accept().await {
        let (request, responding) = request?;
        let served = Arc::clone(&served);
        tokio::spawn(async move {
            let answer = answer(request, served).await;
            let _ = respond(responding, answer);
        });
    }
    Ok(())
}

async fn answer(request: Request<RecvStream>, served: Arc<dyn Served>) -> Result<Bytes, Failure> {
    let path = request.uri().path().to_owned();
    let message = grpc::unframed(grpc::collect(&mut request.into_body()).await?)?;
    let mut out = BytesMut::new();
    match path.as_str() {
        grpc::PUT => {
            let value = grpc::fields(&message).find_map(|(at, field)| match field {
                Field::Bytes(value) if at == 2 => Some(value),
                Field::Bytes(_) | Field::Number(_) => None,
            });
            let index = served.put(value.unwrap_or_default()).await?;
            header(3, index, &mut out);
        }
        grpc::STATUS => {
            let Status { member, leader } = served.status();
            header(2, member, &mut out);
            grpc::field_number(4, leader, &mut out);
        }
        grpc::EMBEDDED => {
            let at = |at| grpc::number(&message, at);
            for latency in embedded(&served, at(1), at(2), at(3)).await? {
                out.put_u32_le(latency);
            }
        }
        other => return Err(format!("there is no {other}").into()),
    }
    Ok(out.freeze())
}

/// A response's header with one number in it.
fn header(at: u64, value: u64, out: &mut BytesMut) {
    let mut header = BytesMut::new();
    grpc::field_number(at, value, &mut header);
    grpc::field_bytes(1, &header, out);
}

fn respond(
    mut responding: SendResponse<Bytes>,
    answer: Result<Bytes, Failure>,
) -> Result<(), Failure> {
    let response = Response::builder()
        .header("content-type", "application/grpc")
        .body(())?;
    let mut body = responding.send_response(response, false)?;
    let mut trailers = HeaderMap::new();
    match answer {
        Ok(message) => {
            body.send_data(grpc::framed(&message), false)?;
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
        }
        Err(failure) => {
            trailers.insert("grpc-status", HeaderValue::from_static("14")); // UNAVAILABLE
            trailers.insert("grpc-message", HeaderValue::from_str(&failure.to_string())?);
        }
    }
    body.send_trailers(trailers)?;
    Ok(())
}

async fn embedded(
    served: &Arc<dyn Served>,
    clients: u64,
    size: u64,
    millis: u64,
) -> Result<Vec<u32>, Failure> {
    let value: Arc<[u8]> = vec![b'x'; usize::try_from(size)?].into();
    let end = Instant::now() + Duration::from_millis(millis);
    let clients = (0..clients).map(|_| {
        let (served, value) = (Arc::clone(served), Arc::clone(&value));
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while Instant::now() < end {
                let begin = Instant::now();
                served.put(&value).await?;
                latencies.push(micros(begin.elapsed()));
            }
            Ok::<_, Failure>(latencies)
        })
    });
    let mut all = Vec::new();
    for client in clients.collect::<Vec<_>>() {
        all.append(&mut client.await??);
    }
    Ok(all)
}
