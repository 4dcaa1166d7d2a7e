//! Rounds that take updates as they come: what the aggregator and the participants make of them together.

use super::together::{NODES, World, name, step};
use crate::aggregator::{Aggregator, Config, Counters, Input, Output, Update};
use crate::fedbuff::Buffer;
use crate::model_digest;
use machine::{Instant, Machine as _};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::{Act, Digest, NodeId, Round};

fn world(max_staleness: usize) -> World {
    let buffer = Buffer {
        size: 2,
        max_staleness,
    };
    let config = Config {
        buffer: Some(buffer),
        ..Config::default()
    };
    World::with(NODES, super::together::Mode::Plain, config)
}

/// Rounds that count an update of this node.
fn counted(world: &World, n: usize) -> Vec<Round> {
    let rounds = world.ledger.iter().filter_map(|(_, act)| match act {
        Act::BufferedRoundClosed {
            round,
            participants,
            ..
        } if participants.contains(&name(n)) => Some(*round),
        _ => None,
    });
    rounds.collect()
}

#[test]
fn a_slow_participant_counts_late_and_holds_nobody_up() {
    let mut world = world(5);
    world.slow = BTreeSet::from([2]);
    assert!(world.heal(3));
    assert_eq!(counted(&world, 2), []);
    let before = world.last;
    // Its training is done, three models later. `World` checks with which weight it counts.
    world.slow.clear();
    assert!(world.heal(2));
    let late = counted(&world, 2);
    assert_eq!(late.first(), Some(&before.next()), "{late:?}");
    // It is nobody's straggler.
    assert_eq!(world.nodes[0].aggregator.stragglers().count(), 0);
    let counters: Counters = world.nodes[0].aggregator.counters();
    assert_eq!(counters.refused, 0, "{counters:?}");
}

#[test]
fn one_that_is_too_slow_begins_anew_from_the_newest_model() {
    let mut world = world(1);
    world.slow = BTreeSet::from([2]);
    assert!(world.heal(4));
    let before = world.last;
    world.slow.clear();
    assert!(world.heal(2));
    assert!(counted(&world, 2).iter().all(|round| *round > before));
    assert!(!counted(&world, 2).is_empty());
}

#[test]
fn a_new_leader_counts_nothing_twice_and_takes_what_is_late() {
    let mut world = world(5);
    world.slow = BTreeSet::from([2]);
    assert!(world.heal(2));
    world.crash(0);
    world.change_leader(1);
    assert!(world.heal(1));
    world.slow.clear();
    assert!(world.heal(3));
    assert!(!counted(&world, 2).is_empty());
}

