//! The command line. Each command is a file; errors are sentences on standard error.

mod accounts;
mod cluster;
mod copybook;
mod dds;
mod device;
mod format;
mod identity;
mod ledger;
mod models;
mod node;
mod plot;
mod quarantine;
mod rounds;
mod status;
mod tree;
mod wrapping_key;

use clap::{Parser, Subcommand};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use wire::control::{Answer, Ask};
use wire::status::Status;

#[derive(Parser)]
#[command(
    name = "glasshouse",
    version,
    about = "Makes a datacenter transparent to those who run it and those who must trust it."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a node, or change who belongs to the cluster.
    Node(node::Arguments),
    /// Show what a running node says of itself.
    Status(status::Arguments),
    /// Show a running node's supervision tree: restarts, mailboxes, what waits for how long.
    Tree {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
    },
    /// Check a configuration without starting anything.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Make or show a node's identity key.
    Identity(identity::Arguments),
    /// Show or change the key that seals what rests on a node's disk.
    WrappingKey(wrapping_key::Arguments),
    /// Play a device: send one mail as the real gear would.
    Device {
        #[command(subcommand)]
        command: device::Command,
    },
    /// Formats of mails: what is known, and trying a pattern file of your own.
    Format {
        #[command(subcommand)]
        command: format::Command,
    },
    /// Descriptions of mainframe records: what a copybook says, and what records hold.
    Copybook {
        #[command(subcommand)]
        command: copybook::Command,
    },
    /// Look at what was accepted but not understood, and try it again.
    Quarantine {
        #[command(subcommand)]
        command: quarantine::Command,
    },
    /// The course of learning: rounds, their loss, and why one failed.
    Rounds(rounds::Arguments),
    /// Models that rounds made: choose one, go back to one, take one along.
    Models {
        #[command(subcommand)]
        command: models::Command,
    },
    /// The data space: looking on, readings by hand, and keys for programs outside.
    Dds {
        #[command(subcommand)]
        command: dds::Command,
    },
    /// Run several nodes on this machine, and hurt them.
    Cluster(cluster::Arguments),
    /// Verify a ledger, or prove one of its leaves.
    Ledger {
        #[command(subcommand)]
        command: ledger::Command,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Read FILE; exit code 0 and a summary if it is good, the problems otherwise.
    Check {
        /// The configuration.
        file: PathBuf,
    },
}

/// A node answers from memory at once, or not at all.
const ASK_LIMIT: Duration = Duration::from_secs(10);

/// What a command ends with when it fails: a sentence for the user.
type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Parses the arguments, runs the command, turns an error into a sentence and exit code 1.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Node(arguments) => node::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Tree { config } => show_tree(&config),
        Command::Config {
            command: ConfigCommand::Check { file },
        } => check(&file),
        Command::Identity(arguments) => identity::run(&arguments),
        Command::WrappingKey(arguments) => wrapping_key::run(&arguments),
        Command::Device { command } => device::run(&command),
        Command::Format { command } => format::run(&command),
        Command::Copybook { command } => copybook::run(&command),
        Command::Quarantine { command } => quarantine::run(&command),
        Command::Rounds(arguments) => rounds::run(&arguments),
        Command::Models { command } => models::run(&command),
        Command::Dds { command } => dds::run(&command),
        Command::Cluster(arguments) => cluster::run(&arguments),
        Command::Ledger { command } => ledger::run(&command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("glasshouse: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Asks the running node of a configuration over its control socket.
fn ask(config: &Path, ask: &Ask, limit: Duration) -> Result<Answer, Box<dyn Error + Send + Sync>> {
    let socket = local::control::socket(&config::load(config)?.node.data_dir);
    Ok(local::control::ask(&socket, ask, limit)?)
}

/// Shows the sentence of what was done.
fn done(answer: Answer) -> Outcome {
    match answer {
        Answer::Done { text } => {
            println!("{text}");
            Ok(())
        }
        other => Err(other.unexpected().into()),
    }
}

/// The status of the running node of a configuration.
fn status_of(
    config: &Path,
    question: &Ask,
    limit: Duration,
) -> Result<Status, Box<dyn Error + Send + Sync>> {
    match ask(config, question, limit)? {
        Answer::Status { status } => Ok(*status),
        other => Err(other.unexpected().into()),
    }
}

fn show_tree(config: &Path) -> Outcome {
    let question = Ask::Status {
        linearizable: false,
    };
    print!(
        "{}",
        tree::render(&status_of(config, &question, ASK_LIMIT)?)
    );
    Ok(())
}

fn check(path: &Path) -> Outcome {
    let config = config::load(path)?;
    let formats = config::load_formats(config.mailbox.formats.as_deref())?;
    println!(
        "{}: good. Node {} of cluster {} ({} members), {} rooms, {} devices, {} formats of its own, {}.",
        path.display(),
        config.node.name,
        config.cluster.name,
        config.cluster.peers.len(),
        config.rooms.len(),
        config.devices.len(),
        formats.all().count(),
        match &config.feed {
            Some(feed) => format!("Kafka topic {}", feed.topic),
            None => "no Kafka feed".into(),
        },
    );
    Ok(())
}
