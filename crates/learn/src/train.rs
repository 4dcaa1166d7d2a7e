//! Local training: from a base model to a delta.

use crate::adam::Adam;
use crate::layers::{self, Batch, Data};
use crate::random::SplitMix;
use crate::{Error, Model, SLOTS, Series, Shape, row};
use tch::{Kind, Tensor};

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
        let mut parameters = base.clone();
        let loss_before = self.mean_squared_error(&data);
        let mut training = Training::new(&self.shape, &base, &config, correction);
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
            training.copy_parameters(&mut parameters);
            if !parameters.iter().all(|value| value.is_finite()) {
                return Err(Error::Diverged {
                    epoch,
                    learning_rate: config.learning_rate,
                });
            }
        }
        let mut delta = parameters;
        for (new, old) in delta.iter_mut().zip(&base) {
            *new -= old;
        }
        Ok(Trained {
            delta,
            loss_before,
            examples: data.len() as u64,
            steps,
        })
    }
}

/// A copy of the base model's parameters that an optimiser changes.
struct Training {
    shape: Shape,
    /// All of them as one vector: the gradient is one, too, and the optimiser goes through both once.
    parameters: Tensor,
    steps: Steps,
    /// The base parameters and μ, if proximal.
    anchor: Option<(Tensor, f64)>,
}

/// How a gradient becomes a step.
enum Steps {
    Adam(Adam),
    /// Plain gradient descent, what is added to each gradient included.
    Descent {
        /// Of the training: one memory.
        parameters: Tensor,
        learning_rate: f64,
        correction: Option<Tensor>,
    },
}

impl Steps {
    fn take(&mut self, gradient: &Tensor) {
        match self {
            Self::Adam(adam) => adam.step(gradient),
            Self::Descent {
                parameters,
                learning_rate,
                correction,
            } => {
                let step = match correction {
                    Some(correction) => gradient + &*correction,
                    None => gradient.shallow_clone(),
                };
                let _ = parameters.g_add_(&(step * -*learning_rate));
            }
        }
    }
}

impl Training {
    fn new(shape: &Shape, base: &[f32], config: &TrainConfig, correction: Option<&[f32]>) -> Self {
        let parameters = Tensor::from_slice(base).set_requires_grad(true);
        let anchor = config.proximal.map(|mu| (Tensor::from_slice(base), mu));
        let steps = match config.optimizer {
            Optimizer::Adam => Steps::Adam(Adam::new(&parameters, config.learning_rate)),
            Optimizer::Sgd => Steps::Descent {
                parameters: parameters.detach(),
                learning_rate: config.learning_rate,
                correction: correction.map(Tensor::from_slice),
            },
        };
        Self {
            shape: shape.clone(),
            steps,
            parameters,
            anchor,
        }
    }

    fn step(&mut self, batch: &Batch) {
        let layers = layers::views(&self.shape, &self.parameters);
        let (error, present) = layers::squared_error(&layers, &self.shape, batch);
        let mut loss = error / present;
        if let Some((anchor, mu)) = &self.anchor {
            let pull = (&self.parameters - anchor).square().sum(Kind::Double);
            loss += pull * (mu / 2.0);
        }
        let gradient = Tensor::run_backward(&[loss], &[&self.parameters], false, false);
        tch::no_grad(|| {
            gradient
                .iter()
                .for_each(|gradient| self.steps.take(gradient))
        });
    }

    fn copy_parameters(&self, to: &mut [f32]) {
        self.parameters.detach().copy_data(to, to.len());
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

    #[test]
    fn a_masked_metric_is_hidden_in_every_row_looked_at_and_still_to_be_rebuilt() {
        let shape = Shape::temporal();
        let rows = vec![Row::dense(&[1.0, 2.0, 3.0]); 20];
        let data = Data::new(&[Series::from(rows)], &shape);
        let numbers = |tensor: &Tensor| -> Vec<f32> {
            let mut numbers = vec![0.0; tensor.numel()];
            let count = numbers.len();
            tensor.contiguous().copy_data(&mut numbers, count);
            numbers
        };
        let mut batch = data.select([18, 19].into_iter());
        let (seen, asked) = (numbers(batch.input()), numbers(batch.values()));
        let mut kept = vec![1.0; batch.rows() * SLOTS];
        kept[1] = 0.0; // of the first row
        batch.hide(&kept);
        let hidden = numbers(batch.input());
        for (at, (now, before)) in hidden.iter().zip(&seen).enumerate() {
            let (row, slot) = (at / Shape::INPUT / shape.reach(), at % SLOTS);
            let expected = if row == 0 && slot == 1 { 0.0 } else { *before };
            assert_eq!(*now, expected, "{at}");
        }
        assert_eq!(seen.iter().filter(|value| **value == 2.0).count(), 32);
        assert_eq!(numbers(batch.values()), asked);
        assert_eq!(asked[1], 2.0);
    }
}
