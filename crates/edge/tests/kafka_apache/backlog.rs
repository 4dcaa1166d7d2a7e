//! A reader that was away for long.

use crate::java::Java;
use crate::kafka_suite::{Reader, kcat, text, topic, within};
use edge::kafka::{ClientConfig, Feed, FeedConfig};
use std::time::{Duration, Instant};

/// Sixty megabytes: as many segments, of the least size that Kafka 4 takes.
const RECORDS: i64 = 300_000;
const BYTES: usize = 200;
/// What retention leaves of it, in bytes.
const KEPT: usize = 8 << 20;
/// Read before retention strikes.
const BEFORE: i64 = 20_000;
/// A poll of some MiB, its records, and what the allocator keeps; librdkafka reads ahead by 16 MiB besides.
const MOST_GROWTH: usize = 64 << 20;

/// The backlog is read in order to its end; what retention deletes under the reader is skipped once and told; memory
/// does not grow with it.
pub(crate) async fn a_backlog_of_many_segments(config: &ClientConfig, java: &Java) {
    drop(topic(config, "backlog", 1).await);
    java.does("configure backlog segment.bytes=1048576 file.delete.delay.ms=100")
        .await;
    java.does(&format!("produce backlog 0 none 0 {RECORDS} {BYTES}"))
        .await;
    // Small answers, so that the end is not in the first ones that are under way.
    let mut feed = Reader::new(FeedConfig {
        max_bytes: 1 << 20,
        ..FeedConfig::new(config.clone(), "backlog", "backlog-group")
    });
    let mut reading = Reading::default();
    while reading.next < BEFORE {
        reading.poll(&mut feed).await;
    }
    assert_eq!(reading.moves, [], "nothing is deleted yet");
    let memory = resident();
    java.does(&format!("configure backlog retention.bytes={KEPT}"))
        .await;
    let first = first_kept(config).await;
    let begin = (Instant::now(), reading.count);
    while reading.next < RECORDS {
        reading.poll(&mut feed).await;
    }
    let rate = (reading.count - begin.1) as f64 / begin.0.elapsed().as_secs_f64();
    eprintln!(
        "backlog: {} records, {rate:.0} a second after retention",
        reading.count
    );

    // Segments go one after the other: the last of them may go from under the reader once more.
    assert!(!reading.moves.is_empty() && reading.moves[0].0 >= BEFORE);
    assert!(
        reading.moves[0].1 >= first,
        "{first} is kept: {:?}",
        reading.moves
    );
    let skipped: i64 = reading.moves.iter().map(|(from, to)| to - from).sum();
    assert_eq!(reading.count, RECORDS - skipped, "all others came");
    assert_eq!(feed.counters().resets, reading.moves.len() as u64);
    let growth = resident().saturating_sub(memory);
    assert!(growth < MOST_GROWTH, "memory grew by {growth} bytes");
}

#[derive(Default)]
struct Reading {
    next: i64,
    count: i64,
    /// From where to where.
    moves: Vec<(i64, i64)>,
}

impl Reading {
    async fn poll(&mut self, feed: &mut Reader) {
        for part in within(feed.poll()).await.unwrap() {
            if part.moved {
                let to = part
                    .records
                    .first()
                    .map_or(part.next_offset, |record| record.offset);
                self.moves.push((self.next, to));
                self.next = to;
            }
            for record in part.records {
                assert_eq!(record.offset, self.next);
                let value = text(&record);
                assert!(
                    value.starts_with(&format!("java none {}", self.next)),
                    "{value}"
                );
                self.next += 1;
                self.count += 1;
            }
            assert_eq!(self.next, part.next_offset);
        }
    }
}

/// The first offset once retention was there.
async fn first_kept(config: &ClientConfig) -> i64 {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let asked = ["-Q", "-t", "backlog:0:-2"];
        let told = kcat::spawn(&config.bootstrap[0], &asked, "").await.unwrap();
        let first: i64 = told.trim().rsplit(' ').next().unwrap().parse().unwrap();
        // Segments go one after the other.
        if first > RECORDS - 2 * (KEPT / BYTES) as i64 {
            return first;
        }
        assert!(Instant::now() < deadline, "retention does not come: {told}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Memory of this process (proc(5), statm: pages).
fn resident() -> usize {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = told.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
