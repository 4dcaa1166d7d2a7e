//! The cluster: made, started, hurt, healed, stopped.

use crate::cut;
use crate::files::FileError;
use crate::groups::{self, GroupsError};
use crate::identity::IdentityError;
use crate::namespaces::{Namespaces, NetworkError};
use crate::process::{self, Children, End, Launch, Life, Process, STOP_LIMIT};
use crate::site::{self, MAX_NODES, Site, SiteError};
use crate::state::{Lock, Network, NodeRecord, State, StateError};
use std::path::{Path, PathBuf};
use toml::Table;

/// How nodes are made and started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `glasshouse` program.
    pub binary: PathBuf,
    /// How nodes reach each other.
    pub network: NetworkChoice,
    /// Nodes go on when this process has ended, and dropping the cluster leaves them alone.
    pub detached: bool,
    /// Laid over every configuration that is written, table by table.
    pub overrides: Table,
}

/// How nodes reach each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NetworkChoice {
    /// Namespaces for root, if the kernel has what they need; loopback otherwise.
    Auto,
    /// This one, or none.
    Only(Network),
}

impl Options {
    /// Nodes of this program that end with the caller, in the best network there is.
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            network: NetworkChoice::Auto,
            detached: false,
            overrides: Table::new(),
        }
    }
}

