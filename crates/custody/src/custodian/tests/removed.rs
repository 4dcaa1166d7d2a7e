//! Members that go: what everybody does about it, and in which order things may happen.

use super::super::*;
use super::world::{World, name};
use ledger::Applied;
use wire::Act;

fn settled(nodes: usize) -> World {
    let mut world = World::new(nodes);
    assert!(world.settle(100), "{}", world.describe());
    world
}

/// Whose removal a proposal is, if it is one.
fn removes(world: &World, i: usize) -> Option<Vec<NodeId>> {
    match world.proposals.get(i) {
        Some((
            _,
            Act::GroupCommit {
                kind: GroupCommitKind::Removed { nodes },
                ..
            },
        )) => Some(nodes.clone()),
        _ => None,
    }
}

/// Who won the key epochs after `since`.
fn winners(world: &World, since: KeyEpoch) -> Vec<(NodeId, GroupCommitKind)> {
    let leaves = world.log.leaves.iter();
    leaves
        .filter(|leaf| leaf.applied == Applied::Effective)
        .filter_map(|leaf| match &leaf.record.act {
            Act::GroupCommit {
                epoch,
                committer,
                kind,
                ..
            } if *epoch > since => Some((committer.clone(), kind.clone())),
            _ => None,
        })
        .collect()
}

#[test]
fn whoever_goes_is_out_with_one_commit_that_waits_for_no_round() {
    for go in [World::evict, World::leave] {
        let mut world = settled(3);
        let before = world.epoch();
        go(&mut world, 2);
        world.catch_up(0);
        assert_eq!(removes(&world, 0), Some(vec![name(2)]), "at once");
        world.commit(0, false);
        (0..3).for_each(|n| world.catch_up(n));
        assert_eq!(world.epoch(), before.next());
        for n in [0, 1] {
            let node = &world.nodes[n];
            assert_eq!(node.custodian.members(), [name(0), name(1)].into());
            assert_eq!(node.started.last(), Some(&before.next()));
        }
        let gone = &world.nodes[2];
        assert_eq!(gone.started.last(), Some(&before));
        assert_eq!(gone.retired.last(), Some(&before), "its keys are not used");
        assert_eq!((gone.removed, gone.serves.as_ref()), (1, None));
        assert_eq!(gone.custodian.deadline(), None, "and it does nothing more");
        assert!(world.settled(), "{}", world.describe());
    }
}

#[test]
fn a_rotation_under_way_gives_way_to_the_removal() {
    let mut world = settled(3);
    let before = world.epoch();
    world.close_round();
    world.catch_up(0);
    assert_eq!((world.proposals.len(), removes(&world, 0)), (1, None));
    world.evict(2);
    world.catch_up(0);
    assert_eq!(removes(&world, 1), Some(vec![name(2)]));
    // The ledger judges the rotation first; that word must not be taken for one on the removal,
    // which is for the same epoch.
    world.commit(0, false);
    world.catch_up(0);
    assert_eq!(world.proposals.len(), 1, "nothing is built anew");
    world.commit(0, false);
    assert!(world.settle(10), "{}", world.describe());
    assert_eq!(world.epoch(), before.next().next());
    assert_eq!(world.nodes[0].notes, [""; 0], "it never lost the group");
    assert_eq!(
        winners(&world, before).last().map(|(_, kind)| kind),
        Some(&GroupCommitKind::Rotated { round: Round(1) }),
        "the rotation is made up for"
    );
}

#[test]
fn a_second_removal_replaces_the_first_one() {
    let mut world = settled(4);
    let before = world.epoch();
    world.evict(3);
    world.catch_up(0);
    world.leave(2);
    world.catch_up(0);
    assert_eq!(removes(&world, 0), Some(vec![name(3)]));
    assert_eq!(removes(&world, 1), Some(vec![name(2), name(3)]));
    assert!(world.settle(10), "{}", world.describe());
    assert_eq!(world.epoch(), before.next(), "one commit for both");
    assert_eq!(world.nodes[0].notes, [""; 0]);
}

#[test]
fn somebody_without_a_leaf_is_removed_all_the_same() {
    let mut world = settled(2);
    world.evict(1);
    assert!(world.settle(10), "{}", world.describe());
    assert!(world.readmit(1));
    let before = world.epoch();
    // It goes again before it has joined: no leaf of it, and the ledger waits for a removal.
    world.leave(1);
    assert!(world.settle(10), "{}", world.describe());
    let nodes = vec![name(1)];
    let expected = [(name(0), GroupCommitKind::Removed { nodes })];
    assert_eq!(winners(&world, before), expected);
}

