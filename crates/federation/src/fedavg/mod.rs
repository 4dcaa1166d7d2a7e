//! Federated averaging (McMahan, Moore, Ramage, Hampson, Agüera y Arcas: *Communication-Efficient
//! Learning of Deep Networks from Decentralized Data*, AISTATS 2017), in the form with a server
//! step (Reddi et al., *Adaptive Federated Optimization*, ICLR 2021):
//!
//! ```text
//! Δ  = Σₖ (nₖ / n) · Δₖ        Δₖ = wₖ − w, trained by participant k on nₖ examples; n = Σₖ nₖ
//! w' = w + η · Δ               η = 1 is plain FedAvg
//! ```
//!
//! The step is one of [`crate::optimizer`]; the mean one of [`crate::robust`], where participants may lie.
//!
//! Sums are kept in f64 and taken in the order given, so equal inputs in equal order give equal
//! bits on every machine.

#[cfg(test)]
mod tests;

use crate::optimizer::Moments;
use crate::robust::{RobustError, Rule};
use crate::scaffold::ScaffoldError;

pub use crate::optimizer::ServerOptimizer;

/// Parameters of which all parts are added up before the next: their sums take 16 KiB.
const PIECE: usize = 2048;

/// One participant's part.
#[derive(Clone, Copy, Debug)]
pub struct Contribution<'a> {
    /// Δₖ: trained parameters minus base parameters.
    pub delta: &'a [f32],
    /// nₖ: training examples; its weight.
    pub examples: u64,
    /// Mean loss of the base model on them.
    pub loss: f64,
}

/// What the updates of a round say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    /// Δ.
    pub delta: Vec<f64>,
    /// n, as the participants claim.
    pub examples: u64,
    /// Mean loss of the base model, weighted by examples.
    pub loss: f64,
}

/// What a round made.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// The new model.
    pub parameters: Vec<f32>,
    /// n.
    pub examples: u64,
    /// Mean loss of the base model, weighted by examples.
    pub loss: f64,
}

/// Why there is no aggregate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AggregateError {
    /// Nothing to average.
    #[error("no examples behind the updates, so they have no mean")]
    NoExamples,
    /// Contributions must fit the model.
    #[error("an update of {found} parameters does not fit the model's {expected}")]
    Length {
        /// The model's.
        expected: usize,
        /// The update's.
        found: usize,
    },
    /// The sum of weights does not fit.
    #[error("the examples of all updates together overflow 64 bits")]
    TooManyExamples,
    /// The robust rule cannot do with them.
    #[error(transparent)]
    Rule(#[from] RobustError),
    /// The variates do not go with them.
    #[error(transparent)]
    Variates(#[from] ScaffoldError),
    /// The step leads out of the numbers.
    #[error(
        "parameter {index} of the new model is not finite; lower the server's learning rate or the bound on updates"
    )]
    NotFinite {
        /// The first such parameter.
        index: usize,
    },
}

/// The mean of `contributions` by `rule`, for a model of `length` parameters.
pub fn combine(
    (rule, liars): (Rule, usize),
    length: usize,
    contributions: &[Contribution<'_>],
) -> Result<Mean, AggregateError> {
    let mut examples = 0_u64;
    for part in contributions {
        if part.delta.len() != length {
            return Err(AggregateError::Length {
                expected: length,
                found: part.delta.len(),
            });
        }
        examples = examples
            .checked_add(part.examples)
            .ok_or(AggregateError::TooManyExamples)?;
    }
    if examples == 0 {
        return Err(AggregateError::NoExamples);
    }
    let loss = contributions
        .iter()
        .map(|part| part.examples as f64 / examples as f64 * part.loss)
        .sum();
    let delta = match rule {
        Rule::Mean => {
            let mut mean = Vec::with_capacity(length);
            // Piece by piece, so that sums stay in the first cache while one part after the other is added.
            while mean.len() < length {
                let start = mean.len();
                mean.resize(length.min(start + PIECE), 0.0_f64);
                let sums = &mut mean[start..];
                for part in contributions {
                    let weight = part.examples as f64 / examples as f64;
                    for (sum, delta) in sums.iter_mut().zip(&part.delta[start..]) {
                        *sum += weight * f64::from(*delta);
                    }
                }
            }
            mean
        }
        Rule::NormClip { .. }
        | Rule::Median
        | Rule::TrimmedMean
        | Rule::GeometricMedian
        | Rule::Krum
        | Rule::MultiKrum
        | Rule::Bulyan => {
            let deltas: Vec<_> = contributions.iter().map(|part| part.delta).collect();
            rule.combine(liars, &deltas)?
        }
    };
    Ok(Mean {
        delta,
        examples,
        loss,
    })
}

/// Takes the server's step from `base` along `mean`.
pub fn step(
    optimizer: ServerOptimizer,
    base: &[f32],
    mean: &Mean,
    moments: Option<&Moments>,
) -> Result<(Aggregate, Moments), AggregateError> {
    if mean.delta.len() != base.len() {
        return Err(AggregateError::Length {
            expected: base.len(),
            found: mean.delta.len(),
        });
    }
    let (parameters, moments) = optimizer.step(base, &mean.delta, moments);
    let made = finite(Aggregate {
        parameters,
        examples: mean.examples,
        loss: mean.loss,
    })?;
    Ok((made, moments))
}

/// Refuses a model that is none.
pub(crate) fn finite(made: Aggregate) -> Result<Aggregate, AggregateError> {
    let infinite = |parameter: &f32| !parameter.is_finite();
    match made.parameters.iter().position(infinite) {
        Some(index) => Err(AggregateError::NotFinite { index }),
        None => Ok(made),
    }
}
