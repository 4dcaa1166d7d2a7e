//! What the model must be able to do, on data that every machine makes for itself.

use crate::support::{PRESENT, Random, auc, round, score, synthetic};
use learn::{Activation, Error, Model, Row, SLOTS, Shape, TrainConfig};

fn model(seed: u64) -> Model {
    Model::initial(Shape::default(), seed).unwrap()
}

fn config(epochs: u32) -> TrainConfig {
    TrainConfig {
        epochs,
        learning_rate: 3e-3,
        ..TrainConfig::default()
    }
}

#[test]
fn the_default_shape_is_the_documented_one() {
    let shape = Shape::default();
    assert_eq!(shape.layers(), [(80, 64), (64, 16), (16, 64), (64, SLOTS)]);
    assert_eq!(shape.parameter_count(), 9_912);
    assert_eq!(model(1).parameters().len(), 9_912);
}

#[test]
fn loss_falls_and_is_what_training_reports() {
    let rows = synthetic(1_500, 1);
    for activation in [Activation::Elu, Activation::Relu] {
        let mut model = Model::initial(
            Shape {
                activation,
                ..Shape::default()
            },
            1,
        )
        .unwrap();
        let base = model.parameters();
        let trained = model.train(&rows, config(8)).unwrap();
        assert_eq!(
            model.parameters(),
            base,
            "training leaves the model as it was"
        );
        assert!(
            trained.loss_after < 0.25 * trained.loss_before,
            "{activation:?}: {} → {}",
            trained.loss_before,
            trained.loss_after
        );
        assert_eq!(model.loss(&rows).unwrap(), trained.loss_before);
        let new: Vec<f32> = base
            .iter()
            .zip(&trained.delta)
            .map(|(b, d)| b + d)
            .collect();
        model.set_parameters(&new).unwrap();
        assert!((model.loss(&rows).unwrap() - trained.loss_after).abs() < 1e-4);
    }
}

#[test]
fn parameters_survive_the_round_trip_bit_for_bit() {
    let one = model(7);
    let two = Model::with_parameters(Shape::default(), &one.parameters()).unwrap();
    assert_eq!(one.parameters(), two.parameters());
    let rows = synthetic(5, 3);
    assert_eq!(one.residuals(&rows).unwrap(), two.residuals(&rows).unwrap());
}

