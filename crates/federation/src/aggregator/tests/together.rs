//! Aggregators and participants of three nodes around one ledger; frames are lost, duplicated and
//! reordered, leaders change, nodes crash.
//!
//! Invariants:
//! * `FEDERATION-1` a round has at most one model, and it is published only when closed with it.
//! * `FEDERATION-2` an update counts once: a closed round's participants are distinct, and its
//!   examples are exactly theirs.
//! * `FEDERATION-3` a participant trains at most once for a round in one life.
//! * `FEDERATION-4` nobody is asked to train for a round that the ledger has not opened.

use super::super::*;
use crate::model_digest;
use crate::participant::{Participant, ParticipantInput, ParticipantOutput};
use proptest::prelude::*;
use std::collections::BTreeMap;
use wire::Frame;

const NODES: usize = 3;

fn name(n: usize) -> NodeId {
    NodeId::new(format!("n{n}"))
}

fn number(node: &NodeId) -> usize {
    node.as_str()[1..].parse().expect("names are n0, n1, …")
}

struct Node {
    aggregator: Aggregator,
    participant: Participant,
    cursor: usize,
    models: BTreeMap<Digest, Arc<Vec<f32>>>,
    /// Rounds whose training was started in this life.
    trained: Vec<Round>,
    /// Trainings under way.
    training: Vec<(Round, Arc<Vec<f32>>)>,
}

/// A frame under way: sender, receiver, content.
#[derive(Clone)]
struct Mail(usize, usize, Frame);

struct World {
    nodes: Vec<Node>,
    /// Effective acts with their proposers.
    ledger: Vec<(usize, Act)>,
    open: Option<Round>,
    last: Round,
    model: Option<Digest>,
    proposals: Vec<(usize, Act)>,
    mail: Vec<Mail>,
    leader: usize,
    now: Instant,
    published: BTreeMap<Round, Digest>,
    closed: u64,
}

