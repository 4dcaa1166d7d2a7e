//! What must pass before a change goes in. Cheap steps stand first, so that a typo does not
//! cost half an hour.
//!
//! All of it uses the release profile: lints, documentation, tests, simulation and chaos then
//! share one build of the libraries and one run of their build scripts (the bindings to
//! libtorch alone are minutes of C++), and the tests try the code that ships. The profile keeps
//! overflow checks. `cargo xtask test` runs the very same.

use crate::command::{Command, Failure};
use crate::place::Place;
use crate::setup::{self, CARGO_DENY, Need};
use crate::steps::{self, Step};

/// The pure machines: about a minute on two cores, a third more for other rounds.
const MACHINES: [&str; 5] = [
    "--seeds 1..50",
    "--rounds private --nodes 5 --seeds 1..2",
    "--rounds compressed --seeds 1..3",
    "--rounds scaffold --seeds 1..2",
    "--rounds buffered --nodes 4 --seeds 1..2",
];

/// Nodes in lockstep: links and ledger alone, for many seeds twice (two to three minutes on two cores), the
/// data space alone for some; whole houses for a few.
const LOCKSTEP: [&str; 11] = [
    "--scenario ledger --minutes 1 --seeds 1..30 --twice",
    "--scenario space --minutes 1 --seeds 1..20 --twice",
    "--scenario storm --minutes 1 --seeds 3..6",
    "--scenario secure --nodes 5 --minutes 1 --seeds 1..2",
    "--scenario private --nodes 5 --minutes 1 --seeds 1..2",
    "--scenario compressed --minutes 1 --seeds 1..2",
    "--scenario scaffold --minutes 2 --seeds 2..3",
    "--scenario buffered --minutes 2 --seeds 2..3",
    "--scenario members --nodes 4 --minutes 1 --seeds 1..3",
    "--scenario liars --minutes 1 --seeds 1..3",
    "--scenario upgrades --minutes 1 --seeds 1..3",
];

/// The chaos run: a fixed plan of faults, so that a failure can be had again. With start, healing and
/// verdict about two minutes on two cores.
const CHAOS: &str = "--for 75s --seed 7";

pub(crate) fn run(place: &Place) -> Result<(), Failure> {
    let cargo = |words: String| {
        move || {
            place
                .cargo()
                .args(words.split_whitespace())
                .run_unattended()
        }
    };
    let plain = |words: &str| cargo(words.to_owned());
    steps::run(vec![
        Step::new("set-up", || setup::run(place, Need::Tests)),
        Step::new("format", plain("fmt --all --check")),
        Step::new("purity", || crate::purity::run(place)),
        Step::new(
            "lints",
            plain(
                "clippy --release --workspace --all-targets --features edge/rdkafka -- -D warnings",
            ),
        ),
        Step::new("documentation", || documentation(place)),
        Step::new("tests", || crate::test(place, &[])),
        Step::noting("licences and bans", || deny(place)),
        Step::new("simulation of the machines", move || {
            MACHINES.iter().try_for_each(|batch| {
                cargo(format!(
                    "run --release -p simulations -- machines batch {batch}"
                ))()
            })
        }),
        Step::new("simulation of whole nodes", move || {
            LOCKSTEP.iter().try_for_each(|batch| {
                cargo(format!("run --release -p simulations -- batch {batch}"))()
            })
        }),
        // Behind everything that shares the plain build: all of ours above `machine` is built once more,
        // with the mistakes in it; libraries are not. That is eight minutes of processor time, the proof
        // itself two.
        Step::new(
            "proof of the simulation",
            plain("run --release -p simulations --features mistakes -- prove"),
        ),
        // As a process of its own, since it becomes another program.
        Step::new(
            "chaos",
            cargo(format!("run --quiet -p xtask -- chaos {CHAOS}")),
        ),
    ])
}

fn documentation(place: &Place) -> Result<(), Failure> {
    let mut command = place.cargo();
    // With the features of the lints: both then share what is checked of the libraries.
    command.args(["doc", "--release", "--workspace", "--no-deps"]);
    command.args(["--features", "edge/rdkafka"]);
    command.with("RUSTDOCFLAGS", "-D warnings").run_unattended()
}

/// Licences, bans and sources always; advisories where their database can be had.
fn deny(place: &Place) -> Result<Option<String>, Failure> {
    let binary = CARGO_DENY.bring(place)?;
    let check = |what: &[&str]| {
        let mut command = Command::new(&binary);
        command
            .folder(&place.root)
            .args(["--workspace", "check"])
            .args(what);
        command
    };
    check(&["bans", "licenses", "sources"]).run_unattended()?;

    let fetched = Command::new(&binary)
        .folder(&place.root)
        .args(["fetch", "db"])
        .output();
    if !fetched.is_ok_and(|output| output.status.success()) {
        return Ok(Some(
            "advisories not checked: their database cannot be reached from here".to_owned(),
        ));
    }
    check(&["advisories"]).run_unattended()?;
    Ok(None)
}
