//! `simulations run --seed 7`, `simulations batch --seeds 1..50`: see the library's docs.

mod overrides;

use clap::{Parser, Subcommand};
use simulations::machines::{Scenario, run};
use std::process::ExitCode;

/// Deterministic simulation of the pure machines around a model of the replicated log.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One run.
    Run {
        /// Its seed.
        #[arg(long)]
        seed: u64,
        /// Nodes of the cluster, 1 to 9.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
    },
    /// Each seed twice; both runs must be the same.
    Batch {
        /// `first..last`, both included.
        #[arg(long, value_parser = seeds)]
        seeds: (u64, u64),
        /// Nodes of the cluster, 1 to 9.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
    },
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

fn scenario(nodes: u8) -> Scenario {
    Scenario {
        nodes: nodes.into(),
        ..Scenario::default()
    }
}

fn main() -> ExitCode {
    let bad = match Args::parse().command {
        Command::Run { seed, nodes } => {
            let report = run(seed, scenario(nodes));
            println!("{report}");
            u64::from(report.violation.is_some())
        }
        Command::Batch {
            seeds: (first, last),
            nodes,
        } => batch(first, last, scenario(nodes)),
    };
    if bad == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How many seeds broke a rule or did not repeat.
fn batch(first: u64, last: u64, scenario: Scenario) -> u64 {
    let mut bad = 0;
    for seed in first..=last {
        let (once, again) = (run(seed, scenario), run(seed, scenario));
        if once != again {
            println!(
                "seed={seed} is not deterministic: trace {} and {}",
                once.trace, again.trace
            );
            bad += 1;
        } else if once.violation.is_some() {
            println!("{once}");
            bad += 1;
        } else {
            println!("seed={seed} trace={} violations=0", once.trace);
        }
    }
    println!(
        "seeds={first}..{last} runs={} bad={bad}",
        2 * (last - first + 1)
    );
    bad
}
