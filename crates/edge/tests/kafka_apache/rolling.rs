//! Three brokers, each killed and started again under load.

use crate::apache::Brokers;
use crate::java::Java;
use crate::kafka_suite::{Reader, take, text, until_ok};
use edge::kafka::{ClientConfig, Feed, FeedConfig, OffsetCommit, Security};
use std::collections::BTreeMap;
use std::time::Duration;

const PARTITIONS: i32 = 3;
/// For each partition while one broker is away.
const RECORDS: usize = 3_000;

/// Kafka's own producer (idempotent, acknowledged by all) writes all the while; whatever it was
/// promised comes exactly once, in order, and offsets are committed through other coordinators.
pub(crate) async fn run() {
    let mut apache = Brokers::three().await;
    let java = Java::start(&apache);
    java.does(&format!("topic rolling {PARTITIONS} 3")).await;
    let config = ClientConfig::new(apache.addresses(), Security::PLAINTEXT);
    let mut feed = Reader::new(FeedConfig {
        metadata_age: Duration::from_secs(2),
        ..FeedConfig::new(config, "rolling", "rolling-group")
    });
    let mut values: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for broker in 0..3 {
        let commands: Vec<String> = (0..PARTITIONS)
            .map(|partition| {
                let first = broker * RECORDS;
                format!("produce rolling {partition} lz4 {first} {RECORDS} 100")
            })
            .collect();
        for command in &commands {
            java.begins(command).await;
        }
        // In the middle of it.
        let taken = take(&mut feed, 0).await;
        assert_eq!(taken, []);
        apache.kill(broker);
        let mut left = RECORDS * PARTITIONS as usize;
        let before = tokio::time::Instant::now();
        while left > 0 {
            match feed.poll().await {
                Ok(parts) => {
                    for part in parts {
                        left -= part.records.len();
                        let of = values.entry(part.partition).or_default();
                        of.extend(part.records.iter().map(text));
                    }
                }
                Err(error) => assert!(!error.is_permanent(), "{error}"),
            }
            assert!(
                before.elapsed() < Duration::from_secs(60),
                "{left} records are missing"
            );
        }
        let offsets: Vec<OffsetCommit> = values
            .iter()
            .map(|(partition, values)| OffsetCommit {
                partition: *partition,
                offset: values.len() as i64,
                metadata: String::new(),
            })
            .collect();
        until_ok(async || feed.commit(&offsets).await).await;
        for command in &commands {
            java.is_done(command).await;
        }
        apache.spawn(broker);
        apache.serves().await;
        // Leaders go back to where they were at first.
        java.does("elect rolling").await;
    }
    let expected: Vec<String> = (0..3 * RECORDS).map(|n| format!("java lz4 {n}")).collect();
    for partition in 0..PARTITIONS {
        let came = &values[&partition];
        assert_eq!(came.len(), expected.len());
        for (came, expected) in came.iter().zip(&expected) {
            assert!(came.starts_with(expected), "{came} instead of {expected}");
        }
    }
    let mut committed = Vec::new();
    until_ok(async || feed.committed().await.map(|found| committed = found)).await;
    assert!(
        committed.iter().all(|one| one.offset == 3 * RECORDS as i64),
        "{committed:?}"
    );
    assert!(feed.counters().faults >= 3, "{:?}", feed.counters());
}
