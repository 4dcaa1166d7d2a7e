//! FedBuff (Nguyen, Malik, Zhan, Yousefpour, Rabbat, Malek, Huba, AISTATS 2022): whoever is ready trains from the
//! newest model; the server steps when it has K updates, however old the models are that they started from.
//!
//! ```text
//! w' = w + ηg · (1/K) · Σ s(τᵢ)·Δᵢ        s(τ) = 1 / √(1 + τ), τ: models between base and now
//! ```
//! Here each step is a round of the ledger: it is open until K updates are in the aggregator's buffer. Who is not ready
//! when a round ends trains on, and brings its update to the round that is open when it is; then it gets the newest
//! model. So one participant has one update at a time, which counts at most once: rounds that count it are on the
//! ledger, and an update of a round before that one is known for what it is.
//!
//! Its age is looked up by the digest of the model that it started from, and not believed: [`Bases`] follows the rounds
//! that open, on every node, so that a new leader knows as much as the one before.

use machine::mistakes::{self, Mistake};
use std::collections::VecDeque;
use wire::Digest;

/// How updates are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// K: updates behind one step, at least 1.
    pub size: usize,
    /// Updates from models older than this many are of no use.
    pub max_staleness: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            size: 10, // the paper's
            max_staleness: 10,
        }
    }
}

/// s(τ).
pub fn weight(age: usize) -> f64 {
    (1.0 + age as f64).sqrt().recip()
}

/// The models that rounds started from, newest last.
#[derive(Clone, Debug)]
pub struct Bases {
    models: VecDeque<Digest>,
    most: usize,
}

impl Bases {
    /// Remembers those of use.
    pub fn new(buffer: Buffer) -> Self {
        Self {
            models: VecDeque::new(),
            most: buffer.max_staleness.saturating_add(1),
        }
    }

    /// A round was opened with this model.
    pub fn opened(&mut self, model: Digest) {
        // Again after a round that made none.
        if self.models.back() == Some(&model) {
            return;
        }
        self.models.push_back(model);
        while self.models.len() > self.most && !mistakes::on(Mistake::StaleUpdateAccepted) {
            self.models.pop_front();
        }
    }

    /// What was learned is dropped, and what was trained from it with it.
    pub fn rolled_back(&mut self) {
        self.models.clear();
    }

    /// τ of an update from this model; `None`: it is older than is of use, or none that a round started from.
    pub fn age(&self, base: Digest) -> Option<usize> {
        self.models.iter().rev().position(|model| *model == base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(number: u8) -> Digest {
        Digest([number; 32])
    }

    #[test]
    fn the_older_the_less() {
        assert_eq!(weight(0), 1.0);
        assert_eq!(weight(3), 0.5);
        assert!((weight(1) - 0.5_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn an_age_counts_models_and_not_rounds() {
        let mut bases = Bases::new(Buffer {
            size: 2,
            max_staleness: 2,
        });
        assert_eq!(bases.age(model(0)), None);
        for opened in [0, 1, 1, 1, 2] {
            bases.opened(model(opened));
        }
        let ages = |bases: &Bases| [0, 1, 2, 3].map(|number| bases.age(model(number)));
        assert_eq!(ages(&bases), [Some(2), Some(1), Some(0), None]);
        bases.opened(model(3));
        assert_eq!(ages(&bases), [None, Some(2), Some(1), Some(0)]);
        bases.rolled_back();
        bases.opened(model(1));
        assert_eq!(ages(&bases), [None, Some(0), None, None]);
    }
}
