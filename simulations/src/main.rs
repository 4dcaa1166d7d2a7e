//! `simulations run --seed 7`: see docs/simulation.md.

mod cli;
mod overrides;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
