//! The demo and chaos: build what they need, then become them.

use crate::command::Failure;
use crate::place::Place;
use crate::setup::{self, Need};
use std::ffi::OsString;
use std::path::PathBuf;

/// Passed on to `glasshouse-demo`, which checks and explains them.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long to run, e.g. 60s
    #[arg(long = "for", value_name = "SPAN")]
    span: Option<String>,
    /// Replay a data set (e.g. ../shared/data/smd) in place of this host and generated gear
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Write the report here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep configurations, logs and ledgers here; must not exist yet
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Passed on to `glasshouse-chaos`, which checks and explains them.
#[derive(clap::Args)]
pub(crate) struct ChaosArguments {
    /// How long faults are made, e.g. 90s or 3m
    #[arg(long = "for", value_name = "SPAN")]
    span: Option<String>,
    /// Decides which faults strike when
    #[arg(long)]
    seed: Option<u64>,
    /// Play the plan of faults that a former run wrote
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// `embedded`, or `kafka` for Apache Kafka itself
    #[arg(long, value_name = "BROKER")]
    broker: Option<String>,
    /// `namespaces` or `loopback`; by default namespaces for root
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// Write the report here
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Keep plan, configurations, logs and ledgers here; must not exist yet
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(place: &Place, arguments: &Arguments) -> Result<(), Failure> {
    setup::run(place, Need::Demo)?;
    start(
        place,
        "demo",
        &[
            ("--for", arguments.span.as_ref().map(OsString::from)),
            ("--data", arguments.data.as_ref().map(OsString::from)),
            ("--json", arguments.json.as_ref().map(OsString::from)),
            ("--dir", arguments.dir.as_ref().map(OsString::from)),
        ],
    )
}

pub(crate) fn chaos(place: &Place, arguments: &ChaosArguments) -> Result<(), Failure> {
    // Apache Kafka is a tool of the tests.
    let kafka = arguments.broker.as_deref() == Some("kafka");
    let need = if kafka { Need::Tests } else { Need::Demo };
    setup::run(place, need)?;
    let seed = arguments.seed.map(|seed| seed.to_string().into());
    start(
        place,
        "chaos",
        &[
            ("--for", arguments.span.as_ref().map(OsString::from)),
            ("--seed", seed),
            ("--plan", arguments.plan.as_ref().map(OsString::from)),
            ("--broker", arguments.broker.as_ref().map(OsString::from)),
            ("--network", arguments.network.as_ref().map(OsString::from)),
            ("--json", arguments.json.as_ref().map(OsString::from)),
            ("--dir", arguments.dir.as_ref().map(OsString::from)),
        ],
    )
}

/// Builds the package and the node, and becomes its program `glasshouse-…`. Returns only on failure.
fn start(
    place: &Place,
    package: &str,
    options: &[(&str, Option<OsString>)],
) -> Result<(), Failure> {
    build(place, package)?;
    let binary = format!("release/glasshouse-{package}");
    // Relative paths in the arguments mean the caller's folder, so that folder is kept.
    let mut command = crate::command::Command::new(target_folder(place).join(binary));
    for (option, value) in options {
        if let Some(value) = value {
            command.arg(option).arg(value);
        }
    }
    Err(command.become_it())
}

/// Release builds of the node and of `package`.
fn build(place: &Place, package: &str) -> Result<(), Failure> {
    place
        .cargo()
        .args(["build", "--release", "-p", "node", "-p", package])
        .run_unattended()
}

fn target_folder(place: &Place) -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
    place.root.join(set.unwrap_or_else(|| "target".into()))
}
