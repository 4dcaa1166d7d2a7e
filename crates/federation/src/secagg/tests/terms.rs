//! What participants do to their updates before they mask them.

use super::cohort::{Cohort, Last, context_of, join, members, name};
use crate::privacy::Mechanism;
use crate::privacy::noise::Noise;
use crate::secagg::params::{LARGEST, Parameters};
use crate::secagg::{
    Charge, Context, ContextError, Fault, MIN_COHORT, NoiseBy, Refusal, SecureRound, SumError,
    Terms, Treatment,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use wire::secure::SecureStep;
use wire::{Digest, NodeId, Round};

const BOUND: f64 = 2.0;
const Z: f64 = 1.5;

fn private(noise: NoiseBy) -> Treatment {
    Treatment::Private {
        mechanism: Mechanism::new(BOUND, Z).unwrap(),
        noise,
    }
}

fn under(treatment: Treatment, n: usize, parameters: usize) -> Arc<Context> {
    let context = context_of(1, b"model", n, parameters);
    Arc::new((*context).clone().under(treatment, (0, 1)).unwrap())
}

fn charge(participants: Vec<NodeId>) -> Charge {
    Charge {
        participants,
        noise_milli: 1_500,
        bound: BOUND,
        overdraws: None,
    }
}

/// Up to the sum; the ledger has the cost of those who survive as soon as they are known.
fn run(cohort: &mut Cohort, last: &[Last]) {
    let beyond = |n: usize, steps: &[Last]| !steps.contains(&last[n]);
    let silent = [Last::Nothing, Last::Keys, Last::Shares];
    cohort.advertise(|_| true);
    cohort.exchange(|_| true);
    cohort.exchange(|n| beyond(n, &silent));
    cohort.mask(|n| beyond(n, &silent));
    cohort.exchange(|n| beyond(n, &silent));
    let charge = charge(cohort.server.survivors());
    for n in 0..last.len() {
        assert_eq!(cohort.clients[n].charged(&charge), Ok(None));
    }
    cohort.exchange(|n| beyond(n, &silent));
}

fn deviation(values: &[f64]) -> f64 {
    (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt()
}

/// Five, of whom one drops out and one may be corrupt: the parts of any three make up the whole, so that of four
/// there is a third more than that.
#[test]
fn noise_suffices_when_as_many_drop_out_as_may_and_the_corrupt_take_theirs_off() {
    const LENGTH: usize = 20_000;
    let mut cohort =
        Cohort::in_context(under(private(NoiseBy::Participants), 5, LENGTH), 5, LENGTH);
    for update in &mut cohort.updates {
        update.delta.fill(0.0);
    }
    let mut last = [Last::Everything; 5];
    last[2] = Last::Shares;
    run(&mut cohort, &last);
    let mean = cohort.server.sum(None).unwrap();
    assert_eq!((mean.examples, mean.loss), (4, 0.0));
    let whole = Z * BOUND / 4.0;
    let expected = whole * (4.0_f64 / 3.0).sqrt();
    let found = deviation(&mean.delta);
    // One per cent is two deviations of the estimate.
    assert!(
        (found / expected - 1.0).abs() < 0.02,
        "{found} for {expected}"
    );
    // Without the part of one who knows it, what is left is the whole.
    let left = (found.powi(2) - whole.powi(2) / 3.0).sqrt();
    assert!((left / whole - 1.0).abs() < 0.03, "{left} for {whole}");
}

#[test]
fn enough_are_honest_in_every_cohort() {
    for n in MIN_COHORT..=LARGEST {
        let parameters = Parameters::of(n).unwrap();
        let corrupt = parameters.quorum() - parameters.honest();
        assert!(3 * corrupt < n && 3 * (corrupt + 1) >= n, "{n}: {corrupt}");
        assert!(parameters.honest() >= 2, "{n}");
    }
}

#[test]
fn the_aggregators_noise_is_the_whole_and_there_is_no_sum_without_it() {
    const LENGTH: usize = 20_000;
    let context = under(private(NoiseBy::Aggregator), 4, LENGTH);
    let mut cohort = Cohort::in_context(context, 4, LENGTH);
    for update in &mut cohort.updates {
        update.delta.fill(0.0);
    }
    run(&mut cohort, &[Last::Everything; 4]);
    assert_eq!(cohort.server.sum(None), Err(SumError::NoNoise));
    let mean = cohort
        .server
        .sum(Some(&mut Noise::from_seed([4; 32])))
        .unwrap();
    let (found, expected) = (deviation(&mean.delta), Z * BOUND / 4.0);
    assert!(
        (found / expected - 1.0).abs() < 0.02,
        "{found} for {expected}"
    );
}

#[test]
fn clipped_updates_count_once_and_push_no_further_than_the_bound() {
    let context = under(Treatment::Clipped { bound: 1.0 }, 4, 2);
    let mut cohort = Cohort::in_context(context, 4, 2);
    for (n, update) in cohort.updates.iter_mut().enumerate() {
        update.delta = if n == 0 {
            vec![90.0, 0.0]
        } else {
            vec![0.0, 0.5]
        };
    }
    run(&mut cohort, &[Last::Everything; 4]);
    let mean = cohort.server.sum(None).unwrap();
    assert_eq!(mean.examples, 4);
    assert!((mean.delta[0] - 0.25).abs() < 1e-6 && (mean.delta[1] - 0.375).abs() < 1e-6);
}

/// Nothing is revealed that nobody has accounted for, nor on another's account.
#[test]
fn shares_wait_for_the_ledger() {
    let until_unmask = || {
        let mut cohort = Cohort::in_context(under(private(NoiseBy::Participants), 4, 3), 4, 3);
        cohort.until_masked();
        cohort.exchange(|_| true);
        let letters = super::cohort::letters(&mut cohort);
        (cohort, letters)
    };
    let (mut cohort, mut letters) = until_unmask();
    let (to, request) = letters.remove(0);
    assert_eq!(cohort.clients[to].hear(request), Ok(None));
    let everybody: Vec<_> = (0..4).map(name).collect();
    let answer = cohort.clients[to]
        .charged(&charge(everybody.clone()))
        .unwrap()
        .unwrap();
    assert!(matches!(answer.step, SecureStep::Reveal(_)));

    let (mut cohort, mut letters) = until_unmask();
    let (to, request) = letters.remove(0);
    assert_eq!(
        cohort.clients[to].charged(&charge(everybody[1..].to_vec())),
        Ok(None)
    );
    let refusal = cohort.clients[to].hear(request).unwrap_err();
    let expected = Refusal::OthersCharged {
        charged: 3,
        survivors: 4,
    };
    assert_eq!(refusal, expected);
    assert!(refusal.is_accusation());
    // It knows no secret any more.
    assert!(matches!(
        cohort.clients[to].advertise(),
        Err(Refusal::Left { .. })
    ));
}

#[test]
fn a_charge_for_less_than_the_sum_tells_is_found() {
    let mut cohort = Cohort::in_context(under(private(NoiseBy::Participants), 3, 2), 3, 2);
    for (noise_milli, bound) in [(3_000, BOUND), (1_500, BOUND / 2.0), (0, BOUND)] {
        let wrong = Charge {
            noise_milli,
            bound,
            ..charge((0..3).map(name).collect())
        };
        let refusal = join(&cohort.context, 1).charged(&wrong).unwrap_err();
        assert_eq!(refusal, Refusal::WrongCost { noise_milli, bound });
    }
    assert_eq!(cohort.clients[1].charged(&charge(Vec::new())), Ok(None));
}

/// Somebody has come to the tenant after the round was opened, and now its account does not bear all of them.
#[test]
fn a_charge_that_goes_over_the_budget_uncovers_nothing() {
    let everybody = || (0..4).map(name).collect();
    let mut cohort = Cohort::in_context(under(private(NoiseBy::Participants), 4, 3), 4, 3);
    cohort.until_masked();
    cohort.exchange(|_| true);
    let (to, request) = super::cohort::letters(&mut cohort).remove(0);
    assert_eq!(cohort.clients[to].hear(request.clone()), Ok(None));
    let why = "the round takes tenant x over its privacy budget".to_owned();
    let over = Charge {
        overdraws: Some(why.clone()),
        ..charge(everybody())
    };
    let refusal = cohort.clients[to].charged(&over).unwrap_err();
    assert_eq!(refusal, Refusal::Overdrawn { why });
    assert!(refusal.is_accusation());
    assert!(matches!(
        cohort.clients[to].hear(request),
        Err(Refusal::Left { .. })
    ));
}

#[test]
fn other_settings_are_another_round() {
    let treatments = [
        Treatment::Weighted,
        Treatment::Clipped { bound: 1.0 },
        Treatment::Clipped { bound: 2.0 },
        private(NoiseBy::Aggregator),
        private(NoiseBy::Participants),
    ];
    let contexts = treatments.map(|treatment| under(treatment, 3, 2));
    let digests: BTreeSet<_> = contexts.iter().map(|context| context.digest()).collect();
    assert_eq!(digests.len(), treatments.len());
    let mut cohort = Cohort::in_context(Arc::clone(&contexts[0]), 3, 2);
    let other = join(&contexts[4], 1).advertise().unwrap();
    let fault = cohort.server.hear(&name(1), other).unwrap_err();
    assert!(matches!(fault, Fault::OtherContext { .. }), "{fault}");
    assert!(fault.to_string().contains("other settings"), "{fault}");
}

fn round(n: usize, groups: usize, entry: &[u8]) -> Result<Vec<Context>, ContextError> {
    let round = SecureRound {
        cluster: "test".to_owned(),
        aggregator: name(0),
        entry: Digest::of(entry),
        members: members(n),
        missed: false,
        terms: Terms {
            groups,
            treatment: Treatment::Weighted,
        },
        objection: None,
    };
    round.contexts(Round(1), Digest::of(b"model"), 2)
}

#[test]
fn groups_are_of_three_or_more_and_others_in_every_round() {
    let groups = |entry: &[u8]| -> Vec<Vec<usize>> {
        let contexts = round(11, 3, entry).unwrap();
        let of = |context: &Context| {
            (0..11)
                .filter(|n| context.place(&name(*n)).is_some())
                .collect()
        };
        contexts.iter().map(of).collect()
    };
    let first = groups(b"one");
    let sizes: Vec<_> = first.iter().map(Vec::len).collect();
    assert_eq!(sizes, [3, 4, 4]);
    let mut all: Vec<_> = first.iter().flatten().copied().collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..11));
    assert_eq!(first, groups(b"one"));
    assert_ne!(first, groups(b"two"));
    assert!(matches!(
        round(8, 3, b"one"),
        Err(ContextError::Groups {
            found: 8,
            groups: 3
        })
    ));
    let one = round(11, 0, b"one").unwrap();
    assert_eq!(one.len(), 1);
}
