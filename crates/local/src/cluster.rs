//! The cluster: made, started, hurt, healed, stopped.

use crate::control;
use crate::files::{self, FileError};
use crate::groups::{self, GroupsError};
use crate::identity::{self, IdentityError};
use crate::namespaces::{Namespaces, NetworkError};
use crate::process::{self, Children, End, Launch, Life, Process, STOP_LIMIT};
use crate::site::{self, MAX_NODES, Site, SiteError};
use crate::state::{Lock, Network, NodeRecord, State, StateError};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::Table;
use wire::control::{Answer, Ask};

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
    fallback: Option<NetworkError>,
}

impl LocalCluster {
    /// Makes a cluster of `nodes` in `dir`, which must be new or empty, or left by a creation that
    /// did not come to its end: identities, configurations, network. Nothing runs yet.
    pub fn create(dir: &Path, nodes: usize, options: Options) -> Result<Self, ClusterError> {
        let count = u8::try_from(nodes)
            .ok()
            .filter(|count| (1..=MAX_NODES).contains(&usize::from(*count)))
            .ok_or(ClusterError::Count(nodes))?;
        files::folder(dir)?;
        let unfinished = State::exists(dir) && State::load(dir)?.nodes.is_empty();
        let mut entries = std::fs::read_dir(dir).map_err(FileError::when("read", dir))?;
        if !unfinished && entries.next().is_some() {
            return Err(ClusterError::Taken(dir.to_owned()));
        }
        let mut cluster = Self::at(dir, options)?;
        let _lock = Lock::take(&cluster.dir)?;
        // First of all a record, so that `down` finds what a killed creation leaves.
        State::new(Network::Loopback, 0).save(&cluster.dir)?;
        if let Err(error) = cluster.write_files(count) {
            cluster.spaces.remove()?;
            return Err(error);
        }
        Ok(cluster)
    }

    fn write_files(&mut self, count: u8) -> Result<(), ClusterError> {
        let dir = self.dir.clone();
        files::folder(&dir.join("logs"))?;
        let numbers: Vec<u8> = (1..=count).collect();
        Site::of(&dir, "node-1").check()?;
        let network = self.choose(&numbers)?;
        let mut state = State::new(network, identity::dds_domain()?);
        state.nodes = site::records(network, &numbers)?;
        let identities = state
            .nodes
            .iter()
            .map(|node| identity::create(&Site::of(&dir, &node.name).identity))
            .collect::<Result<Vec<_>, _>>()?;
        for node in &state.nodes {
            let mut whole = site::founder(&state, node, &identities);
            site::merge(&mut whole, &self.options.overrides);
            site::save(&Site::of(&dir, &node.name).config, &whole)?;
        }
        Ok(state.save(&dir)?)
    }

    /// The network for new nodes: namespaces are made as a trial that stays.
    fn choose(&mut self, numbers: &[u8]) -> Result<Network, ClusterError> {
        let nodes: Vec<(String, u8)> = numbers
            .iter()
            .map(|number| (format!("node-{number}"), *number))
            .collect();
        match self.options.network {
            NetworkChoice::Only(Network::Loopback) => Ok(Network::Loopback),
            NetworkChoice::Only(Network::Namespaces) => {
                self.spaces.raise(&nodes)?;
                Ok(Network::Namespaces)
            }
            NetworkChoice::Auto => match self.spaces.raise(&nodes) {
                Ok(()) => Ok(Network::Namespaces),
                Err(reason) => {
                    self.fallback = Some(reason);
                    Ok(Network::Loopback)
                }
            },
        }
    }

    /// A cluster that was made before.
    pub fn open(dir: &Path, options: Options) -> Result<Self, ClusterError> {
        if !State::exists(dir) {
            return Err(StateError::Absent(dir.to_owned()).into());
        }
        Self::at(dir, options)
    }

