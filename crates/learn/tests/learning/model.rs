//! What the model must be able to do, on data that every machine makes for itself.

use crate::support::{PRESENT, Random, auc, round, score, series, synthetic};
use learn::{Activation, Error, Model, Row, SLOTS, Series, Shape, TrainConfig};

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

/// Of the model that a training makes, on the rows it was trained with.
fn loss_after(model: &Model, rows: &[Row], config: TrainConfig) -> f64 {
    let trained = model.train(&series(rows), config).unwrap();
    model.moved(&trained).unwrap().loss(&series(rows)).unwrap()
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
        let trained = model.train(&series(&rows), config(8)).unwrap();
        assert_eq!(
            model.parameters(),
            base,
            "training leaves the model as it was"
        );
        assert_eq!(model.loss(&series(&rows)).unwrap(), trained.loss_before);
        let new: Vec<f32> = base
            .iter()
            .zip(&trained.delta)
            .map(|(b, d)| b + d)
            .collect();
        model.set_parameters(&new).unwrap();
        let loss_after = model.loss(&series(&rows)).unwrap();
        assert!(
            loss_after < 0.25 * trained.loss_before,
            "{activation:?}: {} → {loss_after}",
            trained.loss_before,
        );
    }
}

#[test]
fn parameters_survive_the_round_trip_bit_for_bit() {
    let one = model(7);
    let two = Model::with_parameters(Shape::default(), &one.parameters()).unwrap();
    assert_eq!(one.parameters(), two.parameters());
    let rows = synthetic(5, 3);
    assert_eq!(
        one.residuals(&series(&rows)).unwrap(),
        two.residuals(&series(&rows)).unwrap()
    );
}

