//! A node between two Kafka topics: what it reads counts once, however often it is killed, and what it
//! tells others arrives, also when the broker was away.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use crate::house::House;
use broker::{Broker, BrokerConfig};
use edge::kafka::{
    ClientConfig, Codec, Feed as _, FeedConfig, KafkaFeed, NewRecord, Producer, Security,
    create_topic,
};
use gear::mainframe::{COPYBOOK, Encoder, Mainframe, MainframeConfig};
use ledger::Applied;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::Duration;
use wire::{Act, Digest, Record, UnixMillis};

const PARTITIONS: i32 = 3;
const KILLS: usize = 10;
/// How long after its start a node is killed, in milliseconds: anywhere within the second between two accounts, before the first
/// or after it.
const BETWEEN_KILLS: std::ops::Range<u64> = 1..1_500;
/// The seed of the moments, to have a run again.
const SEED: &str = "GLASSHOUSE_TEST_SEED";

pub(crate) fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

pub(crate) async fn broker(bind: SocketAddr, dir: &Path) -> Broker {
    let config = BrokerConfig {
        bind,
        dir: Some(dir.to_owned()),
        ..BrokerConfig::default()
    };
    Broker::start(config).await.unwrap()
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// How long after each start the node is killed: at random, by a seed that is told and may be given.
fn moments() -> [Duration; KILLS] {
    let mut seed = match std::env::var(SEED) {
        Ok(given) => given.parse().unwrap(),
        Err(_) => getrandom::u64().unwrap(),
    };
    eprintln!("moments of the kills: {SEED}={seed}");
    std::array::from_fn(|_| {
        // SplitMix64 (Steele, Lea, Flood 2014).
        seed = u64::wrapping_add(seed, 0x9E37_79B9_7F4A_7C15);
        let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let span = BETWEEN_KILLS.end - BETWEEN_KILLS.start;
        Duration::from_millis(BETWEEN_KILLS.start + (mixed ^ (mixed >> 31)) % span)
    })
}

/// Records of ten minutes, in batches by partition.
fn transactions() -> Vec<(i32, Vec<NewRecord>)> {
    const START: u64 = 1_772_366_400_000;
    let encoder = Encoder::new().unwrap();
    let mut mainframe = Mainframe::new(MainframeConfig::default());
    let all = mainframe.between(UnixMillis(START), UnixMillis(START + 600_000));
    let records = all.iter().map(|transaction| NewRecord {
        timestamp: i64::try_from(transaction.time.0).unwrap(),
        key: None,
        value: Some(encoder.encode(transaction).unwrap().into()),
        headers: Vec::new(),
    });
    let records: Vec<NewRecord> = records.collect();
    let batches = records.chunks(97).map(<[NewRecord]>::to_vec);
    (0..)
        .map(|number| number % PARTITIONS)
        .zip(batches)
        .collect()
}

#[test]
fn records_count_once_through_ten_kills() {
    let runtime = runtime();
    let (address, files) = (free(), tempfile::tempdir().unwrap());
    let running = runtime.block_on(broker(address, files.path()));
    let mut house = House::build(&format!(
        "[feed]\nbrokers = [\"{address}\"]\ntopic = \"transactions\"\ncopybook = \"transaction.cpy\"\nroom = \"hall\"\n"
    ));
    std::fs::write(house.path("transaction.cpy"), COPYBOOK).unwrap();
    let client = ClientConfig::new([address.to_string()], Security::PLAINTEXT);
    runtime
        .block_on(create_topic(&client, "transactions", PARTITIONS))
        .unwrap();
    house.start();

    let batches = transactions();
    let total: u64 = batches
        .iter()
        .map(|(_, records)| records.len() as u64)
        .sum();
    // The producer's own ledger.
    let mut sent: BTreeMap<u32, Vec<Digest>> = BTreeMap::new();
    for (partition, records) in &batches {
        let values = records.iter().filter_map(|record| record.value.as_deref());
        let of = sent.entry(u32::try_from(*partition).unwrap());
        of.or_default().extend(values.map(Digest::of));
    }
    let producing = runtime.spawn(async move {
        let mut producer = Producer::new(client, "transactions");
        for (partition, records) in batches {
            producer
                .send(partition, &records, Codec::Lz4)
                .await
                .unwrap();
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    });
    for pause in moments() {
        std::thread::sleep(pause);
        house.kill();
        house.start();
    }
    runtime.block_on(producing).unwrap();
    let counted = |status: &wire::status::Status| status.ledger.records;
    house.until("all records are accounted for", |status| {
        counted(status) >= total
    });
    // Once more from the ledger on, so that whatever could still count would.
    house.kill();
    house.start();
    std::thread::sleep(Duration::from_secs(3));
    let status = house.until("the node reads", |status| counted(status) > 0);
    assert_eq!(counted(&status), total, "each record counts once");
    assert_eq!(status.kafka.quarantined, 0);
    house.kill();
    let acts = replica::acts(&house.path("data/ledger")).unwrap();
    accounts_are_of(&acts, &sent);
    runtime.block_on(running.stop());
}

/// The ledger's accounts follow one another from the first record to the last, and their checksums are those of
/// what the producer sent.
fn accounts_are_of(acts: &[(Record, Applied)], sent: &BTreeMap<u32, Vec<Digest>>) {
    let mut read: BTreeMap<u32, usize> = BTreeMap::new();
    let effective = acts
        .iter()
        .filter(|(_, applied)| matches!(applied, Applied::Effective));
    for (record, _) in effective {
        let Act::FeedAdvanced { advances, .. } = &record.act else {
            continue;
        };
        for advance in advances {
            let at = read.entry(advance.partition).or_default();
            let [from, to] = [advance.from, advance.to].map(|at| usize::try_from(at).unwrap());
            assert_eq!((from, advance.moved), (*at, false), "{advance:?}");
            let values = &sent[&advance.partition][from..to];
            assert_eq!(advance.count, values.len() as u64);
            let together: Vec<u8> = values.iter().flat_map(|value| value.0).collect();
            assert_eq!(advance.digest, Digest::of(&together), "{advance:?}");
            *at = to;
        }
    }
    let all: BTreeMap<u32, usize> = sent
        .iter()
        .map(|(partition, values)| (*partition, values.len()))
        .collect();
    assert_eq!(read, all);
}

#[test]
fn an_alert_that_was_raised_while_the_broker_was_away_is_told_later_and_once() {
    let runtime = runtime();
    let (address, files) = (free(), tempfile::tempdir().unwrap());
    let mut house = House::build(&format!(
        "[export]\nbrokers = [\"{address}\"]\nalerts = \"alerts\"\nscores = \"scores\"\n"
    ));
    house.start();
    let mail = "From: ups-1@hall.example\r\nTo: telemetry@glasshouse.example\r\nSubject: UPS\r\n\
                Date: Sun, 01 Mar 2026 12:00:00 +0000\r\nMessage-ID: <battery@hall>\r\n\r\n\
                UPS: On battery power in response to rapid change.\r\n";
    house.mail("ups-1@hall.example", mail.as_bytes()).unwrap();
    house.until("the alert is raised", |status| {
        status.ledger.alerts_raised == 1
    });
    house.kill();
    house.start();

    let running = runtime.block_on(broker(address, files.path()));
    let client = ClientConfig::new([address.to_string()], Security::PLAINTEXT);
    runtime
        .block_on(async { create_topic(&client, "alerts", 4).await })
        .unwrap();
    house.until("the broker has it", |status| {
        status.export.acknowledged == 1
    });
    // Neither again after a restart.
    house.kill();
    house.start();
    let read = async {
        let mut feed = KafkaFeed::new(FeedConfig::new(client, "alerts", "test"));
        let mut found = Vec::new();
        let until = tokio::time::Instant::now() + Duration::from_secs(3);
        while tokio::time::Instant::now() < until {
            for part in feed.poll().await.unwrap() {
                found.extend(part.records);
            }
        }
        found
    };
    let found = runtime.block_on(read);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].key.as_deref(), Some(&b"ups-1"[..]));
    let kind = &found[0].headers[0];
    assert!(
        kind.key == "content-type"
            && kind
                .value
                .as_ref()
                .unwrap()
                .starts_with(b"application/cloudevents+json")
    );
    let event: serde_json::Value =
        serde_json::from_slice(found[0].value.as_deref().unwrap()).unwrap();
    assert_eq!(event["type"], "glasshouse.alert.raised.v1");
    assert_eq!(event["source"], "/glasshouse/test");
    assert_eq!(event["data"]["device"], "ups-1");
    assert_eq!(event["data"]["severity"], "warning");
    assert!(event["id"].as_str().unwrap().starts_with("leaf-"));
    runtime.block_on(running.stop());
}
