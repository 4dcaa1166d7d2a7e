use super::dynamic::{DynamicActor, DynamicPlan, DynamicSupervisor};
use super::tree::{MailboxView, Seat};
use super::{Plan, SupervisorActor, SupervisorSpec};
use crate::mailbox::Address;
use crate::place;
use crate::service::{Service, ServiceActor, ServiceError};
use crate::shell::{Effects, Recipe, Shell};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use machine::Machine;
use machine::supervision::{self, Restart};
use ractor::{Actor, ActorCell, ActorProcessingErr, SpawnErr};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use wire::status::ActorKind;

/// Time given to a child to stop before it is killed, unless its specification says otherwise
/// (OTP's default for workers).
pub const DEFAULT_STOP_LIMIT: Duration = Duration::from_secs(5);

/// Time given to a child to start. Recovery from a long journal takes seconds; one that takes
/// longer than this is stuck, and so would be its supervisor.
pub const START_LIMIT: Duration = Duration::from_secs(60);

/// How a child is stopped (OTP: `shutdown` in a child specification).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shutdown {
    /// Killed at once, without a word.
    BrutalKill,
    /// Told to stop, and killed when it has not by then.
    Within(Duration),
    /// Told to stop and waited for. For supervisors, whose children have limits of their own.
    Infinity,
}

type Start =
    Box<dyn Fn(ActorCell, Seat) -> BoxFuture<'static, Result<ActorCell, SpawnErr>> + Send + Sync>;

/// How one child is started, any number of times, and what its end means.
pub struct ChildSpec {
    pub(super) name: String,
    restart: Restart,
    significant: bool,
    pub(super) shutdown: Shutdown,
    pub(super) kind: ActorKind,
    pub(super) mailbox: Option<MailboxView>,
    start: Start,
}

impl ChildSpec {
    /// A machine in its shell behind `address`. `recover` makes machine and effects anew for
    /// every start, from the journal or whatever else survives a crash.
    pub fn machine<M, E, F, Fut>(address: Address<M::Input>, recover: F) -> Self
    where
        M: Machine,
        E: Effects<M>,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(M, E), ActorProcessingErr>> + Send + 'static,
    {
        let name = address.name().to_owned();
        let view = address.clone();
        let mut child = Self::custom(name, ActorKind::Machine, move |supervisor, _| {
            let recipe = Recipe {
                address: address.clone(),
                recover: recover().boxed(),
            };
            async move {
                let (actor, _) =
                    Actor::spawn_linked(None, Shell::<M, E>::new(), recipe, supervisor).await?;
                Ok(actor.get_cell())
            }
            .boxed()
        });
        child.mailbox = Some(Arc::new(move || view.status()));
        child
    }

    /// A [`Service`]; it counts as started when `make` is done.
    pub fn service<S, F, Fut>(name: impl Into<String>, make: F) -> Self
    where
        S: Service,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, ServiceError>> + Send + 'static,
    {
        Self::custom(name.into(), ActorKind::Service, move |supervisor, _| {
            let make = make().boxed();
            async move {
                let (actor, _) =
                    Actor::spawn_linked(None, ServiceActor::<S>::new(), make, supervisor).await?;
                Ok(actor.get_cell())
            }
            .boxed()
        })
    }

    /// A supervisor of its own; its children appear as `name/child` in the tree. It is given
    /// all the time it needs to stop, as OTP demands: its children have their limits.
    pub fn supervisor(name: impl Into<String>, spec: SupervisorSpec) -> Self {
        Self::custom(
            name.into(),
            ActorKind::Supervisor,
            move |supervisor, seat| {
                let plan = Plan {
                    spec: spec.clone(),
                    seat,
                    on_end: None,
                };
                async move {
                    let (actor, _) =
                        Actor::spawn_linked(None, SupervisorActor, plan, supervisor).await?;
                    Ok(actor.get_cell())
                }
                .boxed()
            },
        )
        .shutdown(Shutdown::Infinity)
    }

    /// The supervisor behind `handle`, without children at each start.
    pub fn dynamic_supervisor(handle: &DynamicSupervisor) -> Self {
        let handle = handle.clone();
        let (name, view) = (handle.name().to_owned(), handle.clone());
        let mut child = Self::custom(name, ActorKind::Supervisor, move |supervisor, seat| {
            let plan = DynamicPlan {
                handle: handle.clone(),
                seat,
            };
            async move {
                let (actor, _) = Actor::spawn_linked(None, DynamicActor, plan, supervisor).await?;
                Ok(actor.get_cell())
            }
            .boxed()
        })
        .shutdown(Shutdown::Infinity);
        child.mailbox = Some(Arc::new(move || view.mailbox()));
        child
    }

    /// Any ractor actor: `start` spawns it linked to the supervisor it is given.
    pub fn actor<F, Fut>(name: impl Into<String>, start: F) -> Self
    where
        F: Fn(ActorCell) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActorCell, SpawnErr>> + Send + 'static,
    {
        Self::custom(name.into(), ActorKind::Worker, move |supervisor, _| {
            start(supervisor).boxed()
        })
    }

    /// Sets when it is started again; unless told, always.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Makes its end for good count towards the supervisor's automatic shutdown.
    #[must_use]
    pub fn significant(mut self) -> Self {
        self.significant = true;
        self
    }

    /// Sets how it is stopped; unless told, within [`DEFAULT_STOP_LIMIT`].
    #[must_use]
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Sets how long it may take to stop.
    #[must_use]
    pub fn stop_within(self, limit: Duration) -> Self {
        self.shutdown(Shutdown::Within(limit))
    }

    /// Sets the runtime on which it runs, with whatever it starts; unless told, its supervisor's.
    #[must_use]
    pub fn on(mut self, place: Handle) -> Self {
        let start = self.start;
        self.start = Box::new(move |supervisor, seat| {
            let (place, child) = (place.clone(), start(supervisor, seat));
            async move { place::at(Some(&place), child).await }.boxed()
        });
        self
    }

    fn custom(
        name: String,
        kind: ActorKind,
        start: impl Fn(ActorCell, Seat) -> BoxFuture<'static, Result<ActorCell, SpawnErr>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            name,
            restart: Restart::Permanent,
            significant: false,
            shutdown: Shutdown::Within(DEFAULT_STOP_LIMIT),
            kind,
            mailbox: None,
            start: Box::new(start),
        }
    }

    pub(super) fn decision(&self) -> supervision::ChildSpec {
        supervision::ChildSpec {
            name: self.name.clone(),
            restart: self.restart,
            significant: self.significant,
        }
    }

    pub(super) async fn start(
        &self,
        supervisor: ActorCell,
        seat: &Seat,
    ) -> Result<ActorCell, SpawnErr> {
        let start = (self.start)(supervisor, seat.clone());
        tokio::time::timeout(START_LIMIT, start)
            .await
            .unwrap_or_else(|_| {
                let error = format!("{} did not start within {START_LIMIT:?}", seat.path());
                Err(SpawnErr::StartupFailed(error.into()))
            })
    }
}
