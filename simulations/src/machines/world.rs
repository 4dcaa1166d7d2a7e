//! The course of a run: events, faults, the replicated log, and the end.

use super::Report;
use super::buffered::Late;
use super::invariants::Violation;
use super::network::{Cuts, Event, Queue};
use super::node::{Node, Training, examples, name};
use super::rng::Dice;
use super::rounds::Rounds;
use super::settings::Settings;
use super::trace::Trace;
use super::variates::{Variates, WEIGHTS};
use custody::EpochSecrets;
use federation::{ParticipantInput, model_digest};
use ledger::State;
use machine::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::{Digest, Frame, KeyEpoch, Record, Round};

pub(crate) type Checked = Result<(), Violation>;

/// What tenants have told, by a replica.
pub(crate) type Told = BTreeMap<String, ledger::Told>;

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Nodes of the cluster, 1 to 9.
    pub nodes: usize,
    /// How long faults happen.
    pub faults: Duration,
    /// How long afterwards everything works.
    pub calm: Duration,
    /// How rounds go.
    pub rounds: Rounds,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            nodes: 3,
            faults: Duration::from_secs(60),
            calm: Duration::from_secs(40),
            rounds: Rounds::Mixed,
        }
    }
}

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) crashes: u64,
    pub(crate) cuts: u64,
    pub(crate) elections: u64,
    pub(crate) opened: u64,
    pub(crate) refused: u64,
}

pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(super) settings: Settings,
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    pub(crate) queue: Queue,
    pub(crate) cuts: Cuts,
    pub(crate) nodes: Vec<Node>,
    pub(crate) counts: Counts,
    trace: Trace,
    /// The committed log and what each prefix folds to: roots by size.
    pub(crate) log: Vec<Arc<Record>>,
    pub(crate) roots: BTreeMap<u64, (tlog::Hash, KeyEpoch, Round, Told)>,
    pub(crate) leader: Option<usize>,
    lives: u64,
    /// The model each closed round was closed with.
    pub(crate) models: BTreeMap<Round, Digest>,
    /// All models that there ever were.
    pub(super) vectors: BTreeMap<Digest, Arc<Vec<f32>>>,
    pub(super) variates: Variates,
    pub(super) late: Late,
    pub(crate) secrets: BTreeMap<KeyEpoch, EpochSecrets>,
    /// Payloads by the digest of their sealed bytes.
    pub(crate) sealed: BTreeMap<Digest, Vec<u8>>,
    pub(crate) calm_since_round: u64,
}

/// Run `scenario` with `seed` to its end or to the first broken rule.
pub fn run(seed: u64, scenario: Scenario) -> Report {
    let mut world = World::new(seed, scenario);
    let violation = world.play().and_then(|()| world.verdict()).err();
    let state = world.furthest();
    Report {
        seed,
        trace: world.trace.hash(),
        events: world.trace.events(),
        leaves: world.log.len() as u64,
        closed: state.rounds.closed,
        abandoned: state.rounds.abandoned,
        key_epoch: state.keys.epoch.0,
        lost_commits: state.tally.lost,
        crashes: world.counts.crashes,
        cuts: world.counts.cuts,
        elections: world.counts.elections,
        opened: world.counts.opened,
        refused: world.counts.refused,
        last_events: if violation.is_some() {
            world.trace.last()
        } else {
            Vec::new()
        },
        violation,
    }
}

impl World {
    fn new(seed: u64, scenario: Scenario) -> Self {
        let mut dice = Dice::new(seed);
        let nodes = scenario.nodes.clamp(1, 9);
        let settings = Settings::draw(seed, scenario, nodes);
        Self {
            scenario,
            settings,
            now: Instant::ZERO,
            queue: Queue::default(),
            cuts: Cuts::default(),
            nodes: (0..nodes)
                .map(|n| Node::born(n, &settings, n as u64 + 1, &mut dice))
                .collect(),
            dice,
            counts: Counts::default(),
            trace: Trace::default(),
            log: Vec::new(),
            roots: BTreeMap::new(),
            leader: None,
            lives: nodes as u64,
            models: BTreeMap::new(),
            vectors: BTreeMap::new(),
            variates: Variates::default(),
            late: Late::default(),
            secrets: BTreeMap::new(),
            sealed: BTreeMap::new(),
            calm_since_round: 0,
        }
    }

    pub(crate) fn log(&mut self, text: &str) {
        self.trace.event(self.now, text);
    }

