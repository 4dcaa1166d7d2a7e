//! The Server Machine Dataset (Su et al. 2019), where it lies beside the workspace: three
//! machines train together without pooling their rows, and the model they make finds the
//! labelled faults better than chance. Without the data the same is asked of generated machines.

use crate::support::{Random, auc, round, score, series, synthetic};
use learn::{Model, Row, SLOTS, Shape, TrainConfig};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Every this many rows one is used: neighbours in time say nearly the same.
const STRIDE: usize = 10;

struct Machine {
    train: Vec<Row>,
    test: Vec<Row>,
    labels: Vec<bool>,
}

fn smd() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/smd");
    folder.is_dir().then_some(folder)
}

fn table(path: &Path) -> Vec<Vec<f32>> {
    let file =
        std::fs::File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    ruzstd::decoding::StreamingDecoder::new(file)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect())
        .collect()
}

/// Standardises by the training rows' mean and deviation; a column that never moved while
/// training has no scale and is masked.
fn rows(table: &[Vec<f32>], reference: &[Vec<f32>]) -> Vec<Row> {
    let scale = |column: usize| {
        let n = reference.len() as f64;
        let values = || reference.iter().map(|row| f64::from(row[column]));
        let mean = values().sum::<f64>() / n;
        let deviation = (values().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n).sqrt();
        (mean as f32, deviation as f32)
    };
    let scales: Vec<(f32, f32)> = (0..reference[0].len()).map(scale).collect();
    let standardise = |values: &Vec<f32>| {
        let mut row = Row {
            values: [0.0; SLOTS],
            mask: [false; SLOTS],
        };
        for (slot, (value, (mean, deviation))) in values.iter().zip(&scales).enumerate() {
            row.mask[slot] = *deviation > 1e-4;
            row.values[slot] = (value - mean) / deviation.max(1e-4);
        }
        row
    };
    table.iter().step_by(STRIDE).map(standardise).collect()
}

fn load(folder: &Path, name: &str) -> Machine {
    let train = table(&folder.join(format!("train/{name}.txt.zst")));
    let test = table(&folder.join(format!("test/{name}.txt.zst")));
    let labels = table(&folder.join(format!("test_label/{name}.txt.zst")));
    Machine {
        labels: labels
            .iter()
            .step_by(STRIDE)
            .map(|row| row[0] > 0.5)
            .collect(),
        test: rows(&test, &train),
        train: rows(&train, &train),
    }
}

/// Stand-ins: faults are stretches in which a few metrics go their own way.
fn generated(seed: u64) -> Machine {
    let mut random = Random(seed + 1);
    let mut test = synthetic(1_000, seed + 100);
    let labels: Vec<bool> = (0..test.len()).map(|i| (i / 50) % 10 == 7).collect();
    for (row, _) in test.iter_mut().zip(&labels).filter(|(_, faulty)| **faulty) {
        row.values[..5].fill_with(|| 1.5 * random.normal());
    }
    Machine {
        train: synthetic(1_000, seed),
        test,
        labels,
    }
}

/// Loss before and after ten federated rounds, and each machine's AUC.
fn learn_together(machines: &[Machine]) -> (f64, f64, Vec<f64>) {
    let shards: Vec<&[Row]> = machines
        .iter()
        .map(|machine| machine.train.as_slice())
        .collect();
    let loss = |model: &Model| {
        shards
            .iter()
            .map(|rows| model.loss(&series(rows)).unwrap())
            .sum::<f64>()
            / shards.len() as f64
    };
    let mut model = Model::initial(Shape::default(), 1).unwrap();
    let before = loss(&model);
    for seed in 0..10 {
        let config = TrainConfig {
            seed,
            epochs: 2,
            learning_rate: 2e-3,
            ..TrainConfig::default()
        };
        let parameters = round(&model, &shards, config);
        model.set_parameters(&parameters).unwrap();
    }
    let areas = machines.iter().map(|machine| {
        let residuals = model.residuals(&series(&machine.test)).unwrap();
        let scores = |faulty: bool| -> Vec<f64> {
            let chosen = residuals
                .iter()
                .zip(&machine.labels)
                .filter(|(_, label)| **label == faulty);
            chosen.map(|(residual, _)| score(residual)).collect()
        };
        auc(&scores(false), &scores(true))
    });
    let areas = areas.collect();
    (before, loss(&model), areas)
}

#[test]
fn machines_learn_together_and_find_faults() {
    let generated: Vec<Machine> = (1..=3).map(generated).collect();
    let (before, after, areas) = learn_together(&generated);
    assert!(after < 0.4 * before, "loss {before} → {after}");
    assert!(areas.iter().all(|area| *area > 0.85), "{areas:?}");

    if let Some(folder) = smd() {
        let machines =
            ["machine-1-6", "machine-2-1", "machine-3-4"].map(|name| load(&folder, name));
        let (before, after, areas) = learn_together(&machines);
        println!("SMD: loss {before:.3} → {after:.3}, AUC {areas:.3?}");
        assert!(after < 0.6 * before, "SMD loss {before} → {after}");
        let mean = areas.iter().sum::<f64>() / areas.len() as f64;
        assert!(mean > 0.7, "SMD AUC {areas:?}");
    }
}
