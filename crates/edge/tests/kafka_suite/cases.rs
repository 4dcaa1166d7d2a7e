use super::*;
use edge::kafka::{Header, OffsetCommit, OutOfRange, Partitions, StartAt};
use std::collections::BTreeMap;

pub(crate) async fn every_codec_ours_and_kcats(config: &ClientConfig) {
    let mut producer = topic(config, "codecs", 1).await;
    let mut expected = Vec::new();
    for codec in Codec::ALL {
        let records: Vec<_> = (0..50i64)
            .map(|n| NewRecord {
                timestamp: 1_772_366_400_000 - n,
                key: (n % 3 != 0).then(|| format!("key {n}").into()),
                value: (n % 7 != 0)
                    .then(|| format!("{codec:?} {n} {}", "repetitive ".repeat(20)).into()),
                headers: (0..n % 3)
                    .map(|h| Header {
                        key: format!("h{h}"),
                        value: (h == 0).then(|| vec![0, 255, h as u8].into()),
                    })
                    .collect(),
            })
            .collect();
        let first = within(producer.send(0, &records, codec)).await;
        assert_eq!(first, Ok(expected.len() as i64), "{codec:?}");
        expected.extend(records);
    }
    let mut feed = feed(config, "codecs");
    let taken = take(&mut feed, expected.len()).await;
    for (offset, ((partition, record), sent)) in taken.into_iter().zip(&expected).enumerate() {
        assert_eq!((partition, record.offset), (0, offset as i64));
        assert_eq!(
            (
                record.timestamp,
                &record.key,
                &record.value,
                &record.headers
            ),
            (sent.timestamp, &sent.key, &sent.value, &sent.headers)
        );
    }
    let counters = feed.counters();
    assert_eq!((counters.records, counters.faults), (250, 0));
    assert!(
        counters.plaintext_bytes == counters.bytes && counters.bytes > 5_000,
        "{counters:?}"
    );

    let lines: Vec<String> = (0..100)
        .map(|n| format!("from kcat {n} {}", "again and ".repeat(10)))
        .collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let input = lines.join("\n") + "\n";
        let arguments = [
            "-P", "-t", "codecs", "-p", "0", "-z", codec, "-H", "by=kcat",
        ];
        kcat::spawn(&config.bootstrap[0], &arguments, &input)
            .await
            .unwrap();
        let taken = take(&mut feed, lines.len()).await;
        let values: Vec<_> = taken.iter().map(|(_, record)| text(record)).collect();
        assert_eq!(values, lines, "{codec}");
        let header = Header {
            key: "by".to_owned(),
            value: Some("kcat".into()),
        };
        assert!(
            taken
                .iter()
                .all(|(_, record)| record.headers == [header.clone()]),
            "{codec}"
        );
    }
}

pub(crate) async fn kcat_reads_what_we_send(config: &ClientConfig) {
    let mut producer = topic(config, "to-kcat", 1).await;
    let mut expected = String::new();
    for codec in Codec::ALL {
        let records: Vec<_> = (0..3)
            .map(|n| NewRecord {
                key: Some(format!("k{n}").into()),
                headers: vec![Header {
                    key: "a".to_owned(),
                    value: Some("1".into()),
                }],
                ..record(format!("{codec:?}"))
            })
            .collect();
        within(producer.send(0, &records, codec)).await.unwrap();
        (0..3).for_each(|n| expected += &format!("k{n} {codec:?} a=1 1772366400000\n"));
    }
    let arguments = ["-C", "-t", "to-kcat", "-e", "-q", "-f", "%k %s %h %T\\n"];
    assert_eq!(
        kcat::spawn(&config.bootstrap[0], &arguments, "")
            .await
            .unwrap(),
        expected
    );
    // Through a consumer group with its joins, syncs and heartbeats.
    let group = [
        "-G",
        "kcat-group",
        "-e",
        "-q",
        "-X",
        "auto.offset.reset=earliest",
        "-f",
        "%k %s %h %T\\n",
        "to-kcat",
    ];
    // A coordinator that has not heard of the fresh topic yet assigns nothing, and kcat ends with it.
    let read = within(async {
        loop {
            let read = kcat::spawn(&config.bootstrap[0], &group, "").await.unwrap();
            if !read.is_empty() {
                return read;
            }
        }
    });
    assert_eq!(read.await, expected);
}

