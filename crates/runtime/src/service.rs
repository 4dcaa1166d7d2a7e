//! A plain async worker as a supervised child: a listener, a dialer, a poll loop.

use futures::future::BoxFuture;
use ractor::{Actor, ActorProcessingErr, ActorRef, Message};
use std::future::Future;
use std::marker::PhantomData;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Why a service ended before its time: any error. It is a crash that the supervisor handles.
pub type ServiceError = ActorProcessingErr;

/// A worker that runs until it is told to stop.
pub trait Service: Send + 'static {
    /// The work. `Ok` is a normal end, an error an abnormal one. Everything it spawns is its own
    /// to end; when `stop` is not heeded within the child's time limit the future is dropped.
    fn run(self, stop: StopSignal) -> impl Future<Output = Result<(), ServiceError>> + Send;
}

impl<F, Fut> Service for F
where
    F: FnOnce(StopSignal) -> Fut + Send + 'static,
    Fut: Future<Output = Result<(), ServiceError>> + Send,
{
    fn run(self, stop: StopSignal) -> impl Future<Output = Result<(), ServiceError>> + Send {
        self(stop)
    }
}

/// Tells a service that it is time to end.
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<bool>);

impl StopSignal {
    /// A signal and the switch that raises it by being dropped or set; for tests and for services
    /// that run outside a supervisor.
    pub fn pair() -> (StopSwitch, Self) {
        let (switch, signal) = watch::channel(false);
        (StopSwitch(switch), Self(signal))
    }

    /// Returns when it is time to end.
    pub async fn stopped(&mut self) {
        // An error means that the switch is gone, and with it whoever wants the service.
        let _ = self.0.wait_for(|stop| *stop).await;
    }

    /// Whether it is.
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }
}

/// The other end of a [`StopSignal`].
#[derive(Debug)]
pub struct StopSwitch(watch::Sender<bool>);

impl StopSwitch {
    /// Raises the signal.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

pub(crate) struct ServiceActor<S>(PhantomData<fn() -> S>);

impl<S> ServiceActor<S> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

pub(crate) struct Ended(Result<(), ServiceError>);

impl Message for Ended {}

pub(crate) struct ServiceState {
    switch: StopSwitch,
    /// Watches the service's own task; `None` once awaited.
    watcher: Option<JoinHandle<()>>,
    service: tokio::task::AbortHandle,
}

impl Drop for ServiceState {
    /// The actor was killed or is done: its service does not outlive it.
    fn drop(&mut self) {
        self.service.abort();
    }
}

impl<S: Service> Actor for ServiceActor<S> {
    type Msg = Ended;
    type State = ServiceState;
    type Arguments = BoxFuture<'static, Result<S, ServiceError>>;

    async fn pre_start(
        &self,
        myself: ActorRef<Ended>,
        make: Self::Arguments,
    ) -> Result<ServiceState, ActorProcessingErr> {
        let service = make.await?;
        let (switch, signal) = StopSignal::pair();
        let task = tokio::spawn(service.run(signal));
        let service = task.abort_handle();
        let watcher = tokio::spawn(async move {
            let ended = task.await.unwrap_or_else(|panic| Err(panic.into()));
            // Fails only when the actor has ended: then nobody asks how the service did.
            let _ = myself.send_message(Ended(ended));
        });
        Ok(ServiceState {
            switch,
            watcher: Some(watcher),
            service,
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Ended>,
        Ended(ended): Ended,
        _state: &mut ServiceState,
    ) -> Result<(), ActorProcessingErr> {
        myself.stop(None);
        ended
    }

    async fn post_stop(
        &self,
        _myself: ActorRef<Ended>,
        state: &mut ServiceState,
    ) -> Result<(), ActorProcessingErr> {
        state.switch.stop();
        if let Some(watcher) = state.watcher.take() {
            // The watcher cannot panic, and nobody aborts it.
            let _ = watcher.await;
        }
        Ok(())
    }
}
