//! The command line.

mod failures;
mod lockstep;
mod machines;
mod prove;

use clap::{Args, Parser, Subcommand};
use simulations::lockstep::guest::stock;
use simulations::lockstep::{Lockstep, SCENARIOS};
use simulations::story::RunError;
use std::path::PathBuf;
use std::process::ExitCode;

/// Deterministic simulation of Glasshouse under faults.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One run of real nodes in lockstep virtual time.
    Run(lockstep::Run),
    /// Many seeds, each of them twice if asked for.
    Batch(lockstep::Batch),
    /// Shows that the harness finds what is wrong: overrides left out, known mistakes switched on.
    Prove(prove::Prove),
    /// Searches for plans that break an invariant, and makes them small.
    Fuzz(failures::Fuzz),
    /// Runs a failure's file again and prints its story.
    Replay(failures::Replay),
    /// Makes a failure smaller.
    Shrink(failures::Shrink),
    /// Draws a failure's story as one HTML file.
    Draw(failures::Draw),
    /// Only the pure machines, around a model of the log.
    Machines {
        #[command(subcommand)]
        command: machines::Machines,
    },
}

/// What runs.
#[derive(Args, Clone)]
struct What {
    /// Scenario.
    #[arg(long, default_value = "storm", value_parser = scenario)]
    scenario: String,
    /// Nodes of the cluster, 1 to 9.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    nodes: u8,
    /// Virtual minutes.
    #[arg(long, default_value_t = 2)]
    minutes: u64,
    /// A known mistake that the nodes make, by name; more than one if said again.
    #[cfg(feature = "mistakes")]
    #[arg(long = "mistake", value_parser = mistake)]
    mistakes: Vec<String>,
}

impl What {
    /// Mistakes that the nodes make.
    fn bugs(&self) -> Vec<String> {
        #[cfg(feature = "mistakes")]
        let bugs = self.mistakes.clone();
        #[cfg(not(feature = "mistakes"))]
        let bugs = Vec::new();
        bugs
    }
}

#[cfg(feature = "mistakes")]
fn mistake(name: &str) -> Result<String, String> {
    let all = machine::mistakes::ALL.into_iter();
    if all.clone().any(|known| known.name() == name) {
        return Ok(name.to_owned());
    }
    let lines = all.map(|known| format!("\n  {:<24}{}", known.name(), known.sentence()));
    Err(format!(
        "there is no such mistake; there are:{}",
        lines.collect::<String>()
    ))
}

fn scenario(name: &str) -> Result<String, String> {
    if SCENARIOS.iter().any(|(known, _)| *known == name) {
        return Ok(name.to_owned());
    }
    let lines = SCENARIOS
        .iter()
        .map(|(name, what)| format!("\n  {name:<9}{what}"));
    Err(format!(
        "there is no such scenario; there are:{}",
        lines.collect::<String>()
    ))
}

/// What went wrong on the way, as a sentence.
type Failed = Box<dyn std::error::Error>;

/// Starts this program again for each process.
fn runner() -> Result<Lockstep, RunError> {
    let program: Result<PathBuf, _> = std::env::current_exe();
    program
        .map(Lockstep::new)
        .map_err(|error| RunError(format!("cannot find this program itself: {error}")))
}

pub(crate) fn main() -> ExitCode {
    // Before anything else: what is done here all simulated processes have done.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|first| first == stock::COMMAND)
    {
        crate::overrides::begin();
        stock::main();
    }
    let done = match Arguments::parse().command {
        Command::Run(run) => run.run(),
        Command::Batch(batch) => batch.run(),
        Command::Prove(prove) => prove.run(),
        Command::Fuzz(fuzz) => fuzz.run(),
        Command::Replay(replay) => replay.run(),
        Command::Shrink(shrink) => shrink.run(),
        Command::Draw(draw) => draw.run(),
        Command::Machines { command } => Ok(command.run()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let wrong = || format!("`{text}` is not a range of seeds; write for example 1..50");
    let (first, last) = text.split_once("..").ok_or_else(wrong)?;
    let first = first.parse().map_err(|_| wrong())?;
    let last = last.parse().map_err(|_| wrong())?;
    if first <= last {
        Ok((first, last))
    } else {
        Err(wrong())
    }
}
