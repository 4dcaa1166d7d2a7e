use super::*;
use crate::plan::{CrashPoint, DiskFault, What};
use crate::story::toy::{Toy, deadly};

fn budget(runs: u32, stop: &AtomicBool) -> Budget<'_> {
    Budget {
        runs,
        until: None,
        stop,
    }
}

fn failure(plan: &Plan) -> Failure {
    Failure::of(&Toy::default().go(plan, false)).expect("the plan fails")
}

#[test]
fn what_has_nothing_to_do_with_it_goes() {
    let stop = AtomicBool::new(false);
    let toy = Toy::default();
    let before = failure(&deadly());
    let small = shrink(&toy, &before, &budget(5_000, &stop), &mut |_, _| {}).unwrap();
    assert!(small.minimal, "{small}");
    let plan = &small.failure.plan;
    assert_eq!(
        (plan.faults.len(), plan.nodes, small.faults_before),
        (3, 3, 8),
        "{small}"
    );
    assert!(plan.faults_ms < 12_000, "{small}");
    assert!(plan.faults.iter().all(|fault| match fault.what {
        What::Crash { point, .. } => point == CrashPoint::Now,
        _ => true,
    }));
    assert_eq!(
        small.failure.compare(&toy.go(plan, true)),
        crate::story::failure::Again::Identical
    );
    let runs = u64::from(small.runs) + 1;
    assert_eq!(
        runs,
        toy.runs.load(Ordering::Relaxed),
        "each run is reported"
    );
    // Nothing in it can be left out.
    for index in 0..plan.faults.len() {
        let mut plan = plan.clone();
        plan.faults.remove(index);
        assert_eq!(Failure::of(&toy.go(&plan, false)), None);
    }
}

#[test]
fn more_nodes_than_needed_go_and_names_move_up() {
    let stop = AtomicBool::new(false);
    let mut plan = deadly();
    // Node 1 never runs, and the others are a majority of five only together.
    plan.nodes = 4;
    for fault in &mut plan.faults {
        crate::story::plans::what::rename(&mut fault.what, |node| node + u8::from(node > 0));
    }
    plan.faults
        .retain(|fault| !matches!(fault.what, What::Pause { .. }));
    let proposals = simpler::nodes(&plan);
    assert_eq!(proposals.len(), 1, "three nodes are named");
    assert_eq!(proposals[0].nodes, 3);
    assert_eq!(plans::check(&proposals[0]), Ok(()));
    let three = failure(&proposals[0]);
    let small = shrink(
        &Toy::default(),
        &three,
        &budget(5_000, &stop),
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(small.failure.plan.nodes, 3);
}

#[test]
fn a_budget_and_a_flag_end_it_with_what_there_is() {
    let stop = AtomicBool::new(false);
    let before = failure(&deadly());
    let small = shrink(&Toy::default(), &before, &budget(10, &stop), &mut |_, _| {}).unwrap();
    assert_eq!((small.runs, small.minimal), (10, false));
    assert_eq!(small.failure.violation.id, "TOY-1");
    stop.store(true, Ordering::Relaxed);
    let same = shrink(
        &Toy::default(),
        &before,
        &budget(5_000, &stop),
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(
        (same.runs, same.failure == before, same.minimal),
        (1, true, false)
    );
}

#[test]
fn what_does_not_fail_any_more_is_said() {
    let stop = AtomicBool::new(false);
    let mut fixed = failure(&deadly());
    fixed.plan.faults.clear();
    let error = shrink(&Toy::default(), &fixed, &budget(10, &stop), &mut |_, _| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the plan does not break TOY-1 any more: it was found by another program, or fixed since"
    );
    let broken = Toy {
        breaks_at: 1,
        ..Toy::default()
    };
    let error = shrink(&broken, &fixed, &budget(10, &stop), &mut |_, _| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a run could not be run: the toy box is empty"
    );
}

#[test]
fn every_proposal_is_simpler_and_ends() {
    let crash = What::Crash {
        node: 0,
        point: CrashPoint::Send(9),
        down_ms: 5_321,
        disk: Some(DiskFault::BitRot),
    };
    let slow = What::Slow {
        node: 0,
        delay_ms: 300,
        jitter_ms: 20,
        loss_percent: 3,
        for_ms: 12_345,
    };
    let split = What::Split {
        from: vec![0, 1],
        to: vec![2, 3],
        both: false,
        for_ms: 777,
    };
    for what in [crash, slow, split] {
        for propose in [simpler::kinds, simpler::durations, simpler::amounts] {
            let mut fault = Fault {
                at_ms: 5,
                what: what.clone(),
            };
            let mut steps = 0;
            // Always the last proposal: the least step.
            while let Some(next) = propose(&fault).pop() {
                assert_ne!(next, fault);
                fault = next;
                steps += 1;
                assert!(steps < 1_000, "{fault:?}");
            }
        }
    }
}