    fn at(dir: &Path, options: Options) -> Result<Self, ClusterError> {
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
            self.spaces
                .lose(&node.name, &numbers_beyond(&node.name, state))?;
        }
        Ok(())
    }

    /// Starts the nodes that do not run; gives their names.
    pub fn start_all(&mut self) -> Result<Vec<String>, ClusterError> {
        self.change(|cluster, state| {
            cluster.raise(state)?;
            let names: Vec<String> = state
                .nodes
                .iter()
                .filter(|node| running(node).is_none())
                .map(|node| node.name.clone())
                .collect();
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

    /// SIGCONT.
    pub fn resume(&mut self, node: &str) -> Result<(), ClusterError> {
        alive(&self.state()?, node)?.signal(libc::SIGCONT);
        Ok(())
    }

    /// Nobody hears anybody of another group. A node in no group hears all.
    pub fn split(&mut self, groups: &[Vec<String>]) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            for name in groups.iter().flatten() {
                known(state, name)?;
            }
            state.split = groups.to_vec();
            for node in &state.nodes {
                cluster.cut(state, node)?;
            }
            Ok(())
        })
    }

    /// Everybody hears everybody again.
    pub fn heal(&mut self) -> Result<(), ClusterError> {
        self.split(&[])
    }

    /// A node loses this share of the packets that reach it; 0: none. Needs namespaces.
    pub fn degrade(&mut self, node: &str, percent: u8) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            known(state, node)?;
            if state.network == Network::Loopback {
                return Err(ClusterError::Node(
                    "packets on loopback are not lost one by one; make the cluster with --network namespaces, as root".into(),
                ));
            }
            if !state.split.is_empty() {
                return Err(ClusterError::Node(format!(
                    "the network is split ({}); heal it first",
                    groups::write(&state.split)
                )));
            }
            Ok(cluster.spaces.lose_share(node, percent)?)
        })
    }

    fn cut(&self, state: &State, node: &NodeRecord) -> Result<(), ClusterError> {
        match state.network {
            Network::Namespaces => Ok(self
                .spaces
                .lose(&node.name, &numbers_beyond(&node.name, state))?),
            // A node that is down is told when it starts; a paused one cannot be told, and hears
            // nobody anyway until the others, who were told, have cut their side.
            Network::Loopback => match running(node).map(Process::life) {
                Some(Life::Running) => self.tell_split(state, &node.name),
                Some(Life::Paused | Life::Ended) | None => Ok(()),
            },
        }
    }

    fn tell_split(&self, state: &State, node: &str) -> Result<(), ClusterError> {
        let peers = groups::beyond(node, &state.split)
            .into_iter()
            .map(Into::into)
            .collect();
        let socket = Site::of(&self.dir, node).control();
        let answer = control::ask(&socket, &Ask::Split { peers }, control::ASK_LIMIT)
            .map_err(|error| ClusterError::Node(format!("{node} was not split: {error}")))?;
        match answer {
            Answer::Done { .. } => Ok(()),
            Answer::Refused { text } => Err(ClusterError::Node(format!(
                "{node} refused to be split: {text}"
            ))),
            Answer::Status { .. } | Answer::Invitation { .. } => Err(ClusterError::Node(format!(
                "{node} answered the order to split with something else; is it of the same version?"
            ))),
        }
    }

    /// On loopback a split is in the nodes' memory: a restarted one has to be told again.
    fn split_again(&self, node: &str) -> Result<(), ClusterError> {
        let state = self.state()?;
        let told =
            state.network == Network::Namespaces || groups::beyond(node, &state.split).is_empty();
        if told {
            return Ok(());
        }
        let deadline = std::time::Instant::now() + TELL_LIMIT;
        loop {
            match self.tell_split(&state, node) {
                Err(error) if std::time::Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(TELL_AGAIN),
                Ok(()) => return Ok(()),
            }
        }
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
            state.split.clear();
            cluster.spaces.remove()?;
            complaints.dedup();
            Ok(complaints)
        })
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

/// A node has this long to open its control socket after its start.
const TELL_LIMIT: Duration = Duration::from_secs(20);
/// And is tried this often.
const TELL_AGAIN: Duration = Duration::from_millis(20);

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

fn numbers_beyond(node: &str, state: &State) -> Vec<u8> {
    let beyond = groups::beyond(node, &state.split);
    state
        .nodes
        .iter()
        .filter(|node| beyond.contains(&node.name.as_str()))
        .map(|node| node.number)
        .collect()
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

fn alive(state: &State, node: &str) -> Result<Process, ClusterError> {
    running(known(state, node)?).ok_or_else(|| ClusterError::Dead(node.to_owned()))
}