pub(crate) async fn a_new_process_goes_on_at_the_committed_offset(config: &ClientConfig) {
    let mut producer = topic(config, "resume", 2).await;
    let values: Vec<String> = (0..10).map(|n| format!("{n}")).collect();
    send(&mut producer, 0, &values).await;
    send(&mut producer, 1, &values).await;
    let mut first = feed(config, "resume");
    assert_eq!(within(first.committed()).await.unwrap(), []);
    take(&mut first, 20).await;
    let commit = |partition, offset: i64| OffsetCommit {
        partition,
        offset,
        metadata: format!("note ä {offset}"),
    };
    let offsets = [commit(0, 4), commit(1, 10)];
    within(first.commit(&offsets)).await.unwrap();
    drop(first);

    let mut second = feed(config, "resume");
    let mut committed = within(second.committed()).await.unwrap();
    committed.sort_by_key(|commit| commit.partition);
    assert_eq!(committed, offsets);
    let taken = take(&mut second, 6).await;
    let seen: Vec<_> = taken
        .iter()
        .map(|(partition, record)| (*partition, record.offset))
        .collect();
    assert_eq!(seen, (4..10).map(|offset| (0, offset)).collect::<Vec<_>>());
    // Nothing was committed for these records: they come again.
    assert_eq!(take(&mut feed(config, "resume"), 6).await, taken);
}

pub(crate) async fn many_partitions(config: &ClientConfig) {
    const PARTITIONS: i32 = 24;
    let mut producer = topic(config, "many", PARTITIONS).await;
    for partition in 0..PARTITIONS {
        let values: Vec<String> = (0..20)
            .map(|n| format!("{partition}/{n} {}", "x".repeat(500)))
            .collect();
        send(&mut producer, partition, &values).await;
    }
    // An answer of 40 KB does not hold all: batches are cut off and partitions take turns.
    let small = FeedConfig {
        max_bytes: 40_000,
        partition_max_bytes: 15_000,
        ..FeedConfig::new(config.clone(), "many", "many-group")
    };
    let taken = take(&mut Reader::new(small), 20 * PARTITIONS as usize).await;
    let mut per_partition: BTreeMap<i32, Vec<i64>> = BTreeMap::new();
    for (partition, record) in taken {
        assert!(text(&record).starts_with(&format!("{partition}/{} ", record.offset)));
        per_partition
            .entry(partition)
            .or_default()
            .push(record.offset);
    }
    assert_eq!(per_partition.len(), PARTITIONS as usize);
    assert!(
        per_partition
            .values()
            .all(|offsets| *offsets == (0..20).collect::<Vec<_>>())
    );
}

/// Three readers with a share each have all records together, and nobody's twice; a share without
/// partitions waits for some.
pub(crate) async fn shares_divide_the_partitions(config: &ClientConfig) {
    const PARTITIONS: i32 = 5;
    let mut producer = topic(config, "shares", PARTITIONS).await;
    for partition in 0..PARTITIONS {
        send(&mut producer, partition, &[format!("in {partition}")]).await;
    }
    let share = |of, share| {
        Reader::new(FeedConfig {
            partitions: Partitions::Shares {
                of,
                held: [share].into(),
            },
            ..FeedConfig::new(config.clone(), "shares", "shares-group")
        })
    };
    for (number, expected) in [(0, vec![0, 3]), (1, vec![1, 4]), (2, vec![2])] {
        let mut taken = take(&mut share(3, number), expected.len()).await;
        taken.sort_by_key(|(partition, _)| *partition);
        let partitions: Vec<i32> = taken.iter().map(|(partition, _)| *partition).collect();
        assert_eq!(partitions, expected);
    }
    let mut idle = share(7, 6);
    let before = tokio::time::Instant::now();
    assert_eq!(within(idle.poll()).await.unwrap(), []);
    assert!(
        before.elapsed() >= Duration::from_millis(200),
        "it does not spin"
    );
}

