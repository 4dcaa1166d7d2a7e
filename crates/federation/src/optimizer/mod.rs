//! How the server turns the mean difference Δ of a round into a new model.
//!
//! Reddi, Charles, Zaheer, Garrett, Rush, Konečný, Kumar, McMahan: *Adaptive Federated Optimization*,
//! ICLR 2021, algorithm 2. All operations are per parameter:
//!
//! ```text
//! FedAvg       m' = β·m + Δ                                  w' = w + η·m'      (β = 0: McMahan et al. 2017;
//!                                                                                β > 0: Hsu, Qi, Brown 2019)
//! FedAdagrad   m' = β₁·m + (1 − β₁)·Δ    v' = v + Δ²                            w' = w + η·m' / (√v' + τ)
//! FedYogi      m' as above               v' = v − (1 − β₂)·Δ²·sign(v − Δ²)      w' as above
//! FedAdam      m' as above               v' = β₂·v + (1 − β₂)·Δ²                w' as above
//! ```
//! with m = 0 and v = τ² before the first step, and no correction for that bias, as in the paper.
//!
//! # What becomes of m and v when the leader changes
//! They belong to the model that they were made with ([`Moments`] is kept under its digest by the
//! aggregator) and are not replicated: a new leader starts from m = 0, v = τ². That is safe: the first
//! steps after a change are short, never wild, since per parameter
//! `|w' − w| ≤ η·(1 − β₁)/√(1 − β₂)` when m = 0, whatever Δ is. It costs some 1/(1 − β₁) rounds
//! of momentum (docs/decisions/0024-server-optimizers-start-anew-with-a-leader.md).

mod config;
#[cfg(test)]
mod tests;

pub use config::{Adaptive, ServerOptimizer, UnusableSetting};

/// What an optimiser remembers from one round to the next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// Of the differences; empty where the optimiser has no momentum.
    first: Vec<f32>,
    /// Of their squares; empty for FedAvg.
    second: Vec<f32>,
}

impl ServerOptimizer {
    /// One step from `base` along `delta`, the mean of a round. Moments of another length are as good as
    /// none.
    pub fn step(
        &self,
        base: &[f32],
        delta: &[f64],
        moments: Option<&Moments>,
    ) -> (Vec<f32>, Moments) {
        debug_assert_eq!(base.len(), delta.len());
        match self {
            Self::FedAvg {
                learning_rate,
                momentum,
            } => averaged(base, delta, (*learning_rate, *momentum), moments),
            Self::FedAdagrad(settings) => {
                adaptive(base, delta, settings, moments, |v, square| v + square)
            }
            Self::FedYogi(settings) => adaptive(base, delta, settings, moments, |v, square| {
                let sign = match v.total_cmp(&square) {
                    std::cmp::Ordering::Less => -1.0,
                    std::cmp::Ordering::Equal => 0.0,
                    std::cmp::Ordering::Greater => 1.0,
                };
                v - (1.0 - settings.beta2) * square * sign
            }),
            Self::FedAdam(settings) => adaptive(base, delta, settings, moments, |v, square| {
                settings.beta2 * v + (1.0 - settings.beta2) * square
            }),
        }
    }
}

fn averaged(
    base: &[f32],
    delta: &[f64],
    (learning_rate, momentum): (f64, f64),
    moments: Option<&Moments>,
) -> (Vec<f32>, Moments) {
    if momentum == 0.0 {
        let stepped = base
            .iter()
            .zip(delta)
            .map(|(w, step)| (f64::from(*w) + learning_rate * step) as f32)
            .collect();
        return (stepped, Moments::default());
    }
    let mut first = kept(moments.map(|moments| &moments.first), base.len(), 0.0);
    let stepped = base
        .iter()
        .zip(delta)
        .zip(&mut first)
        .map(|((w, delta), m)| {
            let moved = momentum * f64::from(*m) + delta;
            *m = moved as f32;
            (f64::from(*w) + learning_rate * moved) as f32
        })
        .collect();
    let second = Vec::new();
    (stepped, Moments { first, second })
}

fn adaptive(
    base: &[f32],
    delta: &[f64],
    settings: &Adaptive,
    moments: Option<&Moments>,
    second_moment: impl Fn(f64, f64) -> f64,
) -> (Vec<f32>, Moments) {
    let Adaptive {
        learning_rate,
        beta1,
        beta2: _,
        tau,
    } = *settings;
    // Both or none: they were made together.
    let moments = moments
        .filter(|moments| moments.first.len() == base.len() && moments.second.len() == base.len());
    let mut first = kept(moments.map(|moments| &moments.first), base.len(), 0.0);
    let mut second = kept(
        moments.map(|moments| &moments.second),
        base.len(),
        tau.powi(2) as f32,
    );
    let stepped = base
        .iter()
        .zip(delta)
        .zip(first.iter_mut().zip(&mut second))
        .map(|((w, delta), (m, v))| {
            let mean = beta1 * f64::from(*m) + (1.0 - beta1) * delta;
            let square = second_moment(f64::from(*v), delta.powi(2));
            (*m, *v) = (mean as f32, square as f32);
            (f64::from(*w) + learning_rate * mean / (square.sqrt() + tau)) as f32
        })
        .collect();
    (stepped, Moments { first, second })
}

fn kept(former: Option<&Vec<f32>>, length: usize, initial: f32) -> Vec<f32> {
    match former.filter(|former| former.len() == length) {
        Some(former) => former.clone(),
        None => vec![initial; length],
    }
}
