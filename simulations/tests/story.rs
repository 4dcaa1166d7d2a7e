//! From a failure of real processes to its file, its story, a smaller one and its picture.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use simulations::lockstep::Lockstep;
use simulations::outcome::Outcome;
use simulations::plan::{CrashPoint, DiskFault, Fault, Plan, What};
use simulations::story::failure::Again;
use simulations::story::shrink::{self, Budget};
use simulations::story::{Failure, RunError, Runner};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::AtomicBool;

const PROGRAM: &str = env!("CARGO_BIN_EXE_simulations");
/// Enough for seven faults; a run takes about a second.
const RUNS: u32 = 25;

/// Takes also plans that nobody promises to survive: that is how a failure is to be had for certain.
struct Lawless(Lockstep);

impl Runner for Lawless {
    fn run(&self, plan: &Plan, tell: bool) -> Result<Outcome, RunError> {
        self.0.run(plan, tell)
    }

    fn run_until(&self, plan: &Plan, until_ms: u64) -> Result<Outcome, RunError> {
        self.0.run_until(plan, until_ms)
    }
}

/// All disks are lost, so the cluster founds itself a second time and its history is another one. The other
/// faults have no part in it.
fn amnesia() -> Plan {
    let lost = |node| What::Crash {
        node,
        point: CrashPoint::Now,
        down_ms: 600,
        disk: Some(DiskFault::Lost),
    };
    let slow = What::Slow {
        node: 0,
        delay_ms: 5,
        jitter_ms: 5,
        loss_percent: 1,
        for_ms: 1_000,
    };
    let faults = [
        (
            1_500,
            What::ClockJump {
                node: 2,
                by_ms: 900,
            },
        ),
        (2_000, slow),
        (
            3_000,
            What::Disconnect {
                node: 1,
                half_open: false,
            },
        ),
        (4_000, lost(0)),
        (4_010, lost(1)),
        (4_020, lost(2)),
        (12_000, What::ClockDrift { node: 1, ppm: 50 }),
    ];
    Plan {
        seed: 6,
        scenario: "ledger".to_owned(),
        nodes: 3,
        faults_ms: 13_000,
        calm_ms: 10_000,
        faults: faults
            .into_iter()
            .map(|(at_ms, what)| Fault { at_ms, what })
            .collect(),
        bugs: Vec::new(),
    }
}

fn simulations(arguments: &[&str], file: &Path) -> Output {
    let output = Command::new(PROGRAM).args(arguments).arg(file).output();
    output.unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_failure_becomes_a_file_a_story_a_small_one_and_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let lawless = Lawless(Lockstep::new(PROGRAM));

    let found =
        Failure::of(&lawless.run(&amnesia(), false).unwrap()).expect("history is another one");
    assert_eq!(found.violation.id, "LEDGER-1");
    let file = folder.path().join(found.file_name());
    found.write(&file).unwrap();
    assert_eq!(Failure::read(&file).unwrap(), found);

    let told = simulations(&["replay", "--until", "4.7"], &file);
    let (story, notes) = (text(&told.stdout), text(&told.stderr));
    assert!(!told.status.success(), "a broken rule is no success");
    assert!(notes.contains("identical to the byte"), "{notes}");
    for words in [
        "ledger, seed 6: 3 nodes, 7 faults in 13 s",
        "node-3: wall clock jumps by +900 ms",
        "node-1 loses power for 600 ms, the disk is lost",
        "the violation is at",
    ] {
        assert!(story.contains(words), "{words:?} is not in\n{story}");
    }
    assert!(
        !story.contains("ClockJump {") && !story.contains("LEDGER-1 BROKEN"),
        "{story}"
    );

    let stop = AtomicBool::new(false);
    let budget = Budget {
        runs: RUNS,
        until: None,
        stop: &stop,
    };
    let mut heard = 1;
    let small = shrink::shrink(&lawless, &found, &budget, &mut |best, runs| {
        heard += 1;
        assert_eq!((best.violation.id.as_str(), runs), ("LEDGER-1", heard));
    })
    .unwrap();
    let lost = |fault: &Fault| {
        matches!(
            fault.what,
            What::Crash {
                disk: Some(DiskFault::Lost),
                ..
            }
        )
    };
    let plan = &small.failure.plan;
    assert_eq!(plan.faults.len(), 3, "{small}");
    assert!(plan.faults.iter().all(lost), "{small}");
    // What was stopped early in the search is the same when it is run to its end.
    let again = lawless.run(plan, false).unwrap();
    assert_eq!(small.failure.compare(&again), Again::Identical);

    let file = folder.path().join("small.json");
    small.failure.write(&file).unwrap();
    let html = folder.path().join("small.html");
    let drawn = simulations(&["draw", "--html", html.to_str().unwrap()], &file);
    assert!(drawn.status.success(), "{}", text(&drawn.stderr));
    let page = std::fs::read_to_string(html).unwrap();
    for words in ["node-1", "node-3", "LEDGER-1", "the disk is lost"] {
        assert!(page.contains(words), "{words:?} is not on the page");
    }
}

/// A file may come from a build that makes mistakes.
#[cfg(not(feature = "mistakes"))]
#[test]
fn a_plan_with_mistakes_is_refused_by_a_build_without() {
    let mut plan = amnesia();
    plan.bugs = vec!["double-vote".to_owned()];
    let refused = Lockstep::new(PROGRAM).run(&plan, false).unwrap_err();
    assert!(
        refused.to_string().contains("--features mistakes"),
        "{refused}"
    );
}
