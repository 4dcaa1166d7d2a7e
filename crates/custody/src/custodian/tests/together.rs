use super::super::MAX_ATTEMPTS;
use super::world::World;
use crate::group::{JoinInfo, KeyGroup};
use proptest::prelude::*;
use std::time::Duration;
use wire::{Act, GroupCommitKind, KeyEpoch};

fn settled(nodes: usize) -> World {
    let mut world = World::new(nodes);
    assert!(world.settle(100), "{}", world.describe());
    world
}

#[test]
fn a_first_start_ends_with_everybody_in_one_group() {
    for nodes in [1, 2, 3, 5] {
        let world = settled(nodes);
        assert_eq!(
            world.epoch(),
            KeyEpoch(nodes as u64),
            "one epoch for each node that came in"
        );
        assert_eq!(world.nodes[0].started[0], KeyEpoch(1));
        assert_eq!(world.nodes[0].custodian.members().len(), nodes);
    }
}

#[test]
fn every_closed_round_makes_one_new_epoch_at_all() {
    let mut world = settled(3);
    for round in 1..=5 {
        let before = world.epoch();
        world.close_round();
        assert!(world.settle(10), "{}", world.describe());
        assert_eq!(world.epoch(), before.next(), "round {round}");
    }
    assert_eq!(
        world.nodes[1].retired.len() + 1,
        world.nodes[1].started.len()
    );
}

#[test]
fn a_restarted_node_comes_back_and_its_former_life_cannot_follow() {
    let mut world = settled(3);
    let stale = world.nodes[2].serves.clone();
    world.crash(2);
    assert_eq!(
        world.nodes[2].custodian.members().len(),
        0,
        "no state survives"
    );
    assert!(world.settle(50), "{}", world.describe());
    assert_ne!(stale, world.nodes[2].serves);
    assert_eq!(
        world.nodes[0].custodian.members().len(),
        3,
        "its old leaf is gone"
    );
}

#[test]
fn a_node_that_missed_epochs_catches_up_in_order() {
    let mut world = settled(3);
    for _ in 0..50 {
        world.close_round();
        for n in [0, 1] {
            while world.deliver(n) {}
        }
        world.commit(0, false);
        for n in [0, 1] {
            while world.deliver(n) {}
        }
    }
    let (away, now) = (world.nodes[2].started.len(), world.epoch());
    assert_eq!(now, KeyEpoch(53));
    while world.deliver(2) {}
    assert_eq!(
        world.nodes[2].started.len(),
        away + 50,
        "each one, without a join"
    );
    assert_eq!(world.nodes[2].started.last(), Some(&now));
}

#[test]
fn when_all_lose_their_state_the_leader_makes_a_new_group() {
    let mut world = settled(3);
    let before = world.epoch();
    (0..3).for_each(|n| world.crash(n));
    assert!(world.settle(100), "{}", world.describe());
    assert_eq!(world.epoch(), KeyEpoch(before.0 + 3));
    let mut created = world.log.leaves.iter().filter(|leaf| {
        matches!(
            leaf.record.act,
            Act::GroupCommit {
                kind: GroupCommitKind::Created { .. },
                ..
            }
        ) && leaf.applied == ledger::Applied::Effective
    });
    assert!(created.next().is_some() && created.next().is_some() && created.next().is_none());
}

#[test]
fn two_leaders_that_both_create_end_in_the_first_one_s_group() {
    let mut world = World::new(2);
    world.answer(0, 0);
    world.lead(1);
    world.answer(1, 0);
    assert_eq!(world.proposals.len(), 2, "both propose to create");
    assert!(world.settle(50), "{}", world.describe());
    assert_eq!(world.nodes[0].started, [KeyEpoch(1), KeyEpoch(2)]);
    assert_eq!(world.nodes[1].started, [KeyEpoch(2)]);
}

#[test]
fn a_rotation_that_loses_to_a_join_is_made_again() {
    let mut world = settled(3);
    world.crash(2);
    world.close_round();
    while world.deliver(0) {}
    world.answer(2, u8::MAX);
    assert_eq!(
        world.proposals.len(),
        2,
        "a rotation and a join, for one epoch"
    );
    world.commit(1, false);
    assert!(world.settle(50), "{}", world.describe());
    assert_eq!(world.nodes[0].custodian.rotated, world.round);
    assert_eq!(
        world.nodes[0].notes, [""; 0],
        "losing a race is nothing to leave the group for"
    );
}

/// The same node, the same epoch, the same kind: only the bytes tell two lives apart.
#[test]
fn a_commit_of_its_former_life_is_not_taken_for_its_own() {
    let mut world = settled(3);
    world.crash(2);
    world.answer(2, u8::MAX);
    world.crash(2);
    world.answer(2, u8::MAX);
    assert_eq!(
        world.proposals.len(),
        2,
        "a join of each life, for one epoch"
    );
    world.commit(0, false);
    while world.deliver(2) {}
    assert_eq!(world.nodes[2].started, [], "the dead life's keys are gone");
    assert!(world.settle(50), "{}", world.describe());
}

#[test]
fn the_next_leader_makes_up_for_a_rotation_its_predecessor_owed() {
    let mut world = settled(3);
    world.close_round();
    (0..3).for_each(|n| while world.deliver(n) {});
    world.proposals.clear();
    world.lead(1);
    assert!(world.settle(50), "{}", world.describe());
    assert_eq!(world.nodes[2].custodian.rotated, world.round);
}

