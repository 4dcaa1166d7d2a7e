use crate::copybook::Decimal;
use crate::transactions::*;
use std::time::Duration;
use wire::{Origin, Report, UnixMillis};

pub(super) fn config() -> WindowConfig {
    WindowConfig {
        width: Duration::from_secs(10),
        lateness: Duration::from_secs(2),
        ..WindowConfig::default()
    }
}

fn transaction(
    second: f64,
    key: &str,
    cents: i128,
    response: &str,
    latency_ms: u64,
) -> Transaction {
    Transaction {
        time: UnixMillis((second * 1000.0) as u64),
        kind: "PURC".to_owned(),
        key: key.to_owned(),
        amount: Decimal::new(cents, 2),
        response: response.to_owned(),
        latency_ms,
        terminal: "T1".to_owned(),
    }
}

fn told(report: &Report) -> (String, u64, Vec<f64>, i64) {
    let Origin::Kafka { offset, .. } = report.origin else {
        panic!("not from Kafka: {report:?}")
    };
    let values = report
        .readings
        .iter()
        .map(|reading| reading.value)
        .collect();
    (
        report.device.to_string(),
        report.device_time.unwrap().0 / 1000,
        values,
        offset,
    )
}

/// Restart behind and ahead: what was open is reported, and what comes counts, be its offset known or not.
#[test]
fn a_partition_that_goes_on_elsewhere_reports_what_is_open() {
    let now = UnixMillis(1_000_000);
    let mut windows = Windows::new("txn", 3, config());
    let mut out = Vec::new();
    windows.observe(now, 40, &transaction(1.0, "A", 1000, "00", 10), &mut out);
    windows.observe(now, 41, &transaction(2.0, "B", 1000, "00", 10), &mut out);
    assert_eq!(out.len(), 0);
    windows.restart(now, 0, &mut out);
    assert_eq!(out.len(), 2);
    assert_eq!(windows.checkpoint().offset, 0);
    windows.observe(now, 0, &transaction(21.0, "A", 1000, "00", 10), &mut out);
    windows.observe(now, 900, &transaction(22.0, "A", 1000, "00", 10), &mut out);
    windows.restart(now, 1000, &mut out);
    assert_eq!(told(&out[2]).2[0], 2.0);
    assert_eq!(
        (windows.checkpoint().offset, windows.checkpoint().seen),
        (1000, 1000)
    );
    assert_eq!(windows.counters().counted, 4);
}

#[test]
fn windows_close_by_watermark_in_order() {
    let now = UnixMillis(1_000_000);
    let mut windows = Windows::new("txn", 3, config());
    let mut out = Vec::new();
    let stream = [
        transaction(1.0, "A", 1000, "00", 10),
        transaction(2.0, "B", 500, "05", 900),
        transaction(9.9, "A", 250, "51", 30),
        transaction(10.0, "A", 100, "00", 1), // next window; the watermark is at 8 s
        transaction(8.0, "B", 700, "00", 100), // out of order, still in time
        transaction(11.9, "A", 100, "00", 1),
    ];
    for (offset, transaction) in stream.iter().enumerate() {
        windows.observe(now, offset as i64, transaction, &mut out);
    }
    assert_eq!(out, []);
    windows.observe(now, 6, &transaction(12.0, "A", 100, "00", 1), &mut out);
    let expected = [
        (
            "mainframe-A".to_owned(),
            10,
            vec![2.0, 12.5, 6.25, 1.0, 1.0, 0.5, 20.0, 30.0],
            2,
        ),
        (
            "mainframe-B".to_owned(),
            10,
            vec![2.0, 12.0, 6.0, 1.0, 1.0, 0.5, 500.0, 900.0],
            4,
        ),
    ];
    assert_eq!(out.iter().map(told).collect::<Vec<_>>(), expected);
    let names: Vec<_> = out[0]
        .readings
        .iter()
        .map(|reading| reading.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "count",
            "amount.sum",
            "amount.mean",
            "response.ok",
            "response.error",
            "response.error_rate",
            "latency.mean_ms",
            "latency.p95_ms"
        ]
    );
    assert_eq!((out[0].class.as_str(), out[0].arrival), ("mainframe", now));

    out.clear();
    windows.observe(now, 7, &transaction(9.0, "A", 100, "00", 1), &mut out); // late
    windows.observe(now, 8, &transaction(99_999.0, "A", 100, "00", 1), &mut out); // absurd clock
    assert_eq!(out, []);
    assert_eq!(
        windows.counters(),
        Counters {
            counted: 7,
            late: 1,
            ahead: 1,
            windows: 2,
            ..Counters::default()
        }
    );
    assert_eq!(
        windows.checkpoint(),
        Checkpoint {
            offset: 3,
            seen: 9,
            watermark: UnixMillis(10_000)
        }
    );
}

