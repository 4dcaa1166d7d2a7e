//! A node whose Kafka values are Avro and JSON by a registry's schemas. The Avro ones are fastavro's.

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use crate::house::House;
use crate::kafka::{broker, free, runtime};
use broker::apache::{self, Apache};
use edge::kafka::{ClientConfig, Codec, NewRecord, Producer, Security, create_topic};
use gear::movements::{Movements, framed};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

const AVRO: u32 = 7;
const JSON: u32 = 8;
const NOBODYS: u32 = 9;

/// Answers as the documented API does (`GET /schemas/ids/{id}`), for as long as the test runs.
fn registry(bind: SocketAddr, schema: String) {
    let listener = TcpListener::bind(bind).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().unwrap().unwrap();
            // The whole request is read, or closing would reset the connection.
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let path = request.split(' ').nth(1).unwrap().to_owned();
            let id = path.strip_prefix("/schemas/ids/").unwrap().parse().unwrap();
            let (status, body) = match id {
                AVRO => ("200 OK", json!({"schema": schema})),
                JSON => ("200 OK", json!({"schemaType": "JSON", "schema": "{}"})),
                _ => (
                    "404 Not Found",
                    json!({"error_code": 40403, "message": "Schema not found"}),
                ),
            };
            let body = body.to_string();
            let len = body.len();
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

fn record(id: u32, datum: &[u8]) -> NewRecord {
    NewRecord {
        timestamp: 1_772_366_400_000,
        key: None,
        value: Some(framed(id, datum).into()),
        headers: Vec::new(),
    }
}

#[test]
fn records_wait_for_their_schema_and_only_those_that_have_none_are_set_aside() {
    let runtime = runtime();
    let (address, files) = (free(), tempfile::tempdir().unwrap());
    let running = runtime.block_on(broker(address, files.path()));
    each_counts_once(&runtime, address);
    runtime.block_on(running.stop());
}

#[test]
fn so_they_do_on_apache_kafka() {
    let files = tempfile::tempdir().unwrap();
    let (address, controller) = (free(), free().port());
    let libs = apache::libs(None).unwrap_or_else(|error| panic!("{error}"));
    let mut kafka = Apache::new(libs, files.path().to_owned(), address, controller).unwrap();
    // The records are of a day long ago.
    kafka.configure("log.retention.ms=-1\n", "").unwrap();
    kafka.start().unwrap();
    each_counts_once(&runtime(), address);
}

/// A JVM on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(90);

/// As soon as the broker takes them.
async fn produce(client: ClientConfig, records: &[NewRecord]) {
    let deadline = tokio::time::Instant::now() + START_LIMIT;
    let mut producer = Producer::new(client.clone(), "movements");
    loop {
        let sent = match create_topic(&client, "movements", 2).await {
            Ok(()) => producer.send(1, records, Codec::Zstd).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(offset) => {
                assert_eq!(offset, 0, "sent once");
                return;
            }
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn each_counts_once(runtime: &tokio::runtime::Runtime, address: SocketAddr) {
    let at = free();
    let mut house = House::build(&format!(
        "[feed]\nbrokers = [\"{address}\"]\ntopic = \"movements\"\nformat = \"registry\"\nroom = \"hall\"\n\
         fields = {{ timestamp = \"at\", kind = \"kind\", key = \"origin.region\", amount = \"amount\", response = \"code\", latency = \"ms\" }}\n\
         [feed.registry]\nurl = \"http://{at}\"\n"
    ));
    let written = Movements::read();
    let data = written.data.iter();
    let mut records: Vec<NewRecord> = data.map(|datum| record(AVRO, datum)).collect();
    records.insert(2, record(NOBODYS, b"\x02"));
    records.push(record(
        JSON,
        br#"{"at":"2026-03-01T12:00:02Z","kind":"PURC","origin":{"region":"CICSPRD1"},"amount":"1.00","code":"00","ms":3}"#,
    ));
    let total = records.len() as u64;
    let client = ClientConfig::new([address.to_string()], Security::PLAINTEXT);
    runtime.block_on(produce(client, &records));

    house.start();
    let status = house.until("the partition waits for the registry", |status| {
        status.kafka.held_back.is_some()
    });
    let waits = status.kafka.held_back.unwrap();
    assert!(
        waits.contains(&format!("schema registry http://{at}")),
        "{waits}"
    );
    assert_eq!((status.ledger.records, status.kafka.quarantined), (0, 0));

    registry(at, written.schema);
    let status = house.until("all records are accounted for", |status| {
        status.ledger.records >= total
    });
    assert_eq!(status.ledger.records, total, "each record counts once");
    assert_eq!(
        status.kafka.quarantined, 1,
        "the one whose schema nobody has"
    );
    let status = house.until("nothing waits", |status| status.kafka.held_back.is_none());
    assert_eq!(status.kafka.quarantined, 1);
}
