//! Starting and stopping one child, and what its end means in OTP's words.

use super::tree::Seat;
use super::{ChildSpec, Ended, Shutdown};
use machine::supervision::Exit;
use ractor::{ActorCell, ActorRef, Message, SupervisionEvent};
use std::time::Duration;

/// How long a child that was killed may take to be gone. Killing drops its future at the next
/// await; one that never awaits is left behind and logged.
pub(super) const KILL_LIMIT: Duration = Duration::from_secs(1);

/// The reason given to a child that its supervisor stops, and the one of every supervisor's end.
pub(super) const SHUTDOWN: &str = "shutdown";
/// ractor's reasons for an actor that was killed, whose task was aborted, that was drained.
const KILLED: &str = "killed";
const ABORTED: &str = "actor_task_cancelled";
const DRAINED: &str = "Drained";

/// An error that is none: the actor or service that returns it ends in good order before it is
/// done (OTP: `{shutdown, Term}`). A transient child that ends so is not started again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("shutdown: {0}")]
pub struct ShutdownReason(pub String);

/// A child's end.
pub(super) struct End {
    pub(super) cell: ActorCell,
    pub(super) exit: Exit,
    /// A sentence.
    pub(super) why: String,
}

/// The end that `event` tells of, if it does.
fn end_of(event: SupervisionEvent) -> Option<End> {
    let (cell, exit, why) = match event {
        SupervisionEvent::ActorTerminated(cell, _, reason) => {
            let exit = exit_of(reason.as_deref());
            let why = match (exit, reason) {
                (Exit::Normal, _) => "ended normally".to_owned(),
                (Exit::Killed, _) => "killed".to_owned(),
                (Exit::Shutdown, None) => SHUTDOWN.to_owned(),
                (Exit::Shutdown, Some(reason)) => reason,
                (Exit::Abnormal, reason) => format!("failed: {}", reason.unwrap_or_default()),
            };
            (cell, exit, why)
        }
        SupervisionEvent::ActorFailed(cell, error) => {
            match error.downcast_ref::<ShutdownReason>() {
                Some(reason) => (cell, Exit::Shutdown, reason.to_string()),
                None => (cell, Exit::Abnormal, format!("failed: {error}")),
            }
        }
        SupervisionEvent::ActorStarted(_)
        | SupervisionEvent::ProcessGroupChanged(_)
        | SupervisionEvent::PidLifecycleEvent(_) => return None,
    };
    Some(End { cell, exit, why })
}

/// A running supervisor, of either kind: how a child's end becomes a decision, and the decision deeds.
pub(super) trait Supervising: Send {
    /// What it is sent.
    type Message: Message;
    /// What it decides about.
    type Input: Send;

    /// What a child's end means. `None`: it is the echo of a child that was stopped on purpose.
    fn ended(&mut self, end: End) -> Option<Self::Input>;

    /// Feeds `input` and works off everything that follows from it.
    fn drive(
        &mut self,
        myself: &ActorRef<Self::Message>,
        input: Self::Input,
    ) -> impl Future<Output = Result<(), Ended>> + Send;

    /// All children are gone: ends the supervisor itself, with OTP's reason `shutdown`.
    fn end(&mut self, myself: &ActorRef<Self::Message>, ended: &Ended);
}

/// Follows up on what `input` asks for, to the supervisor's own end if it comes to that.
pub(super) async fn follow<S: Supervising>(
    state: &mut S,
    myself: &ActorRef<S::Message>,
    input: S::Input,
) {
    if let Err(ended) = state.drive(myself, input).await {
        state.end(myself, &ended);
    }
}

/// Follows up on what ractor tells of a child.
pub(super) async fn follow_child<S: Supervising>(
    state: &mut S,
    myself: &ActorRef<S::Message>,
    event: SupervisionEvent,
) {
    if let Some(input) = end_of(event).and_then(|end| state.ended(end)) {
        follow(state, myself, input).await;
    }
}

/// OTP's reading of an exit reason: any but `normal`, `shutdown` and `{shutdown, Term}` (here
/// `shutdown: term`) is abnormal.
fn exit_of(reason: Option<&str>) -> Exit {
    match reason {
        None | Some("normal" | DRAINED) => Exit::Normal,
        Some(SHUTDOWN) => Exit::Shutdown,
        Some(reason) if reason.starts_with("shutdown:") => Exit::Shutdown,
        Some(KILLED | ABORTED) => Exit::Killed,
        Some(_) => Exit::Abnormal,
    }
}

/// Starts a child in its seat; an error has been logged.
pub(super) async fn start(
    spec: &ChildSpec,
    seat: &Seat,
    supervisor: ActorCell,
) -> Result<ActorCell, String> {
    seat.starting();
    match spec.start(supervisor, seat).await {
        Ok(cell) => {
            seat.started();
            Ok(cell)
        }
        Err(error) => {
            tracing::error!(child = seat.path(), "could not be started: {error}");
            seat.ended(format!("could not be started: {error}"));
            Err(error.to_string())
        }
    }
}

/// Stops a child as its specification says; returns when it is gone.
pub(super) async fn stop(shutdown: Shutdown, seat: &Seat, cell: ActorCell) {
    let reason = Some(SHUTDOWN.to_owned());
    let why = match shutdown {
        Shutdown::BrutalKill => kill(seat, &cell).await,
        Shutdown::Infinity => {
            // An error says that it has ended already.
            let _ = cell.stop_and_wait(reason, None).await;
            "stopped by its supervisor".to_owned()
        }
        Shutdown::Within(limit) => match cell.stop_and_wait(reason, Some(limit)).await {
            Err(ractor::RactorErr::Timeout) => {
                tracing::warn!(child = seat.path(), "did not stop within {limit:?}; killed");
                let killed = kill(seat, &cell).await;
                format!("did not stop within {limit:?}; {killed}")
            }
            Ok(()) | Err(_) => "stopped by its supervisor".to_owned(),
        },
    };
    seat.ended(why);
}

async fn kill(seat: &Seat, cell: &ActorCell) -> String {
    match cell.kill_and_wait(Some(KILL_LIMIT)).await {
        Err(ractor::RactorErr::Timeout) => {
            tracing::error!(
                child = seat.path(),
                "did not even die within {KILL_LIMIT:?}; left behind"
            );
            format!("killed, but it did not die within {KILL_LIMIT:?}: left behind")
        }
        Ok(()) | Err(_) => "killed by its supervisor".to_owned(),
    }
}

/// Logs how a child ended of its own accord.
pub(super) fn log_end(seat: &Seat, end: &End) {
    match end.exit {
        Exit::Normal | Exit::Shutdown => tracing::info!(child = seat.path(), "{}", end.why),
        Exit::Abnormal | Exit::Killed => tracing::error!(child = seat.path(), "{}", end.why),
    }
}
