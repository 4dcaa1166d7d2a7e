//! A node that was away for 50 epochs is back at once: what it has to do for it is counted here,
//! and the time that took is printed.

use super::super::*;
use super::world::World;

const AWAY: u64 = 50;

/// n2 hears nothing while the group moves on.
fn away() -> World {
    let mut world = World::new(3);
    assert!(world.settle(100), "{}", world.describe());
    let before = world.epoch();
    for _ in 0..AWAY {
        world.close_round();
        world.catch_up(0);
        world.commit(0, false);
        [0, 1].into_iter().for_each(|n| world.catch_up(n));
    }
    assert_eq!(world.epoch(), KeyEpoch(before.0 + AWAY));
    world
}

#[expect(clippy::print_stdout, reason = "a figure for whoever runs it")]
fn timed(what: &str, work: impl FnOnce()) {
    let start = std::time::Instant::now();
    work();
    println!("{what}: {:?}", start.elapsed());
}

#[test]
fn a_node_that_lived_on_replays_the_commits_without_a_word_to_anybody() {
    let mut world = away();
    let started = world.nodes[2].started.len();
    timed("50 commits replayed", || world.catch_up(2));
    let node = &world.nodes[2];
    assert_eq!(node.started.len() - started, AWAY as usize);
    assert_eq!(node.started.last(), Some(&world.epoch()));
    assert!(!node.asking && world.proposals.is_empty());
}

#[test]
fn a_node_that_restarted_is_back_with_one_question_and_one_commit() {
    let mut world = away();
    let before = world.epoch();
    timed("ledger replayed, joined by external commit", || {
        world.crash(2);
        assert!(world.nodes[2].asking, "no pause before the first question");
        world.answer(2, u8::MAX);
        assert_eq!(world.proposals.len(), 1);
        world.commit(0, false);
        world.catch_up(2);
    });
    assert_eq!(
        world.nodes[2].started,
        [before.next()],
        "one epoch, its own"
    );
    [0, 1].into_iter().for_each(|n| world.catch_up(n));
    assert!(world.settled(), "{}", world.describe());
}