/// Why something could not be done to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The record.
    #[error(transparent)]
    State(#[from] StateError),
    /// Configurations.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// Identities.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// Namespaces.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// Names of nodes.
    #[error(transparent)]
    Groups(#[from] GroupsError),
    /// A number of nodes.
    #[error("{0} nodes were asked for; a local cluster has 1 to {MAX_NODES}")]
    Count(usize),
    /// Not empty.
    #[error("{0} exists and holds something else than a cluster; name a new folder with --dir")]
    Taken(PathBuf),
    /// A process could not be started.
    #[error("cannot start {node} with {binary}: {source}")]
    Start {
        /// Who.
        node: String,
        /// With what.
        binary: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Started twice.
    #[error("{node} runs already, as process {pid}")]
    Runs {
        /// Who.
        node: String,
        /// Its process.
        pid: u32,
    },
    /// Nothing to hurt.
    #[error("{0} does not run; `glasshouse cluster start {0}` starts it")]
    Dead(String),
    /// A node did what it should not, or not what it should.
    #[error("{0}")]
    Node(String),
}

/// A cluster of local processes.
pub struct LocalCluster {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    pub(crate) children: Children,
    pub(crate) spaces: Namespaces,
    pub(crate) fallback: Option<NetworkError>,
}

impl LocalCluster {
    /// A cluster that was made before.
    pub fn open(dir: &Path, options: Options) -> Result<Self, ClusterError> {
        if !State::exists(dir) {
            return Err(StateError::Absent(dir.to_owned()).into());
        }
        Self::at(dir, options)
    }

    pub(crate) fn at(dir: &Path, options: Options) -> Result<Self, ClusterError> {
        // The same folder must give the same names, however it is written.
        let dir = dir.canonicalize().map_err(FileError::when("find", dir))?;
        Ok(Self {
            spaces: Namespaces::of(&dir),
            dir,
            options,
            children: Children::default(),
            fallback: None,
        })
    }

    /// Why a new cluster got loopback although namespaces would have been better.
    pub fn fallback(&self) -> Option<&NetworkError> {
        self.fallback.as_ref()
    }

    /// The node that is meant by its name, or by its number alone.
    pub fn name(&self, given: &str) -> Result<String, ClusterError> {
        Ok(groups::find(given, &self.state()?.names())?.to_owned())
    }

    /// The nodes that run now.
    pub fn running(&self) -> Result<Vec<String>, ClusterError> {
        let state = self.state()?;
        let running = state.nodes.iter().filter(|node| running(node).is_some());
        Ok(running.map(|node| node.name.clone()).collect())
    }

    /// Its folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is written down of it, with processes found whose start was not.
    pub fn state(&self) -> Result<State, ClusterError> {
        let mut state = State::load(&self.dir)?;
        for node in &mut state.nodes {
            if running(node).is_none() {
                node.process = Process::of_config(&Site::of(&self.dir, &node.name).config);
            }
        }
        Ok(state)
    }

    /// A node's files: configuration, data folder, log, control socket.
    pub fn files(&self, node: &str) -> NodeFiles {
        let site = Site::of(&self.dir, node);
        NodeFiles {
            control: site.control(),
            config: site.config,
            data: site.data,
            log: site.log,
        }
    }

    /// Reads the state, changes it, writes it, while no other command does.
    pub(crate) fn change<T>(
        &mut self,
        work: impl FnOnce(&mut Self, &mut State) -> Result<T, ClusterError>,
    ) -> Result<T, ClusterError> {
        let _lock = Lock::take(&self.dir)?;
        let mut state = self.state()?;
        let outcome = work(self, &mut state);
        // Also after an error: what was done until then was done.
        state.save(&self.dir)?;
        outcome
    }

    /// The network as the record says; makes what is missing of it.
    pub(crate) fn raise(&self, state: &State) -> Result<(), ClusterError> {
        if state.network == Network::Loopback {
            return Ok(());
        }
        let nodes: Vec<(String, u8)> = state
            .nodes
            .iter()
            .map(|node| (node.name.clone(), node.number))
            .collect();
        self.spaces.raise(&nodes)?;
        // A split outlives the machine's restart, its filters do not.
        for node in &state.nodes {
            self.spaces.lose(&node.name, &cut::losses(node, state))?;
        }
        Ok(())
    }

    /// Starts the nodes that do not run; gives their names.
    pub fn start_all(&mut self) -> Result<Vec<String>, ClusterError> {
        self.change(|cluster, state| {
            let names: Vec<String> = state
                .nodes
                .iter()
                .filter(|node| running(node).is_none())
                .map(|node| node.name.clone())
                .collect();
            if names.len() == state.nodes.len() {
                // A command that was killed may have left half a network.
                cluster.spaces.remove()?;
            }
            cluster.raise(state)?;
            for name in &names {
                cluster.launch(state, name)?;
            }
            Ok(names)
        })
    }

    /// Starts a node that does not run.
    pub fn start(&mut self, node: &str) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            cluster.raise(state)?;
            let record = known(state, node)?;
            if let Some(process) = running(record) {
                return Err(ClusterError::Runs {
                    node: node.to_owned(),
                    pid: process.pid,
                });
            }
            cluster.launch(state, node)
        })?;
        self.split_again(node)
    }

    pub(crate) fn launch(&mut self, state: &mut State, node: &str) -> Result<(), ClusterError> {
        let site = Site::of(&self.dir, node);
        let namespace = (state.network == Network::Namespaces).then(|| self.spaces.path(node));
        let launch = Launch {
            binary: &self.options.binary,
            config: &site.config,
            log: &site.log,
            namespace: namespace.as_deref(),
            outlives: self.options.detached,
        };
        let child = launch.start().map_err(|source| ClusterError::Start {
            node: node.to_owned(),
            binary: self.options.binary.clone(),
            source,
        })?;
        let process = Process::of(child.id());
        self.children.add(node, child);
        if let Some(record) = state.nodes.iter_mut().find(|record| record.name == node) {
            record.process = process;
            record.starts += 1;
            record.binary = self.options.binary.clone();
        }
        // At once: if this command is killed now, the next one knows of the process.
        Ok(state.save(&self.dir)?)
    }

    /// From now on nodes are started with this program (an upgrade, one node at a time).
    pub fn use_binary(&mut self, binary: impl Into<PathBuf>) {
        self.options.binary = binary.into();
    }

    /// Changes the configuration of a node; it is read at the node's next start.
    pub fn reconfigure(
        &mut self,
        node: &str,
        change: impl FnOnce(&mut Table),
    ) -> Result<(), ClusterError> {
        known(&self.state()?, node)?;
        let config = Site::of(&self.dir, node).config;
        let mut whole = site::read(&config)?;
        change(&mut whole);
        Ok(site::save(&config, &whole)?)
    }

    /// kill -9; what the node has not written to its disk is lost.
    pub fn kill(&mut self, node: &str) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            let process = alive(state, node)?;
            let end = cluster.children.kill(node, process);
            cluster.note_end(state, node, &end)
        })
    }

    /// SIGTERM, and SIGKILL with a complaint if that takes too long.
    pub fn stop(&mut self, node: &str) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            let process = alive(state, node)?;
            let end = cluster.children.stop(node, process, STOP_LIMIT);
            cluster.note_end(state, node, &end)?;
            let log = Site::of(&cluster.dir, node).log;
            process::complaint(node, &end, &log)
                .map_or(Ok(()), |complaint| Err(ClusterError::Node(complaint)))
        })
    }

    fn note_end(&self, state: &mut State, node: &str, end: &End) -> Result<(), ClusterError> {
        match end {
            End::Stopped(_) | End::Killed => {
                if let Some(record) = state.nodes.iter_mut().find(|record| record.name == node) {
                    record.process = None;
                    record.untold = false;
                }
                Ok(())
            }
            End::Stuck => {
                let log = Site::of(&self.dir, node).log;
                let complaint = process::complaint(node, end, &log);
                Err(ClusterError::Node(complaint.unwrap_or_default()))
            }
        }
    }

    /// SIGSTOP: the node stands still and answers nobody.
    pub fn pause(&mut self, node: &str) -> Result<(), ClusterError> {
        alive(&self.state()?, node)?.signal(libc::SIGSTOP);
        Ok(())
    }

    /// Stops everything, all nodes at once, and removes the network. Gives what did not go as it
    /// should, in sentences. Nothing there: nothing done.
    pub fn down(&mut self) -> Result<Vec<String>, ClusterError> {
        self.change(|cluster, state| {
            let going: Vec<(String, Process)> = state
                .nodes
                .iter()
                .filter_map(|node| Some((node.name.clone(), running(node)?)))
                .collect();
            for (_, process) in &going {
                process.signal(libc::SIGTERM);
                process.signal(libc::SIGCONT);
            }
            let mut complaints = Vec::new();
            for (name, process) in &going {
                let end = cluster.children.stop(name, *process, STOP_LIMIT);
                let log = Site::of(&cluster.dir, name).log;
                complaints.extend(process::complaint(name, &end, &log));
                if let Err(error) = cluster.note_end(state, name, &end) {
                    complaints.push(error.to_string());
                }
            }
            cut::forget(state);
            cluster.spaces.remove()?;
            complaints.dedup();
            Ok(complaints)
        })
    }

    /// The calling thread, and threads that it starts, reach every node at the address of its mailbox
    /// from now on. On loopback they do anyway.
    pub fn enter_outside(&self) -> Result<(), ClusterError> {
        match self.state()?.network {
            Network::Loopback => Ok(()),
            Network::Namespaces => Ok(self.spaces.enter_hub()?),
        }
    }

    /// Runs `work` in a thread whose sockets are in the network of `node`: the caller's own on
    /// loopback.
    pub fn inside<T: Send>(
        &self,
        node: &str,
        work: impl FnOnce() -> T + Send,
    ) -> Result<T, ClusterError> {
        match self.state()?.network {
            Network::Loopback => Ok(work()),
            Network::Namespaces => Ok(self.spaces.inside(node, work)?),
        }
    }
}

