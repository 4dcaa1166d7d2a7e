//! The simulation of the pure machines.

use clap::{Subcommand, ValueEnum};
use simulations::machines::{Rounds, Scenario, run};

/// How rounds go.
#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    /// In clear and secure ones by turns.
    Mixed,
    /// With noise by the participants, and a tenant whose budget ends.
    Private,
    /// With smaller updates, whose rest comes later.
    Compressed,
    /// With control variates.
    Scaffold,
    /// With updates as they come.
    Buffered,
}

#[derive(Subcommand)]
pub(super) enum Machines {
    /// One run.
    Run {
        /// Its seed.
        #[arg(long)]
        seed: u64,
        /// Nodes of the cluster, 1 to 9.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// How rounds go.
        #[arg(long, value_enum, default_value_t = Kind::Mixed)]
        rounds: Kind,
    },
    /// Each seed twice; both runs must be the same.
    Batch {
        /// `first..last`, both included.
        #[arg(long, value_parser = super::seeds)]
        seeds: (u64, u64),
        /// Nodes of the cluster, 1 to 9.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
        nodes: u8,
        /// How rounds go.
        #[arg(long, value_enum, default_value_t = Kind::Mixed)]
        rounds: Kind,
    },
}

fn scenario(nodes: u8, rounds: Kind) -> Scenario {
    Scenario {
        nodes: nodes.into(),
        rounds: match rounds {
            Kind::Mixed => Rounds::Mixed,
            Kind::Private => Rounds::Private,
            Kind::Compressed => Rounds::Compressed,
            Kind::Scaffold => Rounds::Scaffold,
            Kind::Buffered => Rounds::Buffered,
        },
        ..Scenario::default()
    }
}

impl Machines {
    /// Did everything hold?
    pub(super) fn run(self) -> bool {
        match self {
            Self::Run {
                seed,
                nodes,
                rounds,
            } => {
                let report = run(seed, scenario(nodes, rounds));
                println!("{report}");
                report.violation.is_none()
            }
            Self::Batch {
                seeds: (first, last),
                nodes,
                rounds,
            } => batch(first, last, scenario(nodes, rounds)) == 0,
        }
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
