//! What devices promise: a heartbeat, numbers in order, an end to each beginning.

use super::*;

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

impl Bench {
    fn expect(&mut self, ms: u64, device: &str, every_ms: u64) {
        let every = Duration::from_millis(every_ms);
        let (device, room, at) = (device.into(), "hall".into(), UnixMillis(ms));
        self.handle(
            ms,
            Input::Expect {
                device,
                room,
                every,
                at,
            },
        );
    }

    fn numbered(&mut self, ms: u64, device: &str, number: u64) {
        self.seen(ms, device);
        let sequence = Sequence::new(number, 1_000).unwrap();
        let (device, at) = (device.into(), UnixMillis(ms));
        self.handle(
            ms,
            Input::Numbered {
                device,
                sequence,
                at,
            },
        );
    }

    /// An event on battery, with the device's own time.
    fn battery(&mut self, arrival: u64, device_time: Option<u64>, clears: bool) {
        let report = Report {
            device: "ups".into(),
            room: "hall".into(),
            class: "ups".to_owned(),
            device_time: device_time.map(UnixMillis),
            arrival: UnixMillis(arrival),
            readings: Vec::new(),
            event: Some(DeviceEvent {
                condition: "on-battery".to_owned(),
                severity: Severity::Warning,
                text: "On battery power.".to_owned(),
                clears,
            }),
            origin: Origin::Mail {
                node: "n".into(),
                seq: arrival,
                part: 0,
            },
        };
        self.handle(arrival, Input::Event(Box::new(report)));
    }
}

#[test]
fn a_missing_heartbeat_is_told_once_and_ends_with_the_next_mail() {
    let mut bench = Bench::default();
    bench.expect(0, "pdu", DAY);
    bench.seen(HOUR, "pdu");
    // A burst of events must not make it look like a device that mails each minute.
    for minute in 1..=20 {
        bench.seen(HOUR + minute * 60_000, "pdu");
    }
    let last = HOUR + 20 * 60_000;
    bench.tick(last + DAY + 6 * HOUR - 1);
    assert!(bench.said.is_empty(), "{:?}", bench.said);
    bench.tick(last + DAY + 6 * HOUR);
    bench.tick(last + 3 * DAY);
    bench.seen(last + 4 * DAY, "pdu");
    assert_eq!(
        bench.said,
        [
            format!("raise pdu/silent/{last} Warning"),
            format!("clear pdu/silent/{last} at {}", last + 4 * DAY),
        ]
    );
}

#[test]
fn a_device_that_never_reports_is_missed_from_when_it_was_expected() {
    let mut bench = Bench::default();
    bench.expect(5_000, "pdu", HOUR);
    let due = 5_000 + HOUR + HOUR / 4;
    assert_eq!(bench.monitor.deadline(), Some(Instant::from_millis(due)));
    bench.tick(due);
    assert_eq!(bench.said, ["raise pdu/silent/5000 Warning"]);
    // Without a heartbeat by configuration, one that was never heard is not missed.
    let mut bench = Bench::default();
    bench.seen(0, "other");
    bench.tick(30 * DAY);
    assert!(bench.said.is_empty());
}

#[test]
fn mails_that_never_arrived_are_told_by_their_numbers() {
    let mut bench = Bench::default();
    for (ms, number) in [(1_000, 998), (2_000, 999), (3_000, 2), (4_000, 5)] {
        bench.numbered(ms, "oa", number);
    }
    assert_eq!(
        bench.said,
        ["raise oa/mails-missing/3000 Warning"],
        "one alert for both gaps"
    );
    // The late ones come by another way.
    for (ms, number) in [(5_000, 0), (6_000, 1), (7_000, 3), (8_000, 4)] {
        bench.numbered(ms, "oa", number);
    }
    assert_eq!(bench.said[1..], ["clear oa/mails-missing/3000 at 8000"]);
    // A restart of the counter is no loss.
    bench.numbered(9_000, "oa", 500);
    bench.numbered(10_000, "oa", 501);
    assert_eq!(bench.said.len(), 2, "{:?}", bench.said);
}

#[test]
fn a_gap_that_a_former_owner_told_of_ends_here() {
    let mut bench = Bench::default();
    let alert = Alert {
        id: "oa/mails-missing/7".to_owned(),
        device: "oa".into(),
        room: "hall".into(),
        kind: AlertKind::Reported {
            condition: MISSING.to_owned(),
        },
        severity: Severity::Warning,
        at: UnixMillis(7),
        summary: String::new(),
    };
    bench.handle(0, Input::Adopt(alert));
    for number in 0..11 {
        bench.numbered(1_000 + number, "oa", number);
    }
    assert_eq!(bench.said, ["clear oa/mails-missing/7 at 1010"]);
}

