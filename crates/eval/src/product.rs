//! What the nodes of a cluster say of their machines: reports become examples, examples are judged by
//! `telemetry::score`, what was judged normal is learned from, in rounds, and calibrates anew.
//!
//! Each machine has a node of its own. All rows come in the order of their time, those to learn from and then
//! those to judge; the nodes go on learning while they judge, as in a running cluster.

use crate::data::Machine;
use crate::together::{TrainingError, average};
use federation::optimizer::Moments;
use gear::smd::Values;
use learn::{Model, Row, SLOTS, Series, Shape, TrainConfig};
use telemetry::features::{Assembled, Assembler, Example};
use telemetry::score::Scorer;
use telemetry::windows::{Purpose, Windows};
use wire::{DeviceId, Origin, Reading, Report, UnixMillis};

/// Training rows a node keeps, passes over them in a round, and the fewest it takes part with: the defaults.
const WINDOW: usize = 2_000;
const LOCAL_EPOCHS: u32 = 2;
const MIN_EXAMPLES: usize = 64;

/// How the nodes learn.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The model they share; none: each goes by its own rows.
    pub model: Option<Shape>,
    /// Rows from one round to the next; without a model, from one calibration to the next.
    pub every: usize,
    /// False alarms per row that thresholds are set for.
    pub false_alarm_rate: f64,
    /// Passes over its own rows by which a node makes the shared model its own.
    pub personal_epochs: u32,
    /// Of initial weights and the order of rows.
    pub seed: u64,
}

/// One machine's node.
struct Node<'m> {
    machine: &'m Machine,
    device: DeviceId,
    assembler: Assembler,
    windows: Windows,
    scorer: Scorer,
    waiting: Vec<Option<Example>>,
    scores: Vec<f64>,
    drifts: usize,
}

/// What a node said.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Said {
    /// Scores of the test rows, in units of the threshold.
    pub scores: Vec<f64>,
    /// Metrics that it said had a new normal.
    pub drifts: usize,
}

/// What the machines' nodes say, by `told` informed of every round.
pub fn said(
    machines: &[Machine],
    plan: &Plan,
    told: &mut dyn FnMut(usize),
) -> Result<Vec<Said>, TrainingError> {
    let reach = plan.model.as_ref().map_or(1, Shape::reach);
    let mut nodes: Vec<Node<'_>> = machines
        .iter()
        .map(|m| Node::new(m, reach, plan.false_alarm_rate))
        .collect();
    let mut model = plan
        .model
        .clone()
        .map(|shape| Model::initial(shape, plan.seed))
        .transpose()?;
    let mut moments: Option<Moments> = None;
    let longest = nodes.iter().map(|node| node.rows()).max().unwrap_or(0);
    for round in 0..longest.div_ceil(plan.every) {
        let rows = round * plan.every..(round + 1) * plan.every;
        let config = TrainConfig {
            seed: plan.seed.wrapping_mul(10_000).wrapping_add(round as u64),
            ..TrainConfig::default()
        };
        for node in &mut nodes {
            node.read(rows.clone());
            // The first round's model is the initial one, which nobody goes by.
            let own = match model.as_ref().filter(|_| round > 0) {
                Some(shared) => Some(node.personal(shared, config, plan.personal_epochs)?),
                None => None,
            };
            node.calibrate(own.as_ref())?;
            node.judge(own.as_ref())?;
        }
        if let Some(model) = &mut model {
            train(
                &nodes,
                model,
                &mut moments,
                TrainConfig {
                    epochs: LOCAL_EPOCHS,
                    ..config
                },
            )?;
        }
        told(round);
    }
    let said = nodes.into_iter().map(|mut node| Said {
        scores: node.scores.split_off(node.machine.train.len()),
        drifts: node.drifts,
    });
    Ok(said.collect())
}

