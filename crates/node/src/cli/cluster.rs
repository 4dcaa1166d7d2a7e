//! `glasshouse cluster`: several nodes on this machine.

use super::Outcome;

use clap::{Subcommand, ValueEnum};
use local::logs::{self, Follower};
use local::state::State;
use local::{LocalCluster, Network, NetworkChoice, Options, Row};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Nodes of a new cluster. Three is the smallest that survives the loss of one.
const NODES: usize = 3;

#[derive(clap::Args)]
pub(super) struct Arguments {
    /// The cluster's folder.
    #[arg(long, global = true, default_value = "glasshouse-cluster")]
    dir: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a cluster and start it; start what does not run of one that exists; make it larger.
    Up {
        /// Nodes, 1 to 9. More than an existing cluster has: the new ones join it.
        #[arg(long)]
        nodes: Option<usize>,
        /// How a new cluster's nodes reach each other.
        #[arg(long, value_enum, default_value_t = NetworkArgument::Auto)]
        network: NetworkArgument,
        /// Seconds until the cluster must stand.
        #[arg(long, default_value_t = 90)]
        limit: u64,
    },
    /// Show every node, and whether they agree.
    Status {
        /// The same as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Start a node that does not run.
    Start {
        /// Its name or number.
        node: String,
    },
    /// Ask a node to stop (SIGTERM).
    Stop {
        /// Its name or number.
        node: String,
    },
    /// End a node at once (SIGKILL).
    Kill {
        /// Its name or number.
        node: String,
    },
    /// Let a node stand still (SIGSTOP).
    Pause {
        /// Its name or number.
        node: String,
    },
    /// Let a paused node go on (SIGCONT).
    Resume {
        /// Its name or number.
        node: String,
    },
    /// Split the network: `1,2|3`, `node-1|rest`. Quote it, for `|` means something to a shell.
    Split {
        /// Who stays together.
        groups: String,
    },
    /// Undo a split, and packet loss.
    Heal,
    /// Lose a share of the packets that reach a node (with namespaces only).
    Degrade {
        /// Its name or number.
        node: String,
        /// Percent; 0: none.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=100))]
        loss: u8,
    },
    /// Show what nodes have written.
    Logs {
        /// Its name or number; without it, all.
        node: Option<String>,
        /// Go on with what is added.
        #[arg(short, long)]
        follow: bool,
        /// Lines from the end.
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
    },
    /// Run a command in a node's network, e.g. to mail to it.
    Exec {
        /// Its name or number.
        node: String,
        /// The command.
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Stop all nodes and remove their network; the data stays.
    Down,
}

#[derive(Clone, Copy, ValueEnum)]
enum NetworkArgument {
    /// Namespaces for root where the kernel has them, loopback otherwise.
    Auto,
    /// A network namespace for each node: a split loses real packets. Needs root and iproute2.
    Namespaces,
    /// 127.0.0.1: a split is made by the nodes themselves.
    Loopback,
}

pub(super) fn run(arguments: &Arguments) -> Outcome {
    let dir = &arguments.dir;
    match &arguments.command {
        Command::Up {
            nodes,
            network,
            limit,
        } => up(dir, *nodes, *network, Duration::from_secs(*limit)),
        Command::Status { json } => status(&open(dir)?, *json),
        Command::Start { node } => act(dir, node, "was started", LocalCluster::start),
        Command::Stop { node } => act(dir, node, "has stopped", LocalCluster::stop),
        Command::Kill { node } => act(dir, node, "was killed", LocalCluster::kill),
        Command::Pause { node } => act(dir, node, "stands still", LocalCluster::pause),
        Command::Resume { node } => act(dir, node, "goes on", LocalCluster::resume),
        Command::Split { groups } => {
            let mut cluster = open(dir)?;
            let groups = local::groups::parse(groups, &cluster.state()?.names())?;
            cluster.split(&groups)?;
            println!(
                "split: {}; {}",
                local::groups::write(&groups),
                cluster.state()?.network.describe()
            );
            Ok(())
        }
        Command::Heal => {
            open(dir)?.heal()?;
            println!("healed: everybody hears everybody");
            Ok(())
        }
        Command::Degrade { node, loss } => {
            let mut cluster = open(dir)?;
            let node = cluster.name(node)?;
            cluster.degrade(&node, *loss)?;
            println!("{node} loses {loss} % of the packets that reach it");
            Ok(())
        }
        Command::Logs {
            node,
            follow,
            lines,
        } => show_logs(&open(dir)?, node.as_deref(), *follow, *lines),
        Command::Exec { node, command } => exec(&open(dir)?, node, command),
        Command::Down => down(dir),
    }
}

fn options(network: NetworkArgument) -> std::io::Result<Options> {
    Ok(Options {
        network: match network {
            NetworkArgument::Auto => NetworkChoice::Auto,
            NetworkArgument::Namespaces => NetworkChoice::Only(Network::Namespaces),
            NetworkArgument::Loopback => NetworkChoice::Only(Network::Loopback),
        },
        detached: true,
        ..Options::new(std::env::current_exe()?)
    })
}

fn open(dir: &Path) -> Result<LocalCluster, Box<dyn std::error::Error + Send + Sync>> {
    Ok(LocalCluster::open(dir, options(NetworkArgument::Auto)?)?)
}

fn act(
    dir: &Path,
    node: &str,
    done: &str,
    work: impl FnOnce(&mut LocalCluster, &str) -> Result<(), local::ClusterError>,
) -> Outcome {
    let mut cluster = open(dir)?;
    let node = cluster.name(node)?;
    work(&mut cluster, &node)?;
    println!("{node} {done}");
    Ok(())
}

fn up(dir: &Path, nodes: Option<usize>, network: NetworkArgument, limit: Duration) -> Outcome {
    let begun = Instant::now();
    let say = |text: &str| println!("{:6.1} s  {text}", begun.elapsed().as_secs_f64());
    let existing = State::exists(dir) && !State::load(dir)?.nodes.is_empty();
    let mut cluster = if existing {
        LocalCluster::open(dir, options(network)?)?
    } else {
        LocalCluster::create(dir, nodes.unwrap_or(NODES), options(network)?)?
    };
    let state = cluster.state()?;
    let (before, all) = (cluster.running()?, state.nodes.len());
    if let Some(nodes) = nodes.filter(|nodes| *nodes < all) {
        return Err(format!(
            "the cluster in {} has {all} nodes, not {nodes}; a node leaves with `glasshouse node leave` or `glasshouse node evict`",
            dir.display()
        )
        .into());
    }
    if before.len() == all && nodes.is_none_or(|nodes| nodes == all) {
        println!("The cluster in {} runs already.", dir.display());
        return status(&cluster, false);
    }
    if !state.split.is_empty() {
        return Err(format!(
            "the network is split ({}); heal it with `glasshouse cluster heal`, or start single nodes with `glasshouse cluster start NODE`",
            local::groups::write(&state.split)
        )
        .into());
    }
    if let Some(reason) = cluster.fallback() {
        say(&format!("no namespaces: {reason}"));
    }
    say(&format!(
        "{} {all} nodes in {}, {}",
        if existing { "starting" } else { "made" },
        cluster.dir().display(),
        state.network.describe()
    ));
    let outcome = raise(&mut cluster, nodes.unwrap_or(all), limit, say);
    if let Err(error) = outcome {
        return Err(give_up(&mut cluster, &before, &error.to_string()).into());
    }
    status(&cluster, false)?;
    for node in &cluster.state()?.nodes {
        println!(
            "{}  mailbox {}, status page http://{}",
            node.name,
            node.mail_to(),
            node.admin
        );
    }
    if state.network == Network::Namespaces {
        println!(
            "These addresses are inside; `glasshouse cluster exec NODE -- COMMAND` goes there."
        );
    }
    Ok(())
}

fn raise(
    cluster: &mut LocalCluster,
    nodes: usize,
    limit: Duration,
    say: impl Fn(&str),
) -> Result<(), local::ClusterError> {
    let started = cluster.start_all()?;
    if !started.is_empty() {
        say(&format!("started {}", started.join(", ")));
    }
    cluster.wait_ready(limit, &say)?;
    if cluster.state()?.nodes.len() < nodes {
        cluster.grow(nodes, &say)?;
        cluster.wait_ready(limit, &say)?;
    }
    Ok(())
}

/// Stops what this command has started: nothing stays behind that nobody asked for.
fn give_up(cluster: &mut LocalCluster, before: &[String], error: &str) -> String {
    let mut text = error.to_owned();
    if before.is_empty() {
        match cluster.down() {
            Ok(complaints) => text.extend(complaints.iter().map(|line| format!("\n{line}"))),
            Err(error) => text += &format!("\n{error}"),
        }
    } else {
        let started = cluster.running().unwrap_or_default();
        for node in started.iter().filter(|node| !before.contains(node)) {
            if let Err(error) = cluster.stop(node) {
                text += &format!("\n{error}");
            }
        }
    }
    text + "\nWhat was started has been stopped again; the data and the logs are kept."
}

fn status(cluster: &LocalCluster, json: bool) -> Outcome {
    let (views, agreement) = cluster.agreement()?;
    let state = cluster.state()?;
    let rows: Vec<Row> = views.iter().map(Row::from).collect();
    if json {
        let whole = serde_json::json!({
            "dir": cluster.dir(),
            "network": state.network,
            "split": state.split,
            "nodes": rows,
            "agreement": agreement,
        });
        println!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    println!("{}", local::table(&rows));
    for view in &views {
        if let Some(silence) = &view.silence {
            println!("{} does not answer: {silence}", view.name);
        }
    }
    if !state.split.is_empty() {
        println!(
            "The network is split: {}",
            local::groups::write(&state.split)
        );
    }
    println!("{}", agreement.text);
    Ok(())
}

fn show_logs(cluster: &LocalCluster, node: Option<&str>, follow: bool, lines: usize) -> Outcome {
    let names = match node {
        Some(node) => vec![cluster.name(node)?],
        None => cluster.state()?.names(),
    };
    let files: Vec<(String, PathBuf)> = names
        .into_iter()
        .map(|name| {
            let log = cluster.files(&name).log;
            (name, log)
        })
        .collect();
    let follower = Follower::new(files.clone());
    for (name, log) in &files {
        if files.len() > 1 {
            println!("--- {name}");
        }
        match logs::tail(log, lines) {
            Ok(text) => println!("{text}"),
            Err(error) => println!("{} cannot be read: {error}", log.display()),
        }
    }
    if follow {
        follower.run(&mut std::io::stdout())?;
    }
    Ok(())
}

fn exec(cluster: &LocalCluster, node: &str, command: &[String]) -> Outcome {
    let node = cluster.name(node)?;
    let (program, arguments) = command.split_first().ok_or("no command was given")?;
    let ended = cluster.inside(&node, || {
        std::process::Command::new(program).args(arguments).status()
    })?;
    let status = ended.map_err(|error| format!("cannot run {program}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{program} ended with {status}").into())
    }
}

fn down(dir: &Path) -> Outcome {
    if !State::exists(dir) {
        println!("There is no cluster in {}; nothing to stop.", dir.display());
        return Ok(());
    }
    let mut cluster = open(dir)?;
    let complaints = cluster.down()?;
    if complaints.is_empty() {
        println!("The cluster in {} is down; its data stays.", dir.display());
        return Ok(());
    }
    Err(complaints.join("\n").into())
}
