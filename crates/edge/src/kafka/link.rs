//! One connection to one broker.

use super::counters::Counters;
use super::dialer::{self, Connection, Dialer};
use super::{ClientConfig, FeedError, Reach, Security, sasl, tls};
use bytes::{Buf, Bytes};
use samsa::prelude::encode::ToByte;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Room that is kept from one answer to the next: a full fetch. Made anew each time, it would be new to the process, and cost
/// as much as what arrives in it.
const MOST_KEPT: usize = 5 << 20;

/// A connection with its address. A call that fails or is cancelled leaves an answer on the way:
/// the link must then be dropped, and its owner does so.
pub(super) struct Link {
    stream: Box<dyn Connection>,
    address: String,
    encrypted: bool,
    limit: Duration,
    correlation: i32,
    counters: Arc<Counters>,
    /// The latest answer: the next one goes to the same place if nobody holds anything of it any more.
    latest: Bytes,
}

impl Link {
    pub(super) async fn connect(
        config: &ClientConfig,
        host: &str,
        port: u16,
        counters: Arc<Counters>,
    ) -> Result<Self, FeedError> {
        let address = format!("{host}:{port}");
        let refused = |reason| FeedError::Connect {
            address: address.clone(),
            reason,
        };
        if config.security.tells_its_password() {
            let reason = "SASL PLAIN would send the password in clear; use SCRAM, or TLS beside it";
            return Err(FeedError::Unsafe(reason));
        }
        let settings = config
            .security
            .tls
            .as_ref()
            .map(tls::settings)
            .transpose()?;
        let opening = async {
            match &config.reach {
                Reach::Sockets => by_socket(config, settings, host, port).await,
                Reach::Dialer(dialer) => by_dialer(config, dialer.as_ref(), host, port).await,
            }
        };
        let stream = match tokio::time::timeout(config.connect_limit, opening).await {
            Ok(opened) => opened.map_err(refused)?,
            Err(_) => {
                let limit = config.connect_limit.as_millis();
                return Err(refused(format!("no connection within {limit} ms")));
            }
        };
        let encrypted = config.security.encrypted();
        Ok(Self {
            stream,
            address,
            encrypted,
            limit: config.call_limit,
            correlation: 0,
            counters,
            latest: Bytes::new(),
        })
    }

    /// An id for the next call.
    pub(super) fn next_correlation(&mut self) -> i32 {
        self.correlation = self.correlation.wrapping_add(1);
        self.correlation
    }

    /// Sends a request that carries the latest [`next_correlation`](Self::next_correlation) and
    /// returns the answer, correlation id first. `extra`: how long the broker may wait by request.
    pub(super) async fn call<R: ToByte + Sync + Send>(
        &mut self,
        call: &'static str,
        request: &R,
        extra: Duration,
    ) -> Result<Bytes, FeedError> {
        let begin = Instant::now();
        self.send(call, request).await?;
        let left = self.limit.saturating_sub(begin.elapsed());
        self.receive_within(call, left + extra).await
    }

    /// Sends a request; the answer has to be [received](Self::receive) before another one is sent.
    pub(super) async fn send<R: ToByte + Sync + Send>(
        &mut self,
        call: &'static str,
        request: &R,
    ) -> Result<(), FeedError> {
        let sending = dialer::send(&mut self.stream, request);
        let sent = tokio::time::timeout(self.limit, sending).await;
        self.ended(call, self.limit, sent)
    }

    /// The answer to what was sent last.
    pub(super) async fn receive(
        &mut self,
        call: &'static str,
        extra: Duration,
    ) -> Result<Bytes, FeedError> {
        self.receive_within(call, self.limit + extra).await
    }

    async fn receive_within(
        &mut self,
        call: &'static str,
        limit: Duration,
    ) -> Result<Bytes, FeedError> {
        let room = std::mem::take(&mut self.latest).try_into_mut();
        let receiving = dialer::receive(&mut self.stream, room.unwrap_or_default());
        let received = tokio::time::timeout(limit, receiving).await;
        let answer = self.ended(call, limit, received)?.freeze();
        if answer.len() <= MOST_KEPT {
            self.latest = answer.clone();
        }
        match answer.get(..4).map(|mut id| id.get_i32()) {
            Some(id) if id == self.correlation => Ok(answer),
            Some(id) => Err(self.failed(
                call,
                format!("answer {id} came to request {}", self.correlation),
            )),
            None => Err(self.failed(call, "the answer is cut off".to_owned())),
        }
    }

    fn ended<T>(
        &self,
        call: &'static str,
        limit: Duration,
        ended: Result<io::Result<T>, tokio::time::error::Elapsed>,
    ) -> Result<T, FeedError> {
        match ended {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.failed(call, error.to_string())),
            Err(_) => Err(FeedError::Timeout {
                call,
                address: self.address.clone(),
                limit_ms: u64::try_from(limit.as_millis()).unwrap_or(u64::MAX),
            }),
        }
    }

    pub(super) fn failed(&self, call: &'static str, reason: String) -> FeedError {
        FeedError::Call {
            call,
            address: self.address.clone(),
            reason,
        }
    }

    /// Counts record payload that crossed this link.
    pub(super) fn count_payload(&self, bytes: usize) {
        self.counters.payload(bytes, self.encrypted);
    }
}

async fn by_socket(
    config: &ClientConfig,
    settings: Option<Arc<rustls::ClientConfig>>,
    host: &str,
    port: u16,
) -> Result<Box<dyn Connection>, String> {
    let stream = TcpStream::connect((host, port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    // Requests are small and each waits for its answer.
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let mut stream: Box<dyn Connection> = match settings {
        None => Box::new(stream),
        Some(settings) => Box::new(tls::shake_hands(settings, host, stream).await?),
    };
    if let Some(sasl) = &config.security.sasl {
        sasl::authenticate(&mut stream, &config.client_id, sasl).await?;
    }
    Ok(stream)
}

async fn by_dialer(
    config: &ClientConfig,
    dialer: &dyn Dialer,
    host: &str,
    port: u16,
) -> Result<Box<dyn Connection>, String> {
    if config.security != Security::PLAINTEXT {
        let reason = "a dialer's connections carry neither TLS nor SASL; configure plaintext";
        return Err(reason.to_owned());
    }
    let dialed = dialer.dial(host, port).await;
    dialed.map_err(|error| error.to_string())
}
