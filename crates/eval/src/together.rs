//! The shared autoencoder, trained in four ways from the same initial weights with the same number of
//! steps for each row.
//!
//! | way | rows | steps |
//! |---|---|---|
//! | centralised | all machines' in one place | as many passes as rounds |
//! | local | each machine's own | as many passes as rounds |
//! | federated | never leave their machine; [`federation::fedavg`] averages | one pass a round |
//! | personalised | the federated model, two more passes over each machine's own rows | |

use crate::data::{Machine, rows};
use crate::detect::{Scores, standardised_residuals, top};
use federation::fedavg::{self, AggregateError, Contribution, ServerOptimizer};
use federation::optimizer::Moments;
use federation::robust::Rule;
use gear::smd::{METRICS, Values};
use learn::{Model, Row, Series, Shape, TrainConfig, Trained};
use std::slice::from_ref;

/// Every this many training rows one is learned from: neighbours in time say nearly the same.
const STRIDE: usize = 4;
/// Passes over its own rows by which a machine makes the shared model its own.
const PERSONAL_PASSES: u32 = 2;

/// How models are trained.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// All rows pooled: what nobody may do, the mark to reach.
    Centralised,
    /// A model for each machine.
    Local,
    /// Federated averaging.
    Federated,
    /// Federated averaging, then a little alone.
    Personalised,
}

/// Training that did not come to an end.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// The learner's.
    #[error("training failed: {0}")]
    Learn(#[from] learn::Error),
    /// The mean's.
    #[error("averaging failed: {0}")]
    Aggregate(#[from] AggregateError),
}

/// Settings of a comparison.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The model's layers.
    pub shape: Shape,
    /// Rounds, and passes of the ways without rounds.
    pub rounds: u32,
    /// Of initial weights and the order of rows.
    pub seed: u64,
}

impl Plan {
    fn config(&self, pass: u64) -> TrainConfig {
        TrainConfig {
            epochs: 1,
            batch: 64,
            masking: 0.0, // a plain autoencoder, as others measure theirs
            seed: self.seed.wrapping_mul(1_000).wrapping_add(pass),
            ..TrainConfig::default()
        }
    }

    fn initial(&self) -> Result<Model, learn::Error> {
        Model::initial(self.shape.clone(), self.seed)
    }
}

/// The machines' rows, as a model takes them.
pub struct Cohort {
    train: Vec<Vec<Row>>,
    test: Vec<Vec<Row>>,
}

impl Cohort {
    /// Of the machines, in their order.
    pub fn of(machines: &[Machine]) -> Self {
        let of = |rows_of: fn(&Machine) -> &Vec<Values>| {
            let standardised = |m: &Machine| rows(&m.standardised(rows_of(m)));
            machines.iter().map(standardised).collect()
        };
        Self {
            train: of(|machine| &machine.train),
            test: of(|machine| &machine.test),
        }
    }

    /// What a machine trains on, with the rows between where the model looks back.
    fn shard(&self, machine: usize, looks_back: bool) -> Series {
        let mut shard = Series::default();
        for (index, row) in self.train[machine].iter().enumerate() {
            let asked = index.is_multiple_of(STRIDE);
            if asked || looks_back {
                shard.push(*row, asked);
            }
        }
        shard
    }

    /// The model of each machine after each of the ways asked for, by `told` informed of every pass.
    pub fn train(
        &self,
        way: Way,
        plan: &Plan,
        told: &mut dyn FnMut(u32),
    ) -> Result<Vec<Model>, TrainingError> {
        let looks_back = plan.shape.reach() > 1;
        let shards: Vec<Series> = (0..self.train.len())
            .map(|m| self.shard(m, looks_back))
            .collect();
        match way {
            Way::Centralised => {
                let model = alone(&plan.initial()?, &shards, plan, plan.rounds, told)?;
                copies(&model, shards.len())
            }
            Way::Local => {
                let each = shards
                    .iter()
                    .map(|shard| alone(&plan.initial()?, from_ref(shard), plan, plan.rounds, told));
                each.collect()
            }
            Way::Federated => copies(&federated(&shards, plan, told)?, shards.len()),
            Way::Personalised => {
                let shared = federated(&shards, plan, told)?;
                let each = shards.iter().map(|shard| {
                    alone(&shared, from_ref(shard), plan, PERSONAL_PASSES, &mut |_| {})
                });
                each.collect()
            }
        }
    }

    /// Standardised residuals by the machine's model, the mean of the largest of each row.
    pub fn scores(&self, machine: usize, model: &Model) -> Result<Scores, learn::Error> {
        let left = |rows: &[Row]| -> Result<Vec<Values>, learn::Error> {
            let residuals = model.residuals(&[rows.to_vec().into()])?;
            let values = |r: &[f32; learn::SLOTS]| -> Values {
                std::array::from_fn(|metric| f64::from(r[metric]))
            };
            const { assert!(METRICS <= learn::SLOTS) };
            Ok(residuals.iter().map(values).collect())
        };
        let (train, test) = (left(&self.train[machine])?, left(&self.test[machine])?);
        Ok(Scores {
            train: top(&standardised_residuals(&train, &train)),
            test: top(&standardised_residuals(&train, &test)),
        })
    }
}

fn copies(model: &Model, count: usize) -> Result<Vec<Model>, TrainingError> {
    let parameters = model.parameters();
    let copy = |_| Ok(Model::with_parameters(model.shape().clone(), &parameters)?);
    (0..count).map(copy).collect()
}

fn alone(
    model: &Model,
    rows: &[Series],
    plan: &Plan,
    passes: u32,
    told: &mut dyn FnMut(u32),
) -> Result<Model, TrainingError> {
    // One job, so that the optimiser keeps its moments from pass to pass.
    let config = TrainConfig {
        epochs: passes,
        ..plan.config(0)
    };
    let moved = model.moved(&model.train(rows, config)?)?;
    told(passes);
    Ok(moved)
}

fn federated(
    shards: &[Series],
    plan: &Plan,
    told: &mut dyn FnMut(u32),
) -> Result<Model, TrainingError> {
    let mut model = plan.initial()?;
    let mut moments = None;
    for round in 0..plan.rounds {
        let trained = shards
            .iter()
            .map(|shard| model.train(from_ref(shard), plan.config(u64::from(round))))
            .collect::<Result<Vec<_>, _>>()?;
        average(&mut model, &trained, &mut moments)?;
        told(round + 1);
    }
    Ok(model)
}

/// The end of a round: the model moves by the updates' mean.
pub(crate) fn average(
    model: &mut Model,
    trained: &[Trained],
    moments: &mut Option<Moments>,
) -> Result<(), TrainingError> {
    let contributions: Vec<Contribution<'_>> = trained
        .iter()
        .map(|update| Contribution {
            delta: &update.delta,
            examples: update.examples,
            loss: update.loss_before,
        })
        .collect();
    let base = model.parameters();
    let mean = fedavg::combine((Rule::Mean, 0), base.len(), &contributions)?;
    let (next, remembered) =
        fedavg::step(ServerOptimizer::default(), &base, &mean, moments.as_ref())?;
    *moments = Some(remembered);
    model.set_parameters(&next.parameters)?;
    Ok(())
}
