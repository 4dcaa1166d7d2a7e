use super::*;
use proptest::prelude::*;
use wire::Origin;

/// A monitor with what it said, as short lines.
#[derive(Default)]
struct Bench {
    monitor: Monitor,
    said: Vec<String>,
}

impl Bench {
    fn absorb(&mut self, out: Vec<Output>) {
        for output in out {
            self.said.push(match output {
                Output::Raise(alert) => format!("raise {} {:?}", alert.id, alert.severity),
                Output::Clear { id, at } => format!("clear {id} at {at}"),
            });
        }
    }

    fn handle(&mut self, ms: u64, input: Input) {
        let mut out = Vec::new();
        self.monitor
            .handle(Instant::from_millis(ms), input, &mut out);
        self.absorb(out);
    }

    fn tick(&mut self, ms: u64) {
        let mut out = Vec::new();
        self.monitor.tick(Instant::from_millis(ms), &mut out);
        self.absorb(out);
    }

    fn seen(&mut self, ms: u64, device: &str) {
        self.handle(
            ms,
            Input::Seen {
                device: device.into(),
                room: "hall".into(),
                at: UnixMillis(ms),
            },
        );
    }

    /// A report and its score each second from `from` on.
    fn scores(&mut self, from: u64, scores: &[f64]) {
        for (score, second) in scores.iter().zip(0..) {
            let ms = from + second * 1_000;
            self.seen(ms, "d");
            let because = vec![("m03".to_owned(), 0.7), ("m09".to_owned(), 0.2)];
            let scored = Scored {
                device: "d".into(),
                at: UnixMillis(ms),
                score: *score,
                normal: *score < 1.0,
                because,
            };
            self.handle(ms, Input::Scored(scored));
        }
    }

    fn event(&mut self, ms: u64, device: &str, condition: &str, severity: Severity, clears: bool) {
        let report = Report {
            device: device.into(),
            room: "hall".into(),
            class: "ups".to_owned(),
            device_time: None,
            arrival: UnixMillis(ms),
            readings: Vec::new(),
            event: Some(DeviceEvent {
                condition: condition.to_owned(),
                severity,
                text: "On battery power.".to_owned(),
                clears,
            }),
            origin: Origin::Mail {
                node: "n".into(),
                seq: ms,
                part: 0,
            },
        };
        self.handle(ms, Input::Event(Box::new(report)));
    }
}

#[test]
fn anomalies_need_several_scores_and_end_with_hysteresis() {
    let calm = vec![0.5; CLEAR_AFTER as usize];
    let cases: Vec<(&str, Vec<f64>, Vec<&str>)> = vec![
        ("one wild row", vec![0.5, 9.0, 0.5, 0.5], vec![]),
        ("two of five", vec![0.5, 9.0, 0.5, 9.0, 0.5, 0.5], vec![]),
        (
            "three of five",
            vec![0.5, 1.5, 0.5, 1.5, 1.1],
            vec!["raise d/anomaly/1000 Warning"],
        ),
        (
            "three, too far apart",
            vec![2.0, 0.5, 0.5, 2.0, 0.5, 2.0, 0.5],
            vec![],
        ),
        ("at the threshold is not over it", vec![1.0; 10], vec![]),
        ("critical", vec![5.0; 4], vec!["raise d/anomaly/0 Critical"]),
        (
            "raised once",
            vec![2.0; 50],
            vec!["raise d/anomaly/0 Warning"],
        ),
        (
            "clears after enough calm",
            [vec![2.0; 3], calm.clone()].concat(),
            vec!["raise d/anomaly/0 Warning", "clear d/anomaly/0 at 12000"],
        ),
        (
            "between calm and threshold it stays open",
            [vec![2.0; 3], vec![0.9; 30]].concat(),
            vec!["raise d/anomaly/0 Warning"],
        ),
        (
            "calm must be in a row",
            [vec![2.0; 3], vec![0.5; 9], vec![0.9], vec![0.5; 9]].concat(),
            vec!["raise d/anomaly/0 Warning"],
        ),
        (
            "again after the end",
            [vec![2.0; 3], calm, vec![2.0; 3]].concat(),
            vec![
                "raise d/anomaly/0 Warning",
                "clear d/anomaly/0 at 12000",
                "raise d/anomaly/13000 Warning",
            ],
        ),
        ("not a number is not over", vec![f64::NAN; 9], vec![]),
    ];
    for (name, scores, expected) in cases {
        let mut bench = Bench::default();
        bench.scores(0, &scores);
        assert_eq!(bench.said, expected, "{name}");
    }
}

