//! One leader and its participants on a problem with a known optimum, through whole rounds: what is configured is
//! what is done.

use super::super::*;
use crate::fedavg::{self, Contribution};
use crate::optimizer::{Adaptive, ServerOptimizer};
use crate::privacy::budget::{Accounts, Budget};
use crate::problem::{DIMENSIONS, Problem};
use crate::robust::Rule;
use wire::Act;

pub(super) fn name(n: usize) -> NodeId {
    NodeId::new(format!("n{n:02}"))
}

pub(super) fn number(node: &NodeId) -> usize {
    node.as_str()[1..].parse().expect("names are n00, n01, …")
}

/// A ledger that takes every proposal at once, and participants that answer at once.
pub(super) struct House {
    pub(super) aggregator: Aggregator,
    pub(super) problem: Problem,
    pub(super) now: Instant,
    pub(super) model: Vec<f32>,
    pub(super) acts: Vec<Act>,
    pub(super) notes: Vec<String>,
    pub(super) spent: Accounts,
    pub(super) losses: Vec<f64>,
    /// Whose answers never come.
    pub(super) silent: BTreeSet<usize>,
    /// The first so many answer the opposite of what they trained, tenfold.
    pub(super) liars: usize,
    /// The fold has something against charges.
    pub(super) refuses_charges: bool,
}

impl House {
    pub(super) fn new(nodes: usize, config: Config) -> Self {
        Self::with(Aggregator::new(name(0), config).with_noise([5; 32]), nodes)
    }

    pub(super) fn with(aggregator: Aggregator, nodes: usize) -> Self {
        let mut house = Self {
            aggregator,
            problem: Problem::new(nodes, 0.2, 5),
            now: Instant::ZERO,
            model: vec![0.0; DIMENSIONS],
            acts: Vec::new(),
            notes: Vec::new(),
            spent: Accounts::default(),
            losses: Vec::new(),
            silent: BTreeSet::new(),
            liars: 0,
            refuses_charges: false,
        };
        let parameters = Arc::new(house.model.clone());
        let digest = crate::model_digest(&parameters);
        house.feed(Input::Members((0..nodes).map(name).collect()));
        house.feed(Input::ModelReady { digest, parameters });
        house
    }

    pub(super) fn lead(&mut self) {
        let spent = self.spent.clone();
        self.feed(Input::Spent { round: None, spent });
        self.feed(Input::Leading {
            next: Round(1),
            open: None,
            model: None,
        });
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.aggregator.handle(self.now, input, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(act) => self.commit(act),
                Output::SendTrain {
                    to,
                    round,
                    model,
                    parameters,
                } => {
                    let n = number(&to);
                    if self.silent.contains(&n) {
                        continue;
                    }
                    let mut delta = self.problem.participants[n].train(&parameters, 3);
                    if n < self.liars {
                        delta.iter_mut().for_each(|value| *value *= -10.0);
                    }
                    self.feed(Input::Update(Update {
                        round,
                        node: to,
                        base: model,
                        delta,
                        examples: 30,
                        loss: 1.0,
                    }));
                }
                Output::PublishModel { parameters, .. } => {
                    self.model = parameters.to_vec();
                    self.losses.push(self.problem.excess(&self.model));
                }
                Output::Note(note) => self.notes.push(note),
                Output::NeedModel(_) => panic!("the model is at hand"),
                Output::SendSecure { .. } => panic!("these rounds are not secure"),
                Output::StageModel { .. } => {}
            }
        }
    }

    fn commit(&mut self, act: Act) {
        self.acts.push(act.clone());
        match act {
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => self.feed(Input::Opened {
                round,
                model,
                cohort,
                by: name(0),
                secure: None,
                carried: Default::default(),
                ages: true,
            }),
            Act::RoundClosed {
                round,
                model,
                participants,
                ..
            } => self.feed(Input::Closed {
                round,
                model,
                participants,
            }),
            Act::RoundAbandoned { round, .. } => self.feed(Input::Abandoned { round }),
            Act::PrivacySpent { .. } if self.refuses_charges => {}
            Act::PrivacySpent {
                round,
                participants,
                noise_milli,
                ..
            } => {
                self.spent.charge(&participants, noise_milli);
                let spent = self.spent.clone();
                let round = Some(round);
                self.feed(Input::Spent { round, spent });
            }
            other => panic!("not an act of an aggregator: {other:?}"),
        }
    }

    /// Until `rounds` have closed, or nothing is due any more.
    pub(super) fn run(&mut self, rounds: usize) -> f64 {
        for _ in 0..10 * rounds {
            let Some(due) = self
                .aggregator
                .deadline()
                .filter(|_| self.losses.len() < rounds)
            else {
                break;
            };
            self.now = self.now.max(due);
            let mut out = Vec::new();
            self.aggregator.tick(self.now, &mut out);
            self.perform(out);
        }
        self.problem.excess(&self.model)
    }
}

