//! A real Apache Kafka for a benchmark, and what is to be read from it.

use crate::Failure;
use crate::ports::Ports;
use broker::apache::{self, Apache};
use edge::kafka::{
    ClientConfig, Codec, Feed as _, FeedConfig, KafkaFeed, NewRecord, Producer, Security,
    create_topic,
};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Bytes of each value.
pub const VALUE: usize = 200;
/// Records in one batch: 200 KB, what producers under load send.
const BATCH: usize = 1_000;
/// A JVM on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// One broker. It ends with this process, however that ends.
pub struct Kafka {
    address: String,
    _node: Apache,
}

impl Kafka {
    /// Starts one with its files in `dir`.
    pub async fn start(dir: &Path) -> Result<Self, Failure> {
        let mut ports = Ports::default();
        let (address, controller) = (ports.free()?, ports.free()?.port());
        let libs = apache::libs(None)?;
        let mut node = Apache::new(libs, dir.to_owned(), address, controller)?;
        node.start()?;
        let kafka = Self {
            address: address.to_string(),
            _node: node,
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
