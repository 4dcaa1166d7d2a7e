//! A broker beside the nodes that can be away, and what others read of the events that nodes send there.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use broker::{BrokerConfig, Hall};
use edge::kafka::{
    ClientConfig, Connection, Dialer, Feed as _, FeedConfig, KafkaFeed, Reach, Security,
};
use futures::future::BoxFuture;
use ledger::Applied;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use telemetry::cloudevents::Events;
use tokio::io::duplex;
use tokio::task::AbortHandle;

/// Where the nodes find it.
pub(crate) const ADDRESS: &str = "kafka:9092";
/// Topics of what nodes tell others.
const TOPICS: [&str; 3] = ["alerts", "rounds", "scores"];
/// Bytes that a connection holds.
const PIPE: usize = 64 << 10;

/// The broker, with what it keeps.
pub(crate) struct Kafka {
    dir: PathBuf,
    running: Mutex<Option<Running>>,
}

struct Running {
    hall: Hall,
    connections: Vec<AbortHandle>,
}

impl Kafka {
    /// Not running yet.
    pub(crate) fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self {
            dir: dir.join("kafka"),
            running: Mutex::default(),
        })
    }

    /// Serves what it has kept, and more.
    pub(crate) fn start(&self) {
        let hall = Hall::open(BrokerConfig {
            bind: SocketAddr::from(([127, 0, 0, 1], 9092)),
            advertised_host: Some("kafka".to_owned()),
            dir: Some(self.dir.clone()),
            ..BrokerConfig::default()
        });
        *self.running.lock().unwrap() = Some(Running {
            hall: hall.unwrap(),
            connections: Vec::new(),
        });
    }

    /// Breaks every connection; nobody gets another one.
    pub(crate) fn kill(&self) {
        let running = self.running.lock().unwrap().take().unwrap();
        running.connections.iter().for_each(AbortHandle::abort);
    }

    /// The way there.
    pub(crate) fn reach(self: &Arc<Self>) -> Reach {
        Reach::Dialer(Arc::new(ByPipe(Arc::clone(self))))
    }

    fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let mut running = self.running.lock().unwrap();
        let running = running.as_mut().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (mine, theirs) = duplex(PIPE);
        let serving = tokio::spawn(running.hall.serve(theirs));
        running.connections.push(serving.abort_handle());
        Ok(Box::new(mine))
    }
}

struct ByPipe(Arc<Kafka>);

impl Dialer for ByPipe {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move { self.0.connect() })
    }
}

/// What another program has read: how many records, and by id the events.
pub(crate) struct Consumer {
    feeds: [KafkaFeed; 3],
    pub(crate) records: usize,
    pub(crate) events: BTreeMap<String, Value>,
}

impl Consumer {
    pub(crate) fn new(kafka: &Arc<Kafka>) -> Self {
        let client = ClientConfig {
            reach: kafka.reach(),
            ..ClientConfig::new([ADDRESS], Security::PLAINTEXT)
        };
        Self {
            feeds: TOPICS.map(|topic| {
                let config = FeedConfig::new(client.clone(), topic, "others");
                KafkaFeed::new(config)
            }),
            records: 0,
            events: BTreeMap::new(),
        }
    }

    /// Takes what has come. One event is the same however often it comes.
    pub(crate) async fn read(&mut self) {
        for feed in &mut self.feeds {
            // A topic is made by its first event.
            for record in feed
                .poll()
                .await
                .into_iter()
                .flatten()
                .flat_map(|part| part.records)
            {
                let event: Value =
                    serde_json::from_slice(record.value.as_deref().unwrap()).unwrap();
                assert_eq!(event["source"], "/glasshouse/virtual");
                assert_eq!(
                    record.key.as_deref(),
                    event["subject"].as_str().map(str::as_bytes)
                );
                let id = event["id"].as_str().unwrap().to_owned();
                let before = self.events.insert(id, event.clone());
                assert!(before.is_none_or(|before| before == event), "{event}");
                self.records += 1;
            }
        }
    }

    /// Scores are numbered by node and start: how many there are, none of them missing.
    pub(crate) fn scores(&self) -> usize {
        let mut numbers: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
        for id in self.events.keys().filter(|id| !id.starts_with("leaf-")) {
            let (start, number) = id.rsplit_once('-').unwrap();
            numbers
                .entry(start)
                .or_default()
                .insert(number.parse().unwrap());
        }
        for (start, numbers) in &numbers {
            assert!(
                numbers.iter().copied().eq(0..numbers.len()),
                "{start}: {numbers:?}"
            );
        }
        numbers.values().map(BTreeSet::len).sum()
    }
}

/// By id, what the first `leaves` acts of a ledger have to tell others.
pub(crate) fn told_by(ledger: &Path, leaves: u64) -> BTreeMap<String, Value> {
    let events = Events::new("virtual");
    let acts = replica::acts(ledger).unwrap();
    let effective = (0..leaves)
        .zip(acts)
        .filter(|(_, (_, applied))| *applied == Applied::Effective);
    let told = effective.filter_map(|(leaf, (record, _))| events.of_act(leaf, &record));
    let parsed = told.map(|event| serde_json::from_str::<Value>(&event.json).unwrap());
    parsed
        .map(|event| (event["id"].as_str().unwrap().to_owned(), event))
        .collect()
}
