//! Asking the nodes, and waiting until they are where they should be.

use crate::cluster::{ClusterError, LocalCluster, running};
use crate::control;
use crate::logs;
use crate::process::Life;
use crate::site::Site;
use crate::state::{Network, NodeRecord, State};
use crate::view::{Agreement, NodeState, NodeView, Roots};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::control::{Answer, Ask};
use wire::status::Status;

/// A node answers from memory. One that does not within this is reported as silent.
const ASK_LIMIT: Duration = Duration::from_secs(2);
/// How often the nodes are asked while somebody waits.
const LOOK: Duration = Duration::from_millis(100);
/// Nodes at work are seen at a common ledger size within this, since each entry is everywhere
/// within milliseconds.
const AGREE_LIMIT: Duration = Duration::from_secs(2);
/// Lines of a node's log that are shown with a failure.
const TAIL: usize = 15;

impl LocalCluster {
    /// Asks every node once, all at the same time.
    pub fn status(&self) -> Result<Vec<NodeView>, ClusterError> {
        let state = self.state()?;
        Ok(std::thread::scope(|scope| {
            let asked: Vec<_> = state
                .nodes
                .iter()
                .map(|node| scope.spawn(|| self.view(&state, node)))
                .collect();
            asked
                .into_iter()
                .map(|thread| match thread.join() {
                    Ok(view) => view,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
                .collect()
        }))
    }

    fn view(&self, state: &State, node: &NodeRecord) -> NodeView {
        let process = running(node);
        let (state, answer) = match process.map(|process| process.life()) {
            None | Some(Life::Ended) => (NodeState::Dead, None),
            Some(Life::Paused) => (NodeState::Paused, None),
            Some(Life::Running) => {
                let answer = self.ask_status(state, node);
                let state = if answer.is_ok() {
                    NodeState::Up
                } else {
                    NodeState::Silent
                };
                (state, Some(answer))
            }
        };
        let (status, silence) = match answer {
            Some(Ok(status)) => (Some(status), None),
            Some(Err(silence)) => (None, Some(silence)),
            None => (None, None),
        };
        NodeView {
            name: node.name.clone(),
            state,
            pid: process.map(|process| process.pid),
            restarts: node.starts.saturating_sub(1),
            status,
            silence,
        }
    }

    /// Over the control socket; a node of the first release has none, but a status page.
    fn ask_status(&self, state: &State, node: &NodeRecord) -> Result<Box<Status>, String> {
        let socket = Site::of(&self.dir, &node.name).control();
        let ask = Ask::Status {
            linearizable: false,
        };
        match control::ask(&socket, &ask, ASK_LIMIT) {
            Ok(Answer::Status { status }) => Ok(status),
            Ok(other) => Err(other.unexpected()),
            Err(control::AskError::Absent { .. }) => match state.network {
                Network::Loopback => page(node.admin),
                Network::Namespaces => self
                    .spaces
                    .inside(&node.name, || page(node.admin))
                    .map_err(|error| error.to_string())?,
            },
            Err(error) => Err(error.to_string()),
        }
    }

    /// Asks until the nodes that answer were seen at a common ledger size, or for two seconds; says
    /// whether they agree.
    pub fn agreement(&self) -> Result<(Vec<NodeView>, Agreement), ClusterError> {
        let deadline = Instant::now() + AGREE_LIMIT;
        let mut roots = Roots::default();
        loop {
            let views = self.status()?;
            roots.note(&views);
            if roots.settled(&views) || Instant::now() >= deadline {
                let agreement = roots.agreement(&views);
                return Ok((views, agreement));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Asks until what the nodes say `fits`; gives it. `what` completes "… was not seen within …".
    pub fn wait_until(
        &self,
        limit: Duration,
        what: &str,
        mut fits: impl FnMut(&[NodeView]) -> bool,
    ) -> Result<Vec<NodeView>, ClusterError> {
        let deadline = Instant::now() + limit;
        loop {
            let views = self.status()?;
            if fits(&views) {
                return Ok(views);
            }
            if Instant::now() >= deadline {
                return Err(self.unmet(&views, what, limit));
            }
            std::thread::sleep(LOOK);
        }
    }

    /// A sentence that says which node lacks what, and shows the end of its log.
    fn unmet(&self, views: &[NodeView], what: &str, limit: Duration) -> ClusterError {
        let names: Vec<String> = views.iter().map(|view| view.name.clone()).collect();
        let mut text = format!("{what} was not seen within {:.0} s", limit.as_secs_f64());
        for view in views {
            let lacks = view.lacks(&names);
            if !lacks.is_empty() {
                text += &format!("\n  {} lacks {}", view.name, lacks.join("; "));
            }
        }
        let worst = views.iter().max_by_key(|view| view.lacks(&names).len());
        if let Some(view) = worst.filter(|view| !view.lacks(&names).is_empty()) {
            text += &self.log_end(&view.name);
        }
        ClusterError::Node(text)
    }

    fn log_end(&self, node: &str) -> String {
        let log = Site::of(&self.dir, node).log;
        let lines = logs::tail(&log, TAIL).unwrap_or_default();
        format!("\nThe end of {}:\n{lines}", log.display())
    }

    /// Waits until every node is a full member that sees all others up; `progress` hears each step
    /// once it is done by all.
    pub fn wait_ready(
        &mut self,
        limit: Duration,
        mut progress: impl FnMut(&str),
    ) -> Result<Vec<NodeView>, ClusterError> {
        let deadline = Instant::now() + limit;
        let mut step = 0;
        loop {
            let views = self.status()?;
            while let Some((what, done)) = STEPS.get(step)
                && done(&views)
            {
                progress(&format!("{what}{}", detail(step, &views)));
                step += 1;
            }
            if step == STEPS.len() {
                return Ok(views);
            }
            if let Some(view) = views.iter().find(|view| view.state == NodeState::Dead) {
                let how = self.children.ended(&view.name).map_or_else(
                    || "ended by itself".to_owned(),
                    |status| format!("ended by itself with {status}"),
                );
                let end = self.log_end(&view.name);
                return Err(ClusterError::Node(format!("{} {how}{end}", view.name)));
            }
            if Instant::now() >= deadline {
                return Err(self.unmet(&views, STEPS[step].0, limit));
            }
            std::thread::sleep(LOOK);
        }
    }
}

type Done = fn(&[NodeView]) -> bool;

/// What a cluster goes through until it stands.
const STEPS: [(&str, Done); 6] = [
    ("every node answering", |views| {
        views.iter().all(|view| view.status.is_some())
    }),
    ("every node linked to every other", |views| {
        every(views, |status| status.links.len() + 1 >= views.len())
    }),
    ("a leader known to all", |views| {
        let first = views.first().and_then(NodeView::leader);
        first.is_some() && views.iter().all(|view| view.leader() == first)
    }),
    ("a genesis on every ledger", |views| {
        every(views, |status| status.ledger.size > 0)
    }),
    ("a key epoch at every node", |views| {
        every(views, |status| status.key_epoch.0 > 0)
    }),
    ("all members up by every ledger", |views| {
        every(views, |status| {
            views
                .iter()
                .all(|view| status.members.get(&view.name) == Some(&true))
        })
    }),
];

fn every(views: &[NodeView], fits: impl Fn(&Status) -> bool) -> bool {
    views
        .iter()
        .all(|view| view.status.as_deref().is_some_and(&fits))
}

/// What is worth telling of a step that is done.
fn detail(step: usize, views: &[NodeView]) -> String {
    let first = views.first().and_then(|view| view.status.as_ref());
    match (step, first) {
        (2, Some(status)) => format!(
            ": {} in term {}",
            status
                .leader
                .as_ref()
                .map_or("none".into(), ToString::to_string),
            status.term
        ),
        (4, Some(_)) => {
            let newest = views
                .iter()
                .filter_map(|view| Some(view.status.as_ref()?.key_epoch.0))
                .max();
            format!(": {}", newest.unwrap_or(0))
        }
        _ => String::new(),
    }
}

/// `GET /status.json`.
fn page(admin: SocketAddr) -> Result<Box<Status>, String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ASK_LIMIT))
        .build()
        .into();
    agent
        .get(format!("http://{admin}/status.json"))
        .call()
        .and_then(|mut response| response.body_mut().read_json())
        .map(Box::new)
        .map_err(|error| format!("no answer from http://{admin}: {error}"))
}
