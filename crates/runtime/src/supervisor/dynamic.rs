//! Children that come and go at run time, behind a handle that outlives their supervisor.

use super::tree::{Seat, SupervisorView};
use super::{ChildSpec, Ended, Intensity, lifecycle};
use crate::clock;
use crate::mailbox::{Address, Mail, SendError};
use futures::future::join_all;
use lifecycle::{End, SHUTDOWN, Supervising};
use machine::Machine;
use machine::supervision::{ChildId, Dynamic, DynamicInput, DynamicOutput, Finish, Refusal};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SupervisionEvent};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::oneshot;
use wire::status::{MailboxStatus, StrategyName};

/// Requests that may wait for a supervisor: it works them off one after the other, and a start
/// can take its time. Callers beyond that wait for room.
const REQUESTS: usize = 64;

/// Why a child was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartChildError {
    /// There are too many, or one of its name.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Its start failed; it is not tried again.
    #[error("{child} could not be started: {reason}")]
    Failed {
        /// The child.
        child: String,
        /// A sentence.
        reason: String,
    },
    /// Its supervisor does not answer.
    #[error(transparent)]
    Unreachable(#[from] SendError),
}

/// Why a child was not ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TerminateChildError {
    /// There is none, or it has ended for good by itself.
    #[error("{supervisor} has no child {child}")]
    NotFound {
        /// The supervisor.
        supervisor: String,
        /// The child.
        child: String,
    },
    /// Its supervisor does not answer.
    #[error(transparent)]
    Unreachable(#[from] SendError),
}

/// A supervisor whose children come and go (OTP: `simple_one_for_one`, with the names of
/// Elixir's `DynamicSupervisor`); cheap to clone. It runs from
/// [`ChildSpec::dynamic_supervisor`] on.
///
/// When it is restarted itself, its children are gone: put whoever starts them behind it in a
/// rest-for-one supervisor. Requests of its own children may wait for themselves: a child that
/// wants to end returns, and a child that starts a sibling does so in a task of its own.
#[derive(Clone, Debug)]
pub struct DynamicSupervisor {
    address: Address<Request>,
    limit: usize,
    intensity: Intensity,
}

pub(crate) enum Request {
    Start(ChildSpec, oneshot::Sender<Result<(), StartChildError>>),
    Terminate(String, oneshot::Sender<Result<(), TerminateChildError>>),
}

impl DynamicSupervisor {
    /// At most `limit` children at any time.
    pub fn new(name: impl Into<String>, limit: usize, intensity: Intensity) -> Self {
        Self {
            address: Address::new(name, REQUESTS),
            limit,
            intensity,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.address.name()
    }

    /// Starts a child; returns when it runs.
    pub async fn start_child(&self, child: ChildSpec) -> Result<(), StartChildError> {
        let (answer, answered) = oneshot::channel();
        self.address.send(Request::Start(child, answer)).await?;
        answered.await.map_err(|_| self.gone())?
    }

    /// Stops the child of this name for good; returns when it is gone.
    pub async fn terminate_child(&self, name: &str) -> Result<(), TerminateChildError> {
        let (answer, answered) = oneshot::channel();
        let request = Request::Terminate(name.to_owned(), answer);
        self.address.send(request).await?;
        answered.await.map_err(|_| self.gone())?
    }

    pub(super) fn mailbox(&self) -> MailboxStatus {
        self.address.status()
    }

    fn gone(&self) -> SendError {
        SendError::Down {
            name: self.name().to_owned(),
        }
    }
}

pub(crate) struct DynamicActor;

pub(crate) struct DynamicPlan {
    pub(super) handle: DynamicSupervisor,
    pub(super) seat: Seat,
}

struct Resident {
    spec: Arc<ChildSpec>,
    seat: Seat,
    cell: Option<ActorCell>,
}

pub(crate) struct DynamicState {
    machine: Dynamic,
    plan: DynamicPlan,
    children: BTreeMap<ChildId, Resident>,
    /// Of the `Add` at hand: the child's specification, and what its requester is told.
    newcomer: Option<ChildSpec>,
    verdict: Result<(), StartChildError>,
}

impl DynamicState {
    async fn start(
        &mut self,
        myself: &ActorRef<Mail<Request>>,
        id: ChildId,
    ) -> Option<DynamicInput> {
        if let Some(spec) = self.newcomer.take() {
            let seat = self.plan.seat.child(id.0, &spec.name);
            seat.register(spec.kind, spec.mailbox.clone());
            let resident = Resident {
                spec: Arc::new(spec),
                seat,
                cell: None,
            };
            self.children.insert(id, resident);
        }
        let child = self.children.get_mut(&id)?;
        match lifecycle::start(&child.spec, &child.seat, myself.get_cell()).await {
            Ok(cell) => {
                child.cell = Some(cell);
                Some(DynamicInput::Started(id))
            }
            Err(reason) => {
                let child = child.spec.name.clone();
                self.verdict = Err(StartChildError::Failed { child, reason });
                Some(DynamicInput::StartFailed(id))
            }
        }
    }

    /// All at once: they do not depend on one another.
    async fn stop(&mut self, ids: &[ChildId]) {
        let stops = ids.iter().filter_map(|id| {
            let child = self.children.get_mut(id)?;
            let cell = child.cell.take()?;
            let (spec, seat) = (Arc::clone(&child.spec), child.seat.clone());
            Some(async move { lifecycle::stop(spec.shutdown, &seat, cell).await })
        });
        join_all(stops.collect::<Vec<_>>()).await;
    }

