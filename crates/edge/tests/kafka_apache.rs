//! The Kafka suite against Apache Kafka 4 (KRaft, one node), brought by `deploy/kafka/fetch.sh` and
//! started here on the JDK.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod kafka_suite;

use edge::kafka::{ClientConfig, Feed, Security, create_topic};
use kafka_suite::{Cluster, feed, until_ok};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// One node. It ends with this process, however that ends: `run.sh` watches its standard input.
struct ApacheKafka {
    libs: PathBuf,
    dir: tempfile::TempDir,
    port: u16,
    controller: u16,
    child: Option<Child>,
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka")
}

fn libs() -> PathBuf {
    let output = Command::new("sh")
        .arg(scripts().join("fetch.sh"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "Apache Kafka is missing: run `cargo xtask setup` (its jars come by deploy/kafka/fetch.sh, with mvn and a JDK 17)"
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl ApacheKafka {
    async fn start() -> Self {
        let mut kafka = Self {
            libs: libs(),
            dir: tempfile::tempdir().unwrap(),
            port: free_port(),
            controller: free_port(),
            child: None,
        };
        kafka.spawn().await;
        kafka
    }

    async fn spawn(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("kafka.log"))
            .unwrap();
        let child = Command::new("sh")
            .arg(scripts().join("run.sh"))
            .args([&self.libs, self.dir.path()])
            .args([self.port, self.controller].map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        // It serves when it creates topics, and commits once it made its own topic for offsets.
        let config = ClientConfig::new([self.bootstrap()], Security::Plaintext);
        until_ok(async || {
            if let Some(Ok(Some(status))) = self.child.as_mut().map(Child::try_wait) {
                let log = std::fs::read_to_string(self.dir.path().join("kafka.log")).unwrap();
                panic!("Kafka ended with {status}: {log}");
            }
            create_topic(&config, "ready", 1).await
        })
        .await;
        let mut feed = feed(&config, "ready");
        until_ok(async || feed.committed().await.map(|_| ())).await;
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

impl Cluster for ApacheKafka {
    fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    async fn restart(&mut self) {
        self.kill();
        self.spawn().await;
    }
}

impl Drop for ApacheKafka {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "Kafka's log:\n{}",
                std::fs::read_to_string(self.dir.path().join("kafka.log")).unwrap_or_default()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_suite_passes_on_apache_kafka() {
    let mut cluster = ApacheKafka::start().await;
    kafka_suite::run(&mut cluster).await;
}
