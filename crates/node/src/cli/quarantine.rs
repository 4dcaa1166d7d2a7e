//! `glasshouse quarantine list|show|discard`.

use super::Outcome;
use crate::quarantine;
use clap::Subcommand;
use std::io::Write;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub(super) struct Place {
    /// Configuration of the node.
    #[arg(long)]
    config: PathBuf,
}

#[derive(Subcommand)]
pub(super) enum Command {
    /// One line per item, oldest first.
    List {
        #[command(flatten)]
        place: Place,
    },
    /// One item whole, with its message.
    Show {
        #[command(flatten)]
        place: Place,
        /// Its number in the list.
        id: u64,
    },
    /// Remove one item for good.
    Discard {
        #[command(flatten)]
        place: Place,
        /// Its number in the list.
        id: u64,
    },
}

fn folder(place: &Place) -> Result<PathBuf, config::ConfigError> {
    Ok(crate::tree::quarantine_dir(&config::load(&place.config)?))
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { place } => list(&folder(place)?),
        Command::Show { place, id } => show(&folder(place)?, *id),
        Command::Discard { place, id } => {
            quarantine::discard(&folder(place)?, *id)?;
            println!("item {id} is removed");
            Ok(())
        }
    }
}

fn list(dir: &Path) -> Outcome {
    let items = quarantine::list(dir)?;
    if items.is_empty() {
        println!("nothing is in quarantine");
    }
    for (id, item) in items {
        println!(
            "{id:>6}  {:?} {}  from {}: {}",
            item.source, item.position, item.sender, item.reason
        );
    }
    Ok(())
}

fn show(dir: &Path, id: u64) -> Outcome {
    let item = quarantine::read(dir, id)?;
    println!("item     {id}");
    println!("set aside at {} ms since 1970-01-01 UTC", item.at);
    println!("source   {:?} {}", item.source, item.position);
    println!("sender   {}", item.sender);
    println!("reason   {}", item.reason);
    println!("message  {} bytes\n", item.raw.len());
    std::io::stdout().write_all(&item.raw)?;
    println!();
    Ok(())
}