#[test]
fn parameters_have_the_documented_order() {
    // One hidden ReLU unit that copies slot 2 and an output layer that puts it into slot 5.
    let shape = Shape {
        hidden: vec![1],
        activation: Activation::Relu,
    };
    let mut flat = vec![0.0; shape.parameter_count()];
    flat[2] = 1.0; // first weight [1, 80]: input 2
    let output_weight = Shape::INPUT + 1; // after the first weight and its bias
    flat[output_weight + 5] = 1.0; // second weight [40, 1]: output 5
    flat[output_weight + SLOTS + 6] = 0.25; // second bias: output 6
    let model = Model::with_parameters(shape, &flat).unwrap();
    let row = Row {
        values: [3.0; SLOTS],
        mask: [true; SLOTS],
    };
    let residuals = model.residuals(&[row]).unwrap()[0];
    for (slot, residual) in residuals.iter().enumerate() {
        let reconstruction = [0.0, 3.0, 0.25][usize::from(slot == 5) + 2 * usize::from(slot == 6)];
        assert_eq!(*residual, 3.0 - reconstruction, "slot {slot}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_one_does_not() {
    let rows = synthetic(300, 2);
    let run = |init: u64, order: u64| {
        let config = TrainConfig {
            seed: order,
            ..config(2)
        };
        (
            model(init).parameters(),
            model(init).train(&rows, config).unwrap().delta,
        )
    };
    assert_eq!(run(1, 1), run(1, 1));
    assert_ne!(run(1, 1).0, run(2, 1).0, "initial weights follow the seed");
    assert_ne!(
        run(1, 1).1,
        run(1, 2).1,
        "the order of the rows follows the seed"
    );
}

#[test]
fn masked_slots_do_not_influence_anything() {
    let clean = synthetic(200, 4);
    let mut random = Random(99);
    let dirty: Vec<Row> = clean
        .iter()
        .map(|row| {
            let mut row = *row;
            row.values[PRESENT..]
                .fill_with(|| [f32::NAN, f32::INFINITY, 1e30][(random.uniform() * 3.0) as usize]);
            row
        })
        .collect();
    let model = model(1);
    assert_eq!(
        model.residuals(&clean).unwrap(),
        model.residuals(&dirty).unwrap()
    );
    assert_eq!(
        model.train(&clean, config(1)).unwrap(),
        model.train(&dirty, config(1)).unwrap()
    );
    assert!(
        model
            .residuals(&dirty)
            .unwrap()
            .iter()
            .all(|r| r[PRESENT..] == [0.0; SLOTS - PRESENT])
    );
}

#[test]
fn the_mask_tells_an_absent_slot_from_a_zero() {
    let zero = Row::dense(&[0.5, 0.0]);
    let mut absent = zero;
    absent.mask[1] = false;
    let model = model(1);
    let residuals = model.residuals(&[zero, absent]).unwrap();
    assert_ne!(residuals[0][0], residuals[1][0]);
}

#[test]
fn federated_averaging_comes_close_to_centralised_training() {
    const ROUNDS: u32 = 12;
    let all = synthetic(1_800, 5);
    // Unequal shards, so that the weighting matters.
    let shards = [&all[..300], &all[300..900], &all[900..]];
    let mut federated = model(1);
    let initial = federated.loss(&all).unwrap();
    for number in 0..ROUNDS {
        let config = TrainConfig {
            seed: u64::from(number),
            ..config(2)
        };
        let parameters = round(&federated, &shards, config);
        federated.set_parameters(&parameters).unwrap();
    }
    let federated = federated.loss(&all).unwrap();
    let centralised = model(1).train(&all, config(2 * ROUNDS)).unwrap().loss_after;
    assert!(
        federated < 0.2 * initial,
        "from {initial} to only {federated}"
    );
    assert!(
        federated < 2.0 * centralised,
        "federated {federated}, centralised {centralised}"
    );
}

#[test]
fn the_proximal_term_holds_the_model_near_its_base() {
    let rows = synthetic(400, 6);
    let distance = |proximal| {
        let trained = model(1)
            .train(
                &rows,
                TrainConfig {
                    proximal,
                    ..config(3)
                },
            )
            .unwrap();
        trained
            .delta
            .iter()
            .map(|d| f64::from(d * d))
            .sum::<f64>()
            .sqrt()
    };
    let (free, held) = (distance(None), distance(Some(1.0)));
    assert!(held < 0.7 * free, "free {free}, held {held}");
    assert_eq!(distance(Some(0.0)), free);
}

#[test]
fn a_broken_correlation_stands_out() {
    let model = {
        let mut model = model(1);
        let trained = model.train(&synthetic(3_000, 7), config(15)).unwrap();
        let new: Vec<f32> = model
            .parameters()
            .iter()
            .zip(&trained.delta)
            .map(|(b, d)| b + d)
            .collect();
        model.set_parameters(&new).unwrap();
        model
    };
    let normal = synthetic(500, 8);
    // Each fault gives four slots the values of another moment: every value is usual by itself,
    // only their relation is not.
    let faulty: Vec<Row> = (0..500)
        .map(|i| {
            let mut row = normal[i];
            let other = normal[(i + 250) % 500];
            (0..4)
                .map(|k| (i + 5 * k) % PRESENT)
                .for_each(|slot| row.values[slot] = other.values[slot]);
            row
        })
        .collect();
    let scores = |rows: &[Row]| {
        model
            .residuals(rows)
            .unwrap()
            .iter()
            .map(score)
            .collect::<Vec<_>>()
    };
    let area = auc(&scores(&normal), &scores(&faulty));
    assert!(area > 0.9, "AUC {area}");
}

#[test]
fn a_wild_value_moves_the_shared_model_little_and_stands_out_fully() {
    let model = model(1);
    let mut row = synthetic(1, 9)[0];
    row.values[3] = 1e6;
    let residual = model.residuals(&[row]).unwrap()[0];
    assert!(residual[3] > 9e5);
    assert!(model.loss(&[row]).unwrap() < 100.0, "clipped in the loss");
}

#[test]
fn bad_input_is_refused_with_a_sentence() {
    let mut model = model(1);
    let check = |found: Result<(), Error>, sentence: &str| {
        assert_eq!(found.unwrap_err().to_string(), sentence)
    };
    check(
        model.set_parameters(&[0.0; 3]),
        "3 parameters do not fit a model of 9912: both nodes must be configured with the same layers",
    );
    let mut parameters = model.parameters();
    parameters[17] = f32::NAN;
    check(
        model.set_parameters(&parameters),
        "parameter 17 is NaN: parameters must be finite",
    );
    assert!(
        model.parameters()[17].is_finite(),
        "the refused parameters left no trace"
    );

    let mut rows = synthetic(3, 1);
    rows[2].values[4] = f32::INFINITY;
    let sentence =
        "row 2 has inf in slot 4: present values must be finite; mask the slot or drop the row";
    check(model.residuals(&rows).map(drop), sentence);
    check(model.train(&rows, config(1)).map(drop), sentence);
    check(
        model
            .train(
                &[Row {
                    values: [1.0; SLOTS],
                    mask: [false; SLOTS],
                }],
                config(1),
            )
            .map(drop),
        "1 rows without a single present slot cannot train a model",
    );
    check(
        model
            .train(
                &synthetic(3, 1),
                TrainConfig {
                    epochs: 0,
                    ..config(1)
                },
            )
            .map(drop),
        "training setting epochs = 0 is not usable: 1 to 1000",
    );
    check(
        Model::initial(
            Shape {
                hidden: vec![0],
                ..Shape::default()
            },
            1,
        )
        .map(drop),
        "hidden layers [0] are not a usable shape: every hidden layer must be 1 to 1024 wide",
    );
    assert!(model.residuals(&[]).unwrap().is_empty());
}

#[test]
fn divergence_is_an_error_not_a_model() {
    let mut rows = synthetic(64, 1);
    rows.iter_mut()
        .for_each(|row| row.values[..PRESENT].iter_mut().for_each(|v| *v *= 1e3));
    // The base is finite but so large that the first loss overflows.
    let parameters: Vec<f32> = model(1).parameters().iter().map(|p| p * 1e12).collect();
    let model = Model::with_parameters(
        Shape {
            activation: Activation::Relu,
            ..Shape::default()
        },
        &parameters,
    )
    .unwrap();
    let error = model.train(&rows, config(1)).unwrap_err();
    assert_eq!(
        error,
        Error::Diverged {
            epoch: 1,
            learning_rate: 3e-3
        }
    );
}
