//! With an implementation outside the project: Cyclone DDS for Python and its own C library, by the
//! script that the documentation offers to people.

mod common;

use common::{Peer, config, event, next_sample, publish_all, sample, tag};
use dds::{CycloneSpace, Qos, SpaceEvent, Topic};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn spy(arguments: &[&str]) -> Peer {
    let python = root().join(".tools/dds-venv/bin/python");
    assert!(
        python.exists(),
        "the DDS peer {} is missing: run `cargo xtask setup`",
        python.display()
    );
    let mut command = Command::new(python);
    let domain = config().domain.to_string();
    command
        .arg(root().join("deploy/dds/spy.py"))
        .args(["--domain", &domain, "--tag", &tag()])
        .args(arguments);
    Peer::run(command)
}

#[tokio::test]
async fn an_outside_subscriber_sees_topic_keys_and_sealed_samples() {
    let space = CycloneSpace::join(&config()).expect("joined");
    let early = spy(&["--topic", "glasshouse_readings", "--partition", "room-a"]);
    assert_eq!(early.line(), r#"{"ready": "glasshouse_readings"}"#);
    let expected = |key: &str, sequence: u64| {
        let sealed = sample(key, sequence).sealed.len();
        format!(
            r#"{{"key": "{key}", "writer": "test-writer", "seq": {sequence}, "key_epoch": 7, "source_time_ns": -5, "sealed_bytes": {sealed}}}"#
        )
    };
    let mut events = dds::DataSpace::events(&space);
    publish_all(&space, &Topic::READINGS, "room-b", [sample("elsewhere", 1)]).await;
    publish_all(&space, &Topic::READINGS, "room-a", [sample("ups-1", 1)]).await;
    event(&mut events, |event| matches!(event, SpaceEvent::ReaderMatched { partition, .. } if partition == "room-a")).await;
    assert_eq!(early.line(), expected("ups-1", 1));
    publish_all(
        &space,
        &Topic::READINGS,
        "room-a",
        (2..=20).map(|sequence| sample("ups-1", sequence)),
    )
    .await;
    for sequence in 2..=20 {
        assert_eq!(early.line(), expected("ups-1", sequence));
    }
    // One that comes late gets the last 16, from every room when it asks for all.
    let late = spy(&["--partition", "*"]);
    assert_eq!(late.line(), r#"{"ready": "glasshouse_readings"}"#);
    let mut got: Vec<String> = (0..17).map(|_| late.line()).collect();
    let mut wanted: Vec<String> = (5..=20)
        .map(|sequence| expected("ups-1", sequence))
        .collect();
    wanted.push(expected("elsewhere", 1));
    got.sort();
    wanted.sort();
    assert_eq!(got, wanted);
}

#[tokio::test]
async fn an_outside_publisher_is_received() {
    let space = CycloneSpace::join(&config()).expect("joined");
    let topic = Topic::new("outside", Qos::TELEMETRY).expect("a DDS name");
    let mut subscription =
        dds::DataSpace::subscribe(&space, &topic, &["room-a"]).expect("subscribed");
    let stranger = spy(&[
        "--topic",
        "outside",
        "--partition",
        "room-a",
        "--publish",
        "10",
        "--key",
        "pdu-9",
    ]);
    assert_eq!(stranger.line(), r#"{"published": 10}"#);
    for number in 1..=10 {
        let got = next_sample(&mut subscription).await;
        assert_eq!(
            (got.key.as_str(), got.writer.as_str(), got.sequence),
            ("pdu-9", "spy.py", number)
        );
        assert_eq!(got.sealed, format!("not sealed {number}").into_bytes());
    }
}
