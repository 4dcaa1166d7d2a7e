use super::*;
use wire::{Origin, Reading, Report, UnixMillis};

const NOON: i64 =
    1_700_000_000_123_456_789 / 86_400_000_000_000 * 86_400_000_000_000 + 43_200_123_000_000;

fn sample(key: &str) -> Sample {
    Sample {
        key: key.into(),
        writer: "n1".into(),
        sequence: 7,
        key_epoch: 3,
        source_time_ns: NOON,
        sealed: vec![0; 99],
    }
}

fn report(name: &str, value: f64, unit: Option<&str>) -> Report {
    Report {
        device: "ups-1".into(),
        room: "hall".into(),
        class: "ups".into(),
        device_time: None,
        arrival: UnixMillis(1),
        readings: vec![Reading {
            name: name.into(),
            value,
            unit: unit.map(str::to_owned),
        }],
        event: None,
        origin: Origin::Mail {
            node: "n1".into(),
            seq: 1,
            part: 0,
        },
    }
}

#[test]
fn a_sample_is_a_line_with_what_it_says_or_why_it_is_sealed() {
    let reports = [
        report("battery.charge", 98.5, Some("%")),
        report("load", 12.0, None),
    ];
    let batch = wire::payload::encode_reports(&reports).unwrap();
    let alert = Alert {
        id: "ups-1/silent/5".into(),
        room: "hall".into(),
        severity: Severity::Warning,
        summary: "ups-1 is silent".into(),
        ..Alert::default()
    };
    let alert = wire::xcdr::encode(&alert);
    let head = "12:00:00.123";
    for (topic, key, opened, expected) in [
        (
            "glasshouse_readings",
            "ups-1",
            Ok(batch),
            format!("{head} readings ups-1  hall  battery.charge=98.5 %; load=12  (n1 7, epoch 3)"),
        ),
        (
            "glasshouse_alerts",
            "ups-1/silent/5",
            Ok(alert),
            format!(
                "{head} alerts ups-1/silent/5  hall  raised, warning: ups-1 is silent  (n1 7, epoch 3)"
            ),
        ),
        (
            "glasshouse_readings",
            "ups-1",
            Err("no reader key".to_owned()),
            format!("{head} readings ups-1  sealed, 99 bytes: no reader key  (n1 7, epoch 3)"),
        ),
    ] {
        let line = sample_line(topic, &sample(key), &opened);
        assert_eq!(line.text, expected);
        assert_eq!(line.json["key"], key);
        assert_eq!(
            line.json.get("said").is_some(),
            opened.is_ok(),
            "{}",
            line.json
        );
        assert_eq!(
            line.json.get("sealed").is_some(),
            opened.is_err(),
            "{}",
            line.json
        );
    }
    let nonsense = sample_line("glasshouse_scores", &sample("a"), &Ok(vec![9]));
    assert!(
        nonsense.text.contains("sealed, 99 bytes: opened, and"),
        "{}",
        nonsense.text
    );
}

#[test]
fn events_are_told_in_words() {
    let event = SpaceEvent::WriterLost {
        topic: "glasshouse_readings".into(),
        writers: 2,
    };
    let line = event_line(&event);
    assert_eq!(line.text.trim(), "* readings: a writer left, 2 now");
    assert_eq!(line.json["event"], "writer_lost");
    assert_eq!(over_line("glasshouse_alerts", "a").json["over"], true);
}