pub(crate) async fn out_of_range_follows_the_policy(config: &ClientConfig) {
    let mut producer = topic(config, "range", 1).await;
    send(&mut producer, 0, &["a".to_owned(), "b".to_owned()]).await;
    let with = |out_of_range| {
        let mut feed = Reader::new(FeedConfig {
            out_of_range,
            ..FeedConfig::new(config.clone(), "range", "range-group")
        });
        feed.seek(0, 10_000);
        feed
    };
    let mut earliest = with(OutOfRange::Earliest);
    let moved = loop {
        if let Some(part) = within(earliest.poll()).await.unwrap().pop() {
            break part;
        }
    };
    assert!(moved.moved && moved.records.len() == 2, "{moved:?}");
    assert_eq!(earliest.counters().resets, 1);
    send(&mut producer, 0, &["b".to_owned()]).await;
    let next = loop {
        if let Some(part) = within(earliest.poll()).await.unwrap().pop() {
            break part;
        }
    };
    assert!(!next.moved, "said once: {next:?}");

    let mut fail = with(OutOfRange::Fail);
    let error = within(fail.poll()).await.unwrap_err();
    assert!(
        error.is_permanent()
            && error
                .to_string()
                .starts_with("offset 10000 of range partition 0 is out of range"),
        "{error}"
    );
    fail.seek(0, 2);
    assert_eq!(take(&mut fail, 1).await[0].1.offset, 2);

    let mut latest = with(OutOfRange::Latest);
    while latest.counters().resets == 0 {
        assert_eq!(within(latest.poll()).await.unwrap(), []);
    }
    send(&mut producer, 0, &["c".to_owned()]).await;
    assert_eq!(text(&take(&mut latest, 1).await[0].1), "c");
}

pub(crate) async fn where_to_start_without_a_commit(config: &ClientConfig) {
    let mut producer = topic(config, "start", 1).await;
    send(&mut producer, 0, &["old".to_owned()]).await;
    let latest = FeedConfig {
        start: StartAt::Latest,
        ..FeedConfig::new(config.clone(), "start", "start-group")
    };
    let mut feed = Reader::new(latest);
    assert_eq!(within(feed.poll()).await.unwrap(), []);
    send(&mut producer, 0, &["new".to_owned()]).await;
    assert_eq!(text(&take(&mut feed, 1).await[0].1), "new");
}

pub(crate) async fn a_cancelled_poll_loses_nothing(config: &ClientConfig) {
    let mut producer = topic(config, "cancel", 1).await;
    let mut feed = feed(config, "cancel");
    assert_eq!(within(feed.poll()).await.unwrap(), []);
    let before = feed.counters().connects;
    // Nothing is there to fetch: the poll waits at the broker and is given up.
    assert!(
        tokio::time::timeout(Duration::from_millis(20), feed.poll())
            .await
            .is_err()
    );
    send(&mut producer, 0, &["a".to_owned()]).await;
    assert_eq!(text(&take(&mut feed, 1).await[0].1), "a");
    assert_eq!(
        feed.counters().connects,
        before + 1,
        "the answer on the way went down with its connection"
    );
}

