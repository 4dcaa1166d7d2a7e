use super::*;
use crate::problem::{DIMENSIONS, Problem};
use crate::random::SplitMix;
use crate::robust::Rule;

const STEP: f64 = 0.1;
const STEPS: u32 = 20;

#[test]
fn a_round_by_hand() {
    // c = 0.5; c₁ = 0. Two steps of 0.25 led from w = 1 to y = 3: c₁⁺ = 0 − 0.5 − 2/0.5 = −4.5.
    let server = [0.5];
    assert_eq!(correction(&[0.0], &server).unwrap(), [0.5]);
    let (joined, next) = answer(&[0.0], &server, &[2.0], 2.0 * 0.25).unwrap();
    assert_eq!((&joined[..], &next[..]), (&[2.0, -4.5][..], &[-4.5][..]));
    assert_eq!(correction(&next, &server).unwrap(), [5.0]);
    // One of three: w' = 1 + 2, c' = 0.5 − 4.5/3.
    let made = step(&[1.0, 0.5], &[2.0, -4.5], (1, 3), 1.0).unwrap();
    assert_eq!(made, [3.0, -1.0]);
    let halves: (&[f32], &[f32]) = (&[3.0], &[-1.0]);
    assert_eq!(split(&made), Some(halves));
    assert_eq!(join(halves.0, halves.1), Some(made));
}

#[test]
fn what_does_not_fit_is_refused() {
    let length = |expected, found| ScaffoldError::Length { expected, found };
    assert_eq!(correction(&[0.0; 2], &[0.0]), Err(length(1, 2)));
    assert_eq!(answer(&[0.0], &[0.0], &[], 1.0), Err(length(1, 0)));
    for taken in [0.0, -1.0, f64::INFINITY] {
        let refused = answer(&[0.0], &[0.0], &[0.0], taken);
        assert_eq!(refused, Err(ScaffoldError::Steps { taken }));
    }
    assert!(step(&[0.0; 3], &[0.0; 3], (1, 1), 1.0).is_err());
    let crowd = ScaffoldError::Participants {
        participants: 3,
        members: 2,
    };
    assert_eq!(step(&[0.0; 2], &[0.0; 2], (3, 2), 1.0), Err(crowd));
    assert_eq!(split(&[0.0; 3]), None);
    assert_eq!(join(&[0.0], &[]), None);
}

/// How steep the participants' common loss still is at `w`: 0 at its optimum.
fn steepness(problem: &Problem, w: &[f32]) -> f64 {
    let w: Vec<f64> = w.iter().map(|w| f64::from(*w)).collect();
    let gradients: Vec<_> = problem
        .participants
        .iter()
        .map(|p| p.gradient(&w))
        .collect();
    (0..w.len())
        .map(|at| gradients.iter().map(|g| g[at]).sum::<f64>() / gradients.len() as f64)
        .map(|mean| mean.powi(2))
        .sum::<f64>()
        .sqrt()
}

/// `asked` of all in each round, and whose variate is lost after which round.
fn train(
    problem: &Problem,
    asked: usize,
    rounds: usize,
    loss_at: Option<(usize, bool)>,
) -> Vec<f32> {
    let members = problem.participants.len();
    let mut random = SplitMix::new(1);
    let mut variates = vec![vec![0.0; DIMENSIONS]; members];
    let mut joined = reset(&[0.0; DIMENSIONS]);
    for round in 0..rounds {
        let mut cohort: Vec<usize> = (0..members).collect();
        while cohort.len() > asked {
            cohort.remove(random.below(cohort.len()));
        }
        let (model, server) = split(&joined).unwrap();
        let answers: Vec<(Vec<f32>, Vec<f32>)> = cohort
            .iter()
            .map(|i| {
                let correction = correction(&variates[*i], server).unwrap();
                let mut y: Vec<f64> = model.iter().map(|w| f64::from(*w)).collect();
                for _ in 0..STEPS {
                    let gradient = problem.participants[*i].gradient(&y);
                    for ((y, g), c) in y.iter_mut().zip(gradient).zip(&correction) {
                        *y -= STEP * (g + f64::from(*c));
                    }
                }
                let delta: Vec<f32> = y
                    .iter()
                    .zip(model)
                    .map(|(y, w)| (y - f64::from(*w)) as f32)
                    .collect();
                answer(&variates[*i], server, &delta, f64::from(STEPS) * STEP).unwrap()
            })
            .collect();
        let deltas: Vec<&[f32]> = answers.iter().map(|(delta, _)| delta.as_slice()).collect();
        let mean = Rule::Mean.combine(0, &deltas).unwrap();
        joined = step(&joined, &mean, (asked, members), 1.0).unwrap();
        for (i, (_, next)) in cohort.iter().zip(answers) {
            variates[*i] = next;
        }
        if let Some((at, healed)) = loss_at
            && at == round
        {
            variates[0].fill(0.0);
            if healed {
                joined = reset(split(&joined).unwrap().0);
                variates.iter_mut().for_each(|own| own.fill(0.0));
            }
        }
    }
    split(&joined).unwrap().0.to_vec()
}

fn fedavg(problem: &Problem, rounds: usize) -> Vec<f32> {
    let mut model = vec![0.0_f32; DIMENSIONS];
    for _ in 0..rounds {
        let updates: Vec<_> = problem
            .participants
            .iter()
            .map(|p| p.train(&model, STEPS as usize))
            .collect();
        let updates: Vec<&[f32]> = updates.iter().map(Vec::as_slice).collect();
        for (w, d) in model
            .iter_mut()
            .zip(Rule::Mean.combine(0, &updates).unwrap())
        {
            *w += d as f32;
        }
    }
    model
}

/// Participants whose own optima differ by as much as there is to learn: after many local steps FedAvg's
/// fixed point is not the common optimum; SCAFFOLD's is, also with half of them at a time.
#[test]
fn drift_is_taken_back() {
    let problem = Problem::new(8, 1.0, 2);
    let drifted = steepness(&problem, &fedavg(&problem, 300));
    let all = steepness(&problem, &train(&problem, 8, 300, None));
    let half = steepness(&problem, &train(&problem, 4, 600, None));
    assert!(drifted > 0.05, "{drifted}");
    assert!(all < 1e-4, "{all}");
    assert!(half < 1e-4, "{half}");
}

#[test]
fn a_lost_variate_biases_until_all_start_anew() {
    let problem = Problem::new(8, 1.0, 2);
    let biased = steepness(&problem, &train(&problem, 8, 300, Some((100, false))));
    let healed = steepness(&problem, &train(&problem, 8, 300, Some((100, true))));
    assert!(biased > 0.05, "{biased}");
    assert!(healed < 1e-4, "{healed}");
}
