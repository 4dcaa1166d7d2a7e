//! `glasshouse dds key|publish|spy`: keys for programs outside and readings by hand, over the control socket
//! of the running node, and looking on.

mod publish;
mod spy;

use super::Outcome;
use crate::space::HOUSE;
use clap::{Subcommand, ValueEnum};
use dds::Topic;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::control::{Answer, Ask, ReaderKey};

/// The entry on the ledger may need an election first.
const LIMIT: Duration = Duration::from_secs(15);

#[derive(Subcommand)]
pub(super) enum Command {
    /// Export a key that opens one topic's samples in one partition. The ledger gets an entry of it first.
    ///
    /// The key opens the samples of the key epochs that can be read now. Every round of learning begins another
    /// epoch; with --follow the file is kept up to date until the time is over. What was handed out opens its
    /// epochs' samples for ever. Whoever holds it can also forge unsigned samples there.
    Key {
        /// Configuration of the node to ask.
        #[arg(long)]
        config: PathBuf,
        /// Which topic.
        #[arg(long, value_enum, default_value = "readings")]
        topic: Named,
        /// Which room; for readings only, everything else crosses rooms.
        #[arg(long, required_if_eq("topic", "readings"))]
        room: Option<String>,
        /// For whom: stays on the ledger.
        #[arg(long)]
        reader: String,
        /// How long keys of later epochs may be asked for: 90s, 30m, 1h, 7d.
        #[arg(long = "for", default_value = "1h", value_parser = seconds)]
        for_s: u64,
        /// Where to put it (JSON, readable by its owner only); default: standard output.
        #[arg(long)]
        out: Option<PathBuf>,
        /// Stay, and write the file anew when there are keys of another epoch.
        #[arg(long, requires = "out")]
        follow: bool,
    },
    /// Publish readings by hand, in a device's name: for a trial, or for what gear cannot tell itself.
    ///
    /// They go through the mailbox of the running node like a mail of the device, so they are judged, learned
    /// from, and accounted for on the ledger like any other.
    Publish(publish::Arguments),
    /// Show samples and events of the data space as they come, opened with a reader key.
    ///
    /// The node need not run here; only its configuration is read. Signatures are not checked.
    Spy(spy::Arguments),
}

/// A topic by its short name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Named {
    Readings,
    Scores,
    Alerts,
    Models,
    Status,
}

impl Named {
    const fn topic(self) -> Topic {
        match self {
            Self::Readings => Topic::READINGS,
            Self::Scores => Topic::SCORES,
            Self::Alerts => Topic::ALERTS,
            Self::Models => Topic::MODELS,
            Self::Status => Topic::STATUS,
        }
    }
}

/// How often a followed key is asked for anew: well below the shortest round.
const FOLLOW_PERIOD: Duration = Duration::from_millis(500);

fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no time; write 90s, 30m, 1h or 7d");
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).ok_or_else(wrong)
}

pub(super) fn run(command: &Command) -> Outcome {
    match command {
        Command::Publish(arguments) => publish::run(arguments),
        Command::Spy(arguments) => spy::run(arguments),
        Command::Key {
            config,
            topic,
            room,
            reader,
            for_s,
            out,
            follow,
        } => {
            let ask = Ask::ReaderKey {
                reader: reader.clone(),
                topic: topic.topic().name().to_owned(),
                partition: partition(*topic, room.as_deref())?,
                for_s: *for_s,
            };
            let key = answer(config, &ask)?;
            write(&key, out.as_deref())?;
            if *follow {
                keep(config, key, out.as_deref())?;
            }
            Ok(())
        }
    }
}

fn partition(topic: Named, room: Option<&str>) -> Result<String, &'static str> {
    match (topic, room) {
        (Named::Readings, Some(room)) => Ok(room.to_owned()),
        (_, None) => Ok(HOUSE.to_owned()),
        (Named::Scores | Named::Alerts | Named::Models | Named::Status, Some(_)) => {
            Err("only readings are by room; leave --room out")
        }
    }
}

/// Writes the key anew whenever there is another epoch's, until the node gives no more.
fn keep(config: &Path, mut key: ReaderKey, out: Option<&Path>) -> Outcome {
    loop {
        std::thread::sleep(FOLLOW_PERIOD);
        let grant = key.grant.clone();
        let next = answer(config, &Ask::ReaderKeyAgain { grant })?;
        if next != key {
            write(&next, out)?;
        }
        key = next;
    }
}

fn answer(config: &Path, ask: &Ask) -> Result<ReaderKey, Box<dyn std::error::Error + Send + Sync>> {
    match super::ask(config, ask, LIMIT)? {
        Answer::ReaderKey { key } => Ok(key),
        other => Err(other.unexpected().into()),
    }
}

/// In one step, so that who reads the file while it is followed reads a whole one.
fn write(key: &ReaderKey, out: Option<&Path>) -> Outcome {
    let text = serde_json::to_string_pretty(key)?;
    let Some(out) = out else {
        println!("{text}");
        return Ok(());
    };
    let cannot = |error| format!("cannot write the key to {}: {error}", out.display());
    let new = out.with_extension("new");
    let _ = std::fs::remove_file(&new);
    let mut file = std::fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(&new)
        .map_err(cannot)?;
    file.write_all(text.as_bytes()).map_err(cannot)?;
    Ok(std::fs::rename(&new, out).map_err(cannot)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_unit() {
        for (text, expected) in [("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(seconds(text), Ok(expected));
        }
        for text in [
            "",
            "1",
            "h",
            "1w",
            "-1h",
            "1.5h",
            "ä",
            "99999999999999999999d",
            "999999999999999999d",
        ] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
