//! Secure rounds with what goes with them: noise, groups, stragglers, more asked than are wanted.

use super::super::*;
use super::together::{GROUPED_NODES, Mode, SECURE_NODES, World, name};
use crate::cohort::Selection;
use wire::Act;

/// Participants of the rounds that closed.
fn closed(world: &World) -> Vec<Vec<NodeId>> {
    let acts = world.ledger.iter();
    acts.filter_map(|(_, act)| match act {
        Act::RoundClosed { participants, .. } => Some(participants.clone()),
        _ => None,
    })
    .collect()
}

fn everybody_but(nodes: usize, slow: &[usize]) -> Vec<NodeId> {
    let others = (0..nodes).filter(|n| !slow.contains(n));
    others.map(name).collect()
}

#[test]
fn a_straggler_is_waited_for_up_to_its_step_and_no_longer() {
    let mut world = World::new(SECURE_NODES, Mode::Secure);
    world.slow = [3].into();
    assert!(world.heal(1));
    assert_eq!(closed(&world), [everybody_but(SECURE_NODES, &[3])]);
    let (deadline, took) = (Config::default().deadline, world.now.since(Instant::ZERO));
    assert!(
        took >= deadline * 3 / 4 && took < deadline,
        "{took:?} of {deadline:?}"
    );
    // Two of five are one too many, and the round says whose update did not come.
    world.slow = [1, 3].into();
    assert!(!world.heal(1));
    let reason = world.ledger.iter().rev().find_map(|(_, act)| match act {
        Act::RoundAbandoned { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    assert_eq!(
        reason.as_deref(),
        Some("3 took part in sending updates, 4 are needed; not heard of: n1, n3")
    );
}

#[test]
fn over_selection_does_not_wait_for_a_straggler_of_a_secure_round() {
    let config = Config {
        min_cohort: 3,
        selection: Selection {
            over_selection: 1.25,
            ..Selection::default()
        },
        ..Config::default()
    };
    let mut world = World::with(SECURE_NODES, Mode::Secure, config);
    world.slow = [3].into();
    assert!(world.heal(3));
    assert_eq!(closed(&world)[0], everybody_but(SECURE_NODES, &[3]));
    // Pauses of a second between the rounds, and no step's end was waited for.
    let took = world.now.since(Instant::ZERO);
    assert!(took < Duration::from_secs(4), "{took:?}");
}

#[test]
fn private_rounds_close_with_those_who_paid_whoever_adds_the_noise() {
    for mode in [Mode::Private, Mode::CentrallyPrivate] {
        let mut world = World::new(SECURE_NODES, mode);
        world.slow = [2].into();
        assert!(world.heal(2), "{mode:?}");
        let kinds = world.ledger.iter().map(|(_, act)| match act {
            Act::RoundOpened { .. } => "opened",
            Act::PrivacySpent { .. } => "spent",
            Act::RoundClosed { .. } => "closed",
            _ => "other",
        });
        let kinds: Vec<_> = kinds.collect();
        let expected = ["opened", "spent", "closed"].repeat(2);
        assert_eq!(kinds, expected, "{mode:?}");
        assert_eq!(closed(&world)[0], everybody_but(SECURE_NODES, &[2]));
    }
}

/// Each pulls the model to its own number: the means of groups are other ones in every round, and the
/// median is one of them.
#[test]
fn the_rule_between_groups_sees_their_means() {
    let mut world = World::new(GROUPED_NODES, Mode::Groups);
    assert!(world.heal(3));
    assert_eq!(closed(&world).len(), 3);
    // A group of three cannot lose one, and the median needs all three groups.
    world.slow = [4].into();
    assert!(!world.heal(1));
    let reason = world.ledger.iter().rev().find_map(|(_, act)| match act {
        Act::RoundAbandoned { reason, .. } => Some(reason.clone()),
        _ => None,
    });
    let reason = reason.expect("an end");
    assert!(
        reason.starts_with("median withstands 1 liars among 3 updates or more, and there are 2")
            && reason.contains("not heard of: n4"),
        "{reason}"
    );
}

/// Honest numbers are 0 to 7, so no honest model leaves them. The mean follows whoever pushes.
#[test]
fn a_liar_spoils_the_mean_of_its_group_only() {
    let after = |mode| {
        let mut world = World::new(GROUPED_NODES, mode);
        world.liars = [8].into();
        assert!(world.heal(5), "{mode:?}");
        world.model()[0]
    };
    let (grouped, alone) = (after(Mode::Groups), after(Mode::Secure));
    assert!((0.0..=7.0).contains(&grouped), "{grouped}");
    assert!(alone > 20.0, "{alone}");
}