#[test]
fn an_anomaly_says_why() {
    let mut monitor = Monitor::new();
    let mut out = Vec::new();
    let now = Instant::ZERO;
    let seen = Input::Seen {
        device: "d".into(),
        room: "hall".into(),
        at: UnixMillis(0),
    };
    monitor.handle(now, seen, &mut out);
    for score in [1.5, 2.5, 1.2] {
        let because = vec![("m03".to_owned(), 0.7), ("m09".to_owned(), 0.2)];
        let scored = Scored {
            device: "d".into(),
            at: UnixMillis(5),
            score,
            normal: false,
            because,
        };
        monitor.handle(now, Input::Scored(scored), &mut out);
    }
    let [Output::Raise(alert)] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!(
        alert.summary,
        "d behaves unusually: 2.5 times its threshold, mostly m03, m09"
    );
    assert!(
        matches!(&alert.kind, AlertKind::Anomaly { score, because } if *score == 2.5 && because.len() == 2)
    );
    assert_eq!(alert.room.as_str(), "hall");
}

#[test]
fn device_events_open_and_clear_by_condition() {
    let mut bench = Bench::default();
    bench.event(1, "ups", "on-battery", Severity::Warning, false);
    bench.event(2, "ups", "on-battery", Severity::Warning, false);
    bench.event(3, "ups", "battery-faulty", Severity::Critical, false);
    bench.event(4, "ups", "warmstart", Severity::Info, false);
    bench.event(5, "ups2", "on-battery", Severity::Warning, true);
    bench.event(6, "ups", "on-battery", Severity::Info, true);
    bench.event(7, "ups", "on-battery", Severity::Info, true);
    bench.event(8, "ups", "on-battery", Severity::Warning, false);
    assert_eq!(
        bench.said,
        [
            "raise ups/on-battery/1 Warning",
            "raise ups/battery-faulty/3 Critical",
            "clear ups/on-battery/1 at 6",
            "raise ups/on-battery/8 Warning",
        ]
    );
    assert_eq!(bench.monitor.open(), 2);
}

#[test]
fn conditions_per_device_are_bounded() {
    let mut bench = Bench::default();
    for condition in 0..MAX_CONDITIONS as u64 + 10 {
        bench.event(
            condition,
            "d",
            &format!("c{condition}"),
            Severity::Warning,
            false,
        );
    }
    assert_eq!(bench.monitor.open(), MAX_CONDITIONS);
}

#[test]
fn silence_is_much_longer_than_usual() {
    let mut bench = Bench::default();
    for second in 0..10 {
        bench.seen(second * 2_000, "d");
    }
    // Usual gap 2 s, last heard at 18 s: silent from 34 s on.
    assert_eq!(bench.monitor.deadline(), Some(Instant::from_millis(34_000)));
    bench.tick(33_999);
    assert_eq!(bench.said, [""; 0]);
    bench.tick(34_000);
    bench.tick(60_000);
    assert_eq!(bench.said, ["raise d/silent/18000 Warning"], "once");
    bench.seen(61_000, "d");
    assert_eq!(bench.said[1..], ["clear d/silent/18000 at 61000"]);
}

#[test]
fn silence_is_not_guessed() {
    let mut bench = Bench::default();
    for at in [0, 1_000, 2_000] {
        bench.seen(at, "few-gaps");
    }
    // Many reports of one mail, then a pause: one arrival, no rhythm.
    for _ in 0..100 {
        bench.seen(5_000, "one-mail");
    }
    // Ten a second: 8 × 100 ms would be nervous, five seconds hold.
    for tenth in 0..50 {
        bench.seen(tenth * 100, "fast");
    }
    bench.tick(9_899);
    assert_eq!(bench.said, [""; 0]);
    bench.tick(9_900);
    assert_eq!(bench.said, ["raise fast/silent/4900 Warning"]);
    bench.tick(1_000_000_000);
    assert_eq!(bench.said.len(), 1);
}

#[test]
fn a_backlog_is_measured_by_arrival_and_not_by_delivery() {
    let mut bench = Bench::default();
    for minute in 0..10 {
        let at = UnixMillis(minute * 60_000);
        bench.handle(
            1_000,
            Input::Seen {
                device: "d".into(),
                room: "hall".into(),
                at,
            },
        );
    }
    assert_eq!(
        bench.monitor.deadline(),
        Some(Instant::from_millis(1_000 + 8 * 60_000))
    );
}

