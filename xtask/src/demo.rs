//! The demo and its chaotic sister: build what they need, then become them.

use crate::command::Failure;
use crate::place::Place;
use crate::setup::{self, Need};
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

/// As the demo, with a seed.
#[derive(clap::Args)]
pub(crate) struct ChaosArguments {
    #[command(flatten)]
    demo: Arguments,
    /// Decides which faults strike when
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub(crate) fn run(place: &Place, arguments: &Arguments) -> Result<(), Failure> {
    start(place, arguments, &[])
}

pub(crate) fn chaos(place: &Place, arguments: &ChaosArguments) -> Result<(), Failure> {
    let seed = arguments.seed.to_string();
    start(place, &arguments.demo, &["--chaos", "--seed", &seed])
}

/// Returns only on failure.
fn start(place: &Place, arguments: &Arguments, more: &[&str]) -> Result<(), Failure> {
    setup::run(place, Need::Demo)?;
    build(place)?;
    let binary = target_folder(place).join("release/glasshouse-demo");
    // Relative paths in the arguments mean the caller's folder, so that folder is kept.
    let mut command = crate::command::Command::new(binary);
    command.args(more);
    if let Some(span) = &arguments.span {
        command.args(["--for", span]);
    }
    if let Some(data) = &arguments.data {
        command.arg("--data").arg(data);
    }
    if let Some(json) = &arguments.json {
        command.arg("--json").arg(json);
    }
    if let Some(dir) = &arguments.dir {
        command.arg("--dir").arg(dir);
    }
    Err(command.become_it())
}

/// Release builds of the node and the demo.
pub(crate) fn build(place: &Place) -> Result<(), Failure> {
    place
        .cargo()
        .args(["build", "--release", "-p", "node", "-p", "demo"])
        .run_unattended()
}

fn target_folder(place: &Place) -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").filter(|folder| !folder.is_empty());
    place.root.join(set.unwrap_or_else(|| "target".into()))
}
