//! Plain gradient descent with corrected gradients: what SCAFFOLD asks of a learner.

use crate::support::{series, synthetic};
use learn::{Error, Model, Optimizer, Row, Shape, TrainConfig, Trained};

const STEP: f64 = 0.05;

fn small() -> Model {
    let shape = Shape {
        hidden: vec![3],
        ..Shape::default()
    };
    Model::initial(shape, 4).unwrap()
}

/// Every step sees all rows.
fn steps(count: u32) -> TrainConfig {
    TrainConfig {
        epochs: count,
        batch: learn::MAX_BATCH,
        optimizer: Optimizer::Sgd,
        learning_rate: STEP,
        masking: 0.0, // gradients by hand are those of whole rows
        ..TrainConfig::default()
    }
}

/// Of the mean squared error of all rows.
fn gradient(model: &Model, rows: &[Row]) -> Vec<f64> {
    let trained = model.train(&series(rows), steps(1)).unwrap();
    let steps = trained.delta.iter();
    steps.map(|delta| -f64::from(*delta) / STEP).collect()
}

#[test]
fn a_step_is_the_gradient_times_its_size() {
    let (model, rows) = (small(), synthetic(50, 1));
    let found = gradient(&model, &rows);
    let base = model.parameters();
    let loss = |at: usize, by: f32| {
        let mut parameters = base.clone();
        parameters[at] += by;
        let moved = Model::with_parameters(model.shape().clone(), &parameters).unwrap();
        moved.loss(&series(&rows)).unwrap()
    };
    // A weight and a bias of each layer.
    for at in [0, 85, 241, 245, 300, 370] {
        let slope = (loss(at, 1e-2) - loss(at, -1e-2)) / 2e-2;
        assert!(
            (slope - found[at]).abs() < 1e-4 + 0.02 * slope.abs(),
            "{at}: {} instead of {slope}",
            found[at]
        );
    }
}

#[test]
fn a_correction_is_added_to_every_gradient() {
    let (model, rows) = (small(), synthetic(50, 1));
    let count = model.parameters().len();
    let correction: Vec<f32> = (0..count).map(|at| (at as f32 * 0.7).sin()).collect();
    let corrected = |steps| -> Trained {
        let trained = model.train_corrected(&series(&rows), steps, &correction);
        trained.unwrap()
    };
    let check = |trained: &Trained, by_hand: &[f64]| {
        for (at, (found, expected)) in trained.delta.iter().zip(by_hand).enumerate() {
            let off = (f64::from(*found) - expected).abs();
            assert!(off < 1e-5, "{at}: {found} instead of {expected}");
        }
    };
    // y₁ = w − η·(g(w) + c), y₂ = y₁ − η·(g(y₁) + c).
    let step = |from: &Model| -> Vec<f64> {
        let pairs = gradient(from, &rows).into_iter().zip(&correction);
        pairs.map(|(g, c)| -STEP * (g + f64::from(*c))).collect()
    };
    let (first, one) = (step(&model), corrected(steps(1)));
    check(&one, &first);
    let second = step(&model.moved(&one).unwrap());
    let both: Vec<f64> = first.iter().zip(second).map(|(a, b)| a + b).collect();
    let two = corrected(steps(2));
    check(&two, &both);
    assert_eq!((one.steps, two.steps), (1, 2));
    assert_eq!(two.taken(&steps(2)), Some(2.0 * STEP));
    assert_eq!(two.taken(&TrainConfig::default()), None, "Adam");

    let nothing = vec![0.0; count];
    let free = model.train(&series(&rows), steps(5)).unwrap();
    let held = model.train_corrected(&series(&rows), steps(5), &nothing);
    assert_eq!(held.unwrap(), free);
}

#[test]
fn what_does_not_fit_is_refused() {
    let (model, rows) = (small(), series(&synthetic(20, 1)));
    let count = model.parameters().len();
    let refused = |config, correction: &[f32]| {
        let trained = model.train_corrected(&rows, config, correction);
        trained.unwrap_err()
    };
    assert_eq!(
        refused(steps(1), &[0.0]),
        Error::ParameterCount {
            expected: count,
            found: 1
        }
    );
    let adam = refused(TrainConfig::default(), &vec![0.0; count]).to_string();
    assert!(adam.contains("Sgd where gradients are corrected"), "{adam}");
}

/// Two participants whose devices behave unlike each other, and a network too small for both.
fn shards() -> [Vec<Row>; 2] {
    let one = synthetic(150, 1);
    let other = one.iter().map(|row| {
        let values: Vec<f32> = (0..24)
            .map(|slot| 0.5 + 1.5 * row.values[(slot * 7 + 3) % 24])
            .collect();
        Row::dense(&values)
    });
    let other = other.collect();
    [one, other]
}

/// How steep the common loss still is.
fn steepness(model: &Model, shards: &[Vec<Row>]) -> f64 {
    let gradients: Vec<_> = shards.iter().map(|rows| gradient(model, rows)).collect();
    let mean = (0..gradients[0].len())
        .map(|at| gradients.iter().map(|g| g[at]).sum::<f64>() / gradients.len() as f64);
    mean.map(|g| g * g).sum::<f64>().sqrt()
}

/// Both take many steps in each of many rounds; corrected or not.
fn together(shards: &[Vec<Row>], corrected: bool) -> Model {
    const LOCAL: u32 = 40;
    let mut model = small();
    let count = model.parameters().len();
    let mut own = vec![vec![0.0_f32; count]; shards.len()];
    for _ in 0..80 {
        let server: Vec<f32> = (0..count)
            .map(|at| own.iter().map(|own| own[at]).sum::<f32>() / own.len() as f32)
            .collect();
        let mut mean = vec![0.0_f32; count];
        for (rows, own) in shards.iter().zip(&mut own) {
            let correction: Vec<f32> = server.iter().zip(&*own).map(|(c, own)| c - own).collect();
            let correction = match corrected {
                true => correction,
                false => vec![0.0; count],
            };
            let trained = model
                .train_corrected(&series(rows), steps(LOCAL), &correction)
                .unwrap();
            let taken = trained.taken(&steps(LOCAL)).unwrap() as f32;
            for (at, delta) in trained.delta.iter().enumerate() {
                own[at] -= server[at] + delta / taken;
                mean[at] += delta / shards.len() as f32;
            }
        }
        let moved: Vec<f32> = model
            .parameters()
            .iter()
            .zip(&mean)
            .map(|(w, d)| w + d)
            .collect();
        model.set_parameters(&moved).unwrap();
    }
    model
}

#[test]
fn where_fedavg_drifts_corrected_gradients_do_not() {
    let shards = shards();
    let drifted = steepness(&together(&shards, false), &shards);
    let corrected = steepness(&together(&shards, true), &shards);
    println!("steepness: FedAvg {drifted}, SCAFFOLD {corrected}");
    assert!(
        corrected < drifted / 5.0,
        "FedAvg {drifted}, SCAFFOLD {corrected}"
    );
}
