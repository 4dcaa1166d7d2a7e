//! FedBuff (Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba, AISTATS 2022): asynchronous rounds. Whoever
//! is ready trains from the newest model; the server steps when it has K updates, however old the models
//! are that they started from.
//!
//! ```text
//! w' = w + ηg · (1/K) · Σ s(τᵢ)·Δᵢ        s(τ) = 1 / √(1 + τ), τ: versions between base and now
//! ```
//! The server knows what it handed to whom: an update's age is looked up and not believed.
//!
//! A machine of its own beside the rounds, for houses whose participants differ in speed by
//! orders of magnitude. It has no cohort, so neither secure aggregation nor the accountant of rounds goes with it
//! ([`crate::combination`]).

#[cfg(test)]
mod tests;

use machine::{Instant, Machine, Overload};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use wire::NodeId;

/// How it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Config {
    /// K: updates behind one step, at least 1.
    pub buffer: usize,
    /// Most participants at work at a time, at least 1; the others wait for their turn.
    pub concurrency: usize,
    /// Older updates than this many versions are dropped.
    pub max_staleness: u64,
    /// ηg.
    pub learning_rate: f64,
    /// Largest L2 norm of an update.
    pub max_norm: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            buffer: 10, // the paper's
            concurrency: 100,
            max_staleness: 50,
            learning_rate: 1.0,
            max_norm: 100.0,
        }
    }
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// This participant can train.
    Ready(NodeId),
    /// It has trained from what it was given last.
    Update {
        /// Who.
        node: NodeId,
        /// Trained minus given parameters.
        delta: Vec<f32>,
    },
    /// It is down, or gave up.
    Gone(NodeId),
}

/// What is to be done, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Let this participant train from this model.
    Train {
        /// Whom.
        to: NodeId,
        /// The model's version.
        version: u64,
        /// The model.
        parameters: Arc<Vec<f32>>,
    },
    /// A new model.
    Stepped {
        /// One more than before.
        version: u64,
        /// The model.
        parameters: Arc<Vec<f32>>,
        /// Whose updates are in it, with the age of each.
        from: Vec<(NodeId, u64)>,
    },
    /// An update does not count.
    Refused {
        /// Whose.
        node: NodeId,
        /// Why.
        why: Refusal,
    },
}

/// Why an update does not count.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Nobody asked.
    #[error("it was given no model to train from")]
    NotAsked,
    /// Too old to help.
    #[error("it is {age} versions old; at most {most} are of use")]
    Stale {
        /// Versions since.
        age: u64,
        /// The bound.
        most: u64,
    },
    /// Does not fit.
    #[error("it has {found} parameters, the model {expected}")]
    Length {
        /// The model's.
        expected: usize,
        /// The update's.
        found: usize,
    },
    /// NaN, infinite, or too long.
    #[error("its norm {norm:.3} is over the bound {bound:.3}, or no number")]
    Norm {
        /// L2 norm.
        norm: f64,
        /// The bound.
        bound: f64,
    },
    /// It would lead out of the numbers.
    #[error("the step that it completes leads out of the numbers; the buffer is dropped")]
    NotFinite,
}

/// The server.
pub struct FedBuff {
    config: Config,
    version: u64,
    parameters: Arc<Vec<f32>>,
    /// At work, with the version that each was given.
    working: BTreeMap<NodeId, u64>,
    /// Ready, and not yet asked.
    waiting: VecDeque<NodeId>,
    /// Σ s(τᵢ)·Δᵢ.
    sum: Vec<f64>,
    buffered: Vec<(NodeId, u64)>,
}

/// s(τ).
pub fn weight(age: u64) -> f64 {
    (1.0 + age as f64).sqrt().recip()
}

impl FedBuff {
    /// From this model, as version 0.
    pub fn new(parameters: Vec<f32>, config: Config) -> Self {
        Self {
            config: Config {
                buffer: config.buffer.max(1),
                concurrency: config.concurrency.max(1),
                ..config
            },
            version: 0,
            sum: vec![0.0; parameters.len()],
            parameters: Arc::new(parameters),
            working: BTreeMap::new(),
            waiting: VecDeque::new(),
            buffered: Vec::new(),
        }
    }

    /// The newest model.
    pub fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    fn ask(&mut self, out: &mut Vec<Output>) {
        while self.working.len() < self.config.concurrency
            && let Some(to) = self.waiting.pop_front()
        {
            self.working.insert(to.clone(), self.version);
            out.push(Output::Train {
                to,
                version: self.version,
                parameters: Arc::clone(&self.parameters),
            });
        }
    }

    fn take(&mut self, node: &NodeId, delta: &[f32]) -> Result<(), Refusal> {
        let given = self.working.remove(node).ok_or(Refusal::NotAsked)?;
        let age = self.version - given;
        let (most, bound) = (self.config.max_staleness, self.config.max_norm);
        if age > most {
            return Err(Refusal::Stale { age, most });
        }
        let (expected, found) = (self.sum.len(), delta.len());
        if expected != found {
            return Err(Refusal::Length { expected, found });
        }
        let norm = crate::robust::norm(delta);
        if norm.is_nan() || norm > bound {
            return Err(Refusal::Norm { norm, bound });
        }
        for (sum, delta) in self.sum.iter_mut().zip(delta) {
            *sum += weight(age) * f64::from(*delta);
        }
        self.buffered.push((node.clone(), age));
        Ok(())
    }

    /// With a full buffer: the next version.
    fn step(&mut self, out: &mut Vec<Output>) -> Result<(), Refusal> {
        if self.buffered.len() < self.config.buffer {
            return Ok(());
        }
        let from = std::mem::take(&mut self.buffered);
        let zero = vec![0.0; self.sum.len()];
        let sum = std::mem::replace(&mut self.sum, zero);
        let scale = self.config.learning_rate / from.len() as f64;
        let next: Vec<f32> = self
            .parameters
            .iter()
            .zip(sum)
            .map(|(w, sum)| (f64::from(*w) + scale * sum) as f32)
            .collect();
        if !next.iter().all(|w| w.is_finite()) {
            return Err(Refusal::NotFinite);
        }
        self.parameters = Arc::new(next);
        self.version += 1;
        out.push(Output::Stepped {
            version: self.version,
            parameters: Arc::clone(&self.parameters),
            from,
        });
        Ok(())
    }
}

impl Machine for FedBuff {
    type Input = Input;
    type Output = Output;

    /// Who is ready says so again; an update that finds no room is work for nothing, which its sender should
    /// know.
    fn overload(input: &Input) -> Overload {
        match input {
            Input::Ready(_) => Overload::Shed,
            Input::Update { .. } => Overload::Refuse,
            Input::Gone(_) => Overload::Delay,
        }
    }

    fn handle(&mut self, _now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Ready(node) => {
                // Said again by one at work: its model or its answer was lost.
                self.working.remove(&node);
                if !self.waiting.contains(&node) {
                    self.waiting.push_back(node);
                }
            }
            Input::Update { node, delta } => {
                let taken = self.take(&node, &delta).and_then(|()| self.step(out));
                if let Err(why) = taken {
                    out.push(Output::Refused { node, why });
                }
            }
            Input::Gone(node) => {
                self.working.remove(&node);
                self.waiting.retain(|other| *other != node);
            }
        }
        self.ask(out);
    }
}
