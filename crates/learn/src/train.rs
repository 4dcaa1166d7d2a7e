//! Local training: from a base model to a delta.

use crate::layers::{self, Batch, Data, Dense};
use crate::random::SplitMix;
use crate::{Error, Model, SLOTS, Series, row};
use tch::nn::{self, OptimizerConfig as _};
use tch::{Device, Kind, Tensor};

/// Most passes over the rows in one job: a round waits for its slowest participant.
pub const MAX_EPOCHS: u32 = 1_000;

/// Largest batch: beyond it one step takes longer than a stop of the learner should.
pub const MAX_BATCH: usize = 16_384;

/// How a step follows from a gradient.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Optimizer {
    /// Adam (Kingma and Ba 2015).
    #[default]
    Adam,
    /// Plain stochastic gradient descent: steps that add up to gradients, as control variates need them.
    Sgd,
}

/// Settings of one training.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TrainConfig {
    /// Passes over the rows.
    pub epochs: u32,
    /// Rows per step.
    pub batch: usize,
    /// Which steps are taken.
    pub optimizer: Optimizer,
    /// Their size.
    pub learning_rate: f64,
    /// Decides the order of the rows and what is masked, and nothing else.
    pub seed: u64,
    /// μ of FedProx (Li et al. 2020): adds μ/2 · ‖w − base‖² to the loss and so holds
    /// participants with unlike data together. `None`: plain FedAvg.
    pub proximal: Option<f64>,
    /// Share of a row's metrics that the network does not see in a step, drawn anew for each row, though it has to
    /// rebuild them (masking noise, Vincent et al. 2008). A network that sees everything learns to copy; one that
    /// does not learns what metrics say of each other.
    pub masking: f64,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            epochs: 2,
            batch: 64,
            optimizer: Optimizer::Adam,
            learning_rate: 1e-3,
            seed: 0,
            proximal: None,
            masking: 0.3,
        }
    }
}

/// What a training made.
#[derive(Clone, PartialEq, Debug)]
pub struct Trained {
    /// New parameters minus base parameters, in the order of [`Model::parameters`].
    pub delta: Vec<f32>,
    /// Mean squared error of the base model on the rows.
    pub loss_before: f64,
    /// Mean squared error of the trained model on the rows.
    pub loss_after: f64,
    /// Rows with at least one present slot: the weight in a federated mean.
    pub examples: u64,
    /// Steps taken.
    pub steps: u32,
}

impl Trained {
    /// Sizes of its steps of plain gradient descent together; `None`: it took others.
    pub fn taken(&self, config: &TrainConfig) -> Option<f64> {
        match config.optimizer {
            Optimizer::Adam => None,
            Optimizer::Sgd => Some(f64::from(self.steps) * config.learning_rate),
        }
    }
}