#[test]
fn a_rule_keeps_liars_from_the_model() {
    let run = |rule, liars| {
        let config = Config {
            max_norm: 1e9,
            rule,
            liars,
            ..Config::default()
        };
        let mut house = House::new(15, config);
        house.liars = 3;
        house.lead();
        house.run(40)
    };
    let plain = run(Rule::Mean, 0);
    assert!(plain > 1e3 || plain.is_nan(), "{plain}");
    for rule in [Rule::Median, Rule::MultiKrum, Rule::Bulyan] {
        let excess = run(rule, 3);
        assert!(excess < 0.1, "{rule}: {excess}");
    }
}

#[test]
fn too_few_for_the_rule_end_the_round_with_its_reason() {
    let config = Config {
        rule: Rule::Bulyan,
        liars: 1,
        ..Config::default()
    };
    let mut house = House::new(4, config);
    house.lead();
    house.run(1);
    let reason = house.acts.iter().find_map(|act| match act {
        Act::RoundAbandoned { reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    let expected = "bulyan withstands 1 liars among 7 updates or more, and there are 4; raise the cohort or lower f";
    assert_eq!(reason, Some(expected));
}

#[test]
fn adaptive_optimisers_run_through_rounds() {
    let adaptive = Adaptive {
        learning_rate: 0.1,
        ..Adaptive::default()
    };
    for optimizer in [
        ServerOptimizer::FedAdam(adaptive),
        ServerOptimizer::FedYogi(adaptive),
    ] {
        let config = Config {
            optimizer,
            ..Config::default()
        };
        let mut house = House::new(8, config.clone());
        house.lead();
        let excess = house.run(100);
        assert!(excess < 0.05, "{optimizer:?}: {excess}");
        // Moments go from round to round, as by hand.
        let mut house = House::new(8, config.clone());
        house.lead();
        house.run(5);
        assert_eq!(
            house.model,
            by_hand(&house.problem, optimizer, 5),
            "{optimizer:?}"
        );
    }
}

fn by_hand(problem: &Problem, optimizer: ServerOptimizer, rounds: usize) -> Vec<f32> {
    let mut model = vec![0.0; DIMENSIONS];
    let mut moments = None;
    for _ in 0..rounds {
        let deltas: Vec<_> = problem
            .participants
            .iter()
            .map(|p| p.train(&model, 3))
            .collect();
        let parts: Vec<_> = deltas
            .iter()
            .map(|delta| Contribution {
                delta,
                examples: 30,
                loss: 1.0,
            })
            .collect();
        let mean = fedavg::combine((Rule::Mean, 0), DIMENSIONS, &parts).unwrap();
        let (made, kept) = fedavg::step(optimizer, &model, &mean, moments.as_ref()).unwrap();
        (model, moments) = (made.parameters, Some(kept));
    }
    model
}

#[test]
fn private_rounds_learn_what_noise_leaves() {
    // Forty participants, z = 0.5, updates of up to 1: the mean's noise is 0.0125 a coordinate.
    let privacy = Privacy {
        noise_milli: 500,
        bound: 1.0,
        adaptive: None,
        noise: crate::secagg::NoiseBy::Aggregator,
        budget: Budget {
            epsilon: 1e6,
            delta: 1e-5,
        },
    };
    let config = Config {
        privacy: Some(privacy),
        ..Config::default()
    };
    let mut house = House::new(40, config);
    house.lead();
    let excess = house.run(60);
    assert!(excess < 0.1, "{excess}");
    assert_eq!(house.losses.len(), 60);
    assert!(house.spent.spent.values().all(|rounds| rounds[&500] == 60));
}
