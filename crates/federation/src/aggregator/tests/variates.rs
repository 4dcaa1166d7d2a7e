//! Rounds of SCAFFOLD: what the aggregator and the participants make of them together.

use super::together::{Mode, NODES, SECURE_NODES, Variates, World, step};
use crate::scaffold;
use proptest::prelude::*;
use wire::{Act, Round};

fn world(mode: Mode) -> World {
    let nodes = match mode {
        Mode::Plain => NODES,
        _ => SECURE_NODES,
    };
    let mut world = World::new(nodes, mode);
    world.variates = Some(Variates::new(nodes));
    world
}

/// Where each node's own optimum counts once, whatever its examples.
#[test]
fn the_model_settles_where_all_agree() {
    for mode in [Mode::Plain, Mode::Secure] {
        let mut world = world(mode);
        assert!((0..6).all(|_| world.heal(10)));
        let (weights, variate) = scaffold::split(world.model()).unwrap();
        let middle = (world.nodes.len() - 1) as f32 / 2.0;
        for weight in weights {
            assert!((weight - middle).abs() < 1e-3, "{weight}, not {middle}");
        }
        // The common gradient there.
        assert!(variate.iter().all(|c| c.abs() < 1e-3), "{variate:?}");
        let anew = &world.variates.as_ref().unwrap().anew;
        assert_eq!(anew[..], [Round(1)], "{mode:?}");
    }
}

#[test]
fn a_crash_costs_no_variate_and_a_lost_disk_starts_all_anew() {
    let mut world = world(Mode::Plain);
    assert!(world.heal(3));
    world.crash(1);
    world.crash(2);
    assert!(world.heal(3));
    let anew = |world: &World| world.variates.as_ref().unwrap().anew.clone();
    assert_eq!(anew(&world), [Round(1)]);

    let variates = world.variates.as_mut().unwrap();
    variates.disks.remove(&2);
    variates.lost.insert(2);
    let before = world.last;
    world.crash(2);
    assert!(world.heal(1), "it takes part without a correction");
    let told: Vec<_> = world
        .ledger
        .iter()
        .filter_map(|(by, act)| match act {
            Act::VariatesReset { round, reason } => Some((*by, *round, reason.clone())),
            _ => None,
        })
        .collect();
    let reason = "n2 has lost its control variate of round 6, so those of all members start anew";
    assert_eq!(told, [(2, before.next(), reason.to_owned())]);
    assert!(world.heal(1));
    world.variates.as_mut().unwrap().lost.clear();
    // From here on the server's variate is the mean of theirs again.
    assert!(world.heal(30));
    assert_eq!(anew(&world), [Round(1), before.next().next()]);
    let (weights, _) = scaffold::split(world.model()).unwrap();
    assert!((weights[0] - 1.0).abs() < 1e-3, "{weights:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_happens_the_servers_variate_is_the_mean_of_the_members(
        steps in proptest::collection::vec(step(NODES), 1..300)
    ) {
        let mut world = world(Mode::Plain);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }

    #[test]
    fn the_same_under_masks(steps in proptest::collection::vec(step(SECURE_NODES), 1..400)) {
        let mut world = world(Mode::Secure);
        for step in steps {
            world.take(step);
        }
        prop_assert!(world.heal(2), "rounds do not go on after round {}", world.last);
    }
}
