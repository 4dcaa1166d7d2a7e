//! The Kafka suite against the embedded broker, and what only that one does: mutual TLS and
//! retention.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../kafka_suite/mod.rs"]
mod kafka_suite;
mod wire;

use broker::{Broker, BrokerConfig, BrokerTls};
use edge::kafka::{ClientConfig, Feed, Security};
use kafka_suite::certificates::certificates;
use kafka_suite::{Cluster, feed, kcat, send, take, text, topic, within};
use std::path::Path;

struct Embedded {
    config: BrokerConfig,
    broker: Option<Broker>,
}

impl Embedded {
    async fn start(config: BrokerConfig) -> Self {
        let broker = Broker::start(config.clone()).await.unwrap();
        Self {
            config: BrokerConfig {
                bind: broker.addr(),
                ..config
            },
            broker: Some(broker),
        }
    }
}

impl Cluster for Embedded {
    fn bootstrap(&self) -> String {
        self.config.bind.to_string()
    }

    async fn restart(&mut self) {
        if let Some(broker) = self.broker.take() {
            broker.stop().await;
        }
        self.broker = Some(Broker::start(self.config.clone()).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_passes_on_the_embedded_broker() {
    let dir = tempfile::tempdir().unwrap();
    let mut cluster = Embedded::start(BrokerConfig {
        dir: Some(dir.path().to_owned()),
        ..BrokerConfig::default()
    })
    .await;
    kafka_suite::run(&mut cluster).await;
}

fn write(dir: &Path, name: &str, pem: &str) -> std::path::PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, pem).unwrap();
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mutual_tls_lets_in_who_has_a_certificate_and_nothing_crosses_in_plain() {
    let dir = tempfile::tempdir().unwrap();
    let ours = certificates();
    let tls = BrokerTls {
        cert_chain_pem: ours.broker.0.clone(),
        key_pem: ours.broker.1.clone(),
        client_ca_pem: Some(ours.ca_pem.clone()),
    };
    let config = BrokerConfig {
        tls: Some(tls),
        advertised_host: Some("localhost".to_owned()),
        ..BrokerConfig::default()
    };
    let broker = Broker::start(config).await.unwrap();
    let bootstrap = format!("localhost:{}", broker.addr().port());
    let ca = write(dir.path(), "ca.pem", &ours.ca_pem);
    let cert = write(dir.path(), "client.pem", &ours.client.0);
    let key = write(dir.path(), "client.key", &ours.client.1);

    let with = |cert: &Path, key: &Path| {
        let security = Security::mutual_tls(ca.clone(), cert.to_owned(), key.to_owned());
        ClientConfig::new([bootstrap.clone()], security)
    };
    let good = with(&cert, &key);
    let mut producer = topic(&good, "secret", 2).await;
    send(&mut producer, 0, &["sealed".to_owned()]).await;
    let mut sealed = feed(&good, "secret");
    assert_eq!(text(&take(&mut sealed, 1).await[0].1), "sealed");
    assert_eq!(
        (
            producer.counters().plaintext_bytes,
            sealed.counters().plaintext_bytes
        ),
        (0, 0)
    );
    assert!(sealed.counters().bytes > 0);

    // An independent client with the same files gets in; one without a certificate does not.
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let authority = format!("ssl.ca.location={}", path(&ca));
    let (certificate, secret) = (
        format!("ssl.certificate.location={}", path(&cert)),
        format!("ssl.key.location={}", path(&key)),
    );
    let read = [
        "-C",
        "-t",
        "secret",
        "-p",
        "0",
        "-c",
        "1",
        "-q",
        "-X",
        "security.protocol=ssl",
        "-X",
        &authority,
    ];
    let known = [&read[..], &["-X", &certificate, "-X", &secret]].concat();
    assert_eq!(
        kcat::spawn(&bootstrap, &known, "").await.unwrap(),
        "sealed\n"
    );
    let list = [
        "-L",
        "-m",
        "2",
        "-X",
        "security.protocol=ssl",
        "-X",
        &authority,
    ];
    assert!(
        kcat::spawn(&bootstrap, &list, "").await.is_err(),
        "no certificate, no entry"
    );

    // A certificate of somebody else's authority.
    let theirs = certificates();
    let cert = write(dir.path(), "stranger.pem", &theirs.client.0);
    let key = write(dir.path(), "stranger.key", &theirs.client.1);
    assert!(
        within(feed(&with(&cert, &key), "secret").poll())
            .await
            .is_err()
    );
    // Plain TCP.
    let plain = ClientConfig::new([bootstrap.clone()], Security::PLAINTEXT);
    assert!(within(feed(&plain, "secret").poll()).await.is_err());
    // Files that are none: a sentence instead of a panic.
    let error = within(feed(&with(&cert, &ca), "secret").poll())
        .await
        .unwrap_err();
    assert!(
        error.is_permanent()
            && error
                .to_string()
                .contains("it should be a PEM file with a private key"),
        "{error}"
    );
    let error = within(feed(&with(&dir.path().join("none"), &key), "secret").poll())
        .await
        .unwrap_err();
    assert!(
        error.is_permanent() && error.to_string().starts_with("TLS file"),
        "{error}"
    );
}

#[tokio::test]
async fn retention_that_overtakes_the_feed_is_followed_and_counted() {
    let broker = Broker::start(BrokerConfig {
        retention_bytes: 3_000,
        ..BrokerConfig::default()
    })
    .await
    .unwrap();
    let config = ClientConfig::new([broker.addr().to_string()], Security::PLAINTEXT);
    let mut producer = topic(&config, "short", 1).await;
    let mut feed = feed(&config, "short");
    send(&mut producer, 0, &["first".to_owned()]).await;
    take(&mut feed, 1).await;
    for n in 0..20 {
        send(&mut producer, 0, &[format!("{n} {}", "x".repeat(500))]).await;
    }
    // What librdkafka has read ahead meanwhile is not what this is about.
    feed.seek(0, 1);
    // 572 bytes a batch: five of them fit.
    let offsets: Vec<_> = take(&mut feed, 5)
        .await
        .iter()
        .map(|(_, record)| record.offset)
        .collect();
    assert_eq!(
        (offsets, feed.counters().resets),
        (vec![16, 17, 18, 19, 20], 1)
    );
}

#[tokio::test]
async fn an_absent_broker_is_a_sentence_and_later_a_connection() {
    let broker = Broker::start(BrokerConfig::default()).await.unwrap();
    let config = BrokerConfig {
        bind: broker.addr(),
        ..BrokerConfig::default()
    };
    broker.stop().await;
    let client = ClientConfig::new([config.bind.to_string()], Security::PLAINTEXT);
    let mut feed = feed(&client, "later");
    let error = within(feed.poll()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with(&format!("cannot connect to Kafka broker {}", config.bind)),
        "{error}"
    );
    let broker = Broker::start(config).await.unwrap();
    let mut producer = topic(&client, "later", 1).await;
    send(&mut producer, 0, &["a".to_owned()]).await;
    assert_eq!(take(&mut feed, 1).await.len(), 1);
    drop(broker);
}
