//! The actor that carries out [`machine::supervision`]: starts children in order, restarts them
//! as the strategy says, stops them in reverse order within their time limits, and fails itself
//! when that does not help, so that its own supervisor acts. At the top a callback does.
//!
//! ractor's built-in supervision dies with any child and knows no intensity; only its links and
//! its notices of death are used here.

mod child;
#[cfg(test)]
mod tests;
mod tree;

pub use child::{ChildSpec, DEFAULT_STOP_LIMIT, START_LIMIT};
pub use machine::supervision::{Intensity, Restart, Strategy};
pub use tree::{Tree, TreeNode};

use crate::clock;
use machine::Machine;
use machine::supervision::{Escalation, Exit, Finish, Input, Output, Supervision};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, Message, SpawnErr, SupervisionEvent};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long a child that was killed may take to be gone. Killing drops its future at the next
/// await; one that never awaits is left behind and logged.
const KILL_LIMIT: Duration = Duration::from_secs(1);

/// One supervisor with its children; cheap to clone, and good for any number of starts.
#[derive(Clone)]
pub struct SupervisorSpec {
    strategy: Strategy,
    intensity: Intensity,
    children: Arc<[ChildSpec]>,
}

impl SupervisorSpec {
    /// Children are started in this order and stopped in the reverse one.
    pub fn new(strategy: Strategy, intensity: Intensity, children: Vec<ChildSpec>) -> Self {
        Self {
            strategy,
            intensity,
            children: children.into(),
        }
    }
}

/// A running top supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    actor: ActorRef<Nothing>,
    tree: Tree,
}