/// Begin and end by the order of the device's clock, where one mail overtook the other.
#[test]
fn an_end_that_overtook_its_beginning_stays_the_end() {
    let minute = 60_000;
    for (name, events, expected) in [
        ("in order", vec![(1, Some(1), false), (2, Some(2), true)], 2),
        (
            "the end came first",
            vec![(2, Some(2), true), (20, Some(1), false)],
            0,
        ),
        (
            "without a clock",
            vec![(2, None, true), (20, None, false)],
            1,
        ),
        (
            "a clock that was set back",
            vec![(2, Some(100), true), (20, Some(1), false)],
            1,
        ),
        (
            "a new beginning",
            vec![(2, Some(2), true), (20, Some(19), false)],
            1,
        ),
        (
            "a late end of the time before",
            vec![(5, Some(5), false), (6, Some(4), true)],
            1,
        ),
        (
            "and then the real one",
            vec![(5, Some(5), false), (6, Some(4), true), (7, Some(7), true)],
            2,
        ),
    ] {
        let mut bench = Bench::default();
        for (arrival, time, clears) in events {
            bench.battery(arrival * minute, time.map(|t: u64| t * minute), clears);
        }
        assert_eq!(bench.said.len(), expected, "{name}: {:?}", bench.said);
    }
}

/// Once a second, as a topic with such a deadline wants it, from 1 s to 3 s.
fn punctual() -> Bench {
    let mut bench = Bench::default();
    for ms in [1_000, 2_000, 3_000] {
        bench.seen(ms, "pdu");
    }
    bench
}

#[test]
fn a_missed_deadline_is_a_silence_until_the_next_report() {
    let overdue = |device: &str| Input::Overdue {
        device: device.into(),
        deadline: Duration::from_secs(1),
    };
    let raised = "raise pdu/silent/3000 Warning";
    for (name, told, expected) in [
        ("missed", &[(4_000, "pdu")][..], &[raised][..]),
        (
            "each deadline again",
            &[(4_000, "pdu"), (5_000, "pdu")],
            &[raised],
        ),
        ("a report came in between", &[(3_400, "pdu")], &[]),
        ("nobody knows it", &[(4_000, "ups")], &[]),
    ] {
        let mut bench = punctual();
        for (ms, device) in told {
            bench.handle(*ms, overdue(device));
        }
        assert_eq!(bench.said, expected, "{name}");
        bench.seen(6_000, "pdu");
        let cleared = bench.said.get(1).map(String::as_str);
        let expected = expected.first().map(|_| "clear pdu/silent/3000 at 6000");
        assert_eq!(cleared, expected, "{name}");
    }
    let mut bench = punctual();
    bench.expect(3_000, "pdu", HOUR);
    bench.handle(4_000, overdue("pdu"));
    assert!(
        bench.said.is_empty(),
        "its heartbeat rules: {:?}",
        bench.said
    );
}

#[test]
fn writers_without_life_are_told_until_none_is_left() {
    let raised = "raise data-space/hall/writers-silent/1000 Warning";
    let cleared = |at: u64| format!("clear data-space/hall/writers-silent/1000 at {at}");
    for (name, counts, expected) in [
        ("all live", &[(2, 0)][..], vec![]),
        ("one does not", &[(1, 1)], vec![raised.to_owned()]),
        ("nor the other", &[(1, 1), (0, 2)], vec![raised.to_owned()]),
        ("one came back", &[(0, 2), (1, 1)], vec![raised.to_owned()]),
        (
            "both",
            &[(0, 2), (1, 1), (2, 0)],
            vec![raised.to_owned(), cleared(3_000)],
        ),
        (
            "or left",
            &[(1, 1), (1, 0)],
            vec![raised.to_owned(), cleared(2_000)],
        ),
    ] {
        let mut bench = Bench::default();
        for (&(alive, silent), second) in counts.iter().zip(1..) {
            let (room, at) = ("hall".into(), UnixMillis(second * 1_000));
            let input = Input::Writers {
                room,
                alive,
                silent,
                at,
            };
            bench.handle(second * 1_000, input);
        }
        assert_eq!(bench.said, expected, "{name}");
        bench.tick(30 * DAY);
        assert_eq!(
            bench.said.len(),
            expected.len(),
            "{name}: no rhythm to miss"
        );
    }
}