/// A node's files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeFiles {
    /// Configuration.
    pub config: PathBuf,
    /// Journals, ledger, quarantine.
    pub data: PathBuf,
    /// Output of all its processes.
    pub log: PathBuf,
    /// Control socket.
    pub control: PathBuf,
}

impl Drop for LocalCluster {
    /// Unless detached: nothing is left but files.
    fn drop(&mut self) {
        if self.options.detached {
            return;
        }
        if let Ok(state) = self.state() {
            for node in &state.nodes {
                if let Some(process) = running(node) {
                    self.children.kill(&node.name, process);
                }
            }
        }
        // Nobody is left to tell.
        let _ = self.spaces.remove();
    }
}

pub(crate) fn known<'a>(state: &'a State, node: &str) -> Result<&'a NodeRecord, ClusterError> {
    state
        .nodes
        .iter()
        .find(|record| record.name == node)
        .ok_or_else(|| {
            GroupsError::Unknown {
                name: node.to_owned(),
                known: state.names().join(", "),
            }
            .into()
        })
}

pub(crate) fn running(node: &NodeRecord) -> Option<Process> {
    node.process.filter(|process| process.life() != Life::Ended)
}

pub(crate) fn alive(state: &State, node: &str) -> Result<Process, ClusterError> {
    running(known(state, node)?).ok_or_else(|| ClusterError::Dead(node.to_owned()))
}
