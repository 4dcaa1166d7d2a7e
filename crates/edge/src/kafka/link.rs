//! One connection to one broker, on samsa's sockets.

use super::counters::Counters;
use super::dialer::{self, Connection, Dialer};
use super::{ClientConfig, FeedError, Reach, Security};
use bytes::{Buf, Bytes, BytesMut};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use samsa::prelude::encode::ToByte;
use samsa::prelude::{
    BrokerAddress, BrokerConnection, SaslConfig, SaslTcpConfig, SaslTcpConnection, SaslTlsConfig,
    SaslTlsConnection, TcpConnection, TlsConnection, TlsConnectionOptions,
};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

enum Socket {
    Tcp(TcpConnection),
    Tls(TlsConnection),
    SaslTcp(SaslTcpConnection),
    SaslTls(SaslTlsConnection),
    Dialed(Box<dyn Connection>),
}

/// A connection with its address. A call that fails or is cancelled leaves an answer on the way:
/// the link must then be dropped, and its owner does so.
pub(super) struct Link {
    socket: Socket,
    address: String,
    encrypted: bool,
    limit: Duration,
    correlation: i32,
    counters: Arc<Counters>,
}

impl Link {
    pub(super) async fn connect(
        config: &ClientConfig,
        host: &str,
        port: u16,
        counters: Arc<Counters>,
    ) -> Result<Self, FeedError> {
        let address = format!("{host}:{port}");
        let opened = match &config.reach {
            Reach::Sockets => by_samsa(config, host, port).await,
            Reach::Dialer(dialer) => by_dialer(config, dialer.as_ref(), host, port).await,
        };
        let socket = opened.map_err(|error| match error {
            OpenError::TlsFile(error) => error,
            OpenError::Refused(reason) => FeedError::Connect {
                address: address.clone(),
                reason,
            },
        })?;
        let encrypted = config.security.encrypted();
        Ok(Self {
            socket,
            address,
            encrypted,
            limit: config.call_limit,
            correlation: 0,
            counters,
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
        let limit = self.limit + extra;
        let exchange = async {
            let answer = match &mut self.socket {
                Socket::Tcp(socket) => exchange(socket, request).await,
                Socket::Tls(socket) => exchange(socket, request).await,
                Socket::SaslTcp(socket) => exchange(socket, request).await,
                Socket::SaslTls(socket) => exchange(socket, request).await,
                Socket::Dialed(stream) => {
                    let answer = dialer::exchange(stream, request).await;
                    return answer.map_err(|error| error.to_string());
                }
            };
            answer.map_err(|error| error.to_string())
        };
        let answer = match tokio::time::timeout(limit, exchange).await {
            Ok(Ok(answer)) => answer.freeze(),
            Ok(Err(error)) => return Err(self.failed(call, error)),
            Err(_) => {
                let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                return Err(FeedError::Timeout {
                    call,
                    address: self.address.clone(),
                    limit_ms,
                });
            }
        };
        match answer.get(..4).map(|mut id| id.get_i32()) {
            Some(id) if id == self.correlation => Ok(answer),
            Some(id) => Err(self.failed(
                call,
                format!("answer {id} came to request {}", self.correlation),
            )),
            None => Err(self.failed(call, "the answer is cut off".to_owned())),
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

/// Why no connection came about.
enum OpenError {
    /// The sentence says it all.
    TlsFile(FeedError),
    Refused(String),
}

async fn by_samsa(config: &ClientConfig, host: &str, port: u16) -> Result<Socket, OpenError> {
    check_tls_files(&config.security).map_err(OpenError::TlsFile)?;
    let refused = |reason: String| OpenError::Refused(reason);
    // samsa panics on a name that does not resolve: ask first. It may also panic on certificates
    // that do not belong together, so it connects in a task of its own.
    let lookup = tokio::time::timeout(config.connect_limit, tokio::net::lookup_host((host, port)));
    match lookup.await {
        Ok(Ok(found)) => {
            if found.count() == 0 {
                return Err(refused("the name has no address".to_owned()));
            }
        }
        Ok(Err(error)) => return Err(refused(error.to_string())),
        Err(_) => return Err(refused("the name was not resolved in time".to_owned())),
    }
    let broker = BrokerAddress {
        host: host.to_owned(),
        port,
    };
    let mut task = tokio::spawn(open(config.security.clone(), broker));
    match tokio::time::timeout(config.connect_limit, &mut task).await {
        Ok(Ok(Ok(socket))) => Ok(socket),
        Ok(Ok(Err(error))) => Err(refused(error.to_string())),
        Ok(Err(panic)) => Err(refused(format!("the client library failed: {panic}"))),
        Err(_) => {
            task.abort();
            Err(too_slow(config))
        }
    }
}

async fn by_dialer(
    config: &ClientConfig,
    dialer: &dyn Dialer,
    host: &str,
    port: u16,
) -> Result<Socket, OpenError> {
    if config.security != Security::Plaintext {
        let reason = "a dialer's connections carry neither TLS nor SASL; configure plaintext";
        return Err(OpenError::Refused(reason.to_owned()));
    }
    match tokio::time::timeout(config.connect_limit, dialer.dial(host, port)).await {
        Ok(Ok(connection)) => Ok(Socket::Dialed(connection)),
        Ok(Err(error)) => Err(OpenError::Refused(error.to_string())),
        Err(_) => Err(too_slow(config)),
    }
}

fn too_slow(config: &ClientConfig) -> OpenError {
    let limit = config.connect_limit.as_millis();
    OpenError::Refused(format!("no connection within {limit} ms"))
}

async fn exchange<C: BrokerConnection, R: ToByte + Sync + Send>(
    socket: &mut C,
    request: &R,
) -> samsa::prelude::Result<BytesMut> {
    socket.send_request(request).await?;
    socket.receive_response().await
}

async fn open(security: Security, broker: BrokerAddress) -> samsa::prelude::Result<Socket> {
    let sasl_config = |sasl: super::Sasl| SaslConfig::new(sasl.username, sasl.password, None, None);
    match security {
        Security::Plaintext => TcpConnection::new(vec![broker]).await.map(Socket::Tcp),
        Security::MutualTls { ca, cert, key } => {
            let options = TlsConnectionOptions {
                broker_options: vec![broker],
                key,
                cert,
                cafile: Some(ca),
            };
            TlsConnection::new(options).await.map(Socket::Tls)
        }
        Security::SaslPlaintext(sasl) => {
            let config = SaslTcpConfig {
                tcp_config: vec![broker],
                sasl_config: sasl_config(sasl),
            };
            SaslTcpConnection::new(config).await.map(Socket::SaslTcp)
        }
        Security::SaslMutualTls {
            sasl,
            ca,
            cert,
            key,
        } => {
            let tls_config = TlsConnectionOptions {
                broker_options: vec![broker],
                key,
                cert,
                cafile: Some(ca),
            };
            let config = SaslTlsConfig {
                tls_config,
                sasl_config: sasl_config(sasl),
            };
            SaslTlsConnection::new(config).await.map(Socket::SaslTls)
        }
    }
}

/// samsa unwraps what is in these files; say what is wrong before it does.
fn check_tls_files(security: &Security) -> Result<(), FeedError> {
    let (ca, cert, key) = match security {
        Security::Plaintext | Security::SaslPlaintext(_) => return Ok(()),
        Security::MutualTls { ca, cert, key } | Security::SaslMutualTls { ca, cert, key, .. } => {
            (ca, cert, key)
        }
    };
    // samsa takes the process's provider; a second call finds it set, which is as good.
    let _already_set = rustls::crypto::aws_lc_rs::default_provider().install_default();
    for path in [ca, cert] {
        check_file(path, "a PEM file with at least one CERTIFICATE", |pem| {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            certificates.is_ok_and(|certificates| !certificates.is_empty())
        })?;
    }
    check_file(
        key,
        "a PEM file with a PKCS#8 key (BEGIN PRIVATE KEY)",
        |pem| PrivatePkcs8KeyDer::from_pem_slice(pem).is_ok(),
    )
}

fn check_file(path: &Path, expected: &str, right: impl Fn(&[u8]) -> bool) -> Result<(), FeedError> {
    let wrong = |problem| FeedError::TlsFile {
        path: path.to_owned(),
        problem,
    };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    if right(&pem) {
        Ok(())
    } else {
        Err(wrong(format!("it should be {expected}")))
    }
}
