//! Rules that combine updates although some of them lie.
//!
//! | rule | source | needs |
//! |---|---|---|
//! | [`NormClip`](Rule::NormClip) | Sun, Kairouz, Suresh, McMahan 2019, *Can You Really Backdoor Federated Learning?* | n ≥ 1 |
//! | [`Median`](Rule::Median), [`TrimmedMean`](Rule::TrimmedMean) | Yin, Chen, Ramchandran, Bartlett, ICML 2018 | n ≥ 2f + 1 |
//! | [`GeometricMedian`](Rule::GeometricMedian) | Pillutla, Kakade, Harchaoui, IEEE TSP 2022 | n ≥ 2f + 1 |
//! | [`Krum`](Rule::Krum), [`MultiKrum`](Rule::MultiKrum) | Blanchard, El Mhamdi, Guerraoui, Stainer, NeurIPS 2017 | n ≥ 2f + 3 |
//! | [`Bulyan`](Rule::Bulyan) | El Mhamdi, Guerraoui, Rouault, ICML 2018 | n ≥ 4f + 3 |
//!
//! All of them count every update once, whatever number of examples it claims: who lies about an
//! update lies about its weight, too. [`Rule::Mean`] is the exception and no defence.
//!
//! None of them is a proof. What they promise holds for honest updates that lie close together;
//! with rooms that differ, *a little is enough* (Baruch, Baruch, Goldberg, NeurIPS 2019) gets past
//! distances, and the tests say which rule falls to it. `docs/learning-algorithms.md` has the table.
//!
//! Sums are taken in the order given and ties go to the earlier update, so equal inputs give equal
//! bits.

mod coordinates;
mod geometric;
mod krum;
#[cfg(test)]
mod tests;

use std::fmt;

/// How updates become one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Rule {
    /// Their mean, weighted by examples: FedAvg. One liar can make it anything.
    #[default]
    Mean,
    /// The mean of the updates, each scaled down to this L2 norm where it is longer. A liar can
    /// still push, by at most `bound / n` a round.
    NormClip {
        /// Largest L2 norm.
        bound: f64,
    },
    /// The median of each coordinate.
    Median,
    /// The mean of each coordinate without its f smallest and f largest values.
    TrimmedMean,
    /// The point with the smallest sum of distances to all updates.
    GeometricMedian,
    /// The update whose n − f − 2 nearest neighbours are nearest.
    Krum,
    /// The mean of the n − f − 2 updates with the best Krum scores. (As many as keep its
    /// resilience: Damaskinos et al., *AggregaThor*, MLSys 2019.)
    MultiKrum,
    /// n − 2f updates chosen by Krum one after the other; of each coordinate the mean of the
    /// n − 4f values nearest to the median.
    Bulyan,
}

