//! The live tree: what became of every child, for whoever operates the node. Supervisors write,
//! nobody decides by it.

use crate::clock;
use machine::Instant;
use machine::supervision::{RestartBudget, Strategy};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wire::status::{
    ActorKind, ActorState, ActorStatus, MailboxStatus, StrategyName, SupervisorStatus,
};

/// A whole supervision tree, as it stands. Cheap to clone.
#[derive(Clone, Default, Debug)]
pub struct Tree(Arc<Mutex<BTreeMap<Place, Node>>>);

/// Where an actor sits: the numbers of its forebears and its own among their children. In their
/// order parents come before their children and children in start order.
type Place = Vec<u64>;

/// Looks at a mailbox.
pub(super) type MailboxView = Arc<dyn Fn() -> MailboxStatus + Send + Sync>;

#[derive(Default)]
struct Node {
    path: String,
    kind: ActorKind,
    state: ActorState,
    starts: u64,
    started: Option<Instant>,
    last_exit: Option<String>,
    supervisor: Option<SupervisorView>,
    mailbox: Option<MailboxView>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} ({} starts)", self.path, self.state, self.starts)
    }
}

/// What a supervisor shows of itself.
pub(super) struct SupervisorView {
    pub(super) strategy: StrategyName,
    pub(super) budget: RestartBudget,
    pub(super) max_children: Option<usize>,
}

pub(super) fn strategy_name(strategy: Strategy) -> StrategyName {
    match strategy {
        Strategy::OneForOne => StrategyName::OneForOne,
        Strategy::OneForAll => StrategyName::OneForAll,
        Strategy::RestForOne => StrategyName::RestForOne,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Tree {
    /// The present state: parents before their children, children in start order.
    pub fn snapshot(&self) -> Vec<ActorStatus> {
        let now = clock::now();
        self.nodes().values().map(|node| node.status(now)).collect()
    }

    /// Path → restarts, of every actor.
    pub fn restarts(&self) -> BTreeMap<String, u64> {
        self.nodes()
            .values()
            .map(|node| (node.path.clone(), node.restarts()))
            .collect()
    }

    fn nodes(&self) -> MutexGuard<'_, BTreeMap<Place, Node>> {
        // Numbers for people: a writer that panicked leaves them usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Node {
    fn restarts(&self) -> u64 {
        self.starts.saturating_sub(1)
    }

    fn status(&self, now: Instant) -> ActorStatus {
        ActorStatus {
            path: self.path.clone(),
            kind: self.kind,
            state: self.state,
            restarts: self.restarts(),
            since_ms: self.started.map(|started| millis(now.since(started))),
            last_exit: self.last_exit.clone(),
            supervisor: self.supervisor.as_ref().map(|view| {
                let intensity = view.budget.intensity();
                SupervisorStatus {
                    strategy: view.strategy,
                    intensity: intensity.restarts,
                    period_ms: millis(intensity.period),
                    used: count(view.budget.used(now)),
                    max_children: view.max_children.map(count),
                }
            }),
            mailbox: self.mailbox.as_ref().map(|look| look()),
        }
    }
}

/// One actor's place in the tree, in the hands of its supervisor.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    tree: Tree,
    place: Place,
    path: String,
}

impl Seat {
    /// The top supervisor's.
    pub(super) fn top(tree: &Tree) -> Self {
        Self {
            tree: tree.clone(),
            place: Place::new(),
            path: String::new(),
        }
    }

    /// That of child number `number`. Every start of its supervisor gives it the same one.
    pub(super) fn child(&self, number: u64, name: &str) -> Self {
        let mut place = self.place.clone();
        place.push(number);
        let path = if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.path)
        };
        Self {
            tree: self.tree.clone(),
            place,
            path,
        }
    }

    /// Names from the top, joined by `/`.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Shows it in the tree.
    pub(super) fn register(&self, kind: ActorKind, mailbox: Option<MailboxView>) {
        self.change(|node| (node.kind, node.mailbox) = (kind, mailbox));
    }

    /// Shows what a supervisor in this seat does.
    pub(super) fn supervises(&self, view: SupervisorView) {
        self.change(|node| node.supervisor = Some(view));
    }

    /// Shows what is left of its intensity.
    pub(super) fn budget(&self, budget: &RestartBudget) {
        self.change(|node| {
            if let Some(view) = &mut node.supervisor {
                view.budget.clone_from(budget);
            }
        });
    }

    pub(super) fn starting(&self) {
        self.change(|node| {
            node.state = if node.starts == 0 {
                ActorState::Starting
            } else {
                ActorState::Restarting
            };
        });
    }

    pub(super) fn started(&self) {
        self.change(|node| {
            node.state = ActorState::Running;
            node.starts += 1;
            node.started = Some(clock::now());
        });
    }

    /// It has ended, for the reason in this sentence, and whatever it supervised with it.
    pub(super) fn ended(&self, why: String) {
        let mut nodes = self.tree.nodes();
        for (_, below) in self.below(&mut nodes) {
            if below.state != ActorState::Stopped {
                below.state = ActorState::Stopped;
                below.last_exit = Some("ended with its supervisor".to_owned());
            }
        }
        let node = nodes.entry(self.place.clone()).or_default();
        node.state = ActorState::Stopped;
        node.last_exit = Some(why);
    }

    /// A further try to restart it will be made.
    pub(super) fn tried_in_vain(&self) {
        self.change(|node| node.state = ActorState::Restarting);
    }

    /// Takes it and all below it out of the tree.
    pub(super) fn remove(&self) {
        self.clear();
        self.tree.nodes().remove(&self.place);
    }

    /// Takes all below it out of the tree.
    pub(super) fn clear(&self) {
        let mut nodes = self.tree.nodes();
        let gone: Vec<Place> = self
            .below(&mut nodes)
            .map(|(place, _)| place.clone())
            .collect();
        for place in gone {
            nodes.remove(&place);
        }
    }

    fn below<'a>(
        &'a self,
        nodes: &'a mut BTreeMap<Place, Node>,
    ) -> impl Iterator<Item = (&'a Place, &'a mut Node)> {
        nodes
            .range_mut(self.place.clone()..)
            .take_while(|(place, _)| place.starts_with(&self.place))
            .filter(|(place, _)| place.len() > self.place.len())
    }

    fn change(&self, change: impl FnOnce(&mut Node)) {
        let mut nodes = self.tree.nodes();
        let node = nodes.entry(self.place.clone()).or_default();
        if node.path.is_empty() {
            node.path.clone_from(&self.path);
        }
        change(node);
    }
}