/// Small answers, so that most of the time one is under way: a partition that is sought elsewhere or held meanwhile is read
/// from there and at its time, the others go on, and each record comes once.
pub(crate) async fn a_feed_that_catches_up_asks_ahead_and_loses_nothing(config: &ClientConfig) {
    const PARTITIONS: i32 = 3;
    const BATCHES: i64 = 30;
    const RECORDS: i64 = 50;
    let mut producer = topic(config, "ahead", PARTITIONS).await;
    for partition in 0..PARTITIONS {
        for batch in 0..BATCHES {
            let values: Vec<String> = (0..RECORDS)
                .map(|n| format!("{} {}", batch * RECORDS + n, "x".repeat(2_000)))
                .collect();
            send(&mut producer, partition, &values).await;
        }
    }
    // An answer is some portions.
    let mut feed = Reader::new(FeedConfig {
        max_bytes: 800_000,
        partition_max_bytes: 300_000,
        ..FeedConfig::new(config.clone(), "ahead", "ahead-group")
    });
    let mut next = [0i64; PARTITIONS as usize];
    let (mut back, mut held) = (0, None);
    within(async {
        while next.iter().any(|next| *next < BATCHES * RECORDS) {
            for part in feed.poll().await.unwrap() {
                let at = &mut next[usize::try_from(part.partition).unwrap()];
                if let (1, Some(until)) = (part.partition, held) {
                    assert!(tokio::time::Instant::now() >= until, "held back");
                }
                for record in &part.records {
                    assert_eq!(record.offset, *at, "of partition {}", part.partition);
                    assert!(text(record).starts_with(&format!("{at} ")));
                    *at += 1;
                }
                assert_eq!(part.next_offset, *at);
                // In the middle of it: once more from some way back, and another one not for a while.
                if part.partition == 0 && back < 5 && *at >= 200 {
                    (back, *at) = (back + 1, *at - 130);
                    feed.seek(0, *at);
                }
                if part.partition == 1 && held.is_none() && *at >= 200 {
                    let pause = Duration::from_millis(300);
                    (held, *at) = (Some(tokio::time::Instant::now() + pause), *at - 7);
                    feed.hold(1, *at, pause);
                }
            }
        }
    })
    .await;
    assert_eq!((back, feed.counters().faults), (5, 0));
    assert!(held.is_some());
}

pub(crate) async fn a_restart_in_the_middle_loses_and_repeats_nothing(
    cluster: &mut impl Cluster,
    config: &ClientConfig,
) {
    let mut producer = topic(config, "restart", 3).await;
    let batch = |from: i32| {
        (from..from + 100)
            .map(|n| n.to_string())
            .collect::<Vec<_>>()
    };
    for partition in 0..3 {
        send(&mut producer, partition, &batch(0)).await;
    }
    let mut feed = feed(config, "restart");
    let mut taken = take(&mut feed, 300).await;
    let commits = [0, 1, 2].map(|partition| OffsetCommit {
        partition,
        offset: 50,
        metadata: String::new(),
    });
    within(feed.commit(&commits)).await.unwrap();

    cluster.restart().await;
    for partition in 0..3 {
        let records: Vec<_> = batch(100).into_iter().map(record).collect();
        let mut sent = None;
        until_ok(async || {
            producer
                .send(partition, &records, Codec::Zstd)
                .await
                .map(|first| sent = Some(first))
        })
        .await;
        assert_eq!(
            sent,
            Some(100),
            "acknowledged records survived, none was written twice"
        );
    }
    // The same feed goes on where it was, not at the committed offset.
    taken.extend(take(&mut feed, 300).await);
    for partition in 0..3 {
        let values: Vec<_> = taken
            .iter()
            .filter(|(of, _)| *of == partition)
            .map(|(_, record)| (record.offset, text(record)))
            .collect();
        let expected: Vec<_> = (0..200i64).map(|n| (n, n.to_string())).collect();
        assert_eq!(values, expected);
    }
    assert!(feed.counters().faults >= 1, "the restart was noticed");
    until_ok(async || {
        feed.commit(&[OffsetCommit {
            partition: 0,
            offset: 200,
            metadata: String::new(),
        }])
        .await
    })
    .await;
    let committed = within(feed.committed()).await.unwrap();
    let offsets: BTreeMap<_, _> = committed
        .into_iter()
        .map(|commit| (commit.partition, commit.offset))
        .collect();
    assert_eq!(offsets, BTreeMap::from([(0, 200), (1, 50), (2, 50)]));
}
