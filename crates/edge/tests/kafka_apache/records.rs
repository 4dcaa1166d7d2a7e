//! What producers of Kafka's own client write.

use crate::java::Java;
use crate::kafka_suite::{feed, take, text, topic, within};
use edge::kafka::{ClientConfig, Feed};
use std::collections::BTreeMap;

pub(crate) async fn every_codec_of_the_java_producer(config: &ClientConfig, java: &Java) {
    topic(config, "java-codecs", 1).await;
    let mut feed = feed(config, "java-codecs");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        java.does(&format!("produce java-codecs 0 {codec} 0 200 120"))
            .await;
        for (number, (_, record)) in take(&mut feed, 200).await.into_iter().enumerate() {
            let value = text(&record);
            assert!(
                value.len() == 120 && value.starts_with(&format!("java {codec} {number}")),
                "{value}"
            );
            let key = format!("k{}", number % 10);
            assert_eq!(record.key.as_deref(), Some(key.as_bytes()));
        }
    }
    assert_eq!(feed.counters().faults, 0);
}

pub(crate) async fn aborted_transactions_are_left_out(config: &ClientConfig, java: &Java) {
    topic(config, "transactions-of-java", 1).await;
    java.does("transactions transactions-of-java 0 20").await;
    let mut feed = feed(config, "transactions-of-java");
    let taken = take(&mut feed, 40).await;
    let values: Vec<String> = taken.iter().map(|(_, record)| text(record)).collect();
    let kept: Vec<String> = (0..40).map(|n| format!("kept {n}")).collect();
    assert_eq!(values, kept);
    // Markers and aborted records take offsets, and nothing else comes behind the last marker.
    let last = taken.last().unwrap().1.offset;
    assert!(last > 80, "{last}");
    assert!(
        within(feed.poll())
            .await
            .unwrap()
            .iter()
            .all(|part| part.records.is_empty())
    );
}

pub(crate) async fn records_of_a_mebibyte(config: &ClientConfig, java: &Java) {
    const BYTES: usize = 1 << 20;
    topic(config, "large", 2).await;
    for partition in 0..2 {
        java.does(&format!("produce large {partition} none 0 6 {BYTES}"))
            .await;
    }
    let mut per_partition: BTreeMap<i32, Vec<String>> = BTreeMap::new();
    for (partition, record) in take(&mut feed(config, "large"), 12).await {
        assert_eq!(record.value.as_ref().unwrap().len(), BYTES);
        let words = text(&record)[..11].to_owned();
        per_partition.entry(partition).or_default().push(words);
    }
    let expected: Vec<String> = (0..6).map(|n| format!("java none {n}")).collect();
    assert_eq!(
        per_partition,
        BTreeMap::from([(0, expected.clone()), (1, expected)])
    );
}

/// Ten keys, each written ten times. When the cleaner was there, few records are left, with gaps between
/// them and in their batches; what is left is handed out at its offset, the latest of each key among it.
pub(crate) async fn a_compacted_log_has_gaps(config: &ClientConfig, java: &Java) {
    topic(config, "compacted", 1).await;
    // The latest of each key is kept, soon.
    java.does(
        "configure compacted cleanup.policy=compact segment.ms=100 min.cleanable.dirty.ratio=0.01 max.compaction.lag.ms=100",
    )
    .await;
    java.does("produce compacted 0 lz4 0 100 40").await;
    within(async {
        for more in 0.. {
            // The cleaner leaves the segment alone that is written to: a record more, and there is another.
            java.does(&format!("produce compacted 0 lz4 {} 1 40", 100 + more))
                .await;
            let mut feed = feed(config, "compacted");
            let (mut left, mut next) = (BTreeMap::new(), 0);
            while next < 101 + more {
                for part in feed.poll().await.unwrap() {
                    next = part.next_offset;
                    left.extend(
                        part.records
                            .into_iter()
                            .map(|record| (record.offset, record)),
                    );
                }
            }
            if left.len() > 60 {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                continue;
            }
            for (offset, record) in &left {
                assert!(text(record).starts_with(&format!("java lz4 {offset}")));
            }
            for offset in 91..100 + more {
                assert!(
                    left.contains_key(&offset) || offset < 90 + more,
                    "{offset} of {:?}",
                    left.keys()
                );
            }
            return;
        }
    })
    .await;
}
