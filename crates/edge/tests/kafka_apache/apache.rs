//! Apache Kafka (KRaft) as processes of this machine, brought by `deploy/kafka/fetch.sh`.

use crate::kafka_suite::{feed, until_ok};
use edge::kafka::{ClientConfig, Feed, Security, create_topic};
use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// What tests run against besides the version that is the default of `fetch.sh`: the last one that has
/// ZooKeeper's protocol floor.
pub(crate) const OLDER: &str = "3.9.1";

/// One to three brokers. They end with this process, however that ends: `run.sh` watches its standard
/// input.
pub(crate) struct Apache {
    pub(crate) libs: PathBuf,
    dir: tempfile::TempDir,
    nodes: Vec<Node>,
}

struct Node {
    port: u16,
    controller: u16,
    child: Option<Child>,
}

/// What stands in a broker's settings beside what `run.sh` writes.
pub(crate) struct Extra {
    pub(crate) properties: String,
    /// For the formatting of its logs.
    pub(crate) format: String,
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka")
}

fn libs(version: Option<&str>) -> PathBuf {
    let output = Command::new("sh")
        .arg(scripts().join("fetch.sh"))
        .args(version)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "Apache Kafka is missing: run `cargo xtask setup` (its jars come by deploy/kafka/fetch.sh, with mvn and a JDK 17)"
    );
    PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

impl Apache {
    /// One broker, serving; what is extra may depend on its folder and its ports, the controller's last.
    pub(crate) async fn one(
        version: Option<&str>,
        extra: impl FnOnce(&Path, u16, u16) -> Extra,
    ) -> Self {
        let mut apache = Self::prepared(version, 1);
        let node = &apache.nodes[0];
        let extra = extra(apache.folder(), node.port, node.controller);
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
            .map(|(id, node)| format!("{id}@127.0.0.1:{}", node.controller))
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
        let node = || Node {
            port: free_port(),
            controller: free_port(),
            child: None,
        };
        Self {
            libs: libs(version),
            dir: tempfile::tempdir().unwrap(),
            nodes: std::iter::repeat_with(node).take(count).collect(),
        }
    }

    fn home(&self, at: usize) -> PathBuf {
        self.dir.path().join((at + 1).to_string())
    }

    fn write(&self, at: usize, extra: &Extra) {
        let home = self.home(at);
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("extra.properties"), &extra.properties).unwrap();
        std::fs::write(home.join("format.args"), &extra.format).unwrap();
    }

    /// A folder for what tests keep beside the brokers.
    pub(crate) fn folder(&self) -> &Path {
        self.dir.path()
    }

    /// Addresses of all brokers.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let ports = self.nodes.iter().map(|node| node.port);
        ports.map(|port| format!("127.0.0.1:{port}")).collect()
    }

    pub(crate) fn spawn(&mut self, at: usize) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.home(at).join("kafka.log"))
            .unwrap();
        let node = &self.nodes[at];
        let child = Command::new("sh")
            .arg(scripts().join("run.sh"))
            .args([&self.libs, &self.home(at)])
            .args([node.port, node.controller].map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.nodes[at].child = Some(child);
    }

    /// It serves when it creates topics, and commits once it made its own topic for offsets.
    pub(crate) async fn serves(&mut self) {
        let config = ClientConfig::new(self.addresses(), Security::PLAINTEXT);
        until_ok(async || {
            for at in 0..self.nodes.len() {
                let ended = self.nodes[at].child.as_mut().map(Child::try_wait);
                if let Some(Ok(Some(status))) = ended {
                    let log = std::fs::read_to_string(self.home(at).join("kafka.log")).unwrap();
                    panic!("Kafka ended with {status}: {log}");
                }
            }
            create_topic(&config, "ready", 1).await
        })
        .await;
        let mut feed = feed(&config, "ready");
        until_ok(async || feed.committed().await.map(|_| ())).await;
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.nodes[at].child.take() {
            drop(child.stdin.take());
            child.wait().unwrap();
        }
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        for at in 0..self.nodes.len() {
            self.kill(at);
            if std::thread::panicking() {
                let log = std::fs::read_to_string(self.home(at).join("kafka.log"));
                let log = log.unwrap_or_default();
                let tail: Vec<&str> = log.lines().rev().take(60).collect();
                eprintln!("the last of broker {}'s log:", at + 1);
                tail.iter().rev().for_each(|line| eprintln!("{line}"));
            }
        }
    }
}
