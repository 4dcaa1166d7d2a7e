//! Two aggregators around one ledger, private rounds; proposals are lost and repeated, leaders change and forget.
//!
//! * `FEDERATION-9` no model of a private round leaves its aggregator, and no close is proposed, before the round's
//!   cost is on the ledger.
//! * `FEDERATION-10` a round is charged at most once, and a closed one exactly once, to its participants.

use super::super::*;
use super::learning::name;
use crate::privacy::budget::{Accounts, Budget};
use proptest::prelude::*;
use std::collections::BTreeMap;

const NODES: usize = 2;

struct World {
    nodes: Vec<Aggregator>,
    leader: usize,
    now: Instant,
    proposals: Vec<(usize, Act)>,
    updates: Vec<(usize, Update)>,
    open: Option<(Round, BTreeSet<NodeId>)>,
    last: Round,
    model: Option<Digest>,
    charged: BTreeMap<Round, BTreeSet<NodeId>>,
    spent: Accounts,
    models: BTreeMap<Digest, Arc<Vec<f32>>>,
    closed: usize,
}

fn born(n: usize) -> Aggregator {
    let privacy = Privacy {
        noise_milli: 1_000,
        bound: 1.0,
        adaptive: None,
        noise: crate::secagg::NoiseBy::Aggregator,
        budget: Budget {
            epsilon: 1e9,
            delta: 1e-5,
        },
    };
    let config = Config {
        privacy: Some(privacy),
        ..Config::default()
    };
    Aggregator::new(name(n), config).with_noise([n as u8; 32])
}

impl World {
    fn new() -> Self {
        let initial = Arc::new(vec![0.0_f32, 0.0]);
        let mut world = Self {
            nodes: (0..NODES).map(born).collect(),
            leader: 0,
            now: Instant::ZERO,
            proposals: Vec::new(),
            updates: Vec::new(),
            open: None,
            last: Round(0),
            model: None,
            charged: BTreeMap::new(),
            spent: Accounts::default(),
            models: BTreeMap::from([(crate::model_digest(&initial), initial)]),
            closed: 0,
        };
        (0..NODES).for_each(|n| world.start(n));
        world.lead(0);
        world
    }

    fn start(&mut self, n: usize) {
        self.feed(n, Input::Members((0..NODES).map(name).collect()));
        for (digest, parameters) in self.models.clone() {
            self.feed(n, Input::ModelReady { digest, parameters });
        }
    }

    fn lead(&mut self, n: usize) {
        if self.leader != n {
            self.feed(self.leader, Input::NotLeading);
        }
        self.leader = n;
        let spent = self.spent.clone();
        self.feed(n, Input::Spent { round: None, spent });
        let open = self.open.as_ref().map(|(round, _)| *round);
        let (next, model) = (self.last.next(), self.model);
        self.feed(n, Input::Leading { next, open, model });
    }

    fn feed(&mut self, n: usize, input: Input) {
        let mut out = Vec::new();
        self.nodes[n].handle(self.now, input, &mut out);
        self.perform(n, out);
    }

