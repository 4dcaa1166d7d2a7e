//! Honest rounds: the sum is the plain sum, whoever drops out wherever.

use super::cohort::{Cohort, Last, context_of, join, name};
use crate::secagg::{ContextError, EncodeError, Fault, Refusal, Shortfall, SumError, Value};
use proptest::prelude::*;
use wire::Round;
use wire::secure::{Secret, SecureStep};

#[test]
fn the_sum_is_the_plain_sum() {
    for n in [3, 4, 8, 32, 100] {
        let mut cohort = Cohort::new(n, 20);
        let sum = cohort.run(&vec![Last::Everything; n]).unwrap();
        cohort.check(&sum, |_| true);
        assert_eq!(cohort.server.survivors().len(), n);
    }
}

const EARLY: [Last; 5] = [
    Last::Nothing,
    Last::Keys,
    Last::Shares,
    Last::Update,
    Last::Consent,
];

fn counts(last: Last) -> bool {
    match last {
        Last::Nothing | Last::Keys | Last::Shares => false,
        Last::Update | Last::Consent | Last::Everything => true,
    }
}

#[test]
fn two_of_eight_may_drop_out_at_any_step_and_a_third_may_not() {
    for at in EARLY {
        let mut last = vec![Last::Everything; 8];
        (last[2], last[5]) = (at, at);
        let mut cohort = Cohort::new(8, 5);
        let sum = cohort.run(&last).unwrap();
        cohort.check(&sum, |n| counts(last[n]));
    }
    let mut cohort = Cohort::new(8, 5);
    cohort.advertise(|n| n > 2);
    let shortfall = Shortfall::TooFew {
        step: "advertising keys",
        found: 5,
        needed: 6,
    };
    assert_eq!(cohort.server.advance().unwrap_err(), shortfall);
    assert_eq!(cohort.server.missing().silent, [name(0), name(1), name(2)]);
    // Who comes late is welcome as long as the step lasts.
    cohort.advertise(|n| n == 2);
    assert_eq!(cohort.server.missing().shortfall, None);
}

#[test]
fn a_round_below_the_threshold_in_its_last_step_gives_no_sum() {
    let mut last = vec![Last::Everything; 8];
    last[..3].fill(Last::Consent);
    let error = Cohort::new(8, 5).run(&last).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("5 took part in revealing shares, 6 are needed"),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_drop_outs_up_to_the_threshold(
        n in 3_usize..24,
        parameters in 0_usize..70,
        draws in proptest::collection::vec((0_usize..1000, 0_usize..5), 8),
    ) {
        let mut cohort = Cohort::new(n, parameters);
        let mut last = vec![Last::Everything; n];
        let may = n - cohort.context.parameters().threshold;
        for (who, at) in draws.into_iter().take(may) {
            last[who % n] = EARLY[at];
        }
        let sum = cohort.run(&last).unwrap();
        cohort.check(&sum, |n| counts(last[n]));
    }
}

#[test]
fn messages_again_get_the_same_answers() {
    let mut cohort = Cohort::new(4, 3);
    cohort.advertise(|_| true);
    cohort.advertise(|_| true);
    for step in 0..2 {
        for (to, message) in cohort.server.advance().unwrap() {
            let n = cohort.number(&to);
            let first = cohort.clients[n].hear(message.clone()).unwrap();
            assert_eq!(cohort.clients[n].hear(message).unwrap(), first, "{step}");
            if let Some(answer) = first {
                cohort.server.hear(&to, answer.clone()).unwrap();
                cohort.server.hear(&to, answer).unwrap();
            }
        }
    }
    cohort.mask(|n| n != 1);
    let again = cohort.server.ask_again();
    assert_eq!(again.len(), 1);
    let (to, message) = &again[0];
    assert_eq!(
        (to, &message.step),
        (&name(1), &cohort.server.ask_again()[0].1.step)
    );
    assert!(matches!(message.step, SecureStep::Inbox(_)));
    cohort.mask(|_| true);
    // Another update under the same masks would show the difference of the two.
    let first = cohort.clients[0].mask(&cohort.updates[0].value()).unwrap();
    let other = cohort.clients[0].mask(&cohort.updates[1].value()).unwrap();
    assert_eq!(first, other);
    cohort.exchange(|_| true);
    for (to, message) in cohort.server.advance().unwrap() {
        let n = cohort.number(&to);
        let answer = cohort.clients[n].hear(message.clone()).unwrap();
        assert_eq!(cohort.clients[n].hear(message).unwrap(), answer);
        cohort.server.hear(&to, answer.clone().unwrap()).unwrap();
        cohort.server.hear(&to, answer.unwrap()).unwrap();
    }
    let sum = cohort.server.sum(None).unwrap();
    cohort.check(&sum, |_| true);
}

