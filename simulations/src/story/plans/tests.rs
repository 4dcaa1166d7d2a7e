use super::*;
use crate::machines::rng::Dice;
use crate::plan::{CrashPoint, Fault, What};

fn outline(nodes: u8) -> Outline {
    Outline {
        scenario: "test".into(),
        nodes,
        minutes: 2,
        bugs: Vec::new(),
    }
}

#[test]
fn fresh_plans_and_their_mutations_are_plans() {
    for nodes in [1, 2, 3, 5, 9] {
        let mut dice = Dice::new(u64::from(nodes));
        let (mut plan, mut other) = (fresh(&outline(nodes), 1), fresh(&outline(nodes), 2));
        for seed in 0..500 {
            assert_eq!(check(&fresh(&outline(nodes), seed)), Ok(()));
            let next = mutate(&mut dice, &plan, &other);
            assert_eq!(check(&next), Ok(()), "{plan:?} became {next:?}");
            (other, plan) = (plan, next);
        }
    }
}

#[test]
fn a_seed_stands_for_one_plan() {
    assert_eq!(fresh(&outline(3), 7), fresh(&outline(3), 7));
    assert_ne!(fresh(&outline(3), 7).faults, fresh(&outline(3), 8).faults);
}

#[test]
fn sides_of_a_split_are_never_empty_and_never_overlap() {
    let mut splits = 0;
    for seed in 0..300 {
        for fault in fresh(&outline(5), seed).faults {
            if let What::Split { from, to, .. } = fault.what {
                splits += 1;
                assert!(!from.is_empty() && !to.is_empty());
                assert!(from.iter().all(|node| !to.contains(node)));
            }
        }
    }
    assert!(splits > 100, "{splits}");
}

#[test]
fn every_kind_of_fault_is_drawn() {
    let mut kinds = std::collections::HashSet::new();
    for seed in 0..300 {
        for fault in fresh(&outline(3), seed).faults {
            kinds.insert(std::mem::discriminant(&fault.what));
        }
    }
    assert_eq!(kinds.len(), 16);
}

#[test]
fn what_is_no_plan_is_refused_with_a_sentence() {
    let crash = |at_ms, node| Fault {
        at_ms,
        what: What::Crash {
            node,
            point: CrashPoint::Now,
            down_ms: 1,
            disk: None,
        },
    };
    let refused = |edit: &dyn Fn(&mut Plan), says: &str| {
        let mut plan = fresh(&outline(3), 1);
        plan.faults = vec![crash(5, 0)];
        edit(&mut plan);
        assert_eq!(check(&plan).unwrap_err().to_string(), says);
    };
    refused(&|p| p.nodes = 0, "a plan has 1 to 9 nodes, this one 0");
    refused(
        &|p| p.faults = vec![crash(5, 0); 65],
        "a plan has at most 64 faults, this one 65",
    );
    refused(
        &|p| p.calm_ms = 3_600_001,
        "a phase lasts at most 3600000 ms, this one 3600001 ms",
    );
    refused(
        &|p| p.faults.push(crash(4, 0)),
        "fault 2 (counted from 1) stands after one that strikes later; sort them by `at_ms`",
    );
    refused(
        &|p| p.faults.push(crash(6, 3)),
        "fault 2 (counted from 1) names node 3, and there are 3, from 0",
    );
    refused(
        &|p| p.faults_ms = 4,
        "fault 1 (counted from 1) strikes at 5 ms, after the faults' phase of 4 ms",
    );
}

#[test]
fn faults_in_words() {
    let split = What::Split {
        from: vec![0],
        to: vec![1, 2],
        both: true,
        for_ms: 900,
    };
    assert_eq!(describe(&split), "split node-1 ⇹ node-2, node-3 for 900 ms");
    let crash = What::Crash {
        node: 1,
        point: CrashPoint::DiskOperation(3),
        down_ms: 50,
        disk: Some(crate::plan::DiskFault::BitRot),
    };
    assert_eq!(
        describe(&crash),
        "node-2 loses power within disk operation +3 for 50 ms, a bit rots"
    );
}
