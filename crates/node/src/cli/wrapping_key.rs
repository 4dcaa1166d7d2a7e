//! `glasshouse wrapping-key --config FILE [--new]`.

use super::Outcome;
use crate::at_rest;
use std::path::PathBuf;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The node's configuration.
    #[arg(long)]
    config: PathBuf,
    /// Put a fresh key in front: it wraps from the node's next start on, the former ones still open what
    /// they wrapped.
    #[arg(long)]
    new: bool,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let config = config::load(&arguments.config)?;
    let path = at_rest::key_path(&config);
    let ids = at_rest::ids(&path)?;
    let Some(newest) = ids.first() else {
        return Err(format!(
            "there is no wrapping key {} yet; the node makes it at its first start",
            path.display()
        )
        .into());
    };
    if arguments.new {
        let keys = at_rest::add(&path)?;
        println!(
            "{} wraps from the next start of the node on; {newest} and older ones still open. Keep a \
             copy of {}.",
            keys.newest(),
            path.display()
        );
        return Ok(());
    }
    println!("{}: {newest} wraps", path.display());
    for former in &ids[1..] {
        println!("{}: {former} opens what it wrapped", path.display());
    }
    Ok(())
}