impl TrainConfig {
    /// Refuses settings out of bounds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |key, value: String, rule| Err(Error::Config { key, value, rule });
        if !(1..=MAX_EPOCHS).contains(&self.epochs) {
            return refuse("epochs", self.epochs.to_string(), "1 to 1000");
        }
        if !(1..=MAX_BATCH).contains(&self.batch) {
            return refuse("batch", self.batch.to_string(), "1 to 16384 rows");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return refuse(
                "learning_rate",
                self.learning_rate.to_string(),
                "above 0, at most 1",
            );
        }
        if !(0.0..1.0).contains(&self.masking) {
            return refuse("masking", self.masking.to_string(), "at least 0, below 1");
        }
        match self.proximal {
            Some(mu) if !(mu >= 0.0 && mu.is_finite()) => {
                refuse("proximal", mu.to_string(), "a finite number, at least 0")
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses steps that a correction of the gradient does not go with.
    fn check_corrected(&self) -> Result<(), Error> {
        match self.optimizer {
            Optimizer::Sgd => Ok(()),
            Optimizer::Adam => Err(Error::Config {
                key: "optimizer",
                value: "Adam".to_owned(),
                rule: "Sgd where gradients are corrected",
            }),
        }
    }
}

impl Model {
    /// Trains on the rows asked for, starting from the model's parameters. The model itself is
    /// left as it was: the caller decides what becomes of the delta.
    pub fn train(&self, series: &[Series], config: TrainConfig) -> Result<Trained, Error> {
        self.train_while(series, config, None, &|| true)
    }

    /// As [`train`](Self::train), with `correction` added to the gradient in every step, in the order of
    /// [`parameters`](Self::parameters): SCAFFOLD's `c − cᵢ` (Karimireddy et al. 2020). It is for plain gradient
    /// descent: Adam would scale it as it likes.
    pub fn train_corrected(
        &self,
        series: &[Series],
        config: TrainConfig,
        correction: &[f32],
    ) -> Result<Trained, Error> {
        self.train_while(series, config, Some(correction), &|| true)
    }

    /// What a training made of it.
    pub fn moved(&self, by: &Trained) -> Result<Self, Error> {
        let mut parameters = self.parameters();
        parameters
            .iter_mut()
            .zip(&by.delta)
            .for_each(|(parameter, step)| *parameter += step);
        Self::with_parameters(self.shape.clone(), &parameters)
    }

    /// As [`train`](Self::train), but ends with [`Error::Stopped`] after the step in which `go`
    /// turned false.
    pub(crate) fn train_while(
        &self,
        series: &[Series],
        config: TrainConfig,
        correction: Option<&[f32]>,
        go: &dyn Fn() -> bool,
    ) -> Result<Trained, Error> {
        config.check()?;
        if let Some(correction) = correction {
            config.check_corrected()?;
            crate::model::check_parameters(&self.shape, correction)?;
        }
        row::check(series)?;
        let filled: Vec<Series> = series.iter().map(Series::without_empty).collect();
        let data = Data::new(&filled, &self.shape);
        if data.len() == 0 {
            let rows = series.iter().map(Series::asked).sum();
            return Err(Error::NothingToLearn { rows });
        }
        let base = self.parameters();
        let loss_before = self.mean_squared_error(&data);
        let mut training = Training::new(self, &config, correction)?;
        let mut steps = 0_u32;
        let mut order: Vec<usize> = (0..data.len()).collect();
        let mut random = SplitMix::new(config.seed);
        for epoch in 1..=config.epochs {
            random.shuffle(&mut order);
            for indices in order.chunks(config.batch) {
                if !go() {
                    return Err(Error::Stopped);
                }
                let mut batch = data.select(indices.iter().copied());
                if config.masking > 0.0 {
                    let kept = (0..batch.rows() * SLOTS)
                        .map(|_| f32::from(u8::from(random.unit() >= config.masking)));
                    batch.hide(&kept.collect::<Vec<_>>());
                }
                training.step(&batch);
                steps += 1; // at most `MAX_EPOCHS` times `MAX_ROWS`
            }
            if !training
                .model
                .parameters()
                .iter()
                .all(|value| value.is_finite())
            {
                return Err(Error::Diverged {
                    epoch,
                    learning_rate: config.learning_rate,
                });
            }
        }
        let work = training.model;
        let delta = work
            .parameters()
            .iter()
            .zip(&base)
            .map(|(new, old)| new - old)
            .collect();
        let loss_after = work.mean_squared_error(&data);
        Ok(Trained {
            delta,
            loss_before,
            loss_after,
            examples: data.len() as u64,
            steps,
        })
    }
}

/// A copy of the base model whose tensors an optimiser may change.
struct Training {
    model: Model,
    optimiser: nn::Optimizer,
    /// By tensor: what is added to its gradient.
    correction: Option<Vec<Tensor>>,
    /// The base parameters and μ, if proximal.
    anchor: Option<(Vec<Tensor>, f64)>,
    _store: nn::VarStore, // the optimiser's view of the tensors
}

impl Training {
    fn new(base: &Model, config: &TrainConfig, correction: Option<&[f32]>) -> Result<Self, Error> {
        let store = nn::VarStore::new(Device::Cpu);
        let root = store.root();
        let layers = base.layers.iter().enumerate().map(|(index, layer)| Dense {
            weight: root.var_copy(&format!("weight{index}"), &layer.weight),
            bias: root.var_copy(&format!("bias{index}"), &layer.bias),
        });
        let model = Model {
            shape: base.shape.clone(),
            layers: layers.collect(),
        };
        let built = match config.optimizer {
            Optimizer::Adam => nn::Adam::default().build(&store, config.learning_rate),
            Optimizer::Sgd => nn::Sgd::default().build(&store, config.learning_rate),
        };
        let optimiser = built.map_err(|error| Error::Panicked(error.to_string()))?;
        let correction = correction.map(|flat| {
            let layers = layers::from_flat(&base.shape, flat);
            layers::tensors(&layers)
                .map(Tensor::shallow_clone)
                .collect()
        });
        let copies = || layers::tensors(&base.layers).map(Tensor::copy).collect();
        let anchor = config.proximal.map(|mu| (copies(), mu));
        Ok(Self {
            model,
            optimiser,
            correction,
            anchor,
            _store: store,
        })
    }

    fn step(&mut self, batch: &Batch) {
        let (error, present) = layers::squared_error(&self.model.layers, &self.model.shape, batch);
        let mut loss = error / present;
        if let Some((anchor, mu)) = &self.anchor {
            let pairs = layers::tensors(&self.model.layers).zip(anchor);
            let pulls = pairs.map(|(tensor, base)| (tensor - base).square().sum(Kind::Double));
            loss = pulls.fold(loss, |loss, pull| loss + pull * (mu / 2.0));
        }
        let Some(correction) = &self.correction else {
            return self.optimiser.backward_step(&loss);
        };
        self.optimiser.zero_grad();
        loss.backward();
        tch::no_grad(|| {
            for (tensor, correction) in layers::tensors(&self.model.layers).zip(correction) {
                let _ = tensor.grad().g_add_(correction);
            }
        });
        self.optimiser.step();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Row, Shape};
    use std::cell::Cell;

    #[test]
    fn a_stop_ends_training_within_the_step() {
        let model = Model::initial(Shape::default(), 1).unwrap();
        let rows = [Series::from(vec![Row::dense(&[1.0, -1.0]); 10])];
        let config = TrainConfig {
            epochs: 100,
            batch: 2,
            ..TrainConfig::default()
        };
        let asked = Cell::new(0);
        let go = || {
            asked.set(asked.get() + 1);
            asked.get() <= 7
        };
        assert_eq!(
            model.train_while(&rows, config, None, &go),
            Err(Error::Stopped)
        );
        assert_eq!(asked.get(), 8);
    }
}
