//! A few seeds on every build; `batch` is for many.

use simulations::machines::{Rounds, Scenario, run};

#[test]
fn some_seeds_keep_all_invariants() {
    for (seed, nodes) in [(7, 3), (8, 3), (9, 5), (10, 1)] {
        let report = run(
            seed,
            Scenario {
                nodes,
                ..Scenario::default()
            },
        );
        assert_eq!(report.violation, None, "{report}");
        assert!(
            report.opened > 0 && report.key_epoch > 0,
            "something happened: {report}"
        );
    }
}

#[test]
fn rounds_of_other_kinds_keep_them_too() {
    let kinds = [
        (1, 5, Rounds::Private),
        (3, 3, Rounds::Compressed),
        (1, 5, Rounds::Scaffold),
        (2, 3, Rounds::Scaffold),
        (1, 3, Rounds::Buffered),
        (2, 5, Rounds::Buffered),
    ];
    for (seed, nodes, rounds) in kinds {
        let scenario = Scenario {
            nodes,
            rounds,
            ..Scenario::default()
        };
        let report = run(seed, scenario);
        assert_eq!(report.violation, None, "{report}");
        assert_eq!(run(seed, scenario), report);
        assert!(report.closed > 5, "{report}");
    }
}

#[test]
fn a_seed_repeats_to_the_byte_and_another_differs() {
    let scenario = Scenario::default();
    let first = run(7, scenario);
    assert_eq!(run(7, scenario), first);
    assert_ne!(run(8, scenario).trace, first.trace);
}