    async fn request(
        &mut self,
        myself: &ActorRef<Mail<Request>>,
        request: Request,
    ) -> Result<(), Ended> {
        // Whoever has stopped waiting for an answer does not hear it.
        match request {
            Request::Start(spec, answer) => {
                let decision = spec.decision();
                (self.newcomer, self.verdict) = (Some(spec), Ok(()));
                let driven = self.drive(myself, DynamicInput::Add(decision)).await;
                self.newcomer = None;
                let _ = answer.send(std::mem::replace(&mut self.verdict, Ok(())));
                driven
            }
            Request::Terminate(name, answer) => {
                let Some(id) = self.machine.find(&name) else {
                    let not_found = TerminateChildError::NotFound {
                        supervisor: self.plan.handle.name().to_owned(),
                        child: name,
                    };
                    let _ = answer.send(Err(not_found));
                    return Ok(());
                };
                let driven = self.drive(myself, DynamicInput::Remove(id)).await;
                let _ = answer.send(Ok(()));
                driven
            }
        }
    }
}

impl Supervising for DynamicState {
    type Message = Mail<Request>;
    type Input = DynamicInput;

    async fn drive(
        &mut self,
        myself: &ActorRef<Mail<Request>>,
        input: DynamicInput,
    ) -> Result<(), Ended> {
        let mut inputs = VecDeque::from([input]);
        let mut out = Vec::new();
        while let Some(input) = inputs.pop_front() {
            self.machine.handle(clock::now(), input, &mut out);
            self.plan.seat.budget(self.machine.budget());
            for output in out.drain(..) {
                match output {
                    DynamicOutput::Start(id) => inputs.extend(self.start(myself, id).await),
                    DynamicOutput::Stop(ids) => self.stop(&ids).await,
                    DynamicOutput::TryAgain(id) => {
                        if let Some(child) = self.children.get(&id) {
                            child.seat.tried_in_vain();
                        }
                        // Fails only when this actor ends, and then nobody tries again.
                        let _ = myself.send_message(Mail::Tick(id.0));
                    }
                    DynamicOutput::Forget(id) => {
                        if let Some(child) = self.children.remove(&id) {
                            child.seat.remove();
                        }
                    }
                    DynamicOutput::Refuse(refusal) => self.verdict = Err(refusal.into()),
                    DynamicOutput::Finish(Finish::ShutDown) => {}
                    DynamicOutput::Finish(finish @ (Finish::Auto { .. } | Finish::Escalate(_))) => {
                        return Err(Ended::new(&self.plan.seat, finish));
                    }
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, end: End) -> Option<DynamicInput> {
        let (id, child) = self.children.iter_mut().find(|(_, child)| {
            child.cell.as_ref().map(ActorCell::get_id) == Some(end.cell.get_id())
        })?;
        child.cell = None;
        lifecycle::log_end(&child.seat, &end);
        child.seat.ended(end.why);
        Some(DynamicInput::Exited(*id, end.exit))
    }

    fn end(&mut self, myself: &ActorRef<Mail<Request>>, ended: &Ended) {
        self.plan.handle.address.vacate(myself);
        myself.stop(Some(format!("{SHUTDOWN}: {ended}")));
    }
}

impl Actor for DynamicActor {
    type Msg = Mail<Request>;
    type State = DynamicState;
    type Arguments = DynamicPlan;

    async fn pre_start(
        &self,
        myself: ActorRef<Mail<Request>>,
        plan: DynamicPlan,
    ) -> Result<DynamicState, ActorProcessingErr> {
        let machine = Dynamic::new(plan.handle.limit, plan.handle.intensity);
        // Those of a former incarnation are gone for good.
        plan.seat.clear();
        plan.seat.supervises(SupervisorView {
            strategy: StrategyName::Dynamic,
            budget: machine.budget().clone(),
            max_children: Some(plan.handle.limit),
        });
        plan.handle.address.occupy(myself);
        Ok(DynamicState {
            machine,
            plan,
            children: BTreeMap::new(),
            newcomer: None,
            verdict: Ok(()),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Mail<Request>>,
        mail: Mail<Request>,
        state: &mut DynamicState,
    ) -> Result<(), ActorProcessingErr> {
        let driven = match mail {
            Mail::Letter(request, mut ticket) => {
                ticket.delivered();
                let driven = state.request(&myself, request).await;
                drop(ticket); // the request has its place until it is answered
                driven
            }
            Mail::Tick(id) => {
                state
                    .drive(&myself, DynamicInput::TryAgain(ChildId(id)))
                    .await
            }
        };
        if let Err(ended) = driven {
            state.end(&myself, &ended);
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Mail<Request>>,
        event: SupervisionEvent,
        state: &mut DynamicState,
    ) -> Result<(), ActorProcessingErr> {
        lifecycle::follow_child(state, &myself, event).await;
        Ok(())
    }

    async fn post_stop(
        &self,
        myself: ActorRef<Mail<Request>>,
        state: &mut DynamicState,
    ) -> Result<(), ActorProcessingErr> {
        state.plan.handle.address.vacate(&myself);
        Ok(state.drive(&myself, DynamicInput::Shutdown).await?)
    }
}
