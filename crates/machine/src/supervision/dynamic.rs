//! Children that come and go at run time: OTP's `simple_one_for_one`, Elixir's
//! `DynamicSupervisor`.
//!
//! They do not depend on one another: each is restarted alone, and at the end all are stopped at
//! once. A child that has ended for good is forgotten. How many there may be is bounded.

use super::{ChildSpec, Escalation, Finish, Intensity, Restart, RestartBudget};
use crate::supervision::Exit;
use crate::{Instant, Machine};
use std::collections::BTreeMap;
use std::fmt;

/// One child for its whole life, restarts included; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ChildId(pub u64);

/// What can happen to a supervisor of dynamic children.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DynamicInput {
    /// Take in a child.
    Add(ChildSpec),
    /// The child of the last `Start` runs.
    Started(ChildId),
    /// The child of the last `Start` does not.
    StartFailed(ChildId),
    /// A running child ended of its own accord.
    Exited(ChildId, Exit),
    /// The answer to [`DynamicOutput::TryAgain`].
    TryAgain(ChildId),
    /// Stop this child for good.
    Remove(ChildId),
    /// Stop all.
    Shutdown,
}

/// What its shell is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DynamicOutput {
    /// Start this child; answer before anything else is put in.
    Start(ChildId),
    /// Stop these children, all at once.
    Stop(Vec<ChildId>),
    /// Put in [`DynamicInput::TryAgain`] behind everything that has happened by now.
    TryAgain(ChildId),
    /// This child is no more.
    Forget(ChildId),
    /// The child of the last `Add` was not taken in.
    Refuse(Refusal),
    /// The supervisor is at its end; no output follows.
    Finish(Finish),
}

/// Why a child was not taken in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// There are as many as there may be.
    Full {
        /// The child that was not.
        child: String,
        /// How many there may be.
        limit: usize,
    },
    /// One of this name is here.
    AlreadyThere {
        /// The name.
        child: String,
    },
    /// The supervisor has ended.
    Finished {
        /// The child that was not.
        child: String,
    },
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full { child, limit } => write!(
                f,
                "{child} was not started: {limit} children are here, and no more are allowed; \
                 end one or raise the limit"
            ),
            Self::AlreadyThere { child } => write!(
                f,
                "{child} was not started: a child of this name is here already; end it first"
            ),
            Self::Finished { child } => {
                write!(f, "{child} was not started: its supervisor has ended")
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Its first start is under way: a failure is its end and its requester's to handle.
    New,
    /// A start after an exit is under way.
    Starting,
    Running,
    /// Its restart failed and is to be tried again.
    Restarting,
}

/// The decisions of one supervisor of dynamic children.
#[derive(Debug)]
pub struct Dynamic {
    limit: usize,
    budget: RestartBudget,
    children: BTreeMap<ChildId, (ChildSpec, State)>,
    next: u64,
    finished: bool,
}

impl Dynamic {
    /// No children yet, and at most `limit` at any time.
    pub fn new(limit: usize, intensity: Intensity) -> Self {
        Self {
            limit,
            budget: RestartBudget::new(intensity),
            children: BTreeMap::new(),
            next: 0,
            finished: false,
        }
    }

    /// The child of this name.
    pub fn find(&self, name: &str) -> Option<ChildId> {
        self.children
            .iter()
            .find(|(_, (spec, _))| spec.name == name)
            .map(|(id, _)| *id)
    }

    /// What is left of its intensity.
    pub fn budget(&self) -> &RestartBudget {
        &self.budget
    }

    fn add(&mut self, spec: ChildSpec, out: &mut Vec<DynamicOutput>) {
        let child = spec.name.clone();
        if self.find(&child).is_some() {
            return out.push(DynamicOutput::Refuse(Refusal::AlreadyThere { child }));
        }
        if self.children.len() >= self.limit {
            let limit = self.limit;
            return out.push(DynamicOutput::Refuse(Refusal::Full { child, limit }));
        }
        let id = ChildId(self.next);
        self.next += 1;
        self.children.insert(id, (spec, State::New));
        out.push(DynamicOutput::Start(id));
    }

