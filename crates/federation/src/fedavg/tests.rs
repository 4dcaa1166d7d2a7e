use super::*;
use proptest::prelude::*;

const PLAIN: ServerOptimizer = rate(1.0);

const fn rate(learning_rate: f64) -> ServerOptimizer {
    ServerOptimizer::FedAvg {
        learning_rate,
        momentum: 0.0,
    }
}

fn aggregate(
    optimizer: ServerOptimizer,
    base: &[f32],
    parts: &[Contribution<'_>],
) -> Result<Aggregate, AggregateError> {
    let mean = combine((Rule::Mean, 0), base.len(), parts)?;
    Ok(step(optimizer, base, &mean, None)?.0)
}

fn part(delta: &[f32], examples: u64, loss: f64) -> Contribution<'_> {
    Contribution {
        delta,
        examples,
        loss,
    }
}

#[test]
fn weights_are_the_numbers_of_examples() {
    let made = aggregate(
        PLAIN,
        &[1.0, 2.0],
        &[part(&[4.0, 0.0], 1, 8.0), part(&[0.0, -8.0], 3, 4.0)],
    )
    .unwrap();
    assert_eq!(
        made,
        Aggregate {
            parameters: vec![2.0, -4.0],
            examples: 4,
            loss: 5.0
        }
    );
}

/// Wherever in the model: it is added up in pieces.
#[test]
fn the_mean_is_taken_parameter_by_parameter() {
    for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 7] {
        let delta = |shift: usize| -> Vec<f32> {
            let number = |at: usize| ((at + shift) % 97) as f32 / 7.0;
            (0..length).map(number).collect()
        };
        let deltas = [delta(0), delta(31), delta(55)];
        let weights = [3_u64, 5, 9];
        let parts: Vec<_> = deltas
            .iter()
            .zip(weights)
            .map(|(d, n)| part(d, n, 0.0))
            .collect();
        let mean = combine((Rule::Mean, 0), length, &parts).unwrap();
        let expected: Vec<f64> = (0..length)
            .map(|at| {
                let terms = parts
                    .iter()
                    .map(|p| p.examples as f64 / 17.0 * f64::from(p.delta[at]));
                terms.fold(0.0, |sum, term| sum + term)
            })
            .collect();
        assert_eq!(mean.delta, expected, "{length} parameters");
    }
}

#[test]
fn the_learning_rate_scales_the_step() {
    let made = aggregate(rate(0.5), &[1.0], &[part(&[4.0], 2, 0.0)]).unwrap();
    assert_eq!(made.parameters, [3.0]);
}

#[test]
fn a_robust_rule_does_not_look_at_weights() {
    let liar = part(&[100.0], 1 << 36, 0.0);
    let parts = [part(&[1.0], 1, 0.0), liar, part(&[2.0], 1, 0.0)];
    let made = combine((Rule::Median, 1), 1, &parts).unwrap();
    assert_eq!(made.delta, [2.0]);
    let few = combine((Rule::Median, 2), 1, &parts).unwrap_err();
    assert!(matches!(
        few,
        AggregateError::Rule(RobustError::TooFew { needed: 5, .. })
    ));
}

#[test]
fn what_has_no_mean_is_refused() {
    let check = |base: &[f32], parts: &[Contribution<'_>], expected| {
        assert_eq!(aggregate(PLAIN, base, parts), Err(expected));
    };
    check(&[0.0], &[], AggregateError::NoExamples);
    check(&[0.0], &[part(&[1.0], 0, 0.0)], AggregateError::NoExamples);
    check(
        &[0.0],
        &[part(&[1.0, 2.0], 1, 0.0)],
        AggregateError::Length {
            expected: 1,
            found: 2,
        },
    );
    check(
        &[0.0],
        &[part(&[1.0], u64::MAX, 0.0), part(&[1.0], 1, 0.0)],
        AggregateError::TooManyExamples,
    );
    check(
        &[0.0, f32::MAX],
        &[part(&[0.0, f32::MAX], 1, 0.0)],
        AggregateError::NotFinite { index: 1 },
    );
}

proptest! {
    /// Equal updates have themselves as mean, whatever the weights; and the mean lies between.
    #[test]
    fn the_mean_is_a_mean(
        deltas in proptest::collection::vec((-10.0_f32..10.0, 1_u64..1_000), 1..8),
        base in -10.0_f32..10.0,
    ) {
        let values: Vec<_> = deltas.iter().map(|(delta, _)| [*delta]).collect();
        let parts: Vec<_> = values.iter().zip(&deltas).map(|(v, (_, n))| part(v, *n, 1.0)).collect();
        let made = aggregate(PLAIN, &[base], &parts).unwrap();
        let low = deltas.iter().map(|(d, _)| *d).fold(f32::INFINITY, f32::min);
        let high = deltas.iter().map(|(d, _)| *d).fold(f32::NEG_INFINITY, f32::max);
        prop_assert!(made.parameters[0] >= base + low - 1e-4 && made.parameters[0] <= base + high + 1e-4);
        prop_assert_eq!(made.examples, deltas.iter().map(|(_, n)| n).sum::<u64>());
        let same: Vec<_> = deltas.iter().map(|(_, n)| part(&[2.5], *n, 1.0)).collect();
        prop_assert!((aggregate(PLAIN, &[base], &same).unwrap().parameters[0] - (base + 2.5)).abs() < 1e-4);
    }
}
