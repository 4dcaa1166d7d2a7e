//! Three brokers under load: each killed, then each restarted as an upgrade does it.

use crate::apache::Brokers;
use crate::java::Java;
use crate::kafka_suite::{Reader, kcat, text, until_ok};
use edge::kafka::{ClientConfig, Feed, FeedConfig, OffsetCommit, Security, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

const PARTITIONS: i32 = 3;
/// Records that are read between one broker and the next: the load does not stand still.
const BETWEEN: usize = 500;
/// A broker that starts, and its replicas that catch up, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);
/// Between two commits, and between two looks at the replicas.
const LOOK: Duration = Duration::from_millis(200);
/// What the topic's partitions end with.
const END: &str = "end";

/// One producer of Kafka's own (idempotent, acknowledged by all) writes all the while; whatever it was promised comes exactly
/// once, in order, and offsets are committed through other coordinators.
pub(crate) async fn run() {
    let mut apache = Brokers::three().await;
    let java = Java::start(&apache);
    java.does(&format!("topic rolling {PARTITIONS} 3")).await;
    let enough = apache.folder().join("enough");
    let pouring = format!("pour rolling {PARTITIONS} {}", enough.display());
    java.begins(&pouring).await;
    let config = ClientConfig::new(apache.addresses(), Security::PLAINTEXT);
    let (count, mut counted) = watch::channel(0);
    let restarts = async {
        for in_order in [false, true] {
            for broker in 0..3 {
                // With one that lags behind, the next one to go would leave a single replica, which takes no records.
                all_in_sync(&apache.addresses().join(",")).await;
                more(&mut counted).await;
                match in_order {
                    true => apache.stop(broker).await,
                    false => apache.kill(broker),
                }
                // The others go on.
                more(&mut counted).await;
                apache.spawn(broker);
            }
        }
        all_in_sync(&apache.addresses().join(",")).await;
        std::fs::write(enough, "").unwrap();
        java.is_done(&pouring).await;
    };
    let ((), counters) = tokio::join!(restarts, read_all(config, count));
    assert!(counters.faults >= 3, "brokers were missed: {counters:?}");
}

/// Waits for records that were not there yet.
async fn more(counted: &mut watch::Receiver<usize>) {
    let from = *counted.borrow_and_update();
    let enough = counted.wait_for(|count| *count >= from + BETWEEN);
    let came = timeout(LIMIT, enough).await;
    came.expect("the load goes on").expect("the reader reads");
}

/// Reads the topic to its end, and commits all the while.
async fn read_all(config: ClientConfig, count: watch::Sender<usize>) -> Snapshot {
    let mut feed = Reader::new(FeedConfig {
        metadata_age: Duration::from_secs(2),
        ..FeedConfig::new(config, "rolling", "rolling-group")
    });
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut ended = BTreeSet::new();
    let mut committed = Instant::now();
    while ended.len() < PARTITIONS as usize {
        let parts = match feed.poll().await {
            Ok(parts) => parts,
            Err(error) => {
                assert!(!error.is_permanent(), "{error}");
                continue;
            }
        };
        for part in parts {
            let next = next.entry(part.partition).or_default();
            for record in part.records {
                let value = text(&record);
                assert_eq!(record.offset, *next, "of partition {}", part.partition);
                match value == END {
                    true => assert!(ended.insert(part.partition)),
                    false => assert_eq!(value, format!("java {next}")),
                }
                *next += 1;
            }
        }
        count.send_replace(next.values().map(|next| *next as usize).sum());
        if committed.elapsed() >= LOOK {
            committed = Instant::now();
            if let Err(error) = feed.commit(&offsets(&next)).await {
                assert!(!error.is_permanent(), "{error}");
            }
        }
    }
    until_ok(async || feed.commit(&offsets(&next)).await).await;
    let mut found = Vec::new();
    until_ok(async || feed.committed().await.map(|all| found = all)).await;
    assert_eq!(found, offsets(&next));
    feed.counters()
}

fn offsets(next: &BTreeMap<i32, i64>) -> Vec<OffsetCommit> {
    let commit = |(partition, offset): (&i32, &i64)| OffsetCommit {
        partition: *partition,
        offset: *offset,
        metadata: String::new(),
    };
    next.iter().map(commit).collect()
}

/// Waits until every partition is on all brokers, and is led by the one that should: each leads a partition then.
async fn all_in_sync(bootstrap: &str) {
    let deadline = Instant::now() + LIMIT;
    loop {
        // A broker that starts refuses for a while.
        let told = kcat::spawn(bootstrap, &["-L"], "").await;
        let told = told.unwrap_or_else(|error| error);
        let mut topic = "";
        let mut settled = 0;
        for line in told.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("topic \"") {
                topic = name.split('"').next().unwrap_or_default();
            }
            settled +=
                usize::from(["rolling", "__consumer_offsets"].contains(&topic) && is_settled(line));
        }
        if settled == PARTITIONS as usize + 1 {
            return;
        }
        assert!(Instant::now() < deadline, "brokers lag behind: {told}");
        sleep(LOOK).await;
    }
}

/// As kcat says it: `partition 0, leader 2, replicas: 2,3,1, isrs: 3,1,2`.
fn is_settled(line: &str) -> bool {
    let words: Vec<&str> = line
        .split([' ', ','])
        .filter(|word| !word.is_empty())
        .collect();
    matches!(words[..], ["partition", _, "leader", leader, "replicas:", first, _, _, "isrs:", _, _, _] if leader == first)
}
