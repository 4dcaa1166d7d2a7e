//! `cargo xtask`: everything that is done with this repository besides editing it.
//!
//! ```text
//! setup    libtorch and tools; quick when there is nothing to do
//! demo     the whole house on this machine
//! test     all tests
//! ci       what must pass before a change goes in
//! chaos    five nodes under load and faults of every kind
//! bench    measurements
//! eval     how well faults are found
//! fuzz     the fuzz targets, with coverage
//! purity   which crates may touch the world (docs/decisions/0002)
//! ```

mod bench;
mod ci;
mod command;
mod demo;
mod fuzz;
mod place;
mod purity;
mod setup;
mod steps;

use clap::{Parser, Subcommand};
use command::Failure;
use place::Place;
use setup::Need;
use std::ffi::OsString;
use std::process::ExitCode;

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Set up, show, test and measure Glasshouse",
    version
)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Bring libtorch and the tools that tests need; idempotent
    Setup {
        /// Only what this needs
        #[arg(long = "for", value_enum, default_value_t = Need::Tests)]
        need: Need,
    },
    /// Run the whole house on this machine: three nodes, gear, mainframe, rounds, alerts
    Demo(demo::Arguments),
    /// Hurt five nodes under load in every way there is, by a plan drawn from a seed
    Chaos(demo::ChaosArguments),
    /// Run all tests; further arguments go to `cargo test`
    Test {
        /// For example `-p ledger`, or `-- --nocapture`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Everything that must pass before a change goes in
    Ci,
    /// List the benchmarks, or run one
    Bench {
        /// Its name; `all` runs all
        name: Option<String>,
        /// Handed on to it; `-- --help` lists them
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// List the evaluations, or run one: how well faults are found
    Eval {
        /// Its name; `all` runs all
        name: Option<String>,
        /// Handed on to it; `-- --help` lists them
        #[arg(last = true)]
        arguments: Vec<OsString>,
    },
    /// Run the fuzz targets, all or the named ones, each for a while
    Fuzz(fuzz::Arguments),
    /// Check that pure crates touch neither clock, entropy, network nor files
    Purity,
}

fn main() -> ExitCode {
    let result = Place::find().and_then(|place| run(&place, Arguments::parse().task));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.exit_code()
        }
    }
}

fn run(place: &Place, task: Task) -> Result<(), Failure> {
    match task {
        Task::Setup { need } => {
            setup::run(place, need)?;
            println!("setup: everything is in place");
            Ok(())
        }
        Task::Demo(arguments) => demo::run(place, &arguments),
        Task::Chaos(arguments) => demo::chaos(place, &arguments),
        Task::Test { arguments } => {
            setup::run(place, Need::Tests)?;
            test(place, &arguments)
        }
        Task::Ci => ci::run(place),
        Task::Bench { name, arguments } => {
            bench::run(place, &bench::BENCHMARKS, name.as_deref(), &arguments)
        }
        Task::Eval { name, arguments } => {
            bench::run(place, &bench::EVALUATIONS, name.as_deref(), &arguments)
        }
        Task::Fuzz(arguments) => fuzz::run(place, &arguments),
        Task::Purity => purity::run(place),
    }
}

/// The tests, with the release profile: it is the code that ships, and demo, gate and tests share one
/// build of the libraries. The profile keeps overflow checks.
fn test(place: &Place, arguments: &[OsString]) -> Result<(), Failure> {
    let chosen = arguments
        .iter()
        .any(|word| word == "-p" || word == "--package");
    let all: &[&str] = match arguments {
        // All that fails is told at once, since a run takes long.
        [] => &["--workspace", "--no-fail-fast"],
        _ if chosen => &[],
        _ => &["--workspace"],
    };
    let mut command = place.cargo();
    command
        .args(["test", "--release"])
        .args(all)
        .args(arguments);
    command.run_unattended()?;
    // A filter is about something, and that is elsewhere or has been tried.
    match arguments {
        [] => test_options(place),
        [_, ..] => Ok(()),
    }
}

/// What is built only on demand: the feed on librdkafka, and DDS Security. Of the workspace, so that the libraries
/// are those of its build: `edge`, `dds` and Cyclone's C library, which is 70 seconds of processor time, are built
/// again. Without three brokers and without the older Kafka, which cost minutes and are about the brokers more than
/// about the client; docs/feed.md has the command for all.
fn test_options(place: &Place) -> Result<(), Failure> {
    let mut command = place.cargo();
    command.args(["test", "--release", "--workspace"]);
    command.args(["--features", "edge/rdkafka,dds/security"]);
    command.args(["--test", "kafka_embedded", "--test", "kafka_apache"]);
    command.args(["--test", "security"]);
    command.args(["--", "--skip", "three_brokers", "--skip", "the_older_kafka"]);
    command.run_unattended()
}
