//! Supervision after OTP: which children to stop and start, in what order, and when to give up.
//!
//! Source: `supervisor(3)` of Erlang/OTP and "Supervisor Behaviour" in its Design Principles. The
//! table in `otp/table.txt` is that documentation, sentence by sentence; this machine, our actors
//! and Erlang's own supervisor give the same answers to it.
//!
//! Children are known by their place in the list of specifications; places never change. The
//! shell performs outputs in order, answers every [`Output::Start`] with [`Input::Started`] or
//! [`Input::StartFailed`], and performs [`Output::Stop`] to its end before it goes on. Children
//! that come and go at run time are [`Dynamic`]'s.

mod budget;
mod dynamic;
mod spec;
#[cfg(test)]
mod tests;

pub use budget::{Intensity, RestartBudget};
pub use dynamic::{ChildId, Dynamic, DynamicInput, DynamicOutput, Refusal};
pub use spec::{
    AutoShutdown, ChildSpec, Escalation, Exit, Finish, Flags, Restart, SpecError, Strategy,
};

use crate::{Instant, Machine};
use std::collections::VecDeque;

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
    /// The answer to [`Output::TryAgain`].
    TryAgain(usize),
    /// Stop the children, in the reverse order.
    Shutdown,
}

/// What the shell is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Start this child; answer before anything else is put in.
    Start(usize),
    /// Stop this child as its specification says. It may have ended already.
    Stop(usize),
    /// Put in [`Input::TryAgain`] behind everything that has happened by now: a supervisor whose
    /// child cannot be restarted still hears of other children, and that it shall stop.
    TryAgain(usize),
    /// The supervisor is at its end; no output follows.
    Finish(Finish),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Child {
    /// Not running, but started again with its siblings.
    Down,
    Running,
    /// Its restart failed and is to be tried again.
    Restarting,
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
    flags: Flags,
    budget: RestartBudget,
    specs: Vec<ChildSpec>,
    children: Vec<Child>,
    phase: Phase,
    /// Children yet to be started, the front one right now.
    starting: VecDeque<usize>,
    /// Heard while `starting` is worked off and handled after it, as OTP's mailbox would. At
    /// most one exit and one further try per child.
    waiting: VecDeque<Input>,
}

impl Supervision {
    /// Nothing happens before [`Input::Begin`].
    pub fn new(flags: Flags, specs: Vec<ChildSpec>) -> Result<Self, SpecError> {
        spec::check(flags, &specs)?;
        Ok(Self {
            flags,
            budget: RestartBudget::new(flags.intensity),
            children: vec![Child::Down; specs.len()],
            specs,
            phase: Phase::New,
            starting: VecDeque::new(),
            waiting: VecDeque::new(),
        })
    }

    /// Whether this child runs.
    pub fn is_running(&self, child: usize) -> bool {
        self.children[child] == Child::Running
    }

    /// What is left of its intensity.
    pub fn budget(&self) -> &RestartBudget {
        &self.budget
    }

    fn exited(&mut self, now: Instant, child: usize, exit: Exit, out: &mut Vec<Output>) {
        if self.children[child] != Child::Running {
            return;
        }
        self.children[child] = Child::Down;
        match (self.specs[child].restart, exit.is_normal()) {
            (Restart::Permanent, _) | (Restart::Transient, false) => self.restart(now, child, out),
            (Restart::Transient, true) => self.ended_for_good(child, out),
            (Restart::Temporary, _) => {
                self.children[child] = Child::Removed;
                self.ended_for_good(child, out);
            }
        }
    }

    fn ended_for_good(&mut self, child: usize, out: &mut Vec<Output>) {
        if !self.specs[child].significant {
            return;
        }
        let finished = match self.flags.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => {
                let active = |child: &Child| match child {
                    Child::Running | Child::Restarting => true,
                    Child::Down | Child::Removed => false,
                };
                !(self.specs.iter().zip(&self.children))
                    .any(|(spec, child)| spec.significant && active(child))
            }
        };
        if finished {
            let child = self.specs[child].name.clone();
            self.finish(Finish::Auto { child }, out);
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
        let affected = match self.flags.strategy {
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
        match self.children[child] {
            Child::Running => {
                out.push(Output::Stop(child));
                // A temporary sibling is stopped like the rest, yet nobody starts it again.
                self.children[child] = match self.specs[child].restart {
                    Restart::Temporary => Child::Removed,
                    Restart::Permanent | Restart::Transient => Child::Down,
                };
            }
            // It is started with the others now; the further try finds nothing to do.
            Child::Restarting => self.children[child] = Child::Down,
            Child::Down | Child::Removed => {}
        }
        // What is heard of the stopped process from now on says nothing about its successor.
        self.waiting
            .retain(|waiting| !matches!(waiting, Input::Exited(exited, _) if *exited == child));
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
        if !self.starting.is_empty() {
            return self.start_next(out);
        }
        self.phase = Phase::Steady;
        self.catch_up(now, out);
    }

    fn start_failed(&mut self, now: Instant, child: usize, out: &mut Vec<Output>) {
        if self.starting.front() != Some(&child) {
            return;
        }
        self.starting.clear();
        match self.phase {
            Phase::FirstStart => {
                let child = self.specs[child].name.clone();
                self.finish(
                    Finish::Escalate(Escalation::FirstStartFailed { child }),
                    out,
                );
            }
            // Each further try counts against the budget: that bounds them.
            Phase::Steady => {
                self.children[child] = Child::Restarting;
                out.push(Output::TryAgain(child));
                self.catch_up(now, out);
            }
            Phase::New | Phase::Finished => {}
        }
    }

    fn wait(&mut self, input: Input) {
        if !self.waiting.contains(&input) {
            self.waiting.push_back(input);
        }
    }

    /// Handles what was heard in the meantime, until it leads to another start.
    fn catch_up(&mut self, now: Instant, out: &mut Vec<Output>) {
        while self.starting.is_empty() && self.phase == Phase::Steady {
            let Some(input) = self.waiting.pop_front() else {
                break;
            };
            self.handle(now, input, out);
        }
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<Output>) {
        self.starting.clear();
        self.waiting.clear();
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
            // A child that does not run has been stopped meanwhile: its exit is an echo.
            Input::Exited(child, _) if !self.starting.is_empty() => {
                if self.is_running(child) {
                    self.wait(input);
                }
            }
            Input::TryAgain(_) if !self.starting.is_empty() => self.wait(input),
            Input::Exited(child, exit) => self.exited(now, child, exit, out),
            Input::TryAgain(child) => {
                if self.children[child] == Child::Restarting {
                    self.restart(now, child, out);
                }
            }
            Input::Shutdown => self.finish(Finish::ShutDown, out),
        }
    }
}
