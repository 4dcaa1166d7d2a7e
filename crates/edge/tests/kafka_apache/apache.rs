//! Clusters of one and of three brokers of Apache Kafka, serving.

use crate::kafka_suite::{feed, until_ok};
use broker::apache::{Apache, libs};
use edge::kafka::{ClientConfig, Feed, Security, create_topic};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

/// One to three brokers.
pub(crate) struct Brokers {
    pub(crate) libs: PathBuf,
    dir: tempfile::TempDir,
    nodes: Vec<Apache>,
}

/// What stands in a broker's settings beside what `run.sh` writes.
pub(crate) struct Extra {
    pub(crate) properties: String,
    /// For the formatting of its logs.
    pub(crate) format: String,
}

fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) fn free_port() -> u16 {
    free().port()
}

impl Brokers {
    /// One broker, serving; what is extra may depend on its folder and its ports, the controller's last.
    pub(crate) async fn one(
        version: Option<&str>,
        extra: impl FnOnce(&Path, u16, u16) -> Extra,
    ) -> Self {
        let mut apache = Self::prepared(version, 1);
        let node = &apache.nodes[0];
        let extra = extra(apache.folder(), node.address().port(), node.controller());
        apache.write(0, &extra);
        apache.spawn(0);
        apache.serves().await;
        apache
    }

    /// Three brokers that are each other's controllers and replicas, serving.
    pub(crate) async fn three() -> Self {
        let mut apache = Self::prepared(None, 3);
        let voters: Vec<String> = (1..)
            .zip(&apache.nodes)
            .map(|(id, node)| format!("{id}@127.0.0.1:{}", node.controller()))
            .collect();
        for at in 0..3 {
            let properties = format!(
                "node.id={}\n\
                 controller.quorum.voters={}\n\
                 offsets.topic.replication.factor=3\n\
                 transaction.state.log.replication.factor=3\n\
                 transaction.state.log.min.isr=2\n\
                 share.coordinator.state.topic.replication.factor=3\n\
                 min.insync.replicas=2\n\
                 leader.imbalance.check.interval.seconds=1\n\
                 leader.imbalance.per.broker.percentage=0\n\
                 broker.heartbeat.interval.ms=500\n\
                 broker.session.timeout.ms=3000\n",
                at + 1,
                voters.join(",")
            );
            let format = String::new();
            apache.write(at, &Extra { properties, format });
            apache.spawn(at);
        }
        apache.serves().await;
        apache
    }

    fn prepared(version: Option<&str>, count: usize) -> Self {
        let libs = libs(version).unwrap_or_else(|error| panic!("{error}"));
        let dir = tempfile::tempdir().unwrap();
        let node = |id: usize| {
            let home = dir.path().join(id.to_string());
            Apache::new(libs.clone(), home, free(), free_port()).unwrap()
        };
        let nodes = (1..=count).map(node).collect();
        Self { libs, dir, nodes }
    }

    fn write(&self, at: usize, extra: &Extra) {
        self.nodes[at]
            .configure(&extra.properties, &extra.format)
            .unwrap();
    }

    /// A folder for what tests keep beside the brokers.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Addresses of all brokers.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let addresses = self.nodes.iter().map(Apache::address);
        addresses.map(|address| address.to_string()).collect()
    }

    pub(crate) fn spawn(&mut self, at: usize) {
        self.nodes[at].start().unwrap();
    }

    /// It serves when it creates topics, and commits once it made its own topic for offsets.
    pub(crate) async fn serves(&mut self) {
        let config = ClientConfig::new(self.addresses(), Security::PLAINTEXT);
        until_ok(async || {
            for node in &mut self.nodes {
                if let Some(status) = node.ended() {
                    panic!("Kafka ended with {status}: {}", node.log());
                }
            }
            create_topic(&config, "ready", 1).await
        })
        .await;
        let mut feed = feed(&config, "ready");
        until_ok(async || feed.committed().await.map(|_| ())).await;
    }

    /// It leaves in order; returns when it is gone.
    pub(crate) async fn stop(&mut self, at: usize) {
        let ended = tokio::task::block_in_place(|| self.nodes[at].stop()).unwrap();
        // 128 and SIGTERM: how a JVM ends that was asked to.
        assert!(
            matches!(ended.code(), Some(0 | 143)),
            "{ended}: {}",
            self.nodes[at].log()
        );
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, at: usize) {
        self.nodes[at].kill();
    }
}

impl Drop for Brokers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for (id, node) in (1..).zip(&self.nodes) {
                let log = node.log();
                let tail: Vec<&str> = log.lines().rev().take(60).collect();
                eprintln!("the last of broker {id}'s log:");
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}
