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
    let mut normal: VecDeque<Example> = VecDeque::new();
    let mut scorer = Scorer::new(FALSE_ALARM_RATE);
    let mut scores = Vec::with_capacity(machine.train.len() + machine.test.len());
    for (row, values) in machine.train.iter().chain(&machine.test).enumerate() {
        if row.is_multiple_of(EVERY) {
            // Too few rows leave the former calibration.
            let _ = scorer.calibrate(&device, normal.make_contiguous(), None);
        }
        let example = example(&mut assembler, values);
        let judged = example.as_ref().and_then(|example| {
            let layout = assembler.layout(&device)?;
            Some(scorer.score(example, None, layout)?.score)
        });
        let score = judged.unwrap_or(0.0);
        if score <= 1.0 {
            normal.extend(example);
            if normal.len() > WINDOW {
                normal.pop_front();
            }
        }
        scores.push(score);
    }
    scores.split_off(machine.train.len())
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
