//! What the nodes of a cluster say of their machines: reports become examples, examples are judged by
//! `telemetry::score`, what is normal enough is learned from, in rounds, and calibrates anew.
//!
//! Each machine has a node of its own. All rows come in the order of their time, those to learn from and then
//! those to judge; the nodes go on learning while they judge, as in a running cluster.

use crate::data::Machine;
use crate::together::{TrainingError, average};
use federation::optimizer::Moments;
use gear::smd::Values;
use learn::{Model, SLOTS, Series, Shape, TrainConfig, Tuning};
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
    /// False alarms per row that thresholds are set for. What is learned does not depend on it, so that one cluster says
    /// what each of several would.
    pub false_alarm_rates: Vec<f64>,
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
    /// For each rate, and what each said.
    scorers: Vec<Scorer>,
    scores: Vec<Vec<f64>>,
    waiting: Vec<Option<Example>>,
    drifts: usize,
}

/// What a node said.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Said {
    /// For each rate the scores of the test rows, in units of the threshold.
    pub scores: Vec<Vec<f64>>,
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
        .map(|m| Node::new(m, reach, &plan.false_alarm_rates))
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
    let said = nodes.into_iter().map(|mut node| {
        let learned = node.machine.train.len();
        let scores = node.scores.iter_mut();
        Said {
            scores: scores.map(|scores| scores.split_off(learned)).collect(),
            drifts: node.drifts,
        }
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
    fn new(machine: &'m Machine, reach: usize, rates: &[f64]) -> Self {
        Self {
            machine,
            device: DeviceId::from(machine.name.as_str()),
            assembler: Assembler::new(),
            windows: Windows::new(WINDOW, reach),
            scorers: rates.iter().map(|rate| Scorer::new(*rate)).collect(),
            scores: vec![Vec::new(); rates.len()],
            waiting: Vec::new(),
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
        all.map(|(_, rows)| rows.into_iter().collect()).collect()
    }

    fn personal(
        &self,
        shared: &Model,
        config: TrainConfig,
        epochs: u32,
    ) -> Result<Model, learn::Error> {
        if epochs == 0 || self.windows.examples() < MIN_EXAMPLES {
            return copy(shared);
        }
        let tuning = Tuning {
            rows: self.series(Purpose::Train),
            config: TrainConfig { epochs, ..config },
            judged_by: self.series(Purpose::Calibrate),
        };
        match tuning.tuned(shared)? {
            Some(own) => Ok(own),
            None => copy(shared),
        }
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
            Some(model) => Some(rebuilt(model, &[rows.into_iter().collect()], &asked)?),
            None => None,
        };
        for scorer in &mut self.scorers {
            let _ = scorer.calibrate(&self.device, &asked, rebuilt.as_deref());
        }
        Ok(())
    }

    fn judge(&mut self, model: Option<&Model>) -> Result<(), learn::Error> {
        let waiting = std::mem::take(&mut self.waiting);
        let examples: Vec<Example> = waiting.iter().flatten().cloned().collect();
        let before = self
            .windows
            .before(&self.device)
            .map(|example| (example, false));
        let rows: Series = before
            .chain(examples.iter().map(|example| (example, true)))
            .collect();
        let mut rebuilt = match model {
            Some(model) => Some(rebuilt(model, &[rows], &examples)?.into_iter()),
            None => None,
        };
        for example in waiting {
            let Some(example) = example else {
                self.scores.iter_mut().for_each(|scores| scores.push(0.0));
                continue;
            };
            let reconstruction = rebuilt.as_mut().and_then(Iterator::next);
            let layout = self.assembler.layout(&self.device);
            let mut normal = true;
            for (scorer, scores) in self.scorers.iter_mut().zip(&mut self.scores) {
                let judged = layout
                    .and_then(|layout| scorer.score(&example, reconstruction.as_ref(), layout));
                scores.push(judged.as_ref().map_or(0.0, |scored| scored.score));
                normal = judged.is_none_or(|scored| scored.normal);
            }
            self.windows.keep(example, normal);
        }
        Ok(())
    }
}

fn copy(model: &Model) -> Result<Model, learn::Error> {
    Model::with_parameters(model.shape().clone(), &model.parameters())
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