    fn start_failed(&mut self, id: ChildId, out: &mut Vec<DynamicOutput>) {
        let Some((_, state)) = self.children.get_mut(&id) else {
            return;
        };
        match state {
            State::New => {
                self.children.remove(&id);
                out.push(DynamicOutput::Forget(id));
            }
            State::Starting => {
                *state = State::Restarting;
                out.push(DynamicOutput::TryAgain(id));
            }
            State::Running | State::Restarting => {}
        }
    }

    fn exited(&mut self, now: Instant, id: ChildId, exit: Exit, out: &mut Vec<DynamicOutput>) {
        let Some((spec, State::Running)) = self.children.get(&id) else {
            return;
        };
        match (spec.restart, exit.is_normal()) {
            (Restart::Permanent, _) | (Restart::Transient, false) => self.restart(now, id, out),
            (Restart::Transient, true) | (Restart::Temporary, _) => {
                self.children.remove(&id);
                out.push(DynamicOutput::Forget(id));
            }
        }
    }

    fn restart(&mut self, now: Instant, id: ChildId, out: &mut Vec<DynamicOutput>) {
        let Some((spec, state)) = self.children.get_mut(&id) else {
            return;
        };
        if self.budget.spend(now) {
            *state = State::Starting;
            return out.push(DynamicOutput::Start(id));
        }
        let escalation = Escalation::TooManyRestarts {
            child: spec.name.clone(),
            intensity: self.budget.intensity(),
        };
        self.children.remove(&id);
        out.push(DynamicOutput::Forget(id));
        self.finish(Finish::Escalate(escalation), out);
    }

    fn remove(&mut self, id: ChildId, out: &mut Vec<DynamicOutput>) {
        if let Some((_, state)) = self.children.remove(&id) {
            match state {
                State::Running => out.push(DynamicOutput::Stop(vec![id])),
                State::New | State::Starting | State::Restarting => {}
            }
            out.push(DynamicOutput::Forget(id));
        }
    }

    fn finish(&mut self, finish: Finish, out: &mut Vec<DynamicOutput>) {
        let children = std::mem::take(&mut self.children);
        let running: Vec<ChildId> = children
            .iter()
            .filter(|(_, (_, state))| *state == State::Running)
            .map(|(id, _)| *id)
            .collect();
        if !running.is_empty() {
            out.push(DynamicOutput::Stop(running));
        }
        out.extend(children.into_keys().map(DynamicOutput::Forget));
        self.finished = true;
        out.push(DynamicOutput::Finish(finish));
    }
}

impl Machine for Dynamic {
    type Input = DynamicInput;
    type Output = DynamicOutput;

    fn handle(&mut self, now: Instant, input: DynamicInput, out: &mut Vec<DynamicOutput>) {
        if self.finished {
            if let DynamicInput::Add(spec) = input {
                let child = spec.name;
                out.push(DynamicOutput::Refuse(Refusal::Finished { child }));
            }
            return;
        }
        match input {
            DynamicInput::Add(spec) => self.add(spec, out),
            DynamicInput::Started(id) => {
                if let Some((_, state)) = self.children.get_mut(&id) {
                    *state = State::Running;
                }
            }
            DynamicInput::StartFailed(id) => self.start_failed(id, out),
            DynamicInput::Exited(id, exit) => self.exited(now, id, exit, out),
            DynamicInput::TryAgain(id) => {
                if let Some((_, State::Restarting)) = self.children.get(&id) {
                    self.restart(now, id, out);
                }
            }
            DynamicInput::Remove(id) => self.remove(id, out),
            DynamicInput::Shutdown => self.finish(Finish::ShutDown, out),
        }
    }
}
