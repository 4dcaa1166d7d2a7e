//! Neighbourhoods instead of a complete graph.

use super::cohort::{Cohort, Last};

fn with_drop_outs(n: usize, every: usize) {
    let mut last = vec![Last::Everything; n];
    let steps = [Last::Keys, Last::Shares, Last::Consent];
    for (at, place) in (0..n).step_by(every).enumerate() {
        last[place] = steps[at % steps.len()];
    }
    let mut cohort = Cohort::new(n, 4);
    let sum = cohort.run(&last).unwrap();
    cohort.check(&sum, |n| {
        matches!(last[n], Last::Update | Last::Consent | Last::Everything)
    });
}

#[test]
fn a_cohort_of_150_in_neighbourhoods() {
    with_drop_outs(150, 40);
}

/// Some seconds of X25519, shares and signature checks on two cores, for all thousand of them.
#[test]
fn a_cohort_of_a_thousand_in_neighbourhoods() {
    with_drop_outs(1000, 50);
}
