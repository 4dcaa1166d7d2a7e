//! `glasshouse quarantine list|show|retry|discard`: over the control socket of the running node; what
//! needs no node works on its folder, too.

use super::{Outcome, done};
use crate::at_rest::Vault;
use crate::desk::at_the_shelf;
use crate::quarantine::Quarantine;
use base64::Engine as _;
use clap::Subcommand;
use local::control::AskError;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use wire::control::{Answer, Ask, QuarantineItem, QuarantineJob};

/// Trying a thousand items again takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

#[derive(clap::Args)]
pub(super) struct Place {
    /// Configuration of the node.
    #[arg(long)]
    config: PathBuf,
}

/// One item or all of them.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Its number in the list.
    id: Option<u64>,
    /// Every item.
    #[arg(long)]
    all: bool,
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
        /// Only the message, byte for byte, for `glasshouse format test`.
        #[arg(long)]
        raw: bool,
    },
    /// Read the pattern files anew and decode again; what is understood now leaves the quarantine.
    Retry {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        which: Which,
    },
    /// Remove for good.
    Discard {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        which: Which,
    },
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::List { place } => list(&place.config),
        Command::Show { place, id, raw } => {
            let job = QuarantineJob::Show { id: *id };
            let items = items(answer(&place.config, &job)?)?;
            let item = items
                .first()
                .ok_or("the node showed no item; is it of another version?")?;
            show(item, *raw)
        }
        Command::Retry { place, which } => done(answer(
            &place.config,
            &QuarantineJob::Retry { id: which.id },
        )?),
        Command::Discard { place, which } => done(answer(
            &place.config,
            &QuarantineJob::Discard { id: which.id },
        )?),
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Asks the node; without one, looks into its folder.
fn answer(config: &Path, job: &QuarantineJob) -> Result<Answer, Failure> {
    let config = config::load(config)?;
    let socket = local::control::socket(&config.node.data_dir);
    let ask = Ask::Quarantine { job: job.clone() };
    match local::control::ask(&socket, &ask, LIMIT) {
        Ok(answer) => Ok(answer),
        Err(AskError::Absent { .. }) => {
            let dir = crate::tree::quarantine_dir(&config);
            eprintln!(
                "The node does not run; this is its folder {}.",
                dir.display()
            );
            let keys = Vault::existing(&config).map(Arc::new);
            let keys = keys.map_err(|error| error.to_string());
            Ok(at_the_shelf(&Quarantine::open(dir, keys)?, job))
        }
        Err(error) => Err(error.into()),
    }
}

fn items(answer: Answer) -> Result<Vec<QuarantineItem>, Failure> {
    match answer {
        Answer::Quarantine { items } => Ok(items),
        other => Err(other.unexpected().into()),
    }
}

/// Page by page, until there is none.
fn list(config: &Path) -> Outcome {
    let mut after = 0;
    loop {
        let page = items(answer(config, &QuarantineJob::List { after })?)?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.id;
        for item in page {
            println!(
                "{:>6}  {:?} {}  from {}: {}",
                item.id,
                item.source,
                item.position,
                harmless(&item.sender),
                harmless(&item.reason)
            );
        }
    }
    if after == 0 {
        println!("nothing is in quarantine");
    }
    Ok(())
}

fn show(item: &QuarantineItem, raw: bool) -> Outcome {
    let encoded = item.raw.as_deref().unwrap_or_default();
    let message = base64::engine::general_purpose::STANDARD.decode(encoded)?;
    let mut out = std::io::stdout().lock();
    if raw {
        out.write_all(&message)?;
        return Ok(());
    }
    writeln!(out, "item     {}", item.id)?;
    writeln!(out, "accepted {} ms since 1970-01-01 UTC", item.at)?;
    writeln!(out, "source   {:?} {}", item.source, item.position)?;
    writeln!(out, "sender   {}", harmless(&item.sender))?;
    writeln!(out, "reason   {}", harmless(&item.reason))?;
    writeln!(out, "message  {} bytes\n", message.len())?;
    for line in String::from_utf8_lossy(&message).lines() {
        writeln!(out, "{}", harmless(line))?;
    }
    Ok(())
}

/// A stranger's text must not steer the terminal: control characters are shown, not sent.
pub(super) fn harmless(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => c,
            c if c.is_control() => '\u{fffd}',
            // Marks that turn the direction of writing can make a line read as another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            c => c,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_steer_the_terminal() {
        for (text, shown) in [
            ("plain\ttext é", "plain\ttext é"),
            ("\u{1b}[2Jgone", "\u{fffd}[2Jgone"),
            ("\u{9b}31m", "\u{fffd}31m"),
            ("\u{202e}txt.exe", "\u{fffd}txt.exe"),
            ("a\rb", "a\u{fffd}b"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }
}