    pub(crate) fn faulty(&self) -> bool {
        self.now < Instant::ZERO + self.scenario.faults
    }

    /// The replica that has folded most.
    pub(crate) fn furthest(&self) -> State {
        self.nodes
            .iter()
            .map(|node| &node.replica)
            .max_by_key(|s| s.size)
            .cloned()
            .unwrap_or_default()
    }

    fn play(&mut self) -> Checked {
        for n in 0..self.nodes.len() {
            self.start(n)?;
        }
        self.queue.at(Instant::from_millis(200), Event::Elect);
        self.queue.at(Instant::from_millis(2_000), Event::Fault);
        self.queue.at(Instant::from_millis(300), Event::Steward);
        let end = Instant::ZERO + self.scenario.faults + self.scenario.calm;
        let mut calm = false;
        while let Some((when, event)) = self.queue.next() {
            if when > end {
                break;
            }
            self.now = when;
            if !calm && !self.faulty() {
                calm = true;
                self.calm()?;
            }
            self.happen(event)?;
            for n in 0..self.nodes.len() {
                if self.nodes[n].up
                    && let Some((due, tick)) = self.nodes[n].next_tick(n, self.now)
                {
                    self.queue.at(due, tick);
                }
            }
        }
        Ok(())
    }

    /// The faults are over: everybody up and linked.
    fn calm(&mut self) -> Checked {
        self.log("faults end");
        for n in 0..self.nodes.len() {
            self.cuts.heal(n);
            if !self.nodes[n].up {
                self.restart(n)?;
            }
        }
        self.calm_since_round = self.furthest().rounds.closed;
        Ok(())
    }