#[test]
fn two_equal_updates_look_unlike_each_other_and_unlike_themselves_in_the_next_round() {
    let masked = |round: u64, n: usize| {
        let value = Value {
            delta: &[0.0; 8],
            examples: 1,
            loss: 0.0,
        };
        let mut cohort = Cohort::in_context(context_of(round, b"model", 3, 8), 3, 8);
        cohort.advertise(|_| true);
        cohort.exchange(|_| true);
        cohort.exchange(|_| true);
        let message = cohort.clients[n].mask(&value).unwrap();
        match message.step {
            SecureStep::Masked(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    };
    let all = [masked(1, 0), masked(1, 1), masked(2, 0)];
    for (a, left) in all.iter().enumerate() {
        for right in &all[..a] {
            let equal = left.chunks(8).zip(right.chunks(8)).filter(|(l, r)| l == r);
            assert_eq!(equal.count(), 0);
        }
    }
}

#[test]
fn only_what_fits_is_masked() {
    let mut cohort = Cohort::new(3, 2);
    let value = |delta, examples, loss| Value {
        delta,
        examples,
        loss,
    };
    let early = cohort.clients[0]
        .mask(&value(&[0.0; 2], 1, 0.0))
        .unwrap_err();
    assert!(matches!(early, Refusal::OutOfTurn { .. }), "{early}");
    cohort.advertise(|_| true);
    cohort.exchange(|_| true);
    cohort.exchange(|_| true);
    let client = &mut cohort.clients[0];
    for (value, expected) in [
        (
            value(&[0.0; 3][..], 1, 0.0),
            EncodeError::Length {
                expected: 2,
                found: 3,
            },
        ),
        (value(&[0.0; 2], 0, 0.0), EncodeError::NoExamples),
        (value(&[0.0; 2], 1, f64::NAN), EncodeError::Loss),
        (
            value(&[0.0, -129.0], 1, 0.0),
            EncodeError::Range {
                index: 1,
                value: -129.0,
            },
        ),
    ] {
        assert_eq!(client.mask(&value).unwrap_err(), Refusal::Encode(expected));
    }
    // The largest there is room for, from all.
    for (n, client) in cohort.clients.iter_mut().enumerate() {
        let largest = value(&[128.0, -128.0], u64::MAX, 1e9);
        let message = client.mask(&largest).unwrap();
        cohort.server.hear(&name(n), message).unwrap();
    }
    cohort.exchange(|_| true);
    cohort.exchange(|_| true);
    let sum = cohort.server.sum(None).unwrap();
    assert_eq!(sum.delta, [128.0, -128.0]);
    assert_eq!((sum.examples, sum.loss), (3 << 20, 8192.0));
}

#[test]
fn cohorts_have_a_smallest_and_a_largest_size() {
    let of = |n| {
        let members = super::cohort::members(n);
        let digest = wire::Digest::of(b"");
        crate::secagg::Context::new("c", Round(1), digest, digest, 1, members)
    };
    for found in [0, 1, 2, 1001] {
        assert_eq!(of(found).unwrap_err(), ContextError::Cohort { found });
    }
    assert!(of(3).is_ok() && of(1000).is_ok());
    let digest = wire::Digest::of(b"");
    let members = super::cohort::members(3);
    let found = 2_000_001;
    let large = crate::secagg::Context::new("c", Round(1), digest, digest, found, members);
    assert_eq!(large.unwrap_err(), ContextError::Parameters { found });
    let mut twice = super::cohort::members(3);
    twice.push(twice[1].clone());
    let digest = wire::Digest::of(b"");
    let error = crate::secagg::Context::new("c", Round(1), digest, digest, 1, twice).unwrap_err();
    assert_eq!(error, ContextError::Twice { node: name(1) });
}

#[test]
fn what_a_drop_out_reveals_is_worth_nothing_in_the_next_round() {
    let revealed_key = |round: u64| {
        let mut cohort = Cohort::in_context(context_of(round, b"model", 4, 2), 4, 2);
        cohort.advertise(|_| true);
        cohort.exchange(|_| true);
        cohort.exchange(|_| true);
        cohort.mask(|n| n != 3);
        cohort.exchange(|n| n != 3);
        let mut shares = Vec::new();
        for (to, message) in cohort.server.advance().unwrap() {
            let n = cohort.number(&to);
            let answer = cohort.clients[n].hear(message).unwrap().unwrap();
            let SecureStep::Reveal(revealed) = answer.step else {
                panic!("{answer:?}")
            };
            shares.extend(revealed.into_iter().filter(|share| share.owner == 3));
        }
        assert_eq!(shares.len(), 3);
        assert!(shares.iter().all(|share| share.secret == Secret::Key));
        shares
    };
    let (first, second) = (revealed_key(1), revealed_key(2));
    // Played into the next round they are found to be no shares of it.
    let mut next = Cohort::in_context(context_of(2, b"model", 4, 2), 4, 2);
    next.advertise(|_| true);
    next.exchange(|_| true);
    next.exchange(|_| true);
    next.mask(|n| n != 3);
    next.exchange(|n| n != 3);
    for (to, message) in next.server.advance().unwrap() {
        let n = next.number(&to);
        let mut answer = next.clients[n].hear(message).unwrap().unwrap();
        let SecureStep::Reveal(revealed) = &mut answer.step else {
            panic!("{answer:?}")
        };
        let at = revealed.iter().position(|share| share.owner == 3).unwrap();
        assert_eq!(revealed[at], second[n]);
        revealed[at] = first[n].clone();
        let fault = next.server.hear(&to, answer).unwrap_err();
        assert_eq!(
            fault,
            Fault::WrongShare {
                node: to,
                owner: name(3)
            }
        );
    }
    assert!(matches!(next.server.sum(None), Err(SumError::Shortfall(_))));
}

#[test]
fn who_has_left_a_round_says_nothing_more() {
    let mut client = join(&context_of(1, b"model", 3, 1), 0);
    client.leave("the round was abandoned".to_owned());
    let reason = "the round was abandoned".to_owned();
    assert_eq!(client.advertise().unwrap_err(), Refusal::Left { reason });
    assert!(!client.ready());
}
