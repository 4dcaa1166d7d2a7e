//! Payloads beside an implementation that is not ours: Cyclone DDS for Python reads what we wrote, and writes
//! the same bytes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wire::payload::{
    Alert, AlertKind, AlertState, Contribution, DeviceEvent, Door, ModelAnnouncement, NodeStatus,
    Origin, Reading, ReadingBatch, Report, Score, Severity, decode_reports,
};
use wire::xcdr::{Member, decode, encode};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// For each line `TYPE HEX`, what the other side encodes again and how it understood the value.
fn cyclone(lines: &[String]) -> Vec<(String, String)> {
    let python = root().join(".tools/dds-venv/bin/python");
    assert!(
        python.exists(),
        "the DDS peer {} is missing: run `cargo xtask setup`",
        python.display()
    );
    let mut child = Command::new(python)
        .arg(root().join("deploy/dds/glasshouse_types.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(lines.join("\n").as_bytes()).expect("taken");
    drop(stdin);
    let answers = BufReader::new(child.stdout.take().expect("piped")).lines();
    let answers = answers.map(|line| {
        let line = line.expect("text");
        let (hex, json) = line.split_once(' ').expect("HEX JSON");
        (hex.to_owned(), json.to_owned())
    });
    let answers = answers.collect();
    assert!(child.wait().expect("ended").success());
    answers
}

fn batch() -> ReadingBatch {
    let reading = |name: &str, value, unit: Option<&str>| Reading {
        name: name.into(),
        value,
        unit: unit.map(str::to_owned),
    };
    let report = |event| Report {
        device_class: "ups".into(),
        device_time_ms: Some(u64::MAX),
        arrival_ms: 1,
        readings: vec![reading("a", 0.1, None), reading("bcd", -1e300, Some("Ω"))],
        event,
        origin: Origin {
            door: Door::Kafka,
            source: "n1".into(),
            partition: -1,
            position: -2,
            part: 3,
        },
    };
    let event = DeviceEvent {
        condition: "on battery".into(),
        severity: Severity::Critical,
        text: "Netzausfall – Öl".into(),
        clears: true,
    };
    ReadingBatch {
        device: "ups-1".into(),
        room: "hall-a".into(),
        reports: vec![report(None), report(Some(event)), Report::default()],
    }
}

fn contributions() -> Vec<Contribution> {
    Contribution::all(&[("load".into(), 0.75), ("x".into(), 0.25)])
}

fn score() -> Score {
    Score {
        device: "ups-1".into(),
        room: "hall-a".into(),
        at_ms: 5,
        score: 1.25,
        because: contributions(),
    }
}

fn alert() -> Alert {
    Alert {
        id: "ups-1/x/5".into(),
        device: "ups-1".into(),
        room: "hall-a".into(),
        kind: AlertKind::Silent,
        severity: Severity::Warning,
        state: AlertState::Cleared,
        at_ms: 5,
        cleared_ms: Some(6),
        summary: "it is silent".into(),
        score: 1.5,
        because: contributions(),
        condition: "c".into(),
        silent_ms: 7,
        leaf: 8,
    }
}

fn model() -> ModelAnnouncement {
    ModelAnnouncement {
        cluster: "demo".into(),
        round: 3,
        digest: "ab".into(),
        participants: vec!["n1".into(), "node-2".into()],
        examples: 400,
        loss: 0.5,
        leaf: 9,
    }
}

fn node() -> NodeStatus {
    NodeStatus {
        node: "n1".into(),
        at_ms: 1,
        version: "0.1.0".into(),
        uptime_ms: 2,
        leader: "n2".into(),
        rooms: vec!["hall-a".into()],
        round: 3,
        key_epoch: 4,
        ledger_size: 5,
        published: 6,
        received: 7,
        refused: 8,
        open_alerts: 9,
    }
}

fn case<T: Member + PartialEq + std::fmt::Debug>(name: &str, value: &T) -> String {
    let bytes = encode(value);
    assert_eq!(decode::<T>(&bytes).as_ref(), Ok(value));
    format!("{name} {}", hex::encode(bytes))
}

#[test]
fn cyclone_reads_every_type_and_writes_the_same_bytes() {
    let cases = [
        case("ReadingBatch", &batch()),
        case("ReadingBatch", &ReadingBatch::default()),
        case("Score", &score()),
        case("Alert", &alert()),
        case("ModelAnnouncement", &model()),
        case("NodeStatus", &node()),
    ];
    let answers = cyclone(&cases);
    assert_eq!(answers.len(), cases.len());
    for (case, (hex, _)) in cases.iter().zip(&answers) {
        let (_, ours) = case.split_once(' ').expect("TYPE HEX");
        assert_eq!(ours, hex, "{case}");
    }
    // Not only the same bytes, but the same meaning.
    let report = r#"{"device_class": "ups", "device_time_ms": 18446744073709551615, "arrival_ms": 1, "readings": [{"name": "a", "value": 0.1, "unit": null}, {"name": "bcd", "value": -1e+300, "unit": "\u03a9"}], "event": null, "origin": {"door": "KAFKA", "source": "n1", "partition": -1, "position": -2, "part": 3}}"#;
    assert!(answers[0].1.contains(report), "{}", answers[0].1);
    let alert = r#""kind": "SILENT", "severity": "WARNING", "state": "CLEARED", "at_ms": 5, "cleared_ms": 6"#;
    assert!(answers[3].1.contains(alert), "{}", answers[3].1);
    assert!(answers[5].1.ends_with(r#""refused": 8, "open_alerts": 9}"#));
}

#[test]
fn cyclone_passes_over_a_member_that_its_idl_does_not_know() {
    let bytes = encode(&score());
    let mut grown = bytes.clone();
    grown.resize(grown.len().next_multiple_of(4), 0);
    grown.extend(7_u32.to_le_bytes());
    let length = u32::try_from(grown.len() - 8).expect("short");
    grown[4..8].copy_from_slice(&length.to_le_bytes());
    let answers = cyclone(&[format!("Score {}", hex::encode(&grown))]);
    assert_eq!(answers[0].0, hex::encode(&bytes));
    assert_eq!(decode::<Score>(&grown), Ok(score()), "and so do we");
}

/// The corpus of the fuzz target was written by Cyclone.
#[test]
fn what_cyclone_wrote_is_read() {
    let stored =
        |name: &str| std::fs::read(root().join("fuzz/corpus/payload").join(name)).expect("stored");
    let reports = decode_reports(&stored("batch")).expect("a batch");
    assert_eq!(reports.len(), 3);
    assert_eq!(reports[1].readings[1].value, 12.25);
    let event = reports[1].event.as_ref().expect("an event");
    assert_eq!(event.condition, "on battery");
    let alert: Alert = decode(&stored("alert")).expect("an alert");
    let said = (alert.state, alert.cleared_ms, alert.leaf);
    assert_eq!(said, (AlertState::Cleared, Some(9), 77));
    let node: NodeStatus = decode(&stored("node")).expect("a status");
    assert_eq!((node.rooms.len(), node.open_alerts), (2, 1));
    decode::<Score>(&stored("score")).expect("a score");
    decode::<ModelAnnouncement>(&stored("model")).expect("an announcement");
}
