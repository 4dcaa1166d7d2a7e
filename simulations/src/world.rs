//! The course of a run: events, faults, the replicated log, and the end.

use crate::Report;
use crate::invariants::{self as rule, Violation};
use crate::network::{Cuts, Event, Queue};
use crate::node::{Node, examples, name, number, roster};
use crate::rng::Dice;
use crate::trace::Trace;
use custody::EpochSecrets;
use federation::{ParticipantInput, Update, model_digest};
use ledger::{Applied, State, invariants::Step};
use machine::Instant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::{Act, Digest, Frame, KeyEpoch, Record, Round};

type Checked = Result<(), Violation>;

/// What to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Nodes of the cluster, 1 to 9.
    pub nodes: usize,
    /// How long faults happen.
    pub faults: Duration,
    /// How long afterwards everything works.
    pub calm: Duration,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            nodes: 3,
            faults: Duration::from_secs(60),
            calm: Duration::from_secs(40),
        }
    }
}

/// Rounds that must close in the calm.
const ROUNDS_IN_CALM: u64 = 3;

#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) crashes: u64,
    pub(crate) cuts: u64,
    pub(crate) elections: u64,
    pub(crate) opened: u64,
    pub(crate) refused: u64,
}

pub(crate) struct World {
    scenario: Scenario,
    pub(crate) now: Instant,
    pub(crate) dice: Dice,
    pub(crate) queue: Queue,
    pub(crate) cuts: Cuts,
    pub(crate) nodes: Vec<Node>,
    pub(crate) counts: Counts,
    trace: Trace,
    /// The committed log and what each prefix folds to: roots by size.
    log: Vec<Arc<Record>>,
    roots: BTreeMap<u64, (tlog::Hash, KeyEpoch, Round)>,
    leader: Option<usize>,
    lives: u64,
    /// The model each closed round was closed with.
    pub(crate) models: BTreeMap<Round, Digest>,
    pub(crate) secrets: BTreeMap<KeyEpoch, EpochSecrets>,
    /// Payloads by the digest of their sealed bytes.
    pub(crate) sealed: BTreeMap<Digest, Vec<u8>>,
    calm_since_round: u64,
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
        Self {
            scenario,
            now: Instant::ZERO,
            queue: Queue::default(),
            cuts: Cuts::default(),
            nodes: (0..nodes)
                .map(|n| Node::born(n, nodes, n as u64 + 1, &mut dice))
                .collect(),
            dice,
            counts: Counts::default(),
            trace: Trace::default(),
            log: Vec::new(),
            roots: BTreeMap::new(),
            leader: None,
            lives: nodes as u64,
            models: BTreeMap::new(),
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
    fn furthest(&self) -> State {
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

    fn verdict(&mut self) -> Checked {
        let state = self.furthest();
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            let (size, of) = (node.replica.size, self.log.len() as u64);
            rule::CAUGHT_UP.check(size + 20 >= of, n, || format!("{size} of {of} leaves"))?;
            let (held, epoch) = (
                node.keyring.current().map(|s| s.epoch),
                node.replica.keys.epoch,
            );
            rule::IN_GROUP.check(held == Some(epoch), n, || {
                format!("holds {held:?} at {epoch}")
            })?;
        }
        let closed = state.rounds.closed - self.calm_since_round;
        if self.nodes.len() >= federation::Config::default().min_cohort {
            rule::ROUNDS_GO_ON.check(closed >= ROUNDS_IN_CALM, 0, || format!("{closed} closed"))?;
        }
        // Each round's end is told some time before its rotation is; the last may be under way.
        let owed = self.unrotated();
        rule::KEYS_FOLLOW.check(owed <= 1, 0, || format!("{owed} rounds without a rotation"))
    }

    /// Rounds that closed after the last winning rotation.
    fn unrotated(&self) -> usize {
        let mut state = State::new();
        let mut owed = 0;
        for (index, record) in self.log.iter().enumerate() {
            let applied = state.apply(index as u64, record);
            match (&applied, &record.act) {
                (Applied::Effective, Act::RoundClosed { .. }) => owed += 1,
                (
                    Applied::Effective,
                    Act::GroupCommit {
                        kind: wire::GroupCommitKind::Rotated { .. },
                        ..
                    },
                ) => owed = 0,
                _ => {}
            }
        }
        owed
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
        self.nodes[n] = Node::born(n, self.nodes.len(), self.lives, &mut self.dice);
        self.log(&format!("n{n} starts as life {}", self.lives));
        self.start(n)
    }

    fn start(&mut self, n: usize) -> Checked {
        let initial = Arc::new(vec![0.0_f32; 8]);
        let digest = model_digest(&initial);
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
        match frame.clone() {
            Frame::Train {
                round,
                model,
                parameters,
            } => {
                let parameters = Arc::new(parameters);
                let from = name(from);
                self.feed_participant(
                    to,
                    ParticipantInput::Train {
                        from,
                        round,
                        model,
                        parameters,
                    },
                )
            }
            Frame::Update {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            } => {
                let update = Update {
                    round,
                    node,
                    base,
                    delta,
                    examples,
                    loss,
                };
                self.feed_aggregator(to, federation::Input::Update(update))
            }
            Frame::Decline {
                round,
                node,
                reason,
            } => self.feed_aggregator(
                to,
                federation::Input::Decline {
                    round,
                    node,
                    reason,
                },
            ),
            Frame::Model {
                model, parameters, ..
            } => {
                self.nodes[to].models.insert(model, Arc::new(parameters));
                Ok(())
            }
        }
    }

    /// The toy learner: a third of the way to the node's own goal.
    fn trained(&mut self, n: usize, round: Round) -> Checked {
        let Some(parameters) = self.nodes[n].training.remove(&round) else {
            return Ok(());
        };
        if self.faulty() && self.dice.percent(5) {
            let reason = "out of memory".to_owned();
            return self.feed_participant(n, ParticipantInput::TrainingFailed { round, reason });
        }
        let goal = n as f32;
        let delta = parameters.iter().map(|p| (goal - p) / 3.0).collect();
        let loss = parameters.iter().map(|p| f64::from(goal - p).powi(2)).sum();
        self.feed_participant(
            n,
            ParticipantInput::Trained {
                round,
                delta,
                examples: examples(n),
                loss,
            },
        )
    }

    /// The leader takes a proposal if it still is one with a majority.
    fn append(&mut self, from: usize, record: Arc<Record>) {
        let Some(leader) = self.leader else { return };
        if !self.cuts.linked(from, leader) || !self.has_majority(leader) {
            return;
        }
        let leaf = wire::encode(&*record);
        self.log(&format!(
            "leaf {} by n{from}: {:?}",
            self.log.len(),
            Digest::of(&leaf)
        ));
        self.log.push(record);
        for n in 0..self.nodes.len() {
            if self.cuts.linked(leader, n) {
                self.learn_soon(n);
            }
        }
    }

    fn learn_soon(&mut self, n: usize) {
        let (life, upto) = (self.nodes[n].life, self.log.len());
        let late = if self.faulty() && self.dice.percent(10) {
            1_500
        } else {
            25
        };
        let when = self.dice.after(self.now, 1, late);
        self.queue.at(
            when,
            Event::Learn {
                node: n,
                life,
                upto,
            },
        );
    }

    fn has_majority(&self, node: usize) -> bool {
        let reached = (0..self.nodes.len())
            .filter(|n| self.nodes[*n].up && self.cuts.linked(node, *n))
            .count();
        self.nodes[node].up && 2 * reached > self.nodes.len()
    }

    /// Heartbeats: who leads, and whether anybody can.
    fn elect(&mut self) -> Checked {
        let when = self.dice.after(self.now, 150, 400);
        self.queue.at(when, Event::Elect);
        // A former leader that is linked again learns that it was replaced.
        for n in 0..self.nodes.len() {
            let stale = self.nodes[n].leads && self.leader != Some(n);
            if stale
                && self
                    .leader
                    .is_some_and(|leader| self.cuts.linked(n, leader))
            {
                self.nodes[n].leads = false;
                if self.nodes[n].up {
                    self.feed_aggregator(n, federation::Input::NotLeading)?;
                    self.feed_custodian(n, custody::Input::Leader(false))?;
                }
            }
        }
        if self.leader.is_some_and(|leader| self.has_majority(leader)) {
            for n in 0..self.nodes.len() {
                if self
                    .leader
                    .is_some_and(|leader| self.cuts.linked(leader, n))
                {
                    self.learn_soon(n);
                }
            }
            return Ok(());
        }
        let able: Vec<_> = (0..self.nodes.len())
            .filter(|n| self.has_majority(*n) && self.nodes[*n].caught_up)
            .collect();
        if able.is_empty() {
            return Ok(());
        }
        let leader = able[self.dice.index(able.len())];
        self.counts.elections += 1;
        self.log(&format!("n{leader} leads"));
        self.leader = Some(leader);
        self.nodes[leader].leads = true;
        if self.log.is_empty() {
            let roster = roster(self.nodes.len());
            self.propose(
                leader,
                Act::Genesis {
                    cluster: "simulation".to_owned(),
                    roster,
                },
            );
        }
        // A leader has the whole log before it acts.
        self.learn(leader, self.log.len())?;
        self.lead(leader)
    }

    fn lead(&mut self, n: usize) -> Checked {
        let rounds = &self.nodes[n].replica.rounds;
        let input = federation::Input::Leading {
            next: rounds.last.next(),
            open: rounds.open.as_ref().map(|open| open.round),
            model: rounds.model,
        };
        self.feed_aggregator(n, input)?;
        self.feed_custodian(n, custody::Input::Leader(true))
    }

    /// The leader proposes who came up and who went down.
    fn steward(&mut self) {
        let when = self.dice.after(self.now, 200, 500);
        self.queue.at(when, Event::Steward);
        let Some(leader) = self.leader.filter(|leader| self.has_majority(*leader)) else {
            return;
        };
        for n in 0..self.nodes.len() {
            let reached = self.nodes[n].up && self.cuts.linked(leader, n);
            let Some(member) = self.nodes[leader].replica.members.get(&name(n)) else {
                return;
            };
            let incarnation = self.nodes[n].life;
            if reached && (!member.up || member.incarnation != incarnation) {
                self.propose(
                    leader,
                    Act::NodeUp {
                        node: name(n),
                        incarnation,
                    },
                );
            } else if !reached && member.up {
                let reason = "does not answer".to_owned();
                self.propose(
                    leader,
                    Act::NodeDown {
                        node: name(n),
                        reason,
                    },
                );
            }
        }
    }

    /// Fold in what is committed, and tell the machines.
    fn learn(&mut self, n: usize, upto: usize) -> Checked {
        while (self.nodes[n].replica.size as usize) < upto {
            let index = self.nodes[n].replica.size as usize;
            let record = Arc::clone(&self.log[index]);
            let node = &mut self.nodes[n];
            let before = node.replica.clone();
            let applied = node.replica.apply(index as u64, &record);
            node.tree.append(&wire::encode(&*record));
            let step = Step {
                before: &before,
                after: &node.replica,
                applied: &applied,
            };
            if let Err(broken) = ledger::invariants::check(step) {
                let (id, says) = (broken.id, broken.says);
                return Err(Violation {
                    id,
                    says,
                    node: format!("n{n}"),
                    detail: broken.to_string(),
                });
            }
            let here = (
                node.tree.root(),
                node.replica.keys.epoch,
                node.replica.rounds.last,
            );
            let agreed = *self.roots.entry(node.replica.size).or_insert(here);
            rule::REPLICAS_AGREE.check(agreed == here, n, || format!("at {} leaves", index + 1))?;
            self.applied(n, &record, &applied, &before)?;
        }
        if !self.nodes[n].caught_up {
            self.nodes[n].caught_up = true;
            let epoch = self.nodes[n].replica.keys.epoch;
            self.feed_custodian(n, custody::Input::CaughtUp { epoch })?;
        }
        Ok(())
    }

    fn applied(&mut self, n: usize, record: &Record, applied: &Applied, before: &State) -> Checked {
        let effective = *applied == Applied::Effective;
        if effective
            && before.up().collect::<Vec<_>>() != self.nodes[n].replica.up().collect::<Vec<_>>()
        {
            let up = self.nodes[n].replica.up().cloned().collect();
            self.feed_aggregator(n, federation::Input::Members(up))?;
        }
        match (record.act.clone(), applied) {
            (
                Act::RoundOpened {
                    round,
                    model,
                    cohort,
                },
                Applied::Effective,
            ) => {
                let opened = ParticipantInput::Opened {
                    round,
                    model,
                    cohort: cohort.clone(),
                };
                self.feed_participant(n, opened)?;
                let by = record.proposer.clone();
                self.feed_aggregator(
                    n,
                    federation::Input::Opened {
                        round,
                        model,
                        cohort,
                        by,
                    },
                )
            }
            (
                Act::RoundClosed {
                    round,
                    model,
                    participants,
                    examples: sum,
                    ..
                },
                Applied::Effective,
            ) => {
                let first = *self.models.entry(round).or_insert(model);
                rule::ONE_MODEL.check(first == model, n, || format!("round {round}"))?;
                let expected: u64 = participants.iter().map(|p| examples(number(p))).sum();
                rule::COUNTED_ONCE.check(sum == expected, n, || {
                    format!("round {round}: {sum} examples of {participants:?}")
                })?;
                self.feed_participant(n, ParticipantInput::Ended { round })?;
                self.feed_aggregator(n, federation::Input::Closed { round, model })?;
                self.feed_custodian(n, custody::Input::RoundClosed { round })
            }
            (Act::RoundAbandoned { round, .. }, Applied::Effective) => {
                self.feed_participant(n, ParticipantInput::Ended { round })?;
                self.feed_aggregator(n, federation::Input::Abandoned { round })
            }
            (
                Act::GroupCommit {
                    epoch,
                    committer,
                    kind,
                    commit,
                },
                Applied::Effective,
            ) => {
                let input = custody::Input::Committed {
                    epoch,
                    committer,
                    kind,
                    commit,
                };
                self.feed_custodian(n, input)
            }
            (
                Act::GroupCommit {
                    epoch, committer, ..
                },
                Applied::Lost { .. },
            ) => self.feed_custodian(n, custody::Input::Lost { epoch, committer }),
            // No machine here cares.
            _ => Ok(()),
        }
    }

    /// The transport gave up on a proposal; whether it is on the log, the proposer finds out there.
    fn unknown(&mut self, n: usize, record: &Record) -> Checked {
        if self.nodes[n].replica.leaf_of(&record.id).is_some() {
            return Ok(());
        }
        let reason = "no answer in time".to_owned();
        match &record.act {
            Act::GroupCommit { epoch, .. } => self.feed_custodian(
                n,
                custody::Input::ProposalFailed {
                    epoch: *epoch,
                    reason,
                },
            ),
            Act::RoundOpened { round, .. }
            | Act::RoundClosed { round, .. }
            | Act::RoundAbandoned { round, .. } => self.feed_aggregator(
                n,
                federation::Input::ProposalFailed {
                    round: *round,
                    reason,
                },
            ),
            _ => Ok(()),
        }
    }
}
