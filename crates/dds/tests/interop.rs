//! With an implementation outside the project: Cyclone DDS for Python and its own C library, by the
//! script that the documentation offers to people.

mod common;

use common::net::Net;
use common::{Peer, config, event, next_sample, publish_all, sample, tag};
use dds::{CycloneSpace, Qos, SpaceEvent, Topic};
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn python() -> PathBuf {
    let python = root().join(".tools/dds-venv/bin/python");
    assert!(
        python.exists(),
        "the DDS peer {} is missing: run `cargo xtask setup`",
        python.display()
    );
    python
}

fn spy(arguments: &[&str]) -> Peer {
    run("deploy/dds/spy.py", arguments)
}

/// A script, in this test's domain.
fn run(script: &str, arguments: &[&str]) -> Peer {
    let mut command = Command::new(python());
    let domain = config().domain.to_string();
    command
        .arg(root().join(script))
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

/// The script on host 2 and ours on host 1 of a network, in both directions.
fn exchange(script: &[&str], ours: &[&str]) {
    let net = Net::of(2);
    let script = |arguments: &[&str]| {
        let mut command = net.on(2, &python());
        command
            .arg(root().join("deploy/dds/spy.py"))
            .args(["--interface", &Net::address(2)]);
        command
            .args(["--topic", "peer_topic", "--partition", "room"])
            .args(script);
        command.args(arguments);
        Peer::run(command)
    };
    let ours = |mode: &str| net.peer(1, ours, mode);
    let mut feeder = ours("feed");
    feeder.feed("ups-1 20 50");
    let reader = script(&[]);
    assert_eq!(reader.line(), r#"{"ready": "peer_topic"}"#);
    // The last 16 for one that comes late, then what follows.
    let expect = |sequence| {
        let line = reader.line();
        assert!(line.contains(r#""key": "ups-1""#), "{line}");
        assert!(line.contains(&format!(r#""seq": {sequence},"#)), "{line}");
    };
    (5..=20).for_each(expect);
    feeder.feed("ups-1 100 50");
    (21..=120).for_each(expect);
    drop((feeder, reader));
    let feeder = script(&["--publish", "20", "--key", "pdu-9"]);
    assert_eq!(feeder.line(), r#"{"published": 20}"#);
    let reader = ours("subscribe");
    for sequence in 1..=20 {
        let line = reader.line();
        assert!(line.starts_with(&format!("pdu-9 {sequence} ")), "{line}");
    }
}

#[test]
fn cyclone_dds_meets_ours_by_multicast() {
    exchange(&["--multicast"], &["--multicast"]);
}

#[test]
fn cyclone_dds_meets_ours_without_multicast() {
    let (one, two) = (Net::address(1), Net::address(2));
    exchange(&["--peer", &one], &["--peer", &two]);
}

/// A release to come has a field more: its readers and ours take each other's samples.
#[tokio::test]
async fn a_new_field_cuts_off_neither_release() {
    const NEWER: &str = "crates/dds/tests/peers/newer.py";
    let space = CycloneSpace::join(&config()).expect("joined");
    let topic = Topic::new("newer", Qos::TELEMETRY).expect("a DDS name");
    let mut subscription =
        dds::DataSpace::subscribe(&space, &topic, &["room-a"]).expect("subscribed");
    let arguments = ["--topic", "newer", "--partition", "room-a"];
    let newer = run(NEWER, &[&arguments[..], &["--publish", "5"]].concat());
    assert_eq!(newer.line(), r#"{"published": 5}"#);
    for number in 1..=5 {
        let got = next_sample(&mut subscription).await;
        assert_eq!((got.key.as_str(), got.sequence), ("stranger", number));
        assert_eq!(got.sealed, format!("not sealed {number}").into_bytes());
    }
    publish_all(&space, &topic, "room-a", [sample("ups-1", 7)]).await;
    let reader = run(NEWER, &[&arguments[..], &["--count", "6"]].concat());
    assert_eq!(reader.line(), r#"{"ready": "newer"}"#);
    let lines: Vec<String> = (0..6).map(|_| reader.line()).collect();
    let ours = lines
        .iter()
        .filter(|line| line.contains(r#""key": "ups-1", "writer": "test-writer", "seq": 7,"#));
    assert_eq!(ours.count(), 1, "{lines:?}");
}
