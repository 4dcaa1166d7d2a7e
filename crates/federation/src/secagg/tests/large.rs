//! Neighbourhoods instead of a complete graph, and large updates.

use super::cohort::{Cohort, Last, Update};

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

/// The mean of those who stay, from the sum of their updates in fixed point without any masks: what comes off under all
/// masks is that to the last bit.
fn is_the_plain_sum(n: usize, parameters: usize, last: &[Last]) {
    let mut cohort = Cohort::without_updates(n, parameters);
    let found = cohort.run_made(last, parameters).unwrap();
    let scale = f64::from(1 << 26);
    let (mut sums, mut examples) = (vec![0_i64; parameters], 0_u64);
    for n in (0..n).filter(|n| matches!(last[*n], Last::Update | Last::Everything)) {
        let update = Update::of(n, parameters);
        let weight = update.examples as f64 * scale;
        for (sum, delta) in sums.iter_mut().zip(&update.delta) {
            *sum += (f64::from(*delta) * weight).round_ties_even() as i64;
        }
        examples += update.examples;
    }
    assert_eq!((found.examples, found.delta.len()), (examples, parameters));
    for (at, (sum, found)) in sums.iter().zip(&found.delta).enumerate() {
        let expected = *sum as f64 / examples as f64 / scale;
        assert_eq!(found.to_bits(), expected.to_bits(), "parameter {at}");
    }
}

/// Silent with shares dealt is where it costs the aggregator most: every mask with the others has to come off.
#[test]
fn a_million_parameters_of_thirty_two_participants_three_of_whom_drop_out() {
    let mut last = vec![Last::Everything; 32];
    (last[0], last[13], last[31]) = (Last::Shares, Last::Update, Last::Keys);
    is_the_plain_sum(32, 1_000_000, &last);
}

/// A quarter of a million, since a million takes a hundred participants in one process half a minute; `bench rounds --scale`
/// has it.
#[test]
fn a_quarter_of_a_million_parameters_of_a_hundred_participants_ten_of_whom_drop_out() {
    let mut last = vec![Last::Everything; 100];
    let steps = [Last::Nothing, Last::Keys, Last::Shares, Last::Update];
    for (at, place) in (4..100).step_by(10).enumerate() {
        last[place] = steps[at % steps.len()];
    }
    is_the_plain_sum(100, 250_000, &last);
}