    fn alive(&self, node: usize, life: u64) -> bool {
        self.nodes[node].up && self.nodes[node].life == life
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::Tick { node, life } if self.alive(node, life) => {
                self.nodes[node].tick_at = None;
                self.tick(node)
            }
            Event::Frame { from, to, frame } if self.nodes[to].up => self.arrive(from, to, &frame),
            // What is on the wire arrives, also after its sender's death.
            Event::Propose { from, record } => {
                self.append(from, record);
                Ok(())
            }
            Event::Unknown { node, life, record } if self.alive(node, life) => {
                self.unknown(node, &record)
            }
            Event::Learn { node, life, upto } if self.alive(node, life) => self.learn(node, upto),
            Event::GroupInfo {
                from,
                node,
                life,
                answer,
            } if self.alive(node, life) => {
                let input = custody::Input::GroupInfo {
                    from: name(from),
                    answer,
                };
                self.feed_custodian(node, input)
            }
            Event::AnswersDone { node, life } if self.alive(node, life) => {
                self.feed_custodian(node, custody::Input::AnswersDone)
            }
            Event::Trained { node, life, round } if self.alive(node, life) => {
                self.trained(node, round)
            }
            Event::ModelAnswer {
                node,
                life,
                digest,
                found,
            } if self.alive(node, life) => {
                let input = match found {
                    Some(parameters) => federation::Input::ModelReady { digest, parameters },
                    None => federation::Input::ModelUnavailable { digest },
                };
                self.feed_aggregator(node, input)
            }
            Event::Reading { node } => {
                let when = self.dice.after(self.now, 50, 150);
                self.queue.at(when, Event::Reading { node });
                if self.nodes[node].up {
                    self.reading(node)
                } else {
                    Ok(())
                }
            }
            Event::Payload { to, device, bytes } if self.nodes[to].up => {
                self.open(to, device, &bytes)
            }
            Event::Fault => self.fault(),
            Event::Heal { node } => {
                self.log(&format!("n{node} is linked again"));
                self.cuts.heal(node);
                Ok(())
            }
            Event::Restart { node } if !self.nodes[node].up => self.restart(node),
            Event::Elect => self.elect(),
            Event::Steward => {
                self.steward();
                Ok(())
            }
            // Meant for a process that is gone.
            Event::Tick { .. }
            | Event::Frame { .. }
            | Event::Unknown { .. }
            | Event::Learn { .. }
            | Event::GroupInfo { .. }
            | Event::AnswersDone { .. }
            | Event::Trained { .. }
            | Event::ModelAnswer { .. }
            | Event::Payload { .. }
            | Event::Restart { .. } => Ok(()),
        }
    }

    fn fault(&mut self) -> Checked {
        if !self.faulty() {
            return Ok(());
        }
        let when = self.dice.after(self.now, 500, 6_000);
        self.queue.at(when, Event::Fault);
        let node = self.dice.index(self.nodes.len());
        let until = self.dice.after(self.now, 200, 8_000);
        match self.dice.below(5) {
            0 | 1 if self.nodes[node].up => {
                self.counts.crashes += 1;
                self.log(&format!("n{node} crashes"));
                self.nodes[node].up = false;
                // Its successor starts as a follower, however soon it comes.
                self.leader.take_if(|leader| *leader == node);
                self.queue.at(until, Event::Restart { node });
            }
            2 | 3 => {
                self.counts.cuts += 1;
                self.log(&format!("n{node} is cut off"));
                self.cuts.cut(node);
                self.queue.at(until, Event::Heal { node });
            }
            _ => {
                if let Some(old) = self.leader.take() {
                    self.log(&format!("n{old} steps down"));
                    self.nodes[old].leads = false;
                    self.feed_aggregator(old, federation::Input::NotLeading)?;
                    self.feed_custodian(old, custody::Input::Leader(false))?;
                }
            }
        }
        Ok(())
    }

    fn restart(&mut self, n: usize) -> Checked {
        self.lives += 1;
        self.nodes[n] = Node::born(n, &self.settings, self.lives, &mut self.dice);
        self.log(&format!("n{n} starts as life {}", self.lives));
        self.remember(n);
        self.start(n)
    }

    fn start(&mut self, n: usize) -> Checked {
        let initial = Arc::new(vec![0.0_f32; WEIGHTS]);
        let digest = model_digest(&initial);
        self.vectors.insert(digest, Arc::clone(&initial));
        self.nodes[n].models.insert(digest, Arc::clone(&initial));
        self.feed_aggregator(
            n,
            federation::Input::ModelReady {
                digest,
                parameters: initial,
            },
        )?;
        let when = self.dice.after(self.now, 10, 60);
        self.queue.at(when, Event::Reading { node: n });
        self.learn_soon(n);
        Ok(())
    }

    fn arrive(&mut self, from: usize, to: usize, frame: &Frame) -> Checked {
        let digest = Digest::of(&wire::encode(frame));
        self.log(&format!("n{from} → n{to} frame {digest:?}"));
        let node = name(from);
        if let Some(input) = federation::Input::from_frame(&node, frame.clone()) {
            return self.feed_aggregator(to, input);
        }
        match frame.clone() {
            Frame::Secure(message) => {
                let (from, message) = (node, *message);
                self.feed_participant(to, ParticipantInput::Secure { from, message })
            }
            Frame::Train {
                round,
                model,
                parameters,
            } => self.feed_participant(
                to,
                ParticipantInput::Train {
                    from: node,
                    round,
                    model,
                    parameters,
                },
            ),
            Frame::Model {
                model, parameters, ..
            } => {
                self.nodes[to].models.insert(model, parameters);
                Ok(())
            }
            Frame::Update { .. } | Frame::Packed { .. } | Frame::Decline { .. } => {
                unreachable!("a participant here speaks for itself only")
            }
            Frame::Checkpoint { .. } => unreachable!("the simulated log signs nothing"),
        }
    }

    /// The toy learner: a third of the way to the node's own goal, or some steps of corrected gradient descent.
    fn trained(&mut self, n: usize, round: Round) -> Checked {
        let Some(training) = self.nodes[n].training.remove(&round) else {
            return Ok(());
        };
        let Training {
            model,
            parameters,
            correction,
        } = training;
        if self.faulty() && self.dice.percent(5) {
            let reason = "out of memory".to_owned();
            return self.feed_participant(n, ParticipantInput::TrainingFailed { round, reason });
        }
        let goal = n as f32;
        let (delta, taken) = match &correction {
            None => {
                let thirds = parameters.iter().map(|p| (goal - p) / 3.0);
                (thirds.collect::<Vec<f32>>(), None)
            }
            Some(correction) => {
                let (delta, taken) = self.descend(goal, &parameters, correction);
                self.descended(n, round, &delta);
                (delta, Some(taken))
            }
        };
        self.nodes[n].made(round, &delta);
        self.outstanding(n, (round, model), &delta);
        let loss = parameters.iter().map(|p| f64::from(goal - p).powi(2)).sum();
        self.feed_participant(
            n,
            ParticipantInput::Trained {
                round,
                delta,
                examples: examples(n),
                loss,
                taken,
            },
        )
    }
}