impl Supervisor {
    /// Starts `spec` as the top of a tree; returns when every child has started.
    /// `on_escalation` is called with a sentence if the tree gives up later; the process should
    /// then end with it.
    pub async fn start(
        spec: SupervisorSpec,
        on_escalation: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self, SpawnErr> {
        let tree = Tree::default();
        let plan = Plan {
            spec,
            path: String::new(),
            tree: tree.clone(),
            on_escalation: Some(Box::new(on_escalation)),
        };
        let (actor, _) = Actor::spawn(None, SupervisorActor, plan).await?;
        Ok(Self { actor, tree })
    }

    /// Stops every child in reverse order; returns when all are gone. Each has its own time
    /// limit, so this ends.
    pub async fn stop(&self) {
        // An error says that it has ended already.
        let _ = self
            .actor
            .stop_and_wait(Some(SHUTDOWN.to_owned()), None)
            .await;
    }

    /// Who runs and how often each was restarted.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// ractor reports a killed actor as terminated with this reason.
const KILLED: &str = "killed";
const SHUTDOWN: &str = "shutdown";

/// Supervisors take no mail.
#[derive(Debug)]
pub(crate) enum Nothing {}

impl Message for Nothing {}

pub(crate) struct SupervisorActor;

pub(crate) struct Plan {
    pub(crate) spec: SupervisorSpec,
    /// Names of the supervisors above, each followed by `/`.
    pub(crate) path: String,
    pub(crate) tree: Tree,
    pub(crate) on_escalation: Option<Box<dyn FnOnce(String) + Send>>,
}

/// A supervisor gave up.
#[derive(Debug, thiserror::Error)]
#[error("supervisor {path:?} gives up: {escalation}")]
struct GaveUp {
    path: String,
    escalation: Escalation,
}

pub(crate) struct SupervisorState {
    machine: Supervision,
    plan: Plan,
    running: BTreeMap<usize, ActorCell>,
}

impl SupervisorState {
    /// Feeds `input` and works off everything that follows from it.
    async fn drive(&mut self, myself: &ActorCell, input: Input) -> Result<(), GaveUp> {
        let mut inputs = VecDeque::from([input]);
        let mut out = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.machine.handle(clock::now(), input, &mut out);
            for output in out.drain(..) {
                match output {
                    Output::Start(child) => inputs.push_back(self.start(myself, child).await),
                    Output::Stop(child) => self.stop(child).await,
                    Output::Finish(Finish::ShutDown) => {}
                    Output::Finish(Finish::Escalate(escalation)) => {
                        return Err(GaveUp {
                            path: self.plan.path.clone(),
                            escalation,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    async fn start(&mut self, myself: &ActorCell, child: usize) -> Input {
        let spec = &self.plan.spec.children[child];
        let path = format!("{}{}", self.plan.path, spec.name);
        match spec.start(myself, &path, &self.plan.tree).await {
            Ok(cell) => {
                self.plan.tree.started(&path);
                self.running.insert(child, cell);
                Input::Started(child)
            }
            Err(error) => {
                tracing::error!(child = path, "could not be started: {error}");
                Input::StartFailed(child)
            }
        }
    }

    async fn stop(&mut self, child: usize) {
        let spec = &self.plan.spec.children[child];
        let path = format!("{}{}", self.plan.path, spec.name);
        self.plan.tree.stopped(&path);
        let Some(cell) = self.running.remove(&child) else {
            return;
        };
        let stopped = cell
            .stop_and_wait(Some(SHUTDOWN.to_owned()), Some(spec.stop_limit))
            .await;
        if matches!(stopped, Err(ractor::RactorErr::Timeout)) {
            tracing::warn!(
                child = path,
                "did not stop within {:?}; killed",
                spec.stop_limit
            );
            if let Err(ractor::RactorErr::Timeout) = cell.kill_and_wait(Some(KILL_LIMIT)).await {
                tracing::error!(
                    child = path,
                    "did not even die within {KILL_LIMIT:?}; left behind"
                );
            }
        }
    }

    async fn ended(
        &mut self,
        myself: &ActorCell,
        cell: &ActorCell,
        exit: Exit,
        why: &str,
    ) -> Result<(), GaveUp> {
        let known = self
            .running
            .iter()
            .find(|(_, running)| running.get_id() == cell.get_id());
        // Unknown: the echo of a child that was stopped on purpose.
        let Some((&child, _)) = known else {
            return Ok(());
        };
        self.running.remove(&child);
        let path = format!("{}{}", self.plan.path, self.plan.spec.children[child].name);
        self.plan.tree.stopped(&path);
        match exit {
            Exit::Normal => tracing::info!(child = path, "ended: {why}"),
            Exit::Abnormal => tracing::error!(child = path, "failed: {why}"),
        }
        self.drive(myself, Input::Exited(child, exit)).await
    }

    fn escalate(&mut self, gave_up: GaveUp) -> ActorProcessingErr {
        if let Some(callback) = self.plan.on_escalation.take() {
            callback(gave_up.to_string());
        }
        gave_up.into()
    }
}

impl Actor for SupervisorActor {
    type Msg = Nothing;
    type State = SupervisorState;
    type Arguments = Plan;

    async fn pre_start(
        &self,
        myself: ActorRef<Nothing>,
        plan: Plan,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let specs = plan.spec.children.iter().map(ChildSpec::decision).collect();
        let machine = Supervision::new(plan.spec.strategy, plan.spec.intensity, specs);
        let mut state = SupervisorState {
            machine,
            plan,
            running: BTreeMap::new(),
        };
        // A failure here is returned to whoever starts this supervisor: no callback.
        state.drive(&myself.get_cell(), Input::Begin).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<Nothing>,
        message: Nothing,
        _: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        match message {}
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Nothing>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let myself = myself.get_cell();
        let done = match event {
            SupervisionEvent::ActorTerminated(cell, _, reason) => {
                let exit = if reason.as_deref() == Some(KILLED) {
                    Exit::Abnormal
                } else {
                    Exit::Normal
                };
                let why = reason.as_deref().unwrap_or("done");
                state.ended(&myself, &cell, exit, why).await
            }
            SupervisionEvent::ActorFailed(cell, error) => {
                state
                    .ended(&myself, &cell, Exit::Abnormal, &error.to_string())
                    .await
            }
            SupervisionEvent::ActorStarted(_)
            | SupervisionEvent::ProcessGroupChanged(_)
            | SupervisionEvent::PidLifecycleEvent(_) => Ok(()),
        };
        done.map_err(|gave_up| state.escalate(gave_up))
    }

    async fn post_stop(
        &self,
        myself: ActorRef<Nothing>,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        state
            .drive(&myself.get_cell(), Input::Shutdown)
            .await
            .map_err(Into::into)
    }
}
