//! The supervision tree as a node tells it.

use serde::{Deserialize, Serialize};

/// One actor of the tree. Times are in milliseconds before the status was taken.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ActorStatus {
    /// Names from the top, joined by `/`; the top supervisor itself has the empty path.
    pub path: String,
    /// What it is.
    pub kind: ActorKind,
    /// What it does.
    pub state: ActorState,
    /// How often it was started again since the process began.
    pub restarts: u64,
    /// Since its last start; `None`: it never ran.
    pub since_ms: Option<u64>,
    /// Why it last ended, a sentence; `None`: it never did.
    pub last_exit: Option<String>,
    /// Of a supervisor.
    pub supervisor: Option<SupervisorStatus>,
    /// Of a machine.
    pub mailbox: Option<MailboxStatus>,
}

impl ActorStatus {
    /// The last part of the path.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// How many supervisors stand above it.
    pub fn depth(&self) -> usize {
        if self.path.is_empty() {
            return 0;
        }
        1 + self.path.matches('/').count()
    }
}

/// What kind of actor.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorKind {
    /// Starts, restarts and stops others.
    Supervisor,
    /// A pure machine in its shell, with a mailbox.
    Machine,
    /// A listener, a dialer, a loop.
    Service,
    /// Any other actor.
    #[default]
    Worker,
}

/// What an actor does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActorState {
    /// It is started for the first time.
    Starting,
    /// It works.
    Running,
    /// It ended and is being started again.
    Restarting,
    /// It does not run, and nobody is starting it.
    #[default]
    Stopped,
}

/// What a supervisor does when a child ends.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SupervisorStatus {
    /// Its strategy.
    pub strategy: StrategyName,
    /// Restarts allowed …
    pub intensity: u32,
    /// … within so many milliseconds.
    pub period_ms: u64,
    /// Restarts that count right now; one more than `intensity` ends the supervisor.
    pub used: u32,
    /// Children allowed, if they come and go at run time.
    pub max_children: Option<u32>,
}

/// A supervisor's strategy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StrategyName {
    /// Only the child that ended is restarted.
    #[default]
    OneForOne,
    /// All children are.
    OneForAll,
    /// It and those after it are.
    RestForOne,
    /// Only the child that ended; children come and go at run time.
    Dynamic,
}

/// Letters on their way to a machine.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MailboxStatus {
    /// Letters accepted and not yet worked off, the one at hand included.
    pub depth: u64,
    /// Its limit.
    pub capacity: u64,
    /// Most letters that there ever were at once.
    pub peak: u64,
    /// Age of the oldest of them; `None`: there is none.
    pub oldest_ms: Option<u64>,
    /// Letters taken up by the actor, over all its incarnations.
    pub delivered: u64,
    /// Letters dropped for want of room (or of an actor) without telling their senders.
    pub shed: u64,
    /// Letters whose senders were told that they were not accepted.
    pub refused: u64,
    /// Letters whose senders had to wait.
    pub delayed: u64,
    /// Letters that were accepted and died with their actor.
    pub lost: u64,
    /// Longest time from posting to being taken up, in milliseconds.
    pub longest_wait_ms: u64,
}
