use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn the_profiles_keep_the_rules_and_meet_themselves() {
    for (name, qos) in Qos::PROFILES {
        assert_eq!(qos.fault(), None, "{name}");
        assert_eq!(mismatch(&qos, &qos), None, "{name}");
        assert_eq!(Qos::profile(name), Some(qos));
    }
    assert_eq!(Qos::profile("telemetri"), None);
}

#[test]
fn a_contradiction_is_named_with_its_remedy() {
    let base = Qos::TELEMETRY;
    let cases: [(Qos, &[&str]); 8] = [
        (
            Qos {
                time_filter: Some(MINUTE),
                deadline: Some(SECOND),
                ..base
            },
            &["`time_filter` is 60s", "deadline (1s)"],
        ),
        (
            Qos {
                reliability: Reliability::BestEffort,
                ..base
            },
            &["`reliability` is best-effort", "durability volatile"],
        ),
        (
            Qos { backlog: 4, ..base },
            &["`backlog` is 4", "`retained` (16)"],
        ),
        (
            Qos {
                retained: 0,
                ..base
            },
            &["`retained` is 0", "1 or more"],
        ),
        (Qos { queue: 0, ..base }, &["`queue` is 0", "1 to 65536"]),
        (
            Qos {
                deadline: Some(Duration::from_millis(1)),
                ..base
            },
            &["`deadline` is 1ms", "10ms or more"],
        ),
        (
            Qos {
                lifespan: Some(Duration::ZERO),
                ..base
            },
            &["`lifespan` is 0ns", "10ms"],
        ),
        (
            Qos {
                liveliness: Liveliness::ManualByTopic { lease: SECOND },
                deadline: Some(MINUTE),
                ..base
            },
            &["`liveliness lease` is 1s", "deadline (60s)"],
        ),
    ];
    for (qos, words) in cases {
        let sentence = qos.fault().expect("a fault").to_string();
        for word in words {
            assert!(sentence.contains(word), "{sentence} lacks {word}");
        }
    }
}

#[test]
fn a_reader_meets_a_writer_that_offers_at_least_what_it_asks_for() {
    let base = Qos::TELEMETRY;
    let best_effort = Qos {
        reliability: Reliability::BestEffort,
        durability: Durability::Volatile,
        ..base
    };
    let volatile = Qos {
        durability: Durability::Volatile,
        ..base
    };
    let deadline = |time| Qos {
        deadline: Some(time),
        ..base
    };
    let lease = |time| Qos {
        liveliness: Liveliness::Automatic { lease: Some(time) },
        ..base
    };
    let manual = Qos {
        liveliness: Liveliness::ManualByTopic { lease: SECOND },
        ..base
    };
    let exclusive = |strength| Qos {
        ownership: Ownership::Exclusive { strength },
        ..base
    };
    for (offered, requested, expected) in [
        (base, best_effort, None),
        (best_effort, base, Some(Policy::Reliability)),
        (volatile, base, Some(Policy::Durability)),
        (deadline(SECOND), deadline(MINUTE), None),
        (deadline(MINUTE), deadline(SECOND), Some(Policy::Deadline)),
        (base, deadline(MINUTE), Some(Policy::Deadline)),
        (deadline(SECOND), base, None),
        (lease(SECOND), base, None),
        (base, lease(SECOND), Some(Policy::Liveliness)),
        (manual, lease(SECOND), None),
        (lease(SECOND), manual, Some(Policy::Liveliness)),
        (exclusive(1), exclusive(2), None),
        (exclusive(1), base, Some(Policy::Ownership)),
        (base, exclusive(1), Some(Policy::Ownership)),
    ] {
        assert_eq!(
            mismatch(&offered, &requested),
            expected,
            "{offered:?} for {requested:?}"
        );
    }
}
