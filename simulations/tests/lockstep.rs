//! Real processes in lockstep. Few seeds here: `simulations batch` is for many.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use simulations::lockstep::{Lockstep, SCENARIOS};
use simulations::outcome::{Kind, Outcome};
use simulations::plan::{CrashPoint, Fault, Plan, What};
use simulations::story::Runner as _;
use wire::Level;

fn lockstep() -> Lockstep {
    Lockstep::new(env!("CARGO_BIN_EXE_simulations"))
}

fn run(plan: &Plan) -> Outcome {
    let outcome = lockstep().run(plan, false).unwrap();
    assert_eq!(outcome.violations, [], "{outcome}");
    outcome
}

fn drawn(seed: u64, scenario: &str, nodes: u8) -> Plan {
    Plan::draw(seed, scenario, nodes, 1).unwrap()
}

/// A cluster that is left alone but for these faults.
fn quiet(faults: Vec<Fault>) -> Plan {
    Plan {
        seed: 5,
        scenario: "ledger".to_owned(),
        nodes: 3,
        faults_ms: 15_000,
        calm_ms: 15_000,
        faults,
        bugs: Vec::new(),
    }
}

#[test]
fn a_seed_repeats_to_the_byte_and_another_differs() {
    // 5 and 6: a follower loses its leader, and who stands for election is a matter of entropy. 12: a disk
    // is full, and the sentence about it names a file.
    for seed in [5, 6, 12] {
        assert_eq!(
            run(&drawn(seed, "ledger", 3)),
            run(&drawn(seed, "ledger", 3))
        );
    }
    let first = run(&drawn(7, "ledger", 3));
    assert_eq!(run(&drawn(7, "ledger", 3)), first);
    let other = run(&drawn(8, "ledger", 3));
    assert_ne!(other.trace, first.trace);
    assert_ne!(other.wire, first.wire);
}

#[test]
fn whole_nodes_repeat_to_the_byte() {
    let first = run(&drawn(7, "storm", 3));
    assert_eq!(run(&drawn(7, "storm", 3)), first);
}

#[test]
fn telling_the_story_changes_nothing_else() {
    let plan = quiet(Vec::new());
    let silent = run(&plan);
    let told = lockstep().run(&plan, true).unwrap();
    assert_eq!((&silent.trace, &silent.wire), (&told.trace, &told.wire));
    let has = |holds: fn(&Kind) -> bool| told.story.iter().any(|happening| holds(&happening.what));
    assert!(has(|kind| matches!(kind, Kind::Sent { .. })));
    assert!(has(
        |kind| matches!(kind, Kind::Log(line) if line.contains("link up"))
    ));
    assert!(has(|kind| matches!(
        kind,
        Kind::Leader {
            leader: Some(_),
            ..
        }
    )));
    assert!(has(|kind| matches!(kind, Kind::Ledger { .. })));
}

#[test]
fn every_scenario_keeps_all_invariants() {
    for (scenario, _) in SCENARIOS {
        let nodes = match *scenario {
            "members" => 4,
            // Of three nobody may be missing from a secure round, and who has no room has nothing to learn from.
            "secure" | "private" => 5,
            _ => 3,
        };
        run(&drawn(3, scenario, nodes));
    }
}

#[test]
fn a_crash_strikes_at_every_operation_on_the_disk() {
    for operation in 0..12 {
        let plan = quiet(vec![Fault {
            at_ms: 8_000,
            what: What::Crash {
                node: 0,
                point: CrashPoint::DiskOperation(operation),
                down_ms: 700,
                disk: None,
            },
        }]);
        let told = lockstep().run(&plan, true).unwrap();
        assert_eq!(told.violations, [], "{told}");
        let lost =
            |kind: &Kind| matches!(kind, Kind::Process(text) if text.starts_with("loses power"));
        let lost = told.story.iter().filter(|happening| lost(&happening.what));
        assert_eq!(lost.count(), 1, "at operation {operation}");
    }
}

#[test]
fn an_upgrade_finds_an_older_programs_files_and_the_level_rises_last() {
    for seed in 1..=20 {
        let plan = drawn(seed, "upgrades", 3);
        let of = |fault: &Fault| match fault.what {
            What::Upgrade { node, .. } => Some((node, fault.at_ms)),
            _ => None,
        };
        let mut upgraded: Vec<(u8, u64)> = plan.faults.iter().filter_map(of).collect();
        for (node, at_ms) in &upgraded {
            let level = |now| plan.level(usize::from(*node), now);
            assert!(level(at_ms - 1) < Level::NEWEST && level(0) == level(at_ms - 1));
            assert_eq!(level(*at_ms), Level::NEWEST);
        }
        upgraded.sort_unstable();
        let nodes: Vec<u8> = upgraded.iter().map(|(node, _)| *node).collect();
        assert_eq!(nodes, [0, 1, 2], "seed {seed}");
    }
    let told = lockstep().run(&drawn(3, "upgrades", 3), true).unwrap();
    assert_eq!(told.violations, [], "{told}");
    let at = |holds: &dyn Fn(&Kind) -> bool| {
        let happened = told.story.iter().filter(|happening| holds(&happening.what));
        happened
            .map(|happening| happening.at_ms)
            .collect::<Vec<_>>()
    };
    let forms = at(&|kind| matches!(kind, Kind::Fault(text) if text.contains("incarnation")));
    assert_eq!(forms.len(), 3, "three nodes had older files");
    let newest = format!("level {}", Level::NEWEST);
    let raised = at(&|kind| matches!(kind, Kind::Log(text) if *text == newest));
    assert!(
        raised.len() == 1 && forms.iter().all(|upgraded| *upgraded < raised[0]),
        "{forms:?}, {raised:?}"
    );
}

/// The overrides are what makes a run repeat.
#[test]
fn without_entropy_two_runs_of_a_seed_differ() {
    let plan = quiet(Vec::new());
    let lockstep = Lockstep {
        without: Some("entropy".to_owned()),
        ..lockstep()
    };
    let (first, second) = (lockstep.run(&plan, false), lockstep.run(&plan, false));
    assert_ne!(first.unwrap().wire, second.unwrap().wire);
}
