//! The actors that carry out [`machine::supervision`]: they start children in order, restart
//! them as the strategy says, stop them in reverse order as their specifications say, and end
//! themselves when restarting does not help, so that their own supervisor acts. At the top a
//! callback does.
//!
//! ractor's built-in supervision dies with any child and knows no intensity; only its links and
//! its notices of death are used here.

mod child;
mod dynamic;
mod lifecycle;
#[cfg(test)]
mod tests;
mod tree;

pub use child::{ChildSpec, DEFAULT_STOP_LIMIT, START_LIMIT, Shutdown};
pub use dynamic::{DynamicSupervisor, StartChildError, TerminateChildError};
pub use lifecycle::ShutdownReason;
pub use machine::supervision::{AutoShutdown, Intensity, Restart, Strategy};
pub use tree::Tree;

use crate::clock;
use lifecycle::{End, SHUTDOWN, Supervising};
use machine::Machine;
use machine::supervision::{Finish, Flags, Input, Output, Supervision};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, Message, SpawnErr, SupervisionEvent};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tree::{Seat, SupervisorView, strategy_name};
use wire::status::ActorKind;

/// One supervisor with its children; cheap to clone, and good for any number of starts.
#[derive(Clone)]
pub struct SupervisorSpec {
    flags: Flags,
    children: Arc<[ChildSpec]>,
}

impl SupervisorSpec {
    /// Children are started in this order and stopped in the reverse one.
    pub fn new(strategy: Strategy, intensity: Intensity, children: Vec<ChildSpec>) -> Self {
        let flags = Flags {
            strategy,
            intensity,
            auto_shutdown: AutoShutdown::Never,
        };
        Self {
            flags,
            children: children.into(),
        }
    }

    /// Sets whether it ends with its significant children; unless told, never.
    #[must_use]
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.flags.auto_shutdown = auto_shutdown;
        self
    }
}

/// A running top supervisor.
#[derive(Clone, Debug)]
pub struct Supervisor {
    actor: ActorRef<SupervisorMessage>,
    tree: Tree,
}

impl Supervisor {
    /// Starts `spec` as the top of a tree; returns when every child has started.
    /// `on_end` is called with a sentence if the tree ends by itself later, because it gives up
    /// or by its automatic shutdown; the process should then end with it.
    pub async fn start(
        spec: SupervisorSpec,
        on_end: impl FnOnce(String) + Send + 'static,
    ) -> Result<Self, SpawnErr> {
        let tree = Tree::default();
        let seat = Seat::top(&tree);
        seat.register(ActorKind::Supervisor, None);
        seat.starting();
        let plan = Plan {
            spec,
            seat: seat.clone(),
            on_end: Some(Box::new(on_end)),
        };
        let (actor, _) = Actor::spawn(None, SupervisorActor, plan).await?;
        seat.started();
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

    /// Who runs, how often each was restarted and why, and what waits in the mailboxes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }
}

/// What a supervisor tells itself.
#[derive(Debug)]
pub(crate) enum SupervisorMessage {
    /// See [`Output::TryAgain`].
    TryAgain(usize),
}

impl Message for SupervisorMessage {}

pub(crate) struct SupervisorActor;

pub(crate) struct Plan {
    spec: SupervisorSpec,
    seat: Seat,
    /// At the top: what is done when it ends by itself.
    on_end: Option<Box<dyn FnOnce(String) + Send>>,
}

/// A supervisor ended by itself.
#[derive(Debug, thiserror::Error)]
#[error("supervisor {path} ends: {finish}")]
struct Ended {
    path: String,
    finish: Finish,
}

impl Ended {
    fn new(seat: &Seat, finish: Finish) -> Self {
        let path = match seat.path() {
            "" => "at the top".to_owned(),
            path => path.to_owned(),
        };
        Self { path, finish }
    }
}

pub(crate) struct SupervisorState {
    machine: Supervision,
    plan: Plan,
    seats: Vec<Seat>,
    running: BTreeMap<usize, ActorCell>,
}

impl SupervisorState {
    async fn start(&mut self, myself: &ActorRef<SupervisorMessage>, child: usize) -> Input {
        let spec = &self.plan.spec.children[child];
        match lifecycle::start(spec, &self.seats[child], myself.get_cell()).await {
            Ok(cell) => {
                self.running.insert(child, cell);
                Input::Started(child)
            }
            Err(_) => Input::StartFailed(child),
        }
    }
}

impl Supervising for SupervisorState {
    type Message = SupervisorMessage;
    type Input = Input;

