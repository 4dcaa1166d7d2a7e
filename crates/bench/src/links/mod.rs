//! Calls and casts between two processes, over our links and over plain `ractor_cluster`.

pub mod ours;
pub mod plain;

use crate::Failure;
use crate::lines::{self, Led};
use crate::ports::Ports;
use crate::samples::{Samples, micros};
use async_trait::async_trait;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The word by which a benchmark starts itself as one end.
pub const WORD: &str = "end";

/// Bytes of a message, each way.
pub const MESSAGE: usize = 1024;

/// Between questions whether all casts have come.
const ASK_AGAIN: Duration = Duration::from_millis(1);

/// In which a link must come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// What connects the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Our encrypted links.
    Ours,
    /// `ractor_cluster` as its documentation shows it.
    Plain,
}

/// Which end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Answers calls and counts casts.
    Server,
    /// Calls, casts and measures.
    Client,
}

/// What an end is told on its command line.
#[derive(clap::Args)]
pub struct Arguments {
    kind: Kind,
    role: Role,
    /// Where the server listens.
    server: SocketAddr,
    /// Where the client listens; our links want an address of everybody.
    client: SocketAddr,
}

/// The client's end of a link.
#[async_trait]
pub trait Caller: Send + Sync + 'static {
    /// Sends `message` and gets as much back.
    async fn call(&self, message: Vec<u8>) -> Result<(), Failure>;

    /// Sends `message`, as soon as there is room for it.
    async fn cast(&self, message: &[u8]) -> Result<(), Failure>;

    /// Casts that the server has received so far.
    async fn received(&self) -> Result<u64, Failure>;
}

/// Runs one end until its orders end.
pub fn run(arguments: Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(end(arguments))
}

async fn end(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        kind,
        role,
        server,
        client,
    } = arguments;
    match (kind, role) {
        (Kind::Ours, Role::Server) => {
            let _end = ours::server(server, client).await?;
            lines::obey(|_| async { Ok(String::new()) }).await
        }
        (Kind::Plain, Role::Server) => {
            let _end = plain::server(server).await?;
            lines::obey(|_| async { Ok(String::new()) }).await
        }
        (Kind::Ours, Role::Client) => lead(Arc::new(ours::client(server, client).await?)).await,
        (Kind::Plain, Role::Client) => lead(Arc::new(plain::client(server).await?)).await,
    }
}

async fn lead(caller: Arc<dyn Caller>) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = caller.call(vec![0; MESSAGE]).await {
        if Instant::now() > deadline {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lines::obey(|order| obey(Arc::clone(&caller), order)).await
}

async fn obey(caller: Arc<dyn Caller>, order: String) -> Result<String, Failure> {
    let words: Vec<&str> = order.split(' ').collect();
    match words[..] {
        ["calls", clients, millis] => {
            let latencies = calls(
                caller,
                clients.parse()?,
                Duration::from_millis(millis.parse()?),
            )
            .await?;
            Ok(latencies
                .iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(" "))
        }
        ["casts", count] => Ok(casts(&*caller, count.parse()?)
            .await?
            .as_micros()
            .to_string()),
        _ => Err(format!("unknown order {order:?}").into()),
    }
}

async fn calls(
    caller: Arc<dyn Caller>,
    clients: usize,
    span: Duration,
) -> Result<Vec<u32>, Failure> {
    let end = Instant::now() + span;
    let running: Vec<_> = (0..clients)
        .map(|_| {
            let caller = Arc::clone(&caller);
            tokio::spawn(async move {
                let mut latencies = Vec::new();
                while Instant::now() < end {
                    let begin = Instant::now();
                    caller.call(vec![7; MESSAGE]).await?;
                    latencies.push(micros(begin.elapsed()));
                }
                Ok::<_, Failure>(latencies)
            })
        })
        .collect();
    let mut all = Vec::new();
    for client in running {
        all.append(&mut client.await??);
    }
    Ok(all)
}

/// The time from the first cast to the moment at which the server has received the last.
async fn casts(caller: &dyn Caller, count: u64) -> Result<Duration, Failure> {
    let message = vec![7; MESSAGE];
    let before = caller.received().await?;
    let begin = Instant::now();
    for _ in 0..count {
        caller.cast(&message).await?;
    }
    while caller.received().await? < before + count {
        tokio::time::sleep(ASK_AGAIN).await;
    }
    Ok(begin.elapsed())
}

/// Casts received, at the server's end.
#[derive(Clone, Default)]
pub(crate) struct Received(Arc<AtomicU64>);

impl Received {
    fn one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Two linked processes.
pub struct Pair {
    _server: Led,
    client: Led,
}

impl Pair {
    /// Starts both and waits until they are linked.
    pub async fn start(kind: Kind, ports: &mut Ports) -> Result<Self, Failure> {
        let (server, client) = (ports.free()?.to_string(), ports.free()?.to_string());
        let kind = match kind {
            Kind::Ours => "ours",
            Kind::Plain => "plain",
        };
        let end = |role: &str| [WORD, kind, role, &server, &client].map(str::to_owned);
        let server = Led::start(&end("server")).await?;
        let client = Led::start(&end("client")).await?;
        Ok(Self {
            _server: server,
            client,
        })
    }

    /// Closed loops of calls.
    pub async fn calls(&mut self, clients: usize, span: Duration) -> Result<Samples, Failure> {
        let answer = self
            .client
            .order(&format!("calls {clients} {}", span.as_millis()))
            .await?;
        let latencies = answer
            .split_whitespace()
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        Ok(Samples::new(latencies, span))
    }

    /// Casts a second, until all have been received.
    pub async fn casts(&mut self, count: u64) -> Result<f64, Failure> {
        let micros: u64 = self
            .client
            .order(&format!("casts {count}"))
            .await?
            .parse()?;
        Ok(count as f64 / Duration::from_micros(micros).as_secs_f64())
    }
}
