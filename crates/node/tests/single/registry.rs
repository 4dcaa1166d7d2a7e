//! A node whose Kafka values are Avro and JSON by a registry's schemas. The Avro ones are fastavro's
//! (`telemetry/tests/avro/write.py`).

#![expect(
    clippy::unwrap_used,
    reason = "a test's helper may panic like the test itself"
)]

use crate::house::House;
use crate::kafka::{broker, free, runtime};
use edge::kafka::{ClientConfig, Codec, NewRecord, Producer, Security, create_topic};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};

const FIXTURE: &str = include_str!("../../../telemetry/tests/avro/fastavro.json");
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

fn framed(id: u32, datum: &[u8]) -> NewRecord {
    NewRecord {
        timestamp: 1_772_366_400_000,
        key: None,
        value: Some([&[0][..], &id.to_be_bytes(), datum].concat().into()),
        headers: Vec::new(),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = (0..hex.len()).step_by(2);
    digits
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn records_wait_for_their_schema_and_only_those_that_have_none_are_set_aside() {
    let runtime = runtime();
    let (address, files) = (free(), tempfile::tempdir().unwrap());
    let running = runtime.block_on(broker(address, files.path()));
    let at = free();
    let mut house = House::build(&format!(
        "[feed]\nbrokers = [\"{address}\"]\ntopic = \"movements\"\nformat = \"registry\"\nroom = \"hall\"\n\
         fields = {{ timestamp = \"at\", kind = \"kind\", key = \"origin.region\", amount = \"amount\", response = \"code\", latency = \"ms\" }}\n\
         [feed.registry]\nurl = \"http://{at}\"\n"
    ));
    let fixture: Value = serde_json::from_str(FIXTURE).unwrap();
    let written = fixture["records"].as_array().unwrap().iter();
    let mut records: Vec<NewRecord> = written
        .map(|record| framed(AVRO, &bytes(record["hex"].as_str().unwrap())))
        .collect();
    records.insert(2, framed(NOBODYS, b"\x02"));
    records.push(framed(
        JSON,
        br#"{"at":"2026-03-01T12:00:02Z","kind":"PURC","origin":{"region":"CICSPRD1"},"amount":"1.00","code":"00","ms":3}"#,
    ));
    let total = records.len() as u64;
    let client = ClientConfig::new([address.to_string()], Security::PLAINTEXT);
    runtime.block_on(async {
        create_topic(&client, "movements", 2).await.unwrap();
        let mut producer = Producer::new(client, "movements");
        producer.send(1, &records, Codec::Zstd).await.unwrap();
    });

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

    registry(at, fixture["schema"].as_str().unwrap().to_owned());
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
    runtime.block_on(running.stop());
}
