//! What every Kafka cluster must do for us: run by one test binary against the embedded broker and
//! by another against Apache Kafka.

mod cases;
pub(crate) mod certificates;
pub(crate) mod kcat;
mod schemas;
mod windows;

use edge::kafka::{
    ClientConfig, Codec, Feed, FeedConfig, FeedError, KafkaFeed, NewRecord, PartitionRecords,
    Producer, Record, Security, create_topic,
};
use std::future::Future;
use std::time::Duration;

/// The adapter that is tried: each build of the tests tries one.
#[cfg(not(feature = "rdkafka"))]
pub(crate) type Reader = KafkaFeed;
/// The adapter that is tried: each build of the tests tries one.
#[cfg(feature = "rdkafka")]
pub(crate) type Reader = edge::kafka::RdkafkaFeed;

/// A broker that can be killed and started again at the same address with its data.
pub(crate) trait Cluster {
    /// `host:port`.
    fn bootstrap(&self) -> String;
    /// Kills it and returns when it serves again.
    fn restart(&mut self) -> impl Future<Output = ()>;
}

/// Nothing here takes longer, on the slowest machine; a hang fails instead of blocking the run.
const PATIENCE: Duration = Duration::from_secs(40);

/// All cases on one broker: side by side, since each has topics of its own and most of its time is waiting; at last the one
/// that stops the broker.
pub(crate) async fn run(cluster: &mut impl Cluster) {
    let config = &ClientConfig::new([cluster.bootstrap()], Security::PLAINTEXT);
    tokio::join!(
        cases::every_codec_ours_and_kcats(config),
        cases::kcat_reads_what_we_send(config),
        cases::a_new_process_goes_on_at_the_committed_offset(config),
        cases::many_partitions(config),
        cases::shares_divide_the_partitions(config),
        cases::out_of_range_follows_the_policy(config),
        cases::where_to_start_without_a_commit(config),
        cases::a_cancelled_poll_loses_nothing(config),
        cases::a_feed_that_catches_up_asks_ahead_and_loses_nothing(config),
        windows::ebcdic_records_become_windows(config),
        schemas::avro_values_wait_for_their_schema_and_become_windows(config),
    );
    cases::a_restart_in_the_middle_loses_and_repeats_nothing(cluster, config).await;
}

/// A feed of all partitions with a group of the topic's name.
pub(crate) fn feed(config: &ClientConfig, topic: &str) -> Reader {
    Reader::new(FeedConfig::new(
        config.clone(),
        topic,
        format!("{topic}-group"),
    ))
}

pub(crate) async fn topic(config: &ClientConfig, name: &str, partitions: i32) -> Producer {
    within(create_topic(config, name, partitions))
        .await
        .unwrap();
    // The leaders of a fresh topic learn of it a little later: it is there once all partitions can be read.
    let mut probe = KafkaFeed::new(FeedConfig::new(config.clone(), name, "probe"));
    until_ok(async || probe.poll().await.map(|_| ())).await;
    Producer::new(config.clone(), name)
}

/// Repeats an operation that may fail for a while.
pub(crate) async fn until_ok(mut operation: impl AsyncFnMut() -> Result<(), FeedError>) {
    within(async {
        while let Err(error) = operation().await {
            assert!(!error.is_permanent(), "{error}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

pub(crate) async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work)
        .await
        .expect("no result within the patience of the suite")
}

pub(crate) fn record(value: impl Into<String>) -> NewRecord {
    NewRecord {
        timestamp: 1_772_366_400_000,
        key: None,
        value: Some(value.into().into()),
        headers: Vec::new(),
    }
}

/// Sends each value as one batch.
pub(crate) async fn send(producer: &mut Producer, partition: i32, values: &[String]) {
    let records: Vec<_> = values.iter().map(|value| record(value.clone())).collect();
    within(producer.send(partition, &records, Codec::None))
        .await
        .unwrap();
}

/// Polls until `count` records came, tolerating what a poll may throw while a broker is away.
pub(crate) async fn take(feed: &mut impl Feed, count: usize) -> Vec<(i32, Record)> {
    let (mut all, mut last) = (Vec::new(), None);
    let taking = async {
        while all.len() < count {
            match feed.poll().await {
                Ok(parts) => all.extend(flatten(parts)),
                Err(error) => {
                    assert!(!error.is_permanent(), "{error}");
                    last = Some(error);
                }
            }
        }
    };
    if tokio::time::timeout(PATIENCE, taking).await.is_err() {
        let (came, first) = (all.len(), all.first());
        panic!(
            "{came} of {count} records came, from {first:?} on; {:?}, {last:?}",
            feed.counters()
        );
    }
    assert_eq!(all.len(), count, "more records than were sent: {all:?}");
    all
}

fn flatten(parts: Vec<PartitionRecords>) -> impl Iterator<Item = (i32, Record)> {
    parts.into_iter().flat_map(|part| {
        part.records
            .into_iter()
            .map(move |record| (part.partition, record))
    })
}

pub(crate) fn text(record: &Record) -> String {
    String::from_utf8(record.value.as_deref().unwrap_or_default().to_vec()).unwrap()
}