proptest! {
    #[test]
    fn whatever_happens_what_training_made_counts_at_most_once(
        steps in proptest::collection::vec(step(NODES), 1..300), max_staleness in 0_usize..4,
    ) {
        let mut world = world(max_staleness);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}

/// One aggregator and the ledger; participants are played by hand.
struct Hand {
    aggregator: Aggregator,
    now: Instant,
    /// The base of each round that was opened, and the notes.
    bases: BTreeMap<Round, Digest>,
    model: Vec<f32>,
    notes: Vec<String>,
    /// What the ledger has of the last round.
    ages: BTreeMap<NodeId, u32>,
}

fn aggregator() -> Aggregator {
    let buffer = Buffer {
        size: 2,
        max_staleness: 1,
    };
    let config = Config {
        buffer: Some(buffer),
        ..Config::default()
    };
    Aggregator::new(name(0), config)
}

/// It leads three, and has a model.
fn beginning() -> [Input; 3] {
    let (digest, parameters) = (model_digest(&[1.0]), Arc::new(vec![1.0]));
    [
        Input::Members((0..3).map(name).collect()),
        Input::ModelReady { digest, parameters },
        Input::Leading {
            next: Round(1),
            open: None,
            model: None,
        },
    ]
}

impl Hand {
    fn new() -> Self {
        let mut hand = Self {
            aggregator: aggregator(),
            now: Instant::ZERO,
            bases: BTreeMap::new(),
            model: vec![1.0],
            notes: Vec::new(),
            ages: BTreeMap::new(),
        };
        beginning().into_iter().for_each(|input| hand.feed(input));
        hand
    }

    fn feed(&mut self, input: Input) {
        let mut out = Vec::new();
        self.aggregator.handle(self.now, input, &mut out);
        self.perform(out);
    }

    fn perform(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Propose(Act::RoundOpened {
                    round,
                    model,
                    cohort,
                }) => {
                    self.bases.insert(round, model);
                    self.feed(Input::Opened {
                        round,
                        model,
                        cohort,
                        by: name(0),
                        secure: None,
                        carried: Default::default(),
                        ages: true,
                    });
                }
                Output::Propose(Act::BufferedRoundClosed {
                    round,
                    model,
                    participants,
                    ages,
                    ..
                }) => {
                    self.ages = participants.iter().cloned().zip(ages).collect();
                    self.feed(Input::Closed {
                        round,
                        model,
                        participants,
                    });
                }
                Output::PublishModel { parameters, .. } => self.model = parameters.to_vec(),
                Output::Note(note) => self.notes.push(note),
                Output::SendTrain { .. } | Output::StageModel { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// An update that was trained for this round.
    fn update(&mut self, n: usize, round: u64, delta: f32) {
        let round = Round(round);
        self.feed(Input::Update(Update {
            round,
            node: name(n),
            base: self.bases[&round],
            delta: vec![delta],
            examples: 10,
            loss: 0.5,
        }));
    }

    fn next_round(&mut self) {
        self.now = self.aggregator.deadline().expect("the pause ends");
        let mut out = Vec::new();
        self.aggregator.tick(self.now, &mut out);
        self.perform(out);
    }
}

/// The others are always faster: it would never find a round open, and after three that ended without it give its work up.
#[test]
fn an_update_that_comes_between_two_rounds_is_in_the_next_one() {
    let mut hand = Hand::new();
    hand.update(0, 1, 2.0);
    hand.update(1, 1, 4.0);
    assert_eq!(hand.model, [4.0]);
    hand.update(2, 1, 2.0);
    // Twice, and one that counts already.
    hand.update(2, 1, 2.0);
    hand.update(0, 1, 2.0);
    hand.next_round();
    assert_eq!(hand.aggregator.collecting(), Some((Round(2), 1, 3)));
    hand.update(0, 2, 1.0);
    assert_eq!(hand.ages, [(name(0), 0), (name(2), 1)].into());
    let counters = hand.aggregator.counters();
    assert_eq!(
        (counters.accepted, counters.late, counters.refused),
        (4, 1, 0)
    );

    // With the lead goes what was held.
    hand.update(1, 2, 1.0);
    hand.feed(Input::NotLeading);
    hand.update(1, 2, 1.0);
    hand.feed(Input::Leading {
        next: Round(3),
        open: None,
        model: None,
    });
    assert_eq!(hand.aggregator.collecting(), Some((Round(3), 0, 3)));
}

/// Members of an older release read the ledger.
#[test]
fn ages_are_told_once_the_ledger_has_a_place_for_them() {
    let closed = |ages| {
        let mut hand = Hand::new();
        let mut out = Vec::new();
        let (round, base) = (Round(1), hand.bases[&Round(1)]);
        // Opened anew, as if by a ledger of that level.
        hand.aggregator = aggregator();
        for input in beginning() {
            hand.aggregator.handle(hand.now, input, &mut out);
        }
        let opened = Input::Opened {
            round,
            model: base,
            cohort: (0..3).map(name).collect(),
            by: name(0),
            secure: None,
            carried: Default::default(),
            ages,
        };
        hand.aggregator.handle(hand.now, opened, &mut out);
        for n in 0..2 {
            let update = Update {
                round,
                node: name(n),
                base,
                delta: vec![1.0],
                examples: 10,
                loss: 0.5,
            };
            let input = Input::Update(update);
            hand.aggregator.handle(hand.now, input, &mut out);
        }
        out.pop()
    };
    let act = |output| match output {
        Some(Output::Propose(act)) => act,
        other => panic!("{other:?}"),
    };
    assert!(matches!(act(closed(false)), Act::RoundClosed { .. }));
    let Act::BufferedRoundClosed { ages, .. } = act(closed(true)) else {
        panic!("no ages");
    };
    assert_eq!(ages, [0, 0]);
}

#[test]
fn steps_by_hand() {
    let mut hand = Hand::new();
    hand.update(0, 1, 2.0);
    assert_eq!(hand.model, [1.0]);
    // Both fresh: 1 + (2 + 4)/2.
    hand.update(1, 1, 4.0);
    assert_eq!(hand.model, [4.0]);
    hand.next_round();
    // That of the first comes again, by another way.
    hand.update(0, 1, 2.0);
    let last = hand.notes.last().expect("it is refused");
    assert!(last.contains("is in the model of round 1"), "{last}");
    // The third started from the first model: its weight is 1/√2.
    hand.update(2, 1, 2.0);
    hand.update(0, 2, 1.0);
    let expected = 4.0 + (2.0 / 2.0_f64.sqrt() + 1.0) / 2.0;
    let found = f64::from(hand.model[0]);
    assert!((found - expected).abs() < 1e-6, "{found}, not {expected}");
    assert_eq!(hand.ages, [(name(0), 0), (name(2), 1)].into());
    let note = "round 2 counts updates from earlier models: n2 by 1";
    assert!(hand.notes.iter().any(|n| n == note), "{:?}", hand.notes);
    // At the third model, that of the second from the first one would be two models old.
    hand.next_round();
    hand.bases.insert(Round(2), hand.bases[&Round(1)]);
    hand.update(1, 2, 1.0);
    let last = hand.notes.last().expect("it is refused");
    assert!(
        last.contains("none of the last 2 that rounds started from"),
        "{last}"
    );
    assert_eq!(hand.aggregator.counters().refused, 2);
}