fn examples(node: usize) -> u64 {
    10_u64.pow(node as u32)
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            nodes: (0..NODES).map(born).collect(),
            ledger: Vec::new(),
            open: None,
            last: Round(0),
            model: None,
            proposals: Vec::new(),
            mail: Vec::new(),
            leader: 0,
            now: Instant::ZERO,
            published: BTreeMap::new(),
            closed: 0,
        };
        for n in 0..NODES {
            world.start(n);
        }
        world
    }

    fn start(&mut self, n: usize) {
        self.feed(n, Input::Members((0..NODES).map(name).collect()));
        let initial = Arc::new(vec![0.0_f32, 0.0]);
        let digest = model_digest(&initial);
        self.nodes[n].models.insert(digest, Arc::clone(&initial));
        self.feed(
            n,
            Input::ModelReady {
                digest,
                parameters: initial,
            },
        );
        if n == self.leader {
            self.lead(n);
        }
    }

    /// State as of this node's own replica.
    fn lead(&mut self, n: usize) {
        while self.deliver(n) {}
        self.feed(
            n,
            Input::Leading {
                next: self.last.next(),
                open: self.open,
                model: self.model,
            },
        );
    }

    fn change_leader(&mut self, n: usize) {
        let old = std::mem::replace(&mut self.leader, n);
        if old != n {
            self.feed(old, Input::NotLeading);
            self.lead(n);
        }
    }

    fn crash(&mut self, n: usize) {
        self.nodes[n] = born(n);
        while self.deliver(n) {}
        self.start(n);
    }

    fn feed(&mut self, n: usize, input: Input) {
        let mut out = Vec::new();
        self.nodes[n].aggregator.handle(self.now, input, &mut out);
        self.perform(n, out);
    }

    fn feed_participant(&mut self, n: usize, input: ParticipantInput) {
        let mut out = Vec::new();
        self.nodes[n].participant.handle(self.now, input, &mut out);
        for output in out {
            match output {
                ParticipantOutput::StartTraining {
                    round, parameters, ..
                } => {
                    let node = &mut self.nodes[n];
                    assert!(
                        !node.trained.contains(&round),
                        "FEDERATION-3: n{n}, round {round}"
                    );
                    node.trained.push(round);
                    node.training.push((round, parameters));
                }
                ParticipantOutput::CancelTraining { round } => {
                    self.nodes[n].training.retain(|(of, _)| *of != round);
                }
                ParticipantOutput::Send { to, frame } => {
                    self.mail.push(Mail(n, number(&to), frame))
                }
                ParticipantOutput::Note(_) => {}
            }
        }
    }

    fn perform(&mut self, n: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(act) => self.proposals.push((n, act)),
                Output::SendTrain {
                    to,
                    round,
                    model,
                    parameters,
                } => {
                    assert!(round <= self.last.next(), "FEDERATION-4");
                    assert!(
                        round <= self.last || self.open == Some(round),
                        "FEDERATION-4: round {round}"
                    );
                    let parameters = parameters.to_vec();
                    self.mail.push(Mail(
                        n,
                        number(&to),
                        Frame::Train {
                            round,
                            model,
                            parameters,
                        },
                    ));
                }
                Output::NeedModel(digest) => {
                    let found = self
                        .nodes
                        .iter()
                        .find_map(|node| node.models.get(&digest).cloned());
                    self.feed(
                        n,
                        match found {
                            Some(parameters) => Input::ModelReady { digest, parameters },
                            None => Input::ModelUnavailable { digest },
                        },
                    );
                }
                Output::StageModel {
                    round,
                    digest,
                    parameters,
                } => {
                    self.nodes[n].models.insert(digest, Arc::clone(&parameters));
                    for to in (0..NODES).filter(|to| *to != n) {
                        let parameters = parameters.to_vec();
                        self.mail.push(Mail(
                            n,
                            to,
                            Frame::Model {
                                round,
                                model: digest,
                                parameters,
                            },
                        ));
                    }
                }
                Output::PublishModel { round, digest, .. } => {
                    assert_eq!(self.published.get(&round), Some(&digest), "FEDERATION-1");
                }
                Output::Note(_) => {}
            }
        }
    }

    /// The ledger's fold, in short.
    fn commit(&mut self, i: usize) {
        if i >= self.proposals.len() {
            return;
        }
        let (by, act) = self.proposals.remove(i);
        match &act {
            Act::RoundOpened { round, .. } if self.open.is_none() && *round == self.last.next() => {
                self.open = Some(*round);
            }
            Act::RoundClosed {
                round,
                model,
                participants,
                examples: sum,
                ..
            } if self.open == Some(*round) => {
                let distinct: BTreeSet<_> = participants.iter().collect();
                assert_eq!(distinct.len(), participants.len(), "FEDERATION-2");
                let expected: u64 = distinct.iter().map(|node| examples(number(node))).sum();
                assert_eq!(*sum, expected, "FEDERATION-2");
                assert!(participants.len() >= 2, "the minimum cohort");
                assert_eq!(self.published.insert(*round, *model), None, "FEDERATION-1");
                (self.open, self.last, self.model) = (None, *round, Some(*model));
                self.closed += 1;
            }
            Act::RoundAbandoned { round, .. } if self.open == Some(*round) => {
                (self.open, self.last) = (None, *round);
            }
            _ => return,
        }
        self.ledger.push((by, act));
    }

    fn deliver(&mut self, n: usize) -> bool {
        let Some((by, act)) = self.ledger.get(self.nodes[n].cursor).cloned() else {
            return false;
        };
        self.nodes[n].cursor += 1;
        match act {
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => {
                let opened = ParticipantInput::Opened {
                    round,
                    model,
                    cohort: cohort.clone(),
                };
                self.feed_participant(n, opened);
                self.feed(
                    n,
                    Input::Opened {
                        round,
                        model,
                        cohort,
                        by: name(by),
                    },
                );
            }
            Act::RoundClosed { round, model, .. } => {
                self.feed_participant(n, ParticipantInput::Ended { round });
                self.feed(n, Input::Closed { round, model });
            }
            Act::RoundAbandoned { round, .. } => {
                self.feed_participant(n, ParticipantInput::Ended { round });
                self.feed(n, Input::Abandoned { round });
            }
            other => panic!("not an act of a round: {other:?}"),
        }
        true
    }

    /// One piece of mail arrives; `keep` makes it arrive again later.
    fn arrive(&mut self, i: usize, keep: bool) {
        if i >= self.mail.len() {
            return;
        }
        let Mail(from, to, frame) = if keep {
            self.mail[i].clone()
        } else {
            self.mail.swap_remove(i)
        };
        match frame {
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
                );
            }
            Frame::Update {
                round,
                node,
                base,
                delta,
                examples,
                loss,
            } => {
                self.feed(
                    to,
                    Input::Update(Update {
                        round,
                        node,
                        base,
                        delta,
                        examples,
                        loss,
                    }),
                );
            }
            Frame::Checkpoint { .. } => unreachable!("no round sends one"),
            Frame::Decline {
                round,
                node,
                reason,
            } => {
                self.feed(
                    to,
                    Input::Decline {
                        round,
                        node,
                        reason,
                    },
                );
            }
            Frame::Model {
                model, parameters, ..
            } => {
                self.nodes[to].models.insert(model, Arc::new(parameters));
            }
        }
    }

    /// The toy learner pulls each parameter half-way towards the node's own number.
    fn train(&mut self, n: usize, works: bool) {
        if self.nodes[n].training.is_empty() {
            return;
        }
        let (round, parameters) = self.nodes[n].training.remove(0);
        let goal = n as f32;
        let delta = parameters.iter().map(|p| (goal - p) / 2.0).collect();
        let loss = parameters.iter().map(|p| f64::from(goal - p).powi(2)).sum();
        self.feed_participant(
            n,
            if works {
                ParticipantInput::Trained {
                    round,
                    delta,
                    examples: examples(n),
                    loss,
                }
            } else {
                ParticipantInput::TrainingFailed {
                    round,
                    reason: "out of memory".to_owned(),
                }
            },
        );
    }

    fn advance(&mut self, by: Duration) {
        self.now = self.now + by;
        for n in 0..NODES {
            while self.nodes[n]
                .aggregator
                .deadline()
                .is_some_and(|due| due <= self.now)
            {
                let mut out = Vec::new();
                self.nodes[n].aggregator.tick(self.now, &mut out);
                self.perform(n, out);
            }
        }
    }

    /// Everything works from here on; rounds must close.
    fn heal(&mut self, rounds: u64) -> bool {
        let goal = self.closed + rounds;
        for _ in 0..200 {
            while !self.proposals.is_empty() {
                self.commit(0);
            }
            for n in 0..NODES {
                while self.deliver(n) {}
                self.train(n, true);
            }
            for _ in 0..self.mail.len() {
                self.arrive(0, false);
            }
            if self.closed >= goal {
                return true;
            }
            self.advance(Duration::from_millis(250));
        }
        false
    }
}

