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

/// Some twenty seconds of processor time for X25519, shares and signature checks, on two threads.
#[test]
fn a_cohort_of_a_thousand_in_neighbourhoods() {
    with_drop_outs(1000, 50);
}

#[test]
fn a_million_parameters_of_eight_participants_two_of_whom_drop_out() {
    let mut last = vec![Last::Everything; 8];
    (last[1], last[6]) = (Last::Shares, Last::Shares);
    let mut cohort = Cohort::new(8, 1_000_000);
    let sum = cohort.run(&last).unwrap();
    cohort.check(&sum, |n| last[n] == Last::Everything);
}
