//! What may happen, drawn; deaths in each phase; and where the model settles when nothing does.

use super::*;

#[derive(Clone, Debug)]
pub(in crate::aggregator::tests) enum Step {
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

pub(in crate::aggregator::tests) fn step(nodes: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..nodes).prop_map(Step::Deliver),
        6 => (0..3_usize).prop_map(Step::Commit),
        1 => (0..3_usize).prop_map(Step::LoseProposal),
        10 => (0..6_usize, proptest::bool::weighted(0.2)).prop_map(|(at, keep)| Step::Arrive { at, keep }),
        2 => (0..6_usize).prop_map(Step::LoseMail),
        6 => (0..nodes, proptest::bool::weighted(0.9)).prop_map(|(node, works)| Step::Train { node, works }),
        1 => (0..nodes).prop_map(Step::Crash),
        1 => (0..nodes).prop_map(Step::Lead),
        4 => (1..2_000_u64).prop_map(Step::Advance),
    ]
}

impl World {
    pub(in crate::aggregator::tests) fn take(&mut self, step: Step) {
        match step {
            Step::Deliver(node) => {
                self.deliver(node);
            }
            Step::Commit(at) => self.commit(at),
            Step::LoseProposal(at) if at < self.proposals.len() => {
                let (n, act) = self.proposals.remove(at);
                if let Act::RoundOpened { round, .. }
                | Act::RoundClosed { round, .. }
                | Act::BufferedRoundClosed { round, .. }
                | Act::RoundAbandoned { round, .. }
                | Act::PrivacySpent { round, .. } = act
                {
                    let reason = "no leader".to_owned();
                    self.feed(n, Input::ProposalFailed { round, reason });
                }
            }
            Step::LoseProposal(_) => {}
            Step::Arrive { at, keep } => self.arrive(at, keep),
            Step::LoseMail(at) => {
                if at < self.mail.len() {
                    self.mail.swap_remove(at);
                }
            }
            Step::Train { node, works } => self.train(node, works),
            Step::Crash(node) => self.crash(node),
            Step::Lead(node) => self.change_leader(node),
            Step::Advance(ms) => self.advance(Duration::from_millis(ms)),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_a_round_has_at_most_one_model_and_rounds_go_on(
        steps in proptest::collection::vec(step(NODES), 1..300)
    ) {
        let mut world = World::new(NODES, Mode::Plain);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }


    #[test]
    fn the_same_with_secure_rounds(
        steps in proptest::collection::vec(step(SECURE_NODES), 1..400)
    ) {
        let mut world = World::new(SECURE_NODES, Mode::Secure);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}

proptest! {
    // Noise takes its time, and what a round does is that of other secure rounds but for the charge.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_same_with_secure_rounds_that_are_private(
        steps in proptest::collection::vec(step(SECURE_NODES), 1..400), central in any::<bool>(),
    ) {
        let mode = if central { Mode::CentrallyPrivate } else { Mode::Private };
        let mut world = World::new(SECURE_NODES, mode);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}

/// Everything up to the moment before the `nth` message of a kind is delivered.
fn until(world: &mut World, arrives: impl Fn(&Frame) -> bool) {
    for _ in 0..100_000 {
        while !world.proposals.is_empty() {
            world.commit(0);
        }
        for n in 0..world.nodes.len() {
            while world.deliver(n) {}
            world.train(n, true);
        }
        match world.mail.first() {
            Some(Mail(_, _, frame)) if arrives(frame) => return,
            Some(_) => world.arrive(0, false),
            None => world.advance(Duration::from_millis(50)),
        }
    }
    panic!("such a message never came");
}

fn step_of(frame: &Frame) -> Option<&SecureStep> {
    match frame {
        Frame::Secure(message) => Some(&message.step),
        Frame::Train { .. }
        | Frame::Update { .. }
        | Frame::Packed { .. }
        | Frame::Decline { .. }
        | Frame::Model { .. }
        | Frame::Checkpoint { .. } => None,
    }
}

/// For each kind of message: the leader dies when the first of them is under way.
#[test]
fn a_leader_dies_in_each_phase_and_the_next_one_opens_the_round_anew() {
    let kinds: [fn(&SecureStep) -> bool; 9] = [
        |step| matches!(step, SecureStep::Advertise(_)),
        |step| matches!(step, SecureStep::Keys(_)),
        |step| matches!(step, SecureStep::Shares(_)),
        |step| matches!(step, SecureStep::Inbox(_)),
        |step| matches!(step, SecureStep::Masked(_)),
        |step| matches!(step, SecureStep::Survivors(_)),
        |step| matches!(step, SecureStep::Consent(_)),
        |step| matches!(step, SecureStep::Unmask(_)),
        |step| matches!(step, SecureStep::Reveal(_)),
    ];
    let modes = [Mode::Secure, Mode::Private];
    let all = modes.map(|mode| kinds.map(|kind| (mode, kind)));
    for (at, (mode, kind)) in all.into_iter().flatten().enumerate() {
        let mut world = World::new(SECURE_NODES, mode);
        until(&mut world, |frame| step_of(frame).is_some_and(kind));
        let (round, before) = (world.open.expect("a round is open"), world.ledger.len());
        world.leader = 1;
        world.crash(0);
        world.lead(1);
        let died = world.now;
        assert!(world.heal(1), "{at}");
        let reasons: Vec<String> = world.ledger[before..]
            .iter()
            .filter_map(|(_, act)| match act {
                Act::RoundAbandoned { reason, .. } => Some(reason.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(
            reasons,
            ["the leader that opened it was replaced by n1"],
            "{at}"
        );
        assert_eq!(world.last, round.next(), "{at}");
        // No pause, and nobody is waited for: everybody is there.
        assert!(world.now < died + Duration::from_millis(500), "{at}");
    }
}

/// Two of seven die when the first message of a kind is under way, once participants of a secure round.
#[test]
fn participants_die_in_each_phase_and_the_round_closes_without_them() {
    /// Which message, and how many updates are counted then.
    type Phase = (fn(&SecureStep) -> bool, usize);
    let kinds: [Phase; 4] = [
        (|step| matches!(step, SecureStep::Keys(_)), 5),
        (|step| matches!(step, SecureStep::Inbox(_)), 5),
        (|step| matches!(step, SecureStep::Survivors(_)), 7),
        (|step| matches!(step, SecureStep::Unmask(_)), 7),
    ];
    for (at, (kind, counted)) in kinds.into_iter().enumerate() {
        let mut world = World::new(7, Mode::Secure);
        until(&mut world, |frame| step_of(frame).is_some_and(kind));
        let round = world.open.expect("a round is open");
        for dead in [3, 5] {
            world.crash(dead);
            world
                .mail
                .retain(|Mail(from, to, _)| *from != dead && *to != dead);
        }
        assert!(world.heal(1), "{at}");
        let closed = world.ledger.iter().find_map(|(_, act)| match act {
            Act::RoundClosed {
                round,
                participants,
                ..
            } => Some((*round, participants.len())),
            _ => None,
        });
        assert_eq!(closed, Some((round, counted)), "{at}");
    }
}

#[test]
fn on_a_good_network_the_model_settles_where_the_weights_say() {
    for mode in [Mode::Plain, Mode::Secure] {
        settles(mode);
    }
}

/// As whole updates do: what one leaves out is in the next.
#[test]
fn with_smaller_updates_the_model_settles_in_the_same_place() {
    let quantised = Codec::Quantised {
        bits: 2,
        rounding: Rounding::Nearest,
    };
    for codec in [Codec::TopK { keep: 1 }, quantised] {
        let mut world = World::new(NODES, Mode::Plain);
        world.codec = Some(codec);
        // It circles its goal: each sends its two coordinates in turn.
        settles_in(world, 40, 0.2);
    }
}

fn settles(mode: Mode) {
    settles_in(World::new(NODES, mode), 30, 1e-3);
}

fn settles_in(mut world: World, rounds: u64, within: f64) {
    assert!(world.heal(rounds));
    let model = &world.nodes[0].models[&world.model.expect("30 rounds closed")];
    let total: u64 = (0..NODES).map(examples).sum();
    let expected = (0..NODES)
        .map(|n| n as f64 * examples(n) as f64)
        .sum::<f64>()
        / total as f64;
    assert!(
        (f64::from(model[0]) - expected).abs() < within,
        "{} instead of {expected}",
        model[0]
    );
}
