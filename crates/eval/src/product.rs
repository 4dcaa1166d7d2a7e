//! What a node says of a machine before there is a shared model: reports become examples, examples are
//! judged by the local detector of `telemetry::score`, and what was judged normal calibrates it anew.

use crate::data::Machine;
use gear::smd::Values;
use std::collections::VecDeque;
use telemetry::features::{Assembled, Assembler, Example};
use telemetry::score::Scorer;
use wire::{DeviceId, Origin, Reading, Report, UnixMillis};

/// Examples a node calibrates with at most: half of the training rows it keeps by default.
const WINDOW: usize = 1_000;
/// Rows from one calibration to the next.
const EVERY: usize = 100;
/// As the node's.
const FALSE_ALARM_RATE: f64 = 1e-6;

/// Scores of the test rows, in units of the threshold.
pub fn scores(machine: &Machine) -> Vec<f64> {
    let device = DeviceId::from(machine.name.as_str());
    let mut assembler = Assembler::new();
    let mut seq = 0;
    let mut example = |assembler: &mut Assembler, values: &Values| -> Option<Example> {
        seq += 1;
        match assembler.accept(&report(&device, seq, values)) {
            Assembled::Example(example) => Some(example),
            Assembled::Warming { .. }
            | Assembled::Duplicate
            | Assembled::NoReadings
            | Assembled::Full => None,
        }
    };
    let mut normal: VecDeque<Example> = machine
        .train
        .iter()
        .filter_map(|values| example(&mut assembler, values))
        .collect();
    let mut scorer = Scorer::new(FALSE_ALARM_RATE);
    let mut scores = Vec::with_capacity(machine.test.len());
    for (row, values) in machine.test.iter().enumerate() {
        if row.is_multiple_of(EVERY) {
            let surplus = normal.len().saturating_sub(WINDOW);
            normal.drain(..surplus);
            // Too few rows leave the former calibration.
            let _ = scorer.calibrate(&device, normal.make_contiguous(), None);
        }
        let judged = example(&mut assembler, values).and_then(|example| {
            let score = scorer
                .score(&example, None, assembler.layout(&device)?)?
                .score;
            Some((example, score))
        });
        let (example, score) =
            judged.map_or((None, 0.0), |(example, score)| (Some(example), score));
        if score <= 1.0 {
            normal.extend(example);
        }
        scores.push(score);
    }
    scores
}

fn report(device: &DeviceId, seq: u64, values: &Values) -> Report {
    let readings = values.iter().enumerate().map(|(metric, &value)| Reading {
        name: format!("m{metric:02}"),
        value,
        unit: None,
    });
    Report {
        device: device.clone(),
        room: "hall".into(),
        class: "server".to_owned(),
        device_time: None,
        arrival: UnixMillis(seq * 60_000),
        readings: readings.collect(),
        event: None,
        origin: Origin::Mail {
            node: "n".into(),
            seq,
            part: 0,
        },
    }
}