#[test]
fn a_joiner_waits_until_the_removal_is_done() {
    let mut world = settled(4);
    world.crash(2);
    world.answer(2, u8::MAX);
    assert_eq!(world.proposals.len(), 1, "a join");
    world.evict(3);
    world.commit(0, false);
    world.catch_up(2);
    let (before, noted) = (world.epoch(), world.nodes[2].notes.len());
    // It asks again and finds a group, but proposes nothing that could not win.
    world.advance(Duration::from_secs(1));
    world.answer(2, u8::MAX);
    assert_eq!(world.proposals.len(), 0);
    assert!(world.nodes[2].notes[noted..].iter().any(|note| {
        note.contains("waiting to join the key group until {n3} are removed from it")
    }));
    assert!(world.settle(20), "{}", world.describe());
    let nodes = vec![name(3)];
    let expected = [
        (name(0), GroupCommitKind::Removed { nodes }),
        (name(2), GroupCommitKind::Joined),
    ];
    assert_eq!(winners(&world, before), expected);
}

/// The leader has restarted and cannot join before the removal, which it cannot make itself.
#[test]
fn a_member_steps_in_for_a_leader_without_a_group() {
    let mut world = settled(3);
    let before = world.epoch();
    world.evict(2);
    world.crash(0);
    (0..3).for_each(|n| world.catch_up(n));
    world.answer(0, u8::MAX);
    assert_eq!(world.proposals.len(), 0, "the leader can only wait");
    let due = world.nodes[1].custodian.deadline().expect("it will");
    assert!(world.now < due && due <= world.now + PROPOSAL_LIMIT * 2);
    assert!(world.settle(20), "{}", world.describe());
    let nodes = vec![name(2)];
    let expected = [
        (name(1), GroupCommitKind::Removed { nodes }),
        (name(0), GroupCommitKind::Joined),
    ];
    assert_eq!(winners(&world, before), expected);
}

#[test]
fn members_that_all_step_in_at_once_lose_nothing_but_a_race() {
    let mut world = settled(4);
    let before = world.epoch();
    world.evict(0);
    (0..4).for_each(|n| world.catch_up(n));
    world.advance(PROPOSAL_LIMIT * 2);
    assert_eq!(world.proposals.len(), 3, "the leader is the one that goes");
    assert!(world.settle(10), "{}", world.describe());
    assert_eq!(winners(&world, before).len(), 1);
    assert!((1..4).all(|n| world.nodes[n].notes.is_empty()));
}

#[test]
fn a_new_group_needs_no_removal() {
    let mut world = settled(3);
    let before = world.epoch();
    world.evict(2);
    [0, 1].into_iter().for_each(|n| world.crash(n));
    assert!(world.settle(50), "{}", world.describe());
    let kinds: Vec<_> = winners(&world, before)
        .into_iter()
        .map(|(_, kind)| kind)
        .collect();
    assert!(
        matches!(
            kinds[..],
            [GroupCommitKind::Created { .. }, GroupCommitKind::Joined]
        ),
        "{kinds:?}"
    );
}

#[test]
fn the_same_name_comes_back_with_another_key() {
    let mut world = settled(3);
    let before = world.epoch();
    world.evict(2);
    assert!(!world.readmit(2), "its old leaf is still in the group");
    assert!(world.settle(10), "{}", world.describe());
    assert!(world.readmit(2));
    assert_eq!(
        world.nodes[2].removed, 0,
        "its former life's end is history"
    );
    assert!(world.settle(20), "{}", world.describe());
    assert_eq!(world.epoch(), KeyEpoch(before.0 + 2));
    assert_eq!(world.nodes[0].custodian.members().len(), 3);
}

/// A process started for a node that went long ago says so once the replay is done.
#[test]
fn a_removed_node_that_restarts_knows_it() {
    let mut world = settled(3);
    world.leave(2);
    assert!(world.settle(10), "{}", world.describe());
    world.crash(2);
    assert!(world.settled(), "{}", world.describe());
    assert_eq!(world.nodes[2].removed, 1);
    assert!(!world.nodes[2].asking);
}
