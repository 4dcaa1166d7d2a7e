//! The command line that all benchmarks share: a plan, or a part that a benchmark starts itself as.

use crate::{Failure, report};
use clap::{Args, Parser, Subcommand};

#[derive(Parser)]
#[command(about, version)]
struct Arguments<P: Subcommand, L: Args> {
    #[command(subcommand)]
    part: Option<P>,
    #[command(flatten)]
    plan: L,
}

/// Runs `part` if this process was started as one, `measure` otherwise.
///
/// Measures on one thread: the clients' share of the processors is small and the same for all.
pub fn run<P: Subcommand, L: Args>(
    part: impl FnOnce(P) -> Result<(), Failure>,
    measure: impl AsyncFnOnce(&L) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let arguments = Arguments::<P, L>::parse();
    report::log();
    match arguments.part {
        Some(chosen) => part(chosen),
        None => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(measure(&arguments.plan)),
    }
}
