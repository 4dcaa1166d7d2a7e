//! `glasshouse node`: run a node; invite, join, evict, leave.

use super::{Outcome, done};
use crate::join;
use clap::{Args, Subcommand};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::control::{Answer, Ask};
use wire::{Level, NodeId};

/// An act is committed within an election and a retry, or not now.
const ACT_LIMIT: Duration = Duration::from_secs(20);
/// How long the members are knocked at.
const JOIN_LIMIT: Duration = Duration::from_secs(30);

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    /// Run the node of this configuration until it is told to stop (SIGTERM or Ctrl-C).
    #[arg(long)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Invite a new node: prints a token that is good for one join.
    Invite {
        /// Configuration of a running member.
        #[arg(long)]
        config: PathBuf,
        /// Only a node of this name may use it.
        #[arg(long)]
        name: Option<NodeId>,
        /// Minutes until it expires.
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
    /// Join a cluster with a token from `node invite`: makes this node's identity key, is admitted,
    /// and writes a configuration to run it with.
    Join(Join),
    /// Remove a member: its links are cut at once, its keys are worth nothing from the next key epoch on.
    Evict {
        /// Configuration of a running member.
        #[arg(long)]
        config: PathBuf,
        /// The member to remove.
        node: NodeId,
        /// Why; stays on the ledger.
        #[arg(long)]
        reason: String,
    },
    /// Take a running node out of its cluster for good.
    Leave {
        /// Its configuration.
        #[arg(long)]
        config: PathBuf,
    },
}

#[derive(Args)]
struct Join {
    /// The token; `-` reads it from standard input, where no process list shows it.
    #[arg(long)]
    token: String,
    /// The new node's name.
    #[arg(long)]
    name: String,
    /// Its data folder; the identity key is made here.
    #[arg(long)]
    dir: PathBuf,
    /// Where it takes links from other nodes.
    #[arg(long)]
    listen: SocketAddr,
    /// Where others reach it, if that is not `--listen`.
    #[arg(long)]
    address: Option<String>,
    /// The configuration to write; by default `node.toml` in the data folder.
    #[arg(long)]
    config: Option<PathBuf>,
    /// A member's configuration to take rooms, devices, doors and the rest from.
    #[arg(long)]
    template: Option<PathBuf>,
    /// Where gear delivers its mail.
    #[arg(long, default_value = "127.0.0.1:2525")]
    mailbox: SocketAddr,
    /// Where the status page is.
    #[arg(long, default_value = "127.0.0.1:7100")]
    admin: SocketAddr,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    match (&arguments.command, &arguments.config) {
        (None, Some(config)) => {
            runtime::heap::keep_large_buffers();
            crate::tree::run(config::load(config)?)?;
            Ok(())
        }
        (None, None) => Err(
            "give --config FILE to run a node, or one of invite, join, evict, leave; see `glasshouse node --help`".into(),
        ),
        (Some(Command::Invite { config, name, minutes }), _) => {
            let ask = Ask::Invite {
                node: name.clone(),
                for_s: minutes.saturating_mul(60),
            };
            match act(config, &ask)? {
                Answer::Invitation { token, .. } => {
                    println!("{token}");
                    eprintln!(
                        "Good for one join within {minutes} minutes. Whoever has it may join: hand it over in private.\n\
                         On the new node: glasshouse node join --token TOKEN --name NAME --dir DIR --listen ADDRESS:PORT"
                    );
                    Ok(())
                }
                other => Err(other.unexpected().into()),
            }
        }
        (Some(Command::Join(arguments)), _) => join(arguments),
        (Some(Command::Evict { config, node, reason }), _) => {
            let ask = Ask::Evict {
                node: node.clone(),
                reason: reason.clone(),
            };
            done(act(config, &ask)?)
        }
        (Some(Command::Leave { config }), _) => done(act(config, &Ask::Leave)?),
    }
}

fn join(arguments: &Join) -> Outcome {
    let token = if arguments.token == "-" {
        std::io::read_to_string(std::io::stdin())?
    } else {
        arguments.token.clone()
    };
    let template = match &arguments.template {
        Some(path) => Some(config::load(path)?),
        None => None,
    };
    let wish = join::Wish {
        name: arguments.name.clone(),
        dir: arguments.dir.clone(),
        listen: arguments.listen,
        address: arguments.address.clone(),
        config: arguments
            .config
            .clone()
            .unwrap_or_else(|| arguments.dir.join("node.toml")),
        mailbox: arguments.mailbox,
        admin: arguments.admin,
        level: Level::NEWEST,
    };
    let joined = join::join(token.trim(), &wish, template.as_ref(), JOIN_LIMIT)?;
    println!(
        "{} is a member of the cluster {} ({} members). Run it with: glasshouse node --config {}",
        arguments.name,
        joined.cluster,
        joined.members,
        wish.config.display()
    );
    Ok(())
}

fn act(config: &Path, ask: &Ask) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    super::ask(config, ask, ACT_LIMIT)
}
