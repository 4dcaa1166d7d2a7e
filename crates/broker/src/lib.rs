//! An embedded broker that speaks enough of Kafka's protocol for our demo and tests: one node on
//! loopback, topics with partitions, consumer groups, committed offsets; in memory or in a folder;
//! TCP or TLS with required client certificates. samsa, kcat and librdkafka work against it.
//!
//! Deliberately absent: replication, transactions, idempotent sequence checks, access control, quotas,
//! the flexible ("compact") encodings of newer API versions. It is no place to keep data for long.
//!
//! Everything a client can make it hold is bounded: frames, connections, topics, partitions, and the
//! bytes of each partition ([`BrokerConfig::retention_bytes`]; the oldest batches go first).
//!
//! [`apache`] runs Apache Kafka itself beside it.

pub mod apache;

mod api;
mod codec;
mod groups;
mod log;
mod offsets;
mod server;
mod state;
#[cfg(test)]
mod tests;
mod tls;

pub use server::{Broker, Hall, StartError};
pub use tls::{BrokerTls, TlsError};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How the broker runs.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// Where to listen; port 0 takes a free one.
    pub bind: SocketAddr,
    /// The host that clients are told to connect to; `None`: the address of `bind`. With TLS it must
    /// be a name of the certificate.
    pub advertised_host: Option<String>,
    /// Folder for logs and offsets; `None`: memory only.
    pub dir: Option<PathBuf>,
    /// Partitions of a topic that comes into being when a client asks for it; 0: none does.
    pub auto_create_partitions: i32,
    /// Bytes kept per partition, at least the last batch.
    pub retention_bytes: usize,
    /// How long an empty group waits for more members after the first.
    pub initial_rebalance_delay: Duration,
    /// TLS; `None`: plain TCP.
    pub tls: Option<BrokerTls>,
}

impl Default for BrokerConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([127, 0, 0, 1], 0)),
            advertised_host: None,
            dir: None,
            auto_create_partitions: 1,
            retention_bytes: 64 << 20,
            initial_rebalance_delay: Duration::from_millis(50),
            tls: None,
        }
    }
}
