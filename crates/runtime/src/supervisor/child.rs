use super::{Plan, SupervisorActor, SupervisorSpec, Tree};
use crate::mailbox::Address;
use crate::service::{Service, ServiceActor, ServiceError};
use crate::shell::{Effects, Recipe, Shell};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use machine::Machine;
use machine::supervision::{self, Restart};
use ractor::{Actor, ActorCell, ActorProcessingErr, SpawnErr};
use std::future::Future;
use std::time::Duration;

/// Time given to a child to stop before it is killed, unless its specification says otherwise
/// (OTP's default for workers).
pub const DEFAULT_STOP_LIMIT: Duration = Duration::from_secs(5);

/// Time given to a child to start. Recovery from a long journal takes seconds; one that takes
/// longer than this is stuck, and so would be its supervisor.
pub const START_LIMIT: Duration = Duration::from_secs(60);

type Start = Box<
    dyn Fn(ActorCell, String, Tree) -> BoxFuture<'static, Result<ActorCell, SpawnErr>>
        + Send
        + Sync,
>;

/// How one child is started, any number of times, and what its end means.
pub struct ChildSpec {
    pub(super) name: String,
    restart: Restart,
    pub(super) stop_limit: Duration,
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
        Self::custom(name, move |supervisor, _, _| {
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
        })
    }

    /// A [`Service`]; it counts as started when `make` is done.
    pub fn service<S, F, Fut>(name: impl Into<String>, make: F) -> Self
    where
        S: Service,
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S, ServiceError>> + Send + 'static,
    {
        Self::custom(name.into(), move |supervisor, _, _| {
            let make = make().boxed();
            async move {
                let (actor, _) =
                    Actor::spawn_linked(None, ServiceActor::<S>::new(), make, supervisor).await?;
                Ok(actor.get_cell())
            }
            .boxed()
        })
    }

    /// A supervisor of its own; its children appear as `name/child` in the tree.
    pub fn supervisor(name: impl Into<String>, spec: SupervisorSpec) -> Self {
        let limits: Duration = spec
            .children
            .iter()
            .map(|child| child.stop_limit + super::KILL_LIMIT)
            .sum();
        let mut child = Self::custom(name.into(), move |supervisor, path, tree| {
            let plan = Plan {
                spec: spec.clone(),
                path: format!("{path}/"),
                tree,
                on_escalation: None,
            };
            async move {
                let (actor, _) =
                    Actor::spawn_linked(None, SupervisorActor, plan, supervisor).await?;
                Ok(actor.get_cell())
            }
            .boxed()
        });
        // OTP gives supervisors infinity; the sum of what its children may take is the same and finite.
        child.stop_limit = limits + super::KILL_LIMIT;
        child
    }

    /// Any ractor actor: `start` spawns it linked to the supervisor it is given.
    pub fn actor<F, Fut>(name: impl Into<String>, start: F) -> Self
    where
        F: Fn(ActorCell) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<ActorCell, SpawnErr>> + Send + 'static,
    {
        Self::custom(name.into(), move |supervisor, _, _| {
            start(supervisor).boxed()
        })
    }

    /// Sets when it is started again; unless told, always.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how long it may take to stop; unless told, [`DEFAULT_STOP_LIMIT`].
    #[must_use]
    pub fn stop_within(mut self, limit: Duration) -> Self {
        self.stop_limit = limit;
        self
    }

    fn custom(
        name: String,
        start: impl Fn(ActorCell, String, Tree) -> BoxFuture<'static, Result<ActorCell, SpawnErr>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            name,
            restart: Restart::Permanent,
            stop_limit: DEFAULT_STOP_LIMIT,
            start: Box::new(start),
        }
    }

    pub(super) fn decision(&self) -> supervision::ChildSpec {
        supervision::ChildSpec {
            name: self.name.clone(),
            restart: self.restart,
        }
    }

    pub(super) async fn start(
        &self,
        supervisor: &ActorCell,
        path: &str,
        tree: &Tree,
    ) -> Result<ActorCell, SpawnErr> {
        let start = (self.start)(supervisor.clone(), path.to_owned(), tree.clone());
        tokio::time::timeout(START_LIMIT, start)
            .await
            .unwrap_or_else(|_| {
                let error = format!("{path} did not start within {START_LIMIT:?}");
                Err(SpawnErr::StartupFailed(error.into()))
            })
    }
}
