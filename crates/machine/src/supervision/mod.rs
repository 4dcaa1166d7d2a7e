//! Supervision after OTP: which children to stop and start, in what order, and when to give up.
//!
//! Source: `supervisor(3)` of Erlang/OTP and "Supervision Principles" in its design guide. The
//! table in `tests.rs` is that documentation, sentence by sentence.
//!
//! Children are known by their place in the list of specifications; places never change. The
//! shell performs outputs in order, answers every [`Output::Start`] with [`Input::Started`] or
//! [`Input::StartFailed`], and performs [`Output::Stop`] to its end before it goes on.

mod budget;
#[cfg(test)]
mod tests;

pub use budget::{Intensity, RestartBudget};

use crate::{Instant, Machine};
use std::collections::VecDeque;
use std::fmt;

/// What else is restarted when one child is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strategy {
    /// Only that child.
    OneForOne,
    /// Every child.
    OneForAll,
    /// That child and those after it in the list.
    RestForOne,
}

/// When a child that ended is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Restart {
    /// Always.
    Permanent,
    /// Only when it ended abnormally.
    Transient,
    /// Never, not even when its siblings are.
    Temporary,
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It was done, or was told to stop (OTP: `normal`, `shutdown`, `{shutdown, _}`).
    Normal,
    /// It failed, panicked or was killed.
    Abnormal,
}

/// The part of a child specification that decisions need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildSpec {
    /// For people and status pages.
    pub name: String,
    /// When it is started again.
    pub restart: Restart,
}

/// What can happen to a supervisor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// Start the children, in the order of the list.
    Begin,
    /// The child of the last `Start` runs.
    Started(usize),
    /// The child of the last `Start` does not.
    StartFailed(usize),
    /// A running child ended of its own accord.
    Exited(usize, Exit),
    /// Stop the children, in the reverse order.
    Shutdown,
}

/// What the shell is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Start this child; answer before anything else is put in.
    Start(usize),
    /// Stop this child within its time limit, by force after that. It may have ended already.
    Stop(usize),
    /// The supervisor is at its end; no output follows.
    Finish(Finish),
}

/// How a supervisor ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finish {
    /// As asked by [`Input::Shutdown`].
    ShutDown,
    /// Restarting does not help: its own supervisor, or at the top the process, has to act.
    Escalate(Escalation),
}

/// Why a supervisor gave up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Escalation {
    /// More restarts than [`Intensity`] allows; the last straw was this child.
    TooManyRestarts {
        /// The child's name.
        child: String,
        /// The limit that was passed.
        intensity: Intensity,
    },
    /// A child could not be started when the supervisor itself was.
    FirstStartFailed {
        /// The child's name.
        child: String,
    },
}

impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRestarts { child, intensity } => write!(
                f,
                "{child} had to be restarted more often than {} times within {:?}",
                intensity.restarts, intensity.period
            ),
            Self::FirstStartFailed { child } => write!(f, "{child} could not be started"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Child {
    /// Not running, but started again with its siblings.
    Down,
    Running,
    /// A temporary child that ended: out of the list for good.
    Removed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    New,
    /// Working off `starting` for the first time: a failure ends the supervisor.
    FirstStart,
    /// Nothing to do, or working off `starting` after an exit: a failure is tried again.
    Steady,
    Finished,
}

/// The decisions of one supervisor.
#[derive(Debug)]
pub struct Supervision {
    strategy: Strategy,
    budget: RestartBudget,
    specs: Vec<ChildSpec>,
    children: Vec<Child>,
    starts: Vec<u64>,
    phase: Phase,
    /// Children yet to be started, the front one right now.
    starting: VecDeque<usize>,
    /// Exits heard while `starting` is worked off, handled after it, as OTP's mailbox would.
    /// At most one per child.
    exits: VecDeque<(usize, Exit)>,
}

impl Supervision {
    /// Nothing happens before [`Input::Begin`].
    pub fn new(strategy: Strategy, intensity: Intensity, specs: Vec<ChildSpec>) -> Self {
        Self {
            strategy,
            budget: RestartBudget::new(intensity),
            children: vec![Child::Down; specs.len()],
            starts: vec![0; specs.len()],
            specs,
            phase: Phase::New,
            starting: VecDeque::new(),
            exits: VecDeque::new(),
        }
    }

    /// How often this child was started again.
    pub fn restarts(&self, child: usize) -> u64 {
        self.starts[child].saturating_sub(1)
    }

    /// Whether this child runs.
    pub fn is_running(&self, child: usize) -> bool {
        self.children[child] == Child::Running
    }

    fn exited(&mut self, now: Instant, child: usize, exit: Exit, out: &mut Vec<Output>) {
        if self.children[child] != Child::Running {
            return;
        }
        self.children[child] = Child::Down;
        let again = match (self.specs[child].restart, exit) {
            (Restart::Permanent, _) | (Restart::Transient, Exit::Abnormal) => true,
            (Restart::Transient, Exit::Normal) => false,
            (Restart::Temporary, _) => {
                self.children[child] = Child::Removed;
                false
            }
        };
        if again {
            self.restart(now, child, out);
        }
    }

    /// Spends from the budget, stops the siblings that the strategy names and starts them anew.
    fn restart(&mut self, now: Instant, child: usize, out: &mut Vec<Output>) {
        if !self.budget.spend(now) {
            let escalation = Escalation::TooManyRestarts {
                child: self.specs[child].name.clone(),
                intensity: self.budget.intensity(),
            };
            self.finish(Finish::Escalate(escalation), out);
            return;
        }
        let affected = match self.strategy {
            Strategy::OneForOne => child..child + 1,
            Strategy::OneForAll => 0..self.specs.len(),
            Strategy::RestForOne => child..self.specs.len(),
        };
        for sibling in affected.clone().rev() {
            self.stop(sibling, out);
        }
        self.starting = affected
            .filter(|&sibling| self.children[sibling] != Child::Removed)
            .collect();
        self.start_next(out);
    }

    fn stop(&mut self, child: usize, out: &mut Vec<Output>) {
        if self.children[child] == Child::Running {
            out.push(Output::Stop(child));
            // A temporary sibling is stopped like the rest, yet nobody starts it again.
            self.children[child] = match self.specs[child].restart {
                Restart::Temporary => Child::Removed,
                Restart::Permanent | Restart::Transient => Child::Down,
            };
        }
        // What is heard of the stopped process from now on says nothing about its successor.
        self.exits.retain(|(exited, _)| *exited != child);
    }

    fn start_next(&mut self, out: &mut Vec<Output>) {
        if let Some(&next) = self.starting.front() {
            out.push(Output::Start(next));
        }
    }

    fn started(&mut self, now: Instant, child: usize, out: &mut Vec<Output>) {
        if self.starting.front() != Some(&child) {
            return;
        }
        self.starting.pop_front();
        self.children[child] = Child::Running;
        self.starts[child] += 1;
        if !self.starting.is_empty() {
            return self.start_next(out);
        }
        self.phase = Phase::Steady;
        while self.starting.is_empty() && self.phase == Phase::Steady {
            let Some((child, exit)) = self.exits.pop_front() else {
                break;
            };
            self.exited(now, child, exit, out);
        }
    }

    fn start_failed(&mut self, now: Instant, child: usize, out: &mut Vec<Output>) {
        if self.starting.front() != Some(&child) {
            return;
        }
        match self.phase {
            Phase::FirstStart => {
                let child = self.specs[child].name.clone();
                self.finish(
                    Finish::Escalate(Escalation::FirstStartFailed { child }),
                    out,
                );
            }
            // Tried again at once, each attempt against the budget: that bounds the loop.
            Phase::Steady => self.restart(now, child, out),
            Phase::New | Phase::Finished => {}
        }
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<Output>) {
        self.starting.clear();
        self.exits.clear();
        for child in (0..self.specs.len()).rev() {
            self.stop(child, out);
        }
        self.phase = Phase::Finished;
        out.push(Output::Finish(finish));
    }
}

impl Machine for Supervision {
    type Input = Input;
    type Output = Output;

    fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        if self.phase == Phase::Finished {
            return;
        }
        match input {
            Input::Begin => {
                if self.phase == Phase::New {
                    self.phase = if self.specs.is_empty() {
                        Phase::Steady
                    } else {
                        Phase::FirstStart
                    };
                    self.starting = (0..self.specs.len()).collect();
                    self.start_next(out);
                }
            }
            Input::Started(child) => self.started(now, child, out),
            Input::StartFailed(child) => self.start_failed(now, child, out),
            Input::Exited(child, exit) => {
                if self.starting.is_empty() {
                    self.exited(now, child, exit, out);
                } else if self.is_running(child)
                    && !self.exits.iter().any(|(known, _)| *known == child)
                {
                    self.exits.push_back((child, exit));
                }
            }
            Input::Shutdown => self.finish(Finish::ShutDown, out),
        }
    }
}
