//! Splitting the network, and healing it.

use crate::cluster::{ClusterError, LocalCluster, alive, known, running};
use crate::control;
use crate::filter::Losses;
use crate::groups;
use crate::lag::{Lag, Lagging};
use crate::namespaces;
use crate::process::{Life, Process};
use crate::site::Site;
use crate::state::{Network, NodeRecord, State};
use std::time::{Duration, Instant};
use wire::control::{Answer, Ask};

/// A node has this long to open its control socket after its start.
const TELL_LIMIT: Duration = Duration::from_secs(20);
/// And is tried this often.
const TELL_AGAIN: Duration = Duration::from_millis(20);

impl LocalCluster {
    /// Nobody hears anybody of another group. A node in no group hears all.
    pub fn split(&mut self, groups: &[Vec<String>]) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            for name in groups.iter().flatten() {
                known(state, name)?;
            }
            state.split = groups.to_vec();
            cluster.cut_all(state)
        })
    }

    /// Everybody hears everybody again, and every packet.
    pub fn heal(&mut self) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            forget(state);
            cluster.cut_all(state)
        })
    }

    /// A node does not hear these any more, who still hear it; empty: it hears all again, as far as a
    /// split lets it. Needs namespaces.
    pub fn deafen(&mut self, node: &str, to: &[String]) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            for name in to {
                known(state, name)?;
            }
            let record = cluster.wired(state, node)?;
            record.deaf_to = to.to_vec();
            let losses = losses(known(state, node)?, state);
            Ok(cluster.spaces.lose(node, &losses)?)
        })
    }

    /// A node loses this share of the packets that reach it; 0: none. Needs namespaces.
    pub fn degrade(&mut self, node: &str, percent: u8) -> Result<(), ClusterError> {
        self.change(|cluster, state| {
            let record = cluster.wired(state, node)?;
            record.loses = percent;
            let losses = losses(known(state, node)?, state);
            Ok(cluster.spaces.lose(node, &losses)?)
        })
    }

    /// What a node sends and what reaches it is late, until the outcome is dropped. Needs namespaces,
    /// and lasts no longer than this process.
    pub fn lag(&mut self, node: &str, lag: Lag) -> Result<Lagging, ClusterError> {
        self.change(|cluster, state| {
            let number = cluster.wired(state, node)?.number;
            Ok(cluster.spaces.lag(number, lag)?)
        })
    }

    /// A node's record, if its packets can be lost one by one.
    fn wired<'a>(
        &self,
        state: &'a mut State,
        node: &str,
    ) -> Result<&'a mut NodeRecord, ClusterError> {
        known(state, node)?;
        if state.network == Network::Loopback {
            return Err(ClusterError::Node(
                "packets on loopback are not lost one by one; make the cluster with --network namespaces, as root".into(),
            ));
        }
        let record = state.nodes.iter_mut().find(|record| record.name == node);
        record.ok_or_else(|| ClusterError::Dead(node.to_owned()))
    }

    fn cut_all(&self, state: &mut State) -> Result<(), ClusterError> {
        // All of them, whatever befalls one: a node left as it was could not be healed either.
        let mut complaints = Vec::new();
        for index in 0..state.nodes.len() {
            match self.cut(state, &state.nodes[index]) {
                Ok(untold) => state.nodes[index].untold = untold,
                Err(error) => complaints.push(error.to_string()),
            }
        }
        if complaints.is_empty() {
            Ok(())
        } else {
            Err(ClusterError::Node(complaints.join("\n")))
        }
    }

    /// True: the node has to be told later.
    fn cut(&self, state: &State, node: &NodeRecord) -> Result<bool, ClusterError> {
        match state.network {
            Network::Namespaces => {
                self.spaces.lose(&node.name, &losses(node, state))?;
                Ok(false)
            }
            // A node that is down is told when it starts, and a paused one when it is resumed. The
            // others, who are told now, cut their side of its links.
            Network::Loopback => match running(node).map(Process::life) {
                Some(Life::Running) => self.tell_split(state, &node.name).map(|()| false),
                Some(Life::Paused) => Ok(true),
                Some(Life::Ended) | None => Ok(false),
            },
        }
    }

    /// SIGCONT. A split or healing that it has slept through is told to it now.
    pub fn resume(&mut self, node: &str) -> Result<(), ClusterError> {
        let state = self.state()?;
        alive(&state, node)?.signal(libc::SIGCONT);
        if !known(&state, node)?.untold {
            return Ok(());
        }
        self.tell_soon(&state, node)?;
        self.change(|_, state| {
            for record in state.nodes.iter_mut().filter(|record| record.name == node) {
                record.untold = false;
            }
            Ok(())
        })
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
            other => Err(ClusterError::Node(format!(
                "{node} was not split: {}",
                other.unexpected()
            ))),
        }
    }

    /// On loopback a split is in the nodes' memory: a restarted one has to be told again.
    pub(crate) fn split_again(&self, node: &str) -> Result<(), ClusterError> {
        let state = self.state()?;
        let told =
            state.network == Network::Namespaces || groups::beyond(node, &state.split).is_empty();
        if told {
            return Ok(());
        }
        self.tell_soon(&state, node)
    }

    /// Tells a node as soon as it listens.
    fn tell_soon(&self, state: &State, node: &str) -> Result<(), ClusterError> {
        let deadline = Instant::now() + TELL_LIMIT;
        loop {
            match self.tell_split(state, node) {
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(_) => std::thread::sleep(TELL_AGAIN),
                Ok(()) => return Ok(()),
            }
        }
    }
}

/// What `node` cannot hear.
pub(crate) fn losses(node: &NodeRecord, state: &State) -> Losses {
    let beyond = groups::beyond(&node.name, &state.split);
    let unheard = |other: &&NodeRecord| {
        beyond.contains(&other.name.as_str()) || node.deaf_to.contains(&other.name)
    };
    Losses {
        from: state
            .nodes
            .iter()
            .filter(unheard)
            .map(|other| namespaces::address(other.number))
            .collect(),
        percent: node.loses,
    }
}

/// No record of any cut is left.
pub(crate) fn forget(state: &mut State) {
    state.split.clear();
    for node in &mut state.nodes {
        node.deaf_to.clear();
        node.loses = 0;
    }
}
