//! A real Apache Kafka for a benchmark, and what is to be read from it.

use crate::Failure;
use crate::ports::Ports;
use edge::kafka::{
    ClientConfig, Codec, Feed as _, FeedConfig, KafkaFeed, NewRecord, Producer, Security,
    create_topic,
};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of each value.
pub const VALUE: usize = 200;
/// Records in one batch: 200 KB, what producers under load send.
const BATCH: usize = 1_000;
/// A JVM on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// One broker. It ends with this process, however that ends: its script watches its standard input.
pub struct Kafka {
    address: String,
    child: Child,
}

impl Kafka {
    /// Starts one with its files in `dir`.
    pub async fn start(dir: &Path) -> Result<Self, Failure> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/kafka");
        let fetched = Command::new("sh").arg(scripts.join("fetch.sh")).output()?;
        if !fetched.status.success() {
            return Err("Apache Kafka is missing: run `cargo xtask setup --for bench`".into());
        }
        let libs = PathBuf::from(String::from_utf8(fetched.stdout)?.trim());
        let mut ports = Ports::default();
        let (port, controller) = (ports.free()?.port(), ports.free()?.port());
        let log = std::fs::File::create(dir.join("kafka.log"))?;
        let child = Command::new("sh")
            .arg(scripts.join("run.sh"))
            .args([&libs, dir])
            .args([port, controller].map(|port| port.to_string()))
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let kafka = Self {
            address: format!("127.0.0.1:{port}"),
            child,
        };
        let deadline = Instant::now() + START_LIMIT;
        while let Err(error) = create_topic(&kafka.client(), "ready", 1).await {
            if Instant::now() > deadline {
                return Err(format!("Kafka does not start: {error}").into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // The first group makes the broker make its topic of offsets, which takes a while.
        let config = FeedConfig::new(kafka.client(), "ready", "bench");
        while let Err(error) = KafkaFeed::new(config.clone()).poll().await {
            if Instant::now() > deadline {
                return Err(format!("Kafka has no coordinator of groups: {error}").into());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(kafka)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The way to it.
    pub fn client(&self) -> ClientConfig {
        ClientConfig::new([self.address.clone()], Security::PLAINTEXT)
    }

    /// Makes a topic with `records` records, spread evenly.
    pub async fn fill(
        &self,
        topic: &str,
        partitions: i32,
        codec: Codec,
        records: usize,
    ) -> Result<(), Failure> {
        create_topic(&self.client(), topic, partitions).await?;
        let mut producer = Producer::new(self.client(), topic);
        // Of today: what is older than a week, the broker's retention takes away under the readers.
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
        let mut made = 0;
        for turn in 0.. {
            if made >= records {
                break;
            }
            let batch: Vec<NewRecord> = (made..(made + BATCH).min(records))
                .map(|number| record(number, now))
                .collect();
            made += batch.len();
            let mut tries = 0;
            // The leaders of a fresh topic learn of it a little later.
            while let Err(error) = producer.send(turn % partitions, &batch, codec).await {
                tries += 1;
                if tries > 50 {
                    return Err(error.into());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        Ok(())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It is our child: waiting fails only if somebody else has.
        let _ = self.child.wait();
    }
}

/// Like a card transaction: some of it repeats, some does not.
fn record(number: usize, now: i64) -> NewRecord {
    let mixed = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut value = format!(
        "{number:012} PURCHASE TERMINAL-{:05} {mixed:016x} EUR {:010}.00 APPROVED REGION-{:02} ",
        mixed % 90_000,
        mixed % 1_000_000,
        number % 40
    );
    while value.len() < VALUE {
        value.push(char::from(b'A' + (mixed >> (value.len() % 48)) as u8 % 26));
    }
    value.truncate(VALUE);
    NewRecord {
        timestamp: now,
        key: None,
        value: Some(value.into()),
        headers: Vec::new(),
    }
}
