//! `glasshouse ledger verify|prove`.

use super::Outcome;
use clap::Subcommand;
use replica::{VerifyOptions, inclusion, verify};
use std::path::PathBuf;

#[derive(Subcommand)]
pub(super) enum Command {
    /// Recompute the Merkle tree in DIR and prove that the signed checkpoint covers it.
    Verify {
        /// A node's ledger folder (`<data_dir>/ledger`), also while the node runs.
        dir: PathBuf,
    },
    /// Show leaf INDEX with its inclusion proof (RFC 9162 §2.1.3).
    Prove {
        /// A node's ledger folder.
        dir: PathBuf,
        /// Index of the leaf, from 0.
        index: u64,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Verify { dir } => print!("{}", verify(dir, &VerifyOptions::default())?),
        Command::Prove { dir, index } => {
            print!("{}", inclusion(dir, *index, &VerifyOptions::default())?)
        }
    }
    Ok(())
}