impl Rule {
    /// Its name in configurations and sentences.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::NormClip { .. } => "norm-clip",
            Self::Median => "median",
            Self::TrimmedMean => "trimmed-mean",
            Self::GeometricMedian => "geometric-median",
            Self::Krum => "krum",
            Self::MultiKrum => "multi-krum",
            Self::Bulyan => "bulyan",
        }
    }

    /// Fewest updates with which the rule withstands `liars` of them; `None`: no number would do
    /// (or it does not fit).
    pub const fn needs(self, liars: usize) -> Option<usize> {
        let (factor, more) = match self {
            Self::Mean => return if liars == 0 { Some(1) } else { None },
            Self::NormClip { .. } => return Some(1),
            Self::Median | Self::TrimmedMean | Self::GeometricMedian => (2, 1),
            Self::Krum | Self::MultiKrum => (2, 3),
            Self::Bulyan => (4, 3),
        };
        match liars.checked_mul(factor) {
            Some(product) => product.checked_add(more),
            None => None,
        }
    }

    /// Whether `updates` of them suffice against `liars`.
    pub const fn check(self, updates: usize, liars: usize) -> Result<(), RobustError> {
        if let Self::NormClip { bound } = self
            && !(bound > 0.0 && bound.is_finite())
        {
            return Err(RobustError::Bound { bound });
        }
        match self.needs(liars) {
            None => Err(RobustError::Defenceless { rule: self, liars }),
            Some(needed) if updates < needed => Err(RobustError::TooFew {
                rule: self,
                liars,
                needed,
                found: updates,
            }),
            Some(_) => Ok(()),
        }
    }

    /// Combines `updates`, of which at most `liars` are not what training made.
    pub fn combine(self, liars: usize, updates: &[&[f32]]) -> Result<Vec<f64>, RobustError> {
        self.check(updates.len(), liars)?;
        let length = updates.first().map_or(0, |update| update.len());
        for (index, update) in updates.iter().enumerate() {
            if update.len() != length {
                return Err(RobustError::Length {
                    index,
                    expected: length,
                    found: update.len(),
                });
            }
            if !update.iter().all(|value| value.is_finite()) {
                return Err(RobustError::NotFinite { index });
            }
        }
        Ok(match self {
            Self::Mean => mean(updates),
            Self::NormClip { bound } => clipped_mean(bound, updates),
            Self::Median => coordinates::median(updates),
            Self::TrimmedMean => coordinates::trimmed_mean(liars, updates),
            Self::GeometricMedian => geometric::median(updates),
            Self::Krum => {
                let scores = krum::Distances::between(updates);
                mean(&[updates[scores.best(liars)]])
            }
            Self::MultiKrum => {
                let chosen = krum::Distances::between(updates).best_many(liars);
                mean(&chosen.iter().map(|i| updates[*i]).collect::<Vec<_>>())
            }
            Self::Bulyan => {
                let chosen = krum::Distances::between(updates).one_by_one(liars);
                let chosen: Vec<_> = chosen.iter().map(|i| updates[*i]).collect();
                coordinates::mean_around_median(chosen.len() - 2 * liars, &chosen)
            }
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why updates were not combined.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RobustError {
    /// Below the rule's requirement.
    #[error(
        "{rule} withstands {liars} liars among {needed} updates or more, and there are {found}; raise the cohort or lower f"
    )]
    TooFew {
        /// The rule.
        rule: Rule,
        /// f.
        liars: usize,
        /// Fewest updates.
        needed: usize,
        /// n.
        found: usize,
    },
    /// No defence at all.
    #[error("{rule} withstands no liars, and {liars} are to be expected; choose another rule")]
    Defenceless {
        /// The rule.
        rule: Rule,
        /// f.
        liars: usize,
    },
    /// Clipping needs a length.
    #[error("updates cannot be clipped to a norm of {bound}; give a finite one above 0")]
    Bound {
        /// As given.
        bound: f64,
    },
    /// Updates of one round have one length.
    #[error("update {index} has {found} parameters, the first {expected}")]
    Length {
        /// Which update.
        index: usize,
        /// The first one's.
        expected: usize,
        /// Its own.
        found: usize,
    },
    /// NaN or infinite.
    #[error("update {index} is not finite")]
    NotFinite {
        /// Which update.
        index: usize,
    },
}

/// L2 norm, summed in f64. Not finite where a value is not: no sum of squares of f32 is beyond f64.
pub fn norm(update: &[f32]) -> f64 {
    // Side by side: one after the other each addition waits for the one before.
    const SUMS: usize = 8;
    let square = |value: &f32| f64::from(*value).powi(2);
    let (rows, rest) = update.as_chunks::<SUMS>();
    let mut sums = [0.0_f64; SUMS];
    for row in rows {
        for (sum, value) in sums.iter_mut().zip(row) {
            *sum += square(value);
        }
    }
    let rest: f64 = rest.iter().map(square).sum();
    (sums.iter().sum::<f64>() + rest).sqrt()
}

/// By what an update is multiplied so that its norm is at most `bound`.
pub fn clip_factor(norm: f64, bound: f64) -> f64 {
    if norm > bound { bound / norm } else { 1.0 }
}

fn mean(updates: &[&[f32]]) -> Vec<f64> {
    scaled_mean(updates, |_| 1.0)
}

fn clipped_mean(bound: f64, updates: &[&[f32]]) -> Vec<f64> {
    scaled_mean(updates, |update| clip_factor(norm(update), bound))
}

fn scaled_mean(updates: &[&[f32]], scale: impl Fn(&[f32]) -> f64) -> Vec<f64> {
    let mut sum = vec![0.0_f64; updates.first().map_or(0, |update| update.len())];
    for update in updates {
        let scale = scale(update) / updates.len() as f64;
        for (sum, value) in sum.iter_mut().zip(*update) {
            *sum += scale * f64::from(*value);
        }
    }
    sum
}