fn born(n: usize) -> Node {
    Node {
        aggregator: Aggregator::new(name(n), Config::default()),
        participant: Participant::new(name(n)),
        cursor: 0,
        models: BTreeMap::new(),
        trained: Vec::new(),
        training: Vec::new(),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Commit(usize),
    LoseProposal(usize),
    Arrive { at: usize, keep: bool },
    LoseMail(usize),
    Train { node: usize, works: bool },
    Crash(usize),
    Lead(usize),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..NODES).prop_map(Step::Deliver),
        6 => (0..3_usize).prop_map(Step::Commit),
        1 => (0..3_usize).prop_map(Step::LoseProposal),
        10 => (0..6_usize, proptest::bool::weighted(0.2)).prop_map(|(at, keep)| Step::Arrive { at, keep }),
        2 => (0..6_usize).prop_map(Step::LoseMail),
        6 => (0..NODES, proptest::bool::weighted(0.9)).prop_map(|(node, works)| Step::Train { node, works }),
        1 => (0..NODES).prop_map(Step::Crash),
        1 => (0..NODES).prop_map(Step::Lead),
        4 => (1..2_000_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_a_round_has_at_most_one_model_and_rounds_go_on(
        steps in proptest::collection::vec(step(), 1..300)
    ) {
        let mut world = World::new();
        for step in steps {
            match step {
                Step::Deliver(node) => { world.deliver(node); }
                Step::Commit(at) => world.commit(at),
                Step::LoseProposal(at) if at < world.proposals.len() => {
                    let (n, act) = world.proposals.remove(at);
                    if let Act::RoundOpened { round, .. } | Act::RoundClosed { round, .. } | Act::RoundAbandoned { round, .. } = act {
                        world.feed(n, Input::ProposalFailed { round, reason: "no leader".to_owned() });
                    }
                }
                Step::LoseProposal(_) => {}
                Step::Arrive { at, keep } => world.arrive(at, keep),
                Step::LoseMail(at) => if at < world.mail.len() { world.mail.swap_remove(at); },
                Step::Train { node, works } => world.train(node, works),
                Step::Crash(node) => world.crash(node),
                Step::Lead(node) => world.change_leader(node),
                Step::Advance(ms) => world.advance(Duration::from_millis(ms)),
            }
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}

#[test]
fn on_a_good_network_the_model_settles_where_the_weights_say() {
    let mut world = World::new();
    assert!(world.heal(30));
    let model = &world.nodes[0].models[&world.model.expect("30 rounds closed")];
    let total: u64 = (0..NODES).map(examples).sum();
    let expected = (0..NODES)
        .map(|n| n as f64 * examples(n) as f64)
        .sum::<f64>()
        / total as f64;
    assert!(
        (f64::from(model[0]) - expected).abs() < 1e-3,
        "{} instead of {expected}",
        model[0]
    );
}