/// Devices, counts, errors and mean latency of the windows that close, by dimension.
#[test]
fn windows_per_type_terminal_and_response_code() {
    type Line = (&'static str, &'static str, f64, f64, f64);
    const ALL: [Dimension; 4] = [
        Dimension::Key,
        Dimension::Kind,
        Dimension::Terminal,
        Dimension::Response,
    ];
    let stream = [
        ("A", "PURC", "T1", "00", 10),
        ("A", "WDRL", "T2", "51", 20),
        ("B", "PURC", "T2", "00", 30),
        ("B", "PURC", "", "91", 60),
    ];
    let cases: [(&[Dimension], &[Line]); 5] = [
        (
            &[Dimension::Key],
            &[
                ("mainframe-A", "mainframe", 2.0, 1.0, 15.0),
                ("mainframe-B", "mainframe", 2.0, 1.0, 45.0),
            ],
        ),
        (
            &[Dimension::Kind],
            &[
                (
                    "mainframe-type-PURC",
                    "mainframe-type",
                    3.0,
                    1.0,
                    100.0 / 3.0,
                ),
                ("mainframe-type-WDRL", "mainframe-type", 1.0, 1.0, 20.0),
            ],
        ),
        (
            &[Dimension::Terminal],
            &[
                (
                    "mainframe-terminal-T1",
                    "mainframe-terminal",
                    1.0,
                    0.0,
                    10.0,
                ),
                (
                    "mainframe-terminal-T2",
                    "mainframe-terminal",
                    2.0,
                    1.0,
                    25.0,
                ),
                (
                    "mainframe-terminal-blank",
                    "mainframe-terminal",
                    1.0,
                    1.0,
                    60.0,
                ),
            ],
        ),
        (
            &[Dimension::Response],
            &[
                (
                    "mainframe-response-00",
                    "mainframe-response",
                    2.0,
                    0.0,
                    20.0,
                ),
                (
                    "mainframe-response-51",
                    "mainframe-response",
                    1.0,
                    1.0,
                    20.0,
                ),
                (
                    "mainframe-response-91",
                    "mainframe-response",
                    1.0,
                    1.0,
                    60.0,
                ),
            ],
        ),
        (&[], &[]),
    ];
    let run = |by: &[Dimension]| {
        let mut windows = Windows::new(
            "txn",
            0,
            WindowConfig {
                by: by.iter().copied().collect(),
                ..config()
            },
        );
        let records: Vec<Transaction> = stream
            .iter()
            .map(|(key, kind, terminal, response, latency)| Transaction {
                kind: (*kind).to_owned(),
                terminal: (*terminal).to_owned(),
                ..transaction(5.0, key, 100, response, *latency)
            })
            .collect();
        let mut out = Vec::new();
        // All in one value.
        windows.observe_all(UnixMillis(6_000), 9, &records, &mut out);
        windows.idle(UnixMillis(60_000), &mut out);
        out
    };
    let value = |report: &Report, name: &str| {
        let mut readings = report.readings.iter();
        readings.find(|reading| reading.name == name).unwrap().value
    };
    for (by, expected) in cases {
        let out = run(by);
        let found: Vec<(&str, &str, f64, f64, f64)> = out
            .iter()
            .map(|report| {
                (
                    report.device.as_str(),
                    report.class.as_str(),
                    value(report, "count"),
                    value(report, "response.error"),
                    value(report, "latency.mean_ms"),
                )
            })
            .collect();
        assert_eq!(found, expected, "{by:?}");
    }
    // One value closes ten windows, and each has an origin of its own: none is taken for a repetition.
    let out = run(&ALL);
    let origins: std::collections::BTreeSet<String> = out
        .iter()
        .map(|report| format!("{:?}", report.origin))
        .collect();
    assert_eq!((out.len(), origins.len()), (10, 10));
}