    async fn drive(
        &mut self,
        myself: &ActorRef<SupervisorMessage>,
        input: Input,
    ) -> Result<(), Ended> {
        let mut inputs = VecDeque::from([input]);
        let mut out = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.machine.handle(clock::now(), input, &mut out);
            self.plan.seat.budget(self.machine.budget());
            for output in out.drain(..) {
                match output {
                    Output::Start(child) => inputs.push_back(self.start(myself, child).await),
                    Output::Stop(child) => {
                        if let Some(cell) = self.running.remove(&child) {
                            let shutdown = self.plan.spec.children[child].shutdown;
                            lifecycle::stop(shutdown, &self.seats[child], cell).await;
                        }
                    }
                    Output::TryAgain(child) => {
                        self.seats[child].tried_in_vain();
                        // Fails only when this actor ends, and then nobody tries again.
                        let _ = myself.send_message(SupervisorMessage::TryAgain(child));
                    }
                    Output::Finish(Finish::ShutDown) => {}
                    Output::Finish(finish @ (Finish::Auto { .. } | Finish::Escalate(_))) => {
                        return Err(Ended::new(&self.plan.seat, finish));
                    }
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, end: End) -> Option<Input> {
        let known = |(_, running): &(&usize, &ActorCell)| running.get_id() == end.cell.get_id();
        let child = *self.running.iter().find(known)?.0;
        self.running.remove(&child);
        let seat = &self.seats[child];
        lifecycle::log_end(seat, &end);
        seat.ended(end.why);
        Some(Input::Exited(child, end.exit))
    }

    fn end(&mut self, myself: &ActorRef<SupervisorMessage>, ended: &Ended) {
        let why = ended.to_string();
        myself.stop(Some(format!("{SHUTDOWN}: {why}")));
        if let Some(callback) = self.plan.on_end.take() {
            self.plan.seat.ended(why.clone());
            callback(why);
        }
    }
}

impl Actor for SupervisorActor {
    type Msg = SupervisorMessage;
    type State = SupervisorState;
    type Arguments = Plan;

    async fn pre_start(
        &self,
        myself: ActorRef<SupervisorMessage>,
        plan: Plan,
    ) -> Result<SupervisorState, ActorProcessingErr> {
        let children = &plan.spec.children;
        let specs = children.iter().map(ChildSpec::decision).collect();
        let machine = Supervision::new(plan.spec.flags, specs)?;
        plan.seat.supervises(SupervisorView {
            strategy: strategy_name(plan.spec.flags.strategy),
            budget: machine.budget().clone(),
            max_children: None,
        });
        let seats: Vec<Seat> = (0..)
            .zip(children.iter())
            .map(|(number, child)| plan.seat.child(number, &child.name))
            .collect();
        for (seat, child) in seats.iter().zip(children.iter()) {
            seat.register(child.kind, child.mailbox.clone());
        }
        let mut state = SupervisorState {
            machine,
            plan,
            seats,
            running: BTreeMap::new(),
        };
        // A failure here is returned to whoever starts this supervisor: no callback.
        state.drive(&myself, Input::Begin).await?;
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<SupervisorMessage>,
        message: SupervisorMessage,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisorMessage::TryAgain(child) = message;
        lifecycle::follow(state, &myself, Input::TryAgain(child)).await;
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<SupervisorMessage>,
        event: SupervisionEvent,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        lifecycle::follow_child(state, &myself, event).await;
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<SupervisorMessage>,
        state: &mut SupervisorState,
    ) -> Result<(), ActorProcessingErr> {
        // Nothing happens when the children are gone already.
        state.drive(&myself, Input::Shutdown).await?;
        if state.plan.on_end.is_some() {
            state.plan.seat.ended("stopped".to_owned());
        }
        Ok(())
    }
}
