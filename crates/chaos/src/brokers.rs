//! The broker: the embedded one, or Apache Kafka itself. Both keep their log over a restart.

use crate::book::Place;
use broker::apache::{self, Apache};
use broker::{Broker, BrokerConfig, BrokerTls};
use clap::ValueEnum;
use edge::kafka::{ClientConfig, Feed as _, FeedConfig, KafkaFeed, Security, create_topic};
use local::pki::Pki;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use wire::Digest;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Partitions of the topic: so many that each of five nodes has one to read, and one has two.
pub(crate) const PARTITIONS: i32 = 6;

/// Kafka topic of the mainframe's records.
pub(crate) const TOPIC: &str = "mainframe.transactions";
/// A JVM on a busy machine takes its time; the embedded broker needs none.
const START_LIMIT: Duration = Duration::from_secs(90);
/// How often it is tried meanwhile.
const START_LOOK: Duration = Duration::from_millis(200);

/// Which one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Ours, in this process, with TLS.
    Embedded,
    /// Apache Kafka on the JDK (`cargo xtask setup` brings it), without TLS.
    Kafka,
}

/// The broker of a run.
pub(crate) struct Brokers {
    kind: Kind,
    address: SocketAddr,
    /// For Kafka's controller, which only Kafka itself talks to.
    controller: u16,
    dir: PathBuf,
    security: Security,
    tls: Option<BrokerTls>,
    embedded: Option<Broker>,
    apache: Option<Apache>,
}

impl Brokers {
    /// Not running yet.
    pub(crate) fn new(
        kind: Kind,
        address: SocketAddr,
        controller: u16,
        dir: PathBuf,
        pki: &Pki,
    ) -> Result<Self, Fault> {
        let read = |path: &Path| std::fs::read_to_string(path);
        let (security, tls) = match kind {
            Kind::Kafka => (Security::PLAINTEXT, None),
            Kind::Embedded => {
                let security = Security::mutual_tls(
                    pki.ca.clone(),
                    pki.client_certificate.clone(),
                    pki.client_key.clone(),
                );
                let tls = BrokerTls {
                    cert_chain_pem: read(&pki.server_certificate)?,
                    key_pem: read(&pki.server_key)?,
                    client_ca_pem: Some(read(&pki.ca)?),
                };
                (security, Some(tls))
            }
        };
        std::fs::create_dir_all(&dir)?;
        Ok(Self {
            kind,
            address,
            controller,
            dir,
            security,
            tls,
            embedded: None,
            apache: None,
        })
    }

    /// How clients reach it. The host is a name of its certificate.
    pub(crate) fn client(&self) -> ClientConfig {
        ClientConfig::new([self.host_port()], self.security.clone())
    }

    pub(crate) fn host_port(&self) -> String {
        if self.address.ip() == Ipv4Addr::LOCALHOST {
            format!("localhost:{}", self.address.port())
        } else {
            self.address.to_string()
        }
    }

    /// Starts it, with the log it had.
    pub(crate) async fn start(&mut self) -> Result<(), Fault> {
        match self.kind {
            Kind::Embedded => {
                let host = self.host_port();
                let host = host
                    .rsplit_once(':')
                    .map_or(host.as_str(), |(host, _)| host);
                let config = BrokerConfig {
                    bind: self.address,
                    advertised_host: Some(host.to_owned()),
                    dir: Some(self.dir.clone()),
                    tls: self.tls.clone(),
                    ..BrokerConfig::default()
                };
                self.embedded = Some(Broker::start(config).await?);
                Ok(())
            }
            Kind::Kafka => {
                let libs = apache::libs(None)?;
                let (dir, controller) = (self.dir.clone(), self.controller);
                let mut apache = Apache::new(libs, dir, self.address, controller)?;
                apache.start()?;
                self.apache = Some(apache);
                Ok(())
            }
        }
    }

    /// Waits until the topic can be used.
    pub(crate) async fn ready(&self) -> Result<(), Fault> {
        let deadline = Instant::now() + START_LIMIT;
        let client = self.client();
        loop {
            match create_topic(&client, TOPIC, PARTITIONS).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => {
                    return Err(format!(
                        "the broker did not answer within {} s: {error}; its files are in {}",
                        START_LIMIT.as_secs(),
                        self.dir.display()
                    )
                    .into());
                }
                Err(_) => tokio::time::sleep(START_LOOK).await,
            }
        }
    }

    /// It is gone, whatever it was doing.
    pub(crate) async fn stop(&mut self) {
        if let Some(embedded) = self.embedded.take() {
            embedded.stop().await;
        }
        drop(self.apache.take());
    }

    /// Everything on the topic, by place: the digests of the values.
    pub(crate) async fn read_back(
        &self,
        limit: Duration,
    ) -> Result<BTreeMap<Place, Digest>, Fault> {
        let config = FeedConfig::new(self.client(), TOPIC, "chaos-audit");
        let mut feed = KafkaFeed::new(config);
        let mut topic = BTreeMap::new();
        // The load writes to all of them.
        let mut ends = BTreeSet::new();
        let deadline = Instant::now() + limit;
        loop {
            let polled = match feed.poll().await {
                Ok(polled) => polled,
                Err(error) if Instant::now() >= deadline => {
                    return Err(format!("the topic could not be read back: {error}").into());
                }
                Err(_) => continue,
            };
            for records in polled {
                for record in &records.records {
                    let value = record.value.as_deref().unwrap_or_default();
                    topic.insert((records.partition, record.offset), Digest::of(value));
                }
                if records.next_offset >= records.high_watermark {
                    ends.insert(records.partition);
                }
            }
            if ends.len() == PARTITIONS.unsigned_abs() as usize {
                return Ok(topic);
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "the topic could not be read to its end within {} s; {} records were",
                    limit.as_secs(),
                    topic.len()
                )
                .into());
            }
        }
    }
}
