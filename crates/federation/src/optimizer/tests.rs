use super::*;
use crate::problem::{DIMENSIONS, Problem};
use proptest::prelude::*;

fn settings() -> Adaptive {
    Adaptive {
        learning_rate: 0.1,
        beta1: 0.9,
        beta2: 0.99,
        tau: 0.001,
    }
}

/// Two steps from w = 1 with Δ = 0.5 and Δ = −0.2.
fn check(optimizer: ServerOptimizer, expected: [f64; 2]) {
    let (first, moments) = optimizer.step(&[1.0], &[0.5], None);
    let (second, _) = optimizer.step(&first, &[-0.2], Some(&moments));
    for (made, expected) in [first[0], second[0]].iter().zip(expected) {
        assert!(
            (f64::from(*made) - expected).abs() < 1e-6,
            "{optimizer:?}: {made} instead of {expected}"
        );
    }
}

#[test]
fn steps_by_hand() {
    let fedavg = |learning_rate, momentum| ServerOptimizer::FedAvg {
        learning_rate,
        momentum,
    };
    check(fedavg(1.0, 0.0), [1.5, 1.3]);
    check(fedavg(0.5, 0.0), [1.25, 1.15]);
    // m: 0.5; 0.45 − 0.2 = 0.25.
    check(fedavg(1.0, 0.9), [1.5, 1.75]);
    // m: 0.05; 0.045 − 0.02 = 0.025.
    // v: 1e-6 + 0.25; + 0.04 = 0.290001.
    //    √0.250001 + 0.001 = 0.501001; √0.290001 + 0.001 = 0.539517.
    check(
        ServerOptimizer::FedAdagrad(settings()),
        [
            1.0 + 0.005 / 0.501_001,
            1.0 + 0.005 / 0.501_001 + 0.0025 / 0.539_517,
        ],
    );
    // v: 0.99e-6 + 0.0025 = 0.00250099; 0.99 of it + 0.0004 = 0.00287598.
    //    √ + 0.001 = 0.0510099; 0.0546281.
    check(
        ServerOptimizer::FedAdam(settings()),
        [
            1.0 + 0.005 / 0.051_009_9,
            1.0 + 0.005 / 0.051_009_9 + 0.0025 / 0.054_628_1,
        ],
    );
    // v: 1e-6 < 0.25, so + 0.0025 = 0.002501; < 0.04, so + 0.0004 = 0.002901.
    //    √ + 0.001 = 0.05101; 0.0548609.
    check(
        ServerOptimizer::FedYogi(settings()),
        [
            1.0 + 0.005 / 0.051_01,
            1.0 + 0.005 / 0.051_01 + 0.0025 / 0.054_860_9,
        ],
    );
}

/// Where Yogi and Adam part (Zaheer et al., NeurIPS 2018): after one large difference v shrinks by a
/// factor in the one and by a small amount in the other.
#[test]
fn yogi_forgets_slowly() {
    let after = |optimizer: ServerOptimizer| {
        let (_, moments) = optimizer.step(&[0.0], &[10.0], None);
        let (_, moments) = optimizer.step(&[0.0], &[0.1], Some(&moments));
        f64::from(moments.second[0])
    };
    let adam = after(ServerOptimizer::FedAdam(settings()));
    let yogi = after(ServerOptimizer::FedYogi(settings()));
    assert!(
        (adam - (0.99 * 1.000_000_99 + 0.0001)).abs() < 1e-6,
        "{adam}"
    );
    assert!((yogi - (1.000_001 - 0.0001)).abs() < 1e-6, "{yogi}");
}

fn all() -> [(ServerOptimizer, f64); 5] {
    let adaptive = Adaptive {
        learning_rate: 0.05,
        ..Adaptive::default()
    };
    let fedavg = |learning_rate, momentum| ServerOptimizer::FedAvg {
        learning_rate,
        momentum,
    };
    // With the excess loss to be reached. Adagrad's steps shrink for good, and the adaptive ones end in a
    // circle of η around the optimum.
    [
        (fedavg(1.0, 0.0), 0.02),
        (fedavg(0.2, 0.8), 0.02),
        (
            ServerOptimizer::FedAdagrad(Adaptive {
                learning_rate: 0.5,
                beta1: 0.0,
                ..adaptive
            }),
            0.02,
        ),
        (ServerOptimizer::FedYogi(adaptive), 0.02),
        (ServerOptimizer::FedAdam(adaptive), 0.02),
    ]
}

fn mean(updates: &[Vec<f32>]) -> Vec<f64> {
    let updates: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
    crate::robust::Rule::Mean.combine(0, &updates).unwrap()
}

#[test]
fn every_optimiser_finds_the_optimum_even_through_changes_of_the_leader() {
    let problem = Problem::new(8, 0.1, 3);
    for (optimizer, goal) in all() {
        for takeover_every in [usize::MAX, 25] {
            let mut model = vec![0.0_f32; DIMENSIONS];
            let mut moments: Option<Moments> = None;
            for round in 1..=200 {
                let updates: Vec<_> = problem
                    .participants
                    .iter()
                    .map(|participant| participant.train(&model, 3))
                    .collect();
                let (next, kept) = optimizer.step(&model, &mean(&updates), moments.as_ref());
                model = next;
                moments = (round % takeover_every != 0).then_some(kept);
            }
            let excess = problem.excess(&model);
            assert!(
                excess < goal,
                "{optimizer:?}, a new leader every {takeover_every}: {excess}"
            );
        }
    }
}

#[test]
fn settings_are_checked() {
    let check = |adaptive: Adaptive, setting| {
        let refused = ServerOptimizer::FedAdam(adaptive).check().unwrap_err();
        assert_eq!(refused.setting, setting);
    };
    let fine = Adaptive::default();
    assert_eq!(ServerOptimizer::FedYogi(fine).check(), Ok(()));
    check(
        Adaptive {
            learning_rate: 0.0,
            ..fine
        },
        "learning_rate",
    );
    check(Adaptive { beta1: 1.0, ..fine }, "beta1");
    check(
        Adaptive {
            beta2: -0.1,
            ..fine
        },
        "beta2",
    );
    check(
        Adaptive {
            tau: f64::NAN,
            ..fine
        },
        "tau",
    );
    let momentum = ServerOptimizer::FedAvg {
        learning_rate: 1.0,
        momentum: 1.0,
    };
    assert_eq!(
        momentum.check().unwrap_err().to_string(),
        "momentum of the server's optimiser is 1; it must be at least 0 and below 1"
    );
}

proptest! {
    /// The bound that lets a new leader start without moments.
    #[test]
    fn the_first_step_is_bounded_whatever_the_round_says(delta in -1e6_f64..1e6) {
        let settings = settings();
        for optimizer in [ServerOptimizer::FedAdam(settings), ServerOptimizer::FedYogi(settings)] {
            let (made, _) = optimizer.step(&[0.0], &[delta], None);
            let bound = settings.learning_rate * (1.0 - settings.beta1) / (1.0 - settings.beta2).sqrt();
            prop_assert!(f64::from(made[0]).abs() <= bound * 1.000_001);
        }
    }

    /// Moments of another model are not used.
    #[test]
    fn moments_of_another_length_count_as_none(delta in -1.0_f64..1.0) {
        let optimizer = ServerOptimizer::FedAdam(settings());
        let (_, of_two) = optimizer.step(&[0.0, 0.0], &[1.0, 1.0], None);
        prop_assert_eq!(optimizer.step(&[0.0], &[delta], Some(&of_two)), optimizer.step(&[0.0], &[delta], None));
    }
}