#[test]
fn parameters_have_the_documented_order() {
    // One hidden ReLU unit that copies slot 2 and an output layer that puts it into slot 5.
    let shape = Shape {
        hidden: vec![1],
        activation: Activation::Relu,
        kernel: 1,
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
    let residuals = model.residuals(&series(&[row])).unwrap()[0];
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
            model(init).train(&series(&rows), config).unwrap().delta,
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
        model.residuals(&series(&clean)).unwrap(),
        model.residuals(&series(&dirty)).unwrap()
    );
    assert_eq!(
        model.train(&series(&clean), config(1)).unwrap(),
        model.train(&series(&dirty), config(1)).unwrap()
    );
    assert!(
        model
            .residuals(&series(&dirty))
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
    let residuals = model.residuals(&series(&[zero, absent])).unwrap();
    assert_ne!(residuals[0][0], residuals[1][0]);
}

#[test]
fn federated_averaging_comes_close_to_centralised_training() {
    const ROUNDS: u32 = 12;
    let all = synthetic(1_800, 5);
    // Unequal shards, so that the weighting matters.
    let shards = [&all[..300], &all[300..900], &all[900..]];
    let mut federated = model(1);
    let initial = federated.loss(&series(&all)).unwrap();
    for number in 0..ROUNDS {
        let config = TrainConfig {
            seed: u64::from(number),
            ..config(2)
        };
        let parameters = round(&federated, &shards, config);
        federated.set_parameters(&parameters).unwrap();
    }
    let federated = federated.loss(&series(&all)).unwrap();
    let centralised = loss_after(&model(1), &all, config(2 * ROUNDS));
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
                &series(&rows),
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

/// How well a model tells rows in which four slots have the values of another moment: every value is usual by
/// itself, only their relation is not.
fn tells_broken_correlations(shape: &Shape, masking: f64) -> f64 {
    let model = Model::initial(shape.clone(), 1).unwrap();
    let settings = TrainConfig {
        masking,
        ..config(15)
    };
    let trained = model
        .train(&series(&synthetic(3_000, 7)), settings)
        .unwrap();
    let model = model.moved(&trained).unwrap();
    let normal = synthetic(500, 8);
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
        let residuals = model.residuals(&series(rows)).unwrap();
        residuals.iter().map(score).collect::<Vec<_>>()
    };
    auc(&scores(&normal), &scores(&faulty))
}

#[test]
fn a_broken_correlation_stands_out() {
    for masking in [0.0, TrainConfig::default().masking] {
        let area = tells_broken_correlations(&Shape::default(), masking);
        assert!(area > 0.9, "AUC {area} with {masking} masked");
    }
}

#[test]
fn a_wild_value_moves_the_shared_model_little_and_stands_out_fully() {
    let model = model(1);
    let mut row = synthetic(1, 9)[0];
    row.values[3] = 1e6;
    let residual = model.residuals(&series(&[row])).unwrap()[0];
    assert!(residual[3] > 9e5);
    assert!(
        model.loss(&series(&[row])).unwrap() < 100.0,
        "clipped in the loss"
    );
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
    check(model.residuals(&series(&rows)).map(drop), sentence);
    check(model.train(&series(&rows), config(1)).map(drop), sentence);
    check(
        model
            .train(
                &series(&[Row {
                    values: [1.0; SLOTS],
                    mask: [false; SLOTS],
                }]),
                config(1),
            )
            .map(drop),
        "1 rows without a single present slot cannot train a model",
    );
    check(
        model
            .train(
                &series(&synthetic(3, 1)),
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
        "hidden layers [0] with a kernel of 1 are not a usable shape: every hidden layer must be 1 to 1024 wide",
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
    let error = model.train(&series(&rows), config(1)).unwrap_err();
    assert_eq!(
        error,
        Error::Diverged {
            epoch: 1,
            learning_rate: 3e-3
        }
    );
}

/// A temporal model rebuilds the newest row from the last sixteen, and looks neither farther back nor ahead.
#[test]
fn a_temporal_model_looks_back_as_far_as_it_says() {
    let shape = Shape::temporal();
    assert_eq!((shape.reach(), shape.parameter_count()), (16, 19_640));
    let model = Model::initial(shape, 1).unwrap();
    let rows = synthetic(40, 3);
    let residual = |rows: &[Row], of: usize| model.residuals(&series(rows)).unwrap()[of];
    let whole = residual(&rows, 25);
    for (changed, matters) in [(9, false), (10, true), (24, true), (26, false)] {
        let mut rows = rows.clone();
        rows[changed].values[0] += 1.0;
        assert_eq!(residual(&rows, 25) != whole, matters, "row {changed}");
    }
    // What is not asked for is what came before, and what is not known is empty.
    let mut asked = Series::default();
    for (index, row) in rows[10..26].iter().enumerate() {
        asked.push(*row, index == 15);
    }
    let near =
        |a: &[f32; SLOTS], b: &[f32; SLOTS]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let alone = model.residuals(&[asked]).unwrap();
    assert!(alone.len() == 1 && near(&alone[0], &whole), "{alone:?}");
    let empty = Row {
        values: [f32::NAN; SLOTS],
        mask: [false; SLOTS],
    };
    let mut padded = vec![empty; 15];
    padded.extend_from_slice(&rows[..3]);
    assert!(near(&residual(&rows[..3], 2), &residual(&padded, 17)));
    // Two devices' rows are not each other's past.
    let two = [rows[..9].to_vec().into(), rows[9..].to_vec().into()];
    let apart = model.residuals(&two).unwrap();
    assert!(near(&apart[8], &residual(&rows, 8)) && !near(&apart[9], &residual(&rows, 9)));
}

/// Three metrics, two of them the first one's past: they fit through one number only for who remembers the ones
/// before it.
#[test]
fn a_temporal_model_learns_what_no_single_row_tells() {
    let mut random = Random(9);
    let first: Vec<f32> = (0..2_000).map(|_| random.normal()).collect();
    let rows: Vec<Row> = first
        .windows(9)
        .map(|last| Row::dense(&[last[8], last[4], last[0]]))
        .collect();
    let left = |kernel: usize| {
        let shape = Shape {
            hidden: vec![16, 1, 16],
            kernel,
            ..Shape::default()
        };
        let model = Model::initial(shape, 1).unwrap();
        loss_after(&model, &rows, config(20))
    };
    let (dense, temporal) = (left(1), left(2));
    assert!(dense > 0.4 && temporal < 0.3, "{dense} {temporal}");
}