#[test]
fn a_proposal_reported_failed_that_wins_after_all_is_still_ours() {
    let mut world = World::new(2);
    world.answer(0, u8::MAX);
    world.fail(0, true);
    world.commit(0, false);
    while world.deliver(0) {}
    assert_eq!(world.nodes[0].started, [KeyEpoch(1)]);
}

#[test]
fn a_repeated_proposal_carries_the_same_bytes_and_the_attempts_are_bounded() {
    let mut world = World::new(1);
    world.answer(0, u8::MAX);
    let first = world.proposals[0].clone();
    for attempt in 1..MAX_ATTEMPTS {
        world.advance(Duration::from_secs(10));
        assert_eq!(world.proposals.len() as u32, attempt + 1);
        assert_eq!(world.proposals.back(), Some(&first));
    }
    world.advance(Duration::from_secs(10));
    assert_eq!(
        world.proposals.len() as u32,
        MAX_ATTEMPTS,
        "no more of the same"
    );
    world.proposals.clear();
    world.advance(Duration::from_secs(10));
    world.answer(0, u8::MAX);
    assert_ne!(world.proposals.back(), Some(&first), "a new group instead");
}

/// The state that a node had before it was replaced cannot be taken along into later epochs.
#[test]
fn a_member_of_an_old_epoch_cannot_derive_newer_secrets() {
    let mut world = settled(3);
    let info = world.nodes[2].serves.clone().unwrap();
    let old = JoinInfo::from_bytes(&info).unwrap();
    let roster = super::world::roster(3);
    world.crash(2);
    assert!(world.settle(50), "{}", world.describe());
    // A thief of n2's identity key with the old GroupInfo can build a join, but for an old epoch.
    let thief = KeyGroup::external_join(
        &old.group_info,
        &super::world::name(2),
        super::super::Arc::new(super::world::key(2)),
        &roster,
        [99; 32],
    )
    .unwrap();
    let act = Act::GroupCommit {
        epoch: old.epoch.next(),
        committer: super::world::name(2),
        kind: GroupCommitKind::Joined,
        commit: thief.commit,
    };
    world.proposals.push_back((2, act));
    let before = world.epoch();
    world.commit(0, false);
    assert_eq!(
        world.epoch(),
        before,
        "the ledger gave that epoch away long ago"
    );
    for epoch in 0..=before.0 {
        let theirs = thief.group.secrets(KeyEpoch(epoch)).unwrap();
        assert!(world.secrets.values().all(|secrets| *secrets != theirs));
    }
}

#[derive(Clone, Debug)]
enum Step {
    Deliver(usize),
    Commit { at: usize, twice: bool },
    Fail { at: usize, but_it_arrives: bool },
    Answer { node: usize, reachable: u8 },
    Crash(usize),
    Lead(usize),
    Evict { node: usize, stolen: bool },
    Leave(usize),
    Readmit(usize),
    CloseRound,
    Advance(u64),
}

fn step(nodes: usize) -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => (0..nodes).prop_map(Step::Deliver),
        10 => (0..4_usize, proptest::bool::weighted(0.2)).prop_map(|(at, twice)| Step::Commit { at, twice }),
        2 => (0..4_usize, any::<bool>()).prop_map(|(at, but_it_arrives)| Step::Fail { at, but_it_arrives }),
        8 => (0..nodes, any::<u8>()).prop_map(|(node, reachable)| Step::Answer { node, reachable }),
        1 => (0..nodes).prop_map(Step::Crash),
        2 => (0..nodes).prop_map(Step::Lead),
        2 => (0..nodes, any::<bool>()).prop_map(|(node, stolen)| Step::Evict { node, stolen }),
        1 => (0..nodes).prop_map(Step::Leave),
        3 => (0..nodes).prop_map(Step::Readmit),
        4 => Just(Step::CloseRound),
        6 => (1..4_000_u64).prop_map(Step::Advance),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Safety at every step (the invariants of `World`), then everything heals and all agree.
    #[test]
    fn whatever_happens_the_living_converge(
        from_scratch in proptest::bool::weighted(0.3),
        steps in proptest::collection::vec(step(4), 1..160),
    ) {
        let mut world = if from_scratch { World::new(4) } else { settled(4) };
        for step in steps {
            match step {
                Step::Deliver(node) => { world.deliver(node); }
                Step::Commit { at, twice } => world.commit(at, twice),
                Step::Fail { at, but_it_arrives } => world.fail(at, but_it_arrives),
                Step::Answer { node, reachable } => world.answer(node, reachable),
                Step::Crash(node) => world.crash(node),
                Step::Lead(node) => world.lead(node),
                Step::Evict { node, stolen: false } => world.evict(node),
                Step::Evict { node, stolen: true } => world.evict_stolen(node),
                Step::Leave(node) => world.leave(node),
                Step::Readmit(node) => { world.readmit(node); }
                Step::CloseRound => world.close_round(),
                Step::Advance(ms) => world.advance(Duration::from_millis(ms)),
            }
        }
        prop_assert!(world.settle(200), "no convergence\n{}", world.describe());
        world.thieves_get_nothing();
    }
}
