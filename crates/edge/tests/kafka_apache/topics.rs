//! Topics that change while they are read.

use crate::java::Java;
use crate::kafka_suite::{Reader, record, send, take, text, topic, within};
use edge::kafka::{
    ClientConfig, Codec, Feed, FeedConfig, KafkaFeed, OutOfRange, PartitionRecords, Producer,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// Looks for new partitions and leaders twice a second.
fn watchful(config: &ClientConfig, topic: &str) -> Reader {
    Reader::new(FeedConfig {
        metadata_age: Duration::from_millis(500),
        ..FeedConfig::new(config.clone(), topic, format!("{topic}-group"))
    })
}

/// The next records, through whatever faults.
async fn next(feed: &mut impl Feed) -> PartitionRecords {
    within(async {
        loop {
            match feed.poll().await {
                Ok(parts) => {
                    let some = parts.into_iter().find(|part| !part.records.is_empty());
                    if let Some(part) = some {
                        return part;
                    }
                }
                Err(error) => assert!(!error.is_permanent(), "{error}"),
            }
        }
    })
    .await
}

pub(crate) async fn a_partition_is_added(config: &ClientConfig, java: &Java) {
    let mut producer = topic(config, "grows", 1).await;
    let mut feed = watchful(config, "grows");
    send(&mut producer, 0, &["first".to_owned()]).await;
    assert_eq!(text(&next(&mut feed).await.records[0]), "first");
    java.does("partitions grows 2").await;
    java.does("produce grows 1 none 0 1 0").await;
    let part = next(&mut feed).await;
    assert_eq!(
        (part.partition, text(&part.records[0])),
        (1, "java none 0".to_owned())
    );
}

pub(crate) async fn a_topic_is_made_anew(config: &ClientConfig, java: &Java) {
    java.does("topic anew 1 1").await;
    java.does("produce anew 0 none 0 50 0").await;
    let mut feed = watchful(config, "anew");
    assert_eq!(take(&mut feed, 50).await.len(), 50);
    java.does("delete anew").await;
    java.does("topic anew 1 1").await;
    java.does("produce anew 0 none 0 3 0").await;
    let part = next(&mut feed).await;
    assert!(part.moved, "{part:?}");
    let offsets: Vec<i64> = part.records.iter().map(|record| record.offset).collect();
    assert_eq!(offsets[0], 0);
    assert_eq!(feed.counters().resets, 1);
}

/// As long as the old one was, so that our position is a place in it, too. By the topic's id, which librdkafka 2.0
/// does not tell.
pub(crate) async fn a_topic_is_made_anew_and_filled_past_our_position(
    config: &ClientConfig,
    java: &Java,
) {
    java.does("topic refilled 2 1").await;
    java.does("produce refilled 0 none 0 50 0").await;
    let with = |out_of_range| {
        KafkaFeed::new(FeedConfig {
            out_of_range,
            ..FeedConfig::new(config.clone(), "refilled", "refilled-group")
        })
    };
    let mut feeds = [OutOfRange::Earliest, OutOfRange::Latest, OutOfRange::Fail].map(with);
    for feed in &mut feeds {
        assert_eq!(take(feed, 50).await.len(), 50);
    }
    let before = feeds[0].topic_id().unwrap();
    java.does("delete refilled").await;
    java.does("topic refilled 2 1").await;
    java.does("produce refilled 0 lz4 1000 80 0").await;
    java.does("produce refilled 1 lz4 2000 1 0").await;

    let [earliest, latest, fail] = &mut feeds;
    let mut came = 0;
    while came < 80 {
        let part = next(earliest).await;
        if part.partition == 0 {
            assert_eq!(part.moved, came == 0, "{part:?}");
            for record in part.records {
                assert_eq!(record.offset, came);
                assert_eq!(text(&record), format!("java lz4 {}", 1000 + came));
                came += 1;
            }
        }
    }
    assert_ne!(earliest.topic_id().unwrap(), before);
    assert_eq!(earliest.counters().resets, 2, "of both partitions");

    let refused = within(async {
        loop {
            match fail.poll().await {
                Err(error) if error.is_permanent() => break error.to_string(),
                Ok(parts) => assert_eq!(parts, [], "nothing of another topic"),
                Err(_) => {}
            }
        }
    })
    .await;
    let expected = format!(
        "topic refilled was deleted and made anew: it has the id {}",
        earliest.topic_id().unwrap()
    );
    assert!(refused.starts_with(&expected), "{refused}");
    assert!(refused.contains(&before.to_string()), "{refused}");

    // Both partitions are told of although nothing is in them behind their end.
    let mut told = 0;
    within(async {
        while told < 2 {
            for part in latest.poll().await.unwrap_or_default() {
                assert!(part.moved && part.records.is_empty(), "{part:?}");
                told += 1;
            }
        }
    })
    .await;
    java.does("produce refilled 0 lz4 3000 1 0").await;
    let part = next(latest).await;
    assert_eq!(
        (part.moved, text(&part.records[0])),
        (false, "java lz4 3000".to_owned())
    );

    // Who takes over from a reader of the old one is told which topic the positions are of.
    let mut successor = with(OutOfRange::Earliest);
    successor.of_topic(before);
    successor.seek(0, 50);
    let part = next(&mut successor).await;
    assert!(part.moved && part.records[0].offset == 0, "{part:?}");
}

pub(crate) async fn records_are_deleted_under_us(config: &ClientConfig, java: &Java) {
    let mut producer = topic(config, "deleted", 1).await;
    let mut feed = watchful(config, "deleted");
    send(&mut producer, 0, &["0".to_owned()]).await;
    assert_eq!(next(&mut feed).await.next_offset, 1);
    for n in 1..20 {
        send(&mut producer, 0, &[n.to_string()]).await;
    }
    java.does("delete-before deleted 0 15").await;
    // librdkafka may have read ahead.
    feed.seek(0, 1);
    let part = next(&mut feed).await;
    assert!(part.moved && part.records[0].offset == 15, "{part:?}");
}

pub(crate) async fn a_thousand_partitions(config: &ClientConfig, java: &Java) {
    const PARTITIONS: i32 = 1_000;
    java.does(&format!("topic thousand {PARTITIONS} 1")).await;
    let mut producer = Producer::new(config.clone(), "thousand");
    for partition in 0..PARTITIONS {
        let records = [record(partition.to_string())];
        within(async {
            while let Err(error) = producer.send(partition, &records, Codec::None).await {
                assert!(!error.is_permanent(), "{error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
    }
    let mut feed = watchful(config, "thousand");
    let mut seen = BTreeSet::new();
    within(async {
        while seen.len() < PARTITIONS as usize {
            for part in feed.poll().await.unwrap() {
                for record in part.records {
                    assert_eq!(text(&record), part.partition.to_string());
                    assert!(seen.insert(part.partition), "{} came twice", part.partition);
                }
            }
        }
    })
    .await;
    java.does("delete thousand").await;
}
