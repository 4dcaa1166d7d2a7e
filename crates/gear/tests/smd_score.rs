//! The scoring pipeline with the local model alone, on recorded servers: features, calibration
//! and scores must find the labelled faults far better than chance. With the Server Machine
//! Dataset at `../shared/data/smd` (beside the repository) real machines are used; without it a
//! generated machine of the same shape. Measured is the area under the precision–recall curve
//! per row, without point adjustment; chance gives the share of faulty rows.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use gear::seed::Seed;
use gear::smd::{METRICS, Machine, Slice, Smd, Values};
use std::path::Path;
use telemetry::features::{Assembled, Assembler, Example};
use telemetry::score::Scorer;
use wire::{Origin, Reading, Report, UnixMillis};

fn report(device: &str, seq: u64, values: &Values) -> Report {
    Report {
        device: device.into(),
        room: "hall-1".into(),
        class: "server".to_owned(),
        device_time: None,
        arrival: UnixMillis(seq * 60_000),
        readings: values
            .iter()
            .enumerate()
            .map(|(i, &value)| Reading {
                name: format!("m{i:02}"),
                value,
                unit: None,
            })
            .collect(),
        event: None,
        origin: Origin::Mail {
            node: "n".into(),
            seq,
            part: 0,
        },
    }
}

/// Score of each test row.
fn scores(machine: &Machine) -> Vec<f64> {
    let mut assembler = Assembler::new();
    let mut rows = machine.train.iter().chain(&machine.test).zip(0u64..);
    let mut example = |assembler: &mut Assembler| -> Option<Example> {
        let (values, seq) = rows.next()?;
        match assembler.accept(&report(&machine.name, seq, values)) {
            Assembled::Example(example) => Some(example),
            _ => None,
        }
    };
    let calibration: Vec<Example> = (0..machine.train.len())
        .filter_map(|_| example(&mut assembler))
        .collect();
    let mut scorer = Scorer::default();
    let device = machine.name.as_str().into();
    scorer.calibrate(&device, &calibration, None).unwrap();
    (0..machine.test.len())
        .map(|_| {
            let example = example(&mut assembler).unwrap();
            let layout = assembler.layout(&device).unwrap();
            scorer.score(&example, None, layout).unwrap().score
        })
        .collect()
}

fn faulty(machine: &Machine) -> Vec<bool> {
    (0..machine.test.len())
        .map(|row| {
            machine
                .segments
                .iter()
                .any(|segment| segment.contains(&row))
        })
        .collect()
}

/// Average precision: the area under the precision–recall curve.
fn average_precision(scores: &[f64], faulty: &[bool]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let (mut hits, mut sum) = (0.0, 0.0);
    for (rank, &row) in order.iter().enumerate() {
        if faulty[row] {
            hits += 1.0;
            sum += hits / (rank + 1) as f64;
        }
    }
    sum / hits
}

fn chance(faulty: &[bool]) -> f64 {
    faulty.iter().filter(|&&f| f).count() as f64 / faulty.len() as f64
}

/// Twelve correlated loads with daily rhythm and noise, the rest constant; one fault raises three
/// metrics, another stops one.
fn generated() -> Machine {
    let mut seed = Seed::new(42);
    let mut row = |minute: usize, fault: u8| -> Values {
        let day = (minute as f64 / 1_440.0 * std::f64::consts::TAU).sin();
        std::array::from_fn(|metric| match metric {
            0..12 => {
                let load = 0.4 + 0.1 * day + 0.02 * seed.normal();
                let extra = if fault == 1 && metric < 3 { 0.5 } else { 0.0 };
                if fault == 2 && metric == 7 {
                    0.0
                } else {
                    load + extra
                }
            }
            _ => metric as f64 / METRICS as f64,
        })
    };
    let train: Vec<Values> = (0..3_000).map(|minute| row(minute, 0)).collect();
    let segments = vec![400..440, 700..760];
    let test = (0..1_200)
        .map(|i| {
            row(
                3_000 + i,
                if segments[0].contains(&i) {
                    1
                } else if segments[1].contains(&i) {
                    2
                } else {
                    0
                },
            )
        })
        .collect();
    Machine {
        name: "generated".to_owned(),
        train,
        test,
        segments,
    }
}

#[test]
fn faults_of_a_generated_machine_are_found_and_nothing_else() {
    let machine = generated();
    let (scores, faulty) = (scores(&machine), faulty(&machine));
    let found = average_precision(&scores, &faulty);
    assert!(found > 0.9, "{found} against {} by chance", chance(&faulty));
    // At the threshold itself: every fault alarms, and false alarms stay within the smoothing's
    // few rows after a fault.
    for segment in &machine.segments {
        assert!(
            scores[segment.clone()]
                .iter()
                .filter(|&&score| score > 1.0)
                .count()
                > 20
        );
    }
    let false_alarms = scores
        .iter()
        .zip(&faulty)
        .enumerate()
        .filter(|(row, (score, faulty))| {
            let after = machine
                .segments
                .iter()
                .any(|s| (s.end..s.end + 5).contains(row));
            **score > 1.0 && !**faulty && !after
        })
        .count();
    assert!(
        false_alarms <= 1,
        "{false_alarms} false alarms in {} rows",
        scores.len()
    );
}

#[test]
fn faults_of_recorded_machines_are_found_better_than_by_chance() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/smd");
    if !root.is_dir() {
        // The generated machine above carries the meaning; the dataset is not part of the project.
        println!(
            "no dataset at {}: only the generated machine was judged",
            root.display()
        );
        return;
    }
    let smd = Smd::open(&root).unwrap();
    let name = smd.machines().first().unwrap();
    let slice = Slice {
        train: 2_000,
        test: 4_000,
        lead_in: 1_000,
    };
    let machine = smd.load(name, slice).unwrap();
    let (scores, faulty) = (scores(&machine), faulty(&machine));
    let (found, chance) = (average_precision(&scores, &faulty), chance(&faulty));
    println!("{name}: average precision {found:.3}, chance {chance:.3}");
    assert!(
        found > 3.0 * chance,
        "{name}: {found:.3} against {chance:.3} by chance"
    );
}