/// What comes late: (event time, still counted).
#[test]
fn late_records_are_counted_as_such() {
    let cases: [(&[f64], u64, u64); 4] = [
        (&[1.0, 12.1, 9.9], 2, 1),
        (&[1.0, 11.9, 9.9], 3, 0),
        (&[25.0, 1.0, 2.0, 3.0, 21.0], 2, 3),
        (&[25.0, 20.0, 12.0, 9.0], 2, 2),
    ];
    for (times, counted, late) in cases {
        let mut windows = Windows::new("txn", 0, config());
        let mut out = Vec::new();
        for (offset, time) in (0..).zip(times) {
            let transaction = transaction(*time, "A", 100, "00", 1);
            windows.observe(UnixMillis(30_000), offset, &transaction, &mut out);
        }
        let counters = windows.counters();
        assert_eq!(
            (counters.counted, counters.late),
            (counted, late),
            "{times:?}"
        );
    }
}

#[test]
fn a_quiet_partition_is_closed_by_the_clock() {
    let mut windows = Windows::new("txn", 0, config());
    let mut out = Vec::new();
    windows.observe(
        UnixMillis(5_000),
        0,
        &transaction(1.0, "A", 1, "00", 1),
        &mut out,
    );
    windows.idle(UnixMillis(19_000), &mut out);
    assert_eq!(out, []);
    windows.idle(UnixMillis(27_000), &mut out);
    assert_eq!(out.len(), 1);
    assert_eq!(
        windows.checkpoint(),
        Checkpoint {
            offset: 1,
            seen: 1,
            watermark: UnixMillis(10_000)
        }
    );
}

#[test]
fn percentiles_by_nearest_rank() {
    let mut latencies = crate::transactions::latency::Latencies::default();
    assert_eq!((latencies.mean(), latencies.percentile(95)), (0.0, 0));
    (1..=100).for_each(|millis| latencies.record(millis));
    assert_eq!(
        (
            latencies.mean(),
            latencies.percentile(95),
            latencies.percentile(50)
        ),
        (50.5, 95, 50)
    );
    (0..10_000).for_each(|_| latencies.record(123_457));
    let p95 = latencies.percentile(95) as f64;
    assert!((123_457.0 - p95) / 123_457.0 < 0.002, "{p95}");
}

#[test]
fn checkpoints_survive_the_commit_metadata() {
    let checkpoint = Checkpoint {
        offset: 5,
        seen: 17,
        watermark: UnixMillis(1_772_366_400_000),
    };
    assert_eq!(Checkpoint::parse(5, &checkpoint.metadata()), Ok(checkpoint));
    assert_eq!(
        Checkpoint::parse(5, ""),
        Ok(Checkpoint {
            offset: 5,
            seen: 5,
            watermark: UnixMillis(0)
        })
    );
    assert!(Checkpoint::parse(5, "seen=x watermark=1").is_err());
    assert!(Checkpoint::parse(5, "written by something else").is_err());
}

mod replay {
    use super::*;
    use proptest::prelude::*;

    fn run(windows: &mut Windows, from: i64, stream: &[Transaction]) -> Vec<Report> {
        let mut out = Vec::new();
        for (offset, transaction) in stream.iter().enumerate().skip(from as usize) {
            windows.observe(UnixMillis(10_000_000), offset as i64, transaction, &mut out);
        }
        out
    }

    proptest! {
        /// Wherever the process stops, the reports before and after the restart are those of a run
        /// without one: none is lost, none comes twice.
        #[test]
        fn a_restart_from_the_checkpoint_counts_every_record_once(
            steps in proptest::collection::vec((0.0f64..3.0, -6.0f64..1.0, 0usize..3), 1..200),
            stop in 0usize..200,
        ) {
            let mut clock = 0.0;
            let stream: Vec<_> = steps.iter().map(|(step, skew, key)| {
                clock += step;
                transaction(f64::max(clock + skew, 0.0), ["A", "B", "C"][*key], 100, "00", 7)
            }).collect();
            let mut whole = Windows::new("txn", 0, config());
            let expected = run(&mut whole, 0, &stream);

            let stop = stop.min(stream.len());
            let mut before = Windows::new("txn", 0, config());
            let mut reports = run(&mut before, 0, &stream[..stop]);
            let committed = before.checkpoint();
            let read_back = Checkpoint::parse(committed.offset, &committed.metadata()).unwrap();
            let mut after = Windows::resume("txn", 0, config(), read_back);
            reports.extend(run(&mut after, read_back.offset, &stream));
            prop_assert_eq!(reports, expected);
            prop_assert_eq!(before.counters().late + after.counters().late, whole.counters().late);
        }
    }
}