#[test]
fn a_new_owner_adopts_open_alerts_and_tells_their_end() {
    let mut former = Monitor::new();
    let mut out = Vec::new();
    let seen = Input::Seen {
        device: "d".into(),
        room: "hall".into(),
        at: UnixMillis(0),
    };
    former.handle(Instant::ZERO, seen, &mut out);
    let mut bench = Bench::default();
    bench.event(1, "d", "on-battery", Severity::Warning, false);
    let alert = Alert {
        id: "d/on-battery/1".to_owned(),
        device: "d".into(),
        room: "hall".into(),
        kind: AlertKind::Reported {
            condition: "on-battery".to_owned(),
        },
        severity: Severity::Warning,
        at: UnixMillis(1),
        summary: String::new(),
    };
    let mut next = Bench::default();
    next.handle(2, Input::Adopt(alert));
    next.event(3, "d", "on-battery", Severity::Warning, false);
    next.event(4, "d", "on-battery", Severity::Info, true);
    assert_eq!(next.said, ["clear d/on-battery/1 at 4"]);
    next.handle(5, Input::Forget("d".into()));
    assert_eq!((next.monitor.open(), next.monitor.deadline()), (0, None));
}

#[test]
fn a_storm_becomes_one_digest() {
    let mut bench = Bench::default();
    let devices = ALERTS_PER_MINUTE as u64 + 20;
    for device in 0..devices {
        let severity = if device == 40 {
            Severity::Critical
        } else {
            Severity::Warning
        };
        bench.event(
            1_000 + device,
            &format!("d{device:02}"),
            "on-battery",
            severity,
            false,
        );
    }
    assert_eq!(bench.said.len(), ALERTS_PER_MINUTE);
    assert_eq!(bench.monitor.open() as u64, devices);
    // A held-back alert that ends makes no noise; a told one does.
    bench.event(2_000, "d49", "on-battery", Severity::Info, true);
    assert_eq!(bench.said.len(), ALERTS_PER_MINUTE);
    bench.event(2_001, "d00", "on-battery", Severity::Info, true);
    assert_eq!(
        bench.said.last().unwrap(),
        "clear d00/on-battery/1000 at 2001"
    );

    let deadline = bench.monitor.deadline().unwrap();
    assert_eq!(deadline, Instant::from_millis(61_030));
    bench.tick(61_030);
    assert_eq!(
        bench.said.last().unwrap(),
        "raise alert-storm/digest/1049 Critical"
    );
    bench.tick(121_030);
    assert_eq!(
        bench.said.last().unwrap(),
        "clear alert-storm/digest/1049 at 61049"
    );
    assert_eq!(bench.monitor.deadline(), None);
    bench.event(122_000, "late", "on-battery", Severity::Warning, false);
    assert_eq!(
        bench.said.last().unwrap(),
        "raise late/on-battery/122000 Warning"
    );
}

proptest! {
    /// INV-MON-1: an id is raised at most once and cleared only after it was raised, at most once.
    /// INV-MON-2: at most `ALERTS_PER_MINUTE` alerts and one digest within any minute.
    #[test]
    fn every_clear_has_its_raise(
        steps in proptest::collection::vec((0u64..3_000, 0usize..40, 0u8..5, 0.0f64..3.0), 1..400)
    ) {
        let mut monitor = Monitor::new();
        let mut now = 0;
        let mut history: Vec<(u64, Output)> = Vec::new();
        for (step, device, kind, score) in steps {
            now += step;
            let device = DeviceId(format!("d{device}"));
            let at = UnixMillis(now);
            let mut out = Vec::new();
            let input = match kind {
                0 | 1 => Input::Seen { device, room: "hall".into(), at },
                2 => Input::Scored(Scored { device, at, score, normal: true, because: Vec::new() }),
                _ => Input::Event(Box::new(Report {
                    device,
                    room: "hall".into(),
                    class: String::new(),
                    device_time: None,
                    arrival: at,
                    readings: Vec::new(),
                    event: Some(DeviceEvent {
                        condition: "c".to_owned(),
                        severity: Severity::Warning,
                        text: String::new(),
                        clears: kind == 4,
                    }),
                    origin: Origin::Mail { node: "n".into(), seq: 0, part: 0 },
                })),
            };
            let moment = Instant::from_millis(now);
            monitor.handle(moment, input, &mut out);
            if monitor.deadline().is_some_and(|deadline| deadline <= moment) {
                monitor.tick(moment, &mut out);
            }
            history.extend(out.into_iter().map(|output| (now, output)));
        }
        let mut open = std::collections::BTreeSet::new();
        let mut raised_at: Vec<u64> = Vec::new();
        for (at, output) in history {
            match output {
                Output::Raise(alert) => {
                    prop_assert!(open.insert(alert.id));
                    raised_at.push(at);
                    let recent = raised_at.iter().filter(|&&then| at - then < 60_000).count();
                    prop_assert!(recent <= ALERTS_PER_MINUTE + 1);
                }
                Output::Clear { id, .. } => prop_assert!(open.remove(&id)),
            }
        }
    }
}

mod devices;
