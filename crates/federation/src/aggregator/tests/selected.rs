//! Cohorts of some of the members, and those who do not answer.

use super::super::*;
use super::learning::{House, name};
use crate::cohort::Selection;
use wire::Act;

fn cohorts(acts: &[Act]) -> Vec<Vec<NodeId>> {
    acts.iter()
        .filter_map(|act| match act {
            Act::RoundOpened { cohort, .. } => Some(cohort.clone()),
            _ => None,
        })
        .collect()
}

fn house(fraction: f64, over_selection: f64) -> House {
    let selection = Selection {
        fraction,
        size: None,
        over_selection,
    };
    let config = Config {
        selection,
        ..Config::default()
    };
    House::new(10, config)
}

#[test]
fn some_are_asked_and_all_have_their_turn() {
    let mut house = house(0.4, 1.0);
    house.lead();
    let excess = house.run(60);
    assert!(excess < 0.1, "{excess}");
    let cohorts = cohorts(&house.acts);
    assert!(cohorts.iter().all(|cohort| cohort.len() == 4));
    let asked: BTreeSet<_> = cohorts.into_iter().flatten().collect();
    assert_eq!(asked.len(), 10);
}

/// Wanted four, asked six; two never answer, and no round waits for them.
#[test]
fn over_selection_does_not_wait_for_stragglers() {
    let mut house = house(0.4, 1.5);
    house.silent = [0, 1].into();
    house.lead();
    house.run(20);
    assert_eq!(house.losses.len(), 20);
    assert!(cohorts(&house.acts).iter().all(|cohort| cohort.len() == 6));
    // Twenty pauses of a second, and not one deadline of ten.
    assert!(
        house.now < Instant::ZERO + Duration::from_secs(25),
        "{:?}",
        house.now
    );
}

#[test]
fn stragglers_are_asked_last() {
    let mut house = house(0.5, 1.0);
    house.silent = [3].into();
    house.lead();
    house.run(40);
    let missed: Vec<_> = house
        .aggregator
        .stragglers()
        .map(|(node, _)| node.clone())
        .collect();
    assert_eq!(missed, [name(3)]);
    let cohorts = cohorts(&house.acts);
    let asked = |node| {
        cohorts
            .iter()
            .filter(|cohort| cohort.contains(&name(node)))
            .count()
    };
    let others = (0..10).filter(|n| *n != 3).map(asked).min().unwrap_or(0);
    assert!(asked(3) >= 3, "it was not tried");
    assert!(2 * asked(3) < others, "{} of {others}", asked(3));
}
