//! New members for a running cluster, by the way any new member takes: a member invites, the new
//! node joins with the token, and is started with the configuration that joining has written.

use crate::cluster::{ClusterError, LocalCluster, running};
use crate::control;
use crate::process::Process;
use crate::site::{self, MAX_NODES, Site};
use crate::state::{Network, NodeRecord};
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use wire::control::{Answer, Ask};

/// Joining asks a majority for an entry on the ledger; more only when a leader is being elected.
const JOIN_LIMIT: Duration = Duration::from_secs(30);
/// An invitation is good for this long; it is used at once.
const INVITED_S: u64 = 120;
/// How often the end of joining is looked for.
const LOOK: Duration = Duration::from_millis(20);

impl LocalCluster {
    /// Grows the running cluster to `nodes`, one after the other; `progress` hears each.
    pub fn grow(
        &mut self,
        nodes: usize,
        mut progress: impl FnMut(&str),
    ) -> Result<(), ClusterError> {
        if nodes > MAX_NODES {
            return Err(ClusterError::Count(nodes));
        }
        loop {
            let state = self.state()?;
            if state.nodes.len() >= nodes {
                return Ok(());
            }
            let number = (1..=u8::MAX)
                .find(|number| state.nodes.iter().all(|node| node.number != *number))
                .ok_or(ClusterError::Count(nodes))?;
            let inviter = self.add(number)?;
            progress(&format!("node-{number} joined, invited by {inviter}"));
        }
    }

    /// Adds one node; gives the name of the member that invited it. On an error the cluster is as
    /// before, but for an invitation that nobody uses.
    fn add(&mut self, number: u8) -> Result<String, ClusterError> {
        self.change(|cluster, state| {
            let before = state.nodes.clone();
            let records = site::records(state.network, &[number])?;
            state.nodes.extend(records);
            let outcome = cluster.raise(state).and_then(|()| {
                let record = state
                    .nodes
                    .last()
                    .cloned()
                    .ok_or(ClusterError::Count(usize::from(number)))?;
                let (inviter, token) = cluster.invite(&before, &record.name)?;
                cluster.join(&record, state.network, &token)?;
                let path = Site::of(&cluster.dir, &record.name).config;
                let model = site::read(&Site::of(&cluster.dir, &before[0].name).config)?;
                let mut whole = site::joined(state, &record, &site::read(&path)?, &model);
                site::merge(&mut whole, &cluster.options.overrides);
                site::save(&path, &whole)?;
                cluster.launch(state, &record.name)?;
                Ok(inviter)
            });
            if outcome.is_err() {
                state.nodes = before;
            }
            outcome
        })
    }

    /// Asks one member after the other for an invitation.
    fn invite(&self, members: &[NodeRecord], name: &str) -> Result<(String, String), ClusterError> {
        let mut refusals = Vec::new();
        for member in members.iter().filter(|member| running(member).is_some()) {
            let ask = Ask::Invite {
                node: Some(name.into()),
                for_s: INVITED_S,
            };
            let socket = Site::of(&self.dir, &member.name).control();
            match control::ask(&socket, &ask, control::ASK_LIMIT) {
                Ok(Answer::Invitation { token, .. }) => return Ok((member.name.clone(), token)),
                Ok(other) => refusals.push(format!("{}: {}", member.name, other.unexpected())),
                Err(error) => refusals.push(format!("{}: {error}", member.name)),
            }
        }
        if refusals.is_empty() {
            refusals.push("no member runs; start the cluster first".into());
        }
        Err(ClusterError::Node(format!(
            "no member invited {name}:\n  {}",
            refusals.join("\n  ")
        )))
    }

    /// `glasshouse node join`, in the new node's network.
    fn join(&self, node: &NodeRecord, network: Network, token: &str) -> Result<(), ClusterError> {
        let site = Site::of(&self.dir, &node.name);
        let run = || -> std::io::Result<(bool, String)> {
            let mut child = Command::new(&self.options.binary)
                .args(["node", "join", "--token", token, "--name", &node.name])
                .arg("--dir")
                .arg(&site.data)
                .arg("--listen")
                .arg(node.link.to_string())
                .arg("--config")
                .arg(&site.config)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()?;
            let ended = Process::of(child.id()).is_none_or(|process| {
                let deadline = Instant::now() + JOIN_LIMIT;
                while process.life() != crate::process::Life::Ended {
                    if Instant::now() >= deadline {
                        return false;
                    }
                    std::thread::sleep(LOOK);
                }
                true
            });
            if !ended {
                child.kill()?;
                child.wait()?;
                let says = format!("it took more than {} s", JOIN_LIMIT.as_secs());
                return Ok((false, says));
            }
            let mut says = String::new();
            if let Some(mut stderr) = child.stderr.take() {
                stderr.read_to_string(&mut says)?;
            }
            Ok((child.wait()?.success(), says))
        };
        // A child is born into the network of the thread that starts it.
        let outcome = match network {
            Network::Loopback => run(),
            Network::Namespaces => self.spaces.inside(&node.name, run)?,
        };
        let (joined, says) = outcome.map_err(|source| ClusterError::Start {
            node: node.name.clone(),
            binary: self.options.binary.clone(),
            source,
        })?;
        if joined {
            return Ok(());
        }
        Err(ClusterError::Node(format!(
            "{} could not join: {}",
            node.name,
            says.trim()
        )))
    }
}
