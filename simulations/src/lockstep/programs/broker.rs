//! The broker that the repository brings, on simulated streams: the mainframe's side of the house.

use super::Failure;
use crate::lockstep::guest::net::{Door, dial};
use crate::lockstep::guest::{see, wish};
use crate::lockstep::protocol::{Boot, Seen};
use broker::{BrokerConfig, Hall};
use edge::kafka::{
    ClientConfig, Codec, Connection, Dialer, Feed as _, FeedConfig, KafkaFeed, NewRecord, Producer,
    Reach, Security,
};
use futures::future::BoxFuture;
use gear::mainframe::{Encoder, Mainframe, MainframeConfig};
use runtime::clock;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The process.
const NAME: &str = "broker";
/// Its door, as a port.
const DOOR: u16 = 9092;
/// What the mainframe writes and the house reads.
pub(super) const TOPIC: &str = "transactions";
/// The house's consumer group.
pub(super) const GROUP: &str = "glasshouse";
/// Records go out in batches of what happened since the last one.
const PERIOD: Duration = Duration::from_millis(500);
/// How often the committed offset is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// Transactions of the mainframe in a second: enough for windows, few enough to be read by people.
const RATE: f64 = 4.0;

/// Where clients find it.
pub(super) fn address() -> String {
    format!("{NAME}:{DOOR}")
}

/// Connections over the simulated network.
pub(super) fn reach() -> Reach {
    Reach::Dialer(Arc::new(SimDialer))
}

struct SimDialer;

impl Dialer for SimDialer {
    fn dial<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Box<dyn Connection>>> {
        Box::pin(async move {
            let stream = dial(&format!("{host}:{port}")).await?;
            Ok(Box::new(stream) as Box<dyn Connection>)
        })
    }
}

fn client() -> ClientConfig {
    ClientConfig {
        reach: reach(),
        ..ClientConfig::new([address()], Security::PLAINTEXT)
    }
}

/// The broker, and beside it somebody who looks at what its consumers have committed.
pub(super) async fn run(boot: Boot) -> Result<(), Failure> {
    let hall = Hall::open(BrokerConfig {
        bind: SocketAddr::from(([127, 0, 0, 1], DOOR)),
        advertised_host: Some(NAME.to_owned()),
        dir: Some(boot.dir.join("log")),
        ..BrokerConfig::default()
    })?;
    tokio::spawn(look());
    let door = Door::open(&DOOR.to_string())?;
    loop {
        let (stream, _) = door.accept().await;
        // Whatever a connection dies of is its client's business.
        tokio::spawn(hall.serve(stream));
    }
}

async fn look() {
    let mut feed = KafkaFeed::new(FeedConfig::new(client(), TOPIC, GROUP));
    loop {
        tokio::time::sleep(LOOK).await;
        for commit in feed.committed().await.unwrap_or_default() {
            if let Ok(offset) = u64::try_from(commit.offset) {
                see(Seen::Committed { offset });
            }
        }
    }
}

/// The mainframe: produces what happens in its regions.
pub(super) async fn mainframe(_: Boot) -> Result<(), Failure> {
    let mut mainframe = Mainframe::new(MainframeConfig {
        rate: RATE,
        ..MainframeConfig::default()
    });
    let encoder = Encoder::new()?;
    let mut producer = Producer::new(client(), TOPIC);
    let mut from = clock::unix_now();
    loop {
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            _ = wish() => return std::future::pending().await, // no new load
        }
        let until = clock::unix_now();
        let mut records = Vec::new();
        for transaction in mainframe.between(from, until) {
            records.push(NewRecord {
                timestamp: i64::try_from(transaction.time.0)?,
                key: Some(transaction.region.clone().into()),
                value: Some(encoder.encode(&transaction)?.into()),
                headers: Vec::new(),
            });
        }
        from = until;
        // A batch whose answer was lost may be on the topic twice.
        while !records.is_empty() && producer.send(0, &records, Codec::None).await.is_err() {
            tokio::time::sleep(PERIOD).await;
        }
    }
}
