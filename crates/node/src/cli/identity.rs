//! `glasshouse identity FILE [--new]`.

use super::Outcome;
use crate::identity;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// File that holds the ed25519 seed.
    file: PathBuf,
    /// Make a new one; an existing file is never overwritten.
    #[arg(long)]
    new: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let key = if arguments.new {
        identity::create(&arguments.file)?
    } else {
        identity::load(&arguments.file)?
    };
    println!("{}", hex::encode(key.verifying_key().to_bytes()));
    Ok(())
}