    fn perform(&mut self, n: usize, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(act) => {
                    if let Act::RoundClosed { round, .. } = &act {
                        assert!(self.charged.contains_key(round), "FEDERATION-9: {round}");
                    }
                    self.proposals.push((n, act));
                }
                Output::SendTrain {
                    to, round, model, ..
                } => self.updates.push((
                    n,
                    Update {
                        round,
                        node: to,
                        base: model,
                        delta: vec![0.5, -0.5],
                        examples: 1,
                        loss: 1.0,
                    },
                )),
                Output::StageModel {
                    round,
                    digest,
                    parameters,
                }
                | Output::PublishModel {
                    round,
                    digest,
                    parameters,
                } => {
                    assert!(self.charged.contains_key(&round), "FEDERATION-9: {round}");
                    self.models.insert(digest, parameters);
                }
                Output::NeedModel(digest) => {
                    let input = match self.models.get(&digest).cloned() {
                        Some(parameters) => Input::ModelReady { digest, parameters },
                        None => Input::ModelUnavailable { digest },
                    };
                    self.feed(n, input);
                }
                Output::SendSecure { .. } => panic!("private rounds are not secure ones"),
                Output::Note(_) => {}
            }
        }
    }

    /// The fold, and everybody hears of what took effect.
    fn commit(&mut self, at: usize) {
        if at >= self.proposals.len() {
            return;
        }
        let (by, act) = self.proposals.remove(at);
        let is_open = |round: &Round| self.open.as_ref().is_some_and(|(open, _)| open == round);
        let input = match act {
            Act::RoundOpened {
                round,
                model,
                cohort,
            } if self.open.is_none() && round == self.last.next() => {
                self.open = Some((round, cohort.iter().cloned().collect()));
                let by = name(by);
                Input::Opened {
                    round,
                    model,
                    cohort,
                    by,
                    secure: None,
                    carried: Default::default(),
                    ages: true,
                }
            }
            Act::PrivacySpent {
                round,
                participants,
                noise_milli,
                ..
            } if is_open(&round) && !self.charged.contains_key(&round) => {
                self.spent.charge(&participants, noise_milli);
                self.charged
                    .insert(round, participants.into_iter().collect());
                let spent = self.spent.clone();
                Input::Spent {
                    round: Some(round),
                    spent,
                }
            }
            Act::RoundClosed {
                round,
                model,
                participants,
                ..
            } if is_open(&round) => {
                let paid: BTreeSet<_> = participants.iter().cloned().collect();
                assert_eq!(self.charged.get(&round), Some(&paid), "FEDERATION-10");
                (self.open, self.last, self.model) = (None, round, Some(model));
                self.closed += 1;
                Input::Closed {
                    round,
                    model,
                    participants,
                }
            }
            Act::RoundAbandoned { round, .. } if is_open(&round) => {
                (self.open, self.last) = (None, round);
                Input::Abandoned { round }
            }
            _ => return,
        };
        (0..NODES).for_each(|n| self.feed(n, input.clone()));
    }

    fn lose(&mut self, at: usize) {
        if at < self.proposals.len() {
            let (n, act) = self.proposals.remove(at);
            let round = act.round().unwrap_or_default();
            let reason = "no leader".to_owned();
            self.feed(n, Input::ProposalFailed { round, reason });
        }
    }

    fn arrive(&mut self, at: usize) {
        if at < self.updates.len() {
            let (n, update) = self.updates.swap_remove(at);
            self.feed(n, Input::Update(update));
        }
    }

    fn crash(&mut self, n: usize) {
        self.nodes[n] = born(n);
        self.proposals.retain(|(by, _)| *by != n);
        self.start(n);
        if self.leader == n {
            self.lead(n);
        }
    }

    fn advance(&mut self, by: u64) {
        self.now = self.now + Duration::from_millis(by);
        for n in 0..NODES {
            while self.nodes[n].deadline().is_some_and(|due| due <= self.now) {
                let mut out = Vec::new();
                self.nodes[n].tick(self.now, &mut out);
                self.perform(n, out);
            }
        }
    }

    /// Everything works from here on.
    fn heal(&mut self, rounds: usize) -> bool {
        let goal = self.closed + rounds;
        for _ in 0..400 {
            while !self.proposals.is_empty() {
                self.commit(0);
            }
            while !self.updates.is_empty() {
                self.arrive(0);
            }
            if self.closed >= goal {
                return true;
            }
            self.advance(250);
        }
        false
    }
}

proptest! {
    #[test]
    fn nothing_is_shown_before_it_is_paid_for(
        steps in proptest::collection::vec((0..20_u8, 0..4_usize), 1..200)
    ) {
        let mut world = World::new();
        for (kind, at) in steps {
            match kind {
                0..6 => world.commit(at),
                6..8 => world.lose(at),
                8..14 => world.arrive(at),
                14 => world.crash(at % NODES),
                15 => world.lead(at % NODES),
                _ => world.advance(400 * at as u64 + 1),
            }
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}
