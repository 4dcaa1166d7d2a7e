//! Clients that put and wait, each for itself.

use crate::Failure;
use crate::grpc::Client;
use crate::samples::{Samples, micros};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Bytes of a value.
pub const PAYLOAD: usize = 256;

/// Before latencies count, in each repetition: connections, caches and batching have settled.
const SETTLING: Duration = Duration::from_millis(200);

/// `clients` clients, each on a connection of its own and with one put under way, for `span`.
pub async fn puts(target: SocketAddr, clients: usize, span: Duration) -> Result<Samples, Failure> {
    let mut connected = Vec::with_capacity(clients);
    for number in 0..clients {
        connected.push((number, Client::connect(target).await?));
    }
    let counted = Instant::now() + SETTLING;
    let end = counted + span;
    let running: Vec<_> = connected
        .into_iter()
        .map(|(number, client)| tokio::spawn(one(client, number, counted, end)))
        .collect();
    let mut latencies = Vec::new();
    for client in running {
        latencies.append(&mut client.await??);
    }
    Ok(Samples::new(latencies, span))
}

async fn one(
    mut client: Client,
    number: usize,
    counted: Instant,
    end: Instant,
) -> Result<Vec<u32>, Failure> {
    // One key each: etcd's tree stays small, so that its log is what is measured.
    let key = format!("bench/{number:08}");
    let value = [b'x'; PAYLOAD];
    let mut latencies = Vec::new();
    loop {
        let begin = Instant::now();
        client.put(key.as_bytes(), &value).await?;
        let done = Instant::now();
        if done >= end {
            return Ok(latencies);
        }
        if done >= counted {
            latencies.push(micros(done - begin));
        }
    }
}