/// One round.
fn train(
    nodes: &[Node<'_>],
    model: &mut Model,
    moments: &mut Option<Moments>,
    config: TrainConfig,
) -> Result<(), TrainingError> {
    let able = nodes
        .iter()
        .filter(|node| node.windows.examples() >= MIN_EXAMPLES);
    let trained = able
        .map(|node| model.train(&node.series(Purpose::Train), config))
        .collect::<Result<Vec<_>, _>>()?;
    if trained.is_empty() {
        return Ok(());
    }
    average(model, &trained, moments)
}

impl<'m> Node<'m> {
    fn new(machine: &'m Machine, reach: usize, rate: f64) -> Self {
        Self {
            machine,
            device: DeviceId::from(machine.name.as_str()),
            assembler: Assembler::new(),
            windows: Windows::new(WINDOW, reach),
            scorer: Scorer::new(rate),
            waiting: Vec::new(),
            scores: Vec::new(),
            drifts: 0,
        }
    }

    fn rows(&self) -> usize {
        self.machine.train.len() + self.machine.test.len()
    }

    fn read(&mut self, rows: std::ops::Range<usize>) {
        let values = self
            .machine
            .train
            .iter()
            .chain(&self.machine.test)
            .enumerate();
        for (row, values) in values.take(rows.end).skip(rows.start) {
            let report = report(&self.device, row as u64, values);
            self.waiting.push(match self.assembler.accept(&report) {
                Assembled::Example(example) => Some(example),
                Assembled::Warming { .. }
                | Assembled::Duplicate
                | Assembled::NoReadings
                | Assembled::Full => None,
            });
        }
        self.drifts += self.assembler.drifted().len();
    }

    fn series(&self, purpose: Purpose) -> Vec<Series> {
        let all = self.windows.series(purpose).into_iter();
        all.map(|(_, rows)| series(rows.into_iter())).collect()
    }

    fn personal(
        &self,
        shared: &Model,
        config: TrainConfig,
        epochs: u32,
    ) -> Result<Model, learn::Error> {
        if epochs == 0 || self.windows.examples() < MIN_EXAMPLES {
            return Model::with_parameters(shared.shape().clone(), &shared.parameters());
        }
        let config = TrainConfig { epochs, ..config };
        shared.moved(&shared.train(&self.series(Purpose::Train), config)?)
    }

    /// Too few rows leave the former calibration.
    fn calibrate(&mut self, model: Option<&Model>) -> Result<(), learn::Error> {
        let all = self.windows.series(Purpose::Calibrate);
        let Some((_, rows)) = all.into_iter().next() else {
            return Ok(());
        };
        let asked: Vec<Example> = rows
            .iter()
            .filter(|(_, asked)| *asked)
            .map(|(example, _)| (*example).clone())
            .collect();
        let rebuilt = match model {
            Some(model) => Some(rebuilt(model, &[series(rows.into_iter())], &asked)?),
            None => None,
        };
        let _ = self
            .scorer
            .calibrate(&self.device, &asked, rebuilt.as_deref());
        Ok(())
    }

    fn judge(&mut self, model: Option<&Model>) -> Result<(), learn::Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let examples: Vec<Example> = waiting.iter().flatten().cloned().collect();
        let before = self
            .windows
            .before(&self.device)
            .map(|example| (example, false));
        let rows = series(before.chain(examples.iter().map(|example| (example, true))));
        let mut rebuilt = match model {
            Some(model) => Some(rebuilt(model, &[rows], &examples)?.into_iter()),
            None => None,
        };
        for example in waiting {
            let Some(example) = example else {
                self.scores.push(0.0);
                continue;
            };
            let reconstruction = rebuilt.as_mut().and_then(Iterator::next);
            let judged = self
                .assembler
                .layout(&self.device)
                .and_then(|layout| self.scorer.score(&example, reconstruction.as_ref(), layout));
            let score = judged.map_or(0.0, |scored| scored.score);
            self.scores.push(score);
            self.windows.keep(example, score <= 1.0);
        }
        Ok(())
    }
}

fn series<'e>(rows: impl Iterator<Item = (&'e Example, bool)>) -> Series {
    let mut series = Series::default();
    for (example, asked) in rows {
        let row = Row {
            values: example.values,
            mask: example.mask,
        };
        series.push(row, asked);
    }
    series
}

/// Reconstructions of the examples asked for.
fn rebuilt(
    model: &Model,
    series: &[Series],
    examples: &[Example],
) -> Result<Vec<[f32; SLOTS]>, learn::Error> {
    let residuals = model.residuals(series)?;
    let rebuilt = examples
        .iter()
        .zip(residuals)
        .map(|(example, left)| std::array::from_fn(|slot| example.values[slot] - left[slot]));
    Ok(rebuilt.collect())
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
