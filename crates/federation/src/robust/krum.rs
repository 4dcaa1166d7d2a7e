//! Krum's score: how near an update's nearest neighbours are.

use std::cmp::Ordering;

/// Squared L2 distances between all updates.
pub(super) struct Distances {
    count: usize,
    squared: Vec<f64>,
}

impl Distances {
    pub(super) fn between(updates: &[&[f32]]) -> Self {
        let count = updates.len();
        let mut squared = vec![0.0; count * count];
        for (i, one) in updates.iter().enumerate() {
            for (j, other) in updates.iter().enumerate().skip(i + 1) {
                let distance = one
                    .iter()
                    .zip(*other)
                    .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
                    .sum();
                squared[i * count + j] = distance;
                squared[j * count + i] = distance;
            }
        }
        Self { count, squared }
    }

    /// The sum of the distances to the nearest `pool − f − 2` others of the pool. At least one: the
    /// last pools of Bulyan are smaller than Krum alone would take.
    fn score(&self, of: usize, pool: &[usize], liars: usize) -> f64 {
        let mut others: Vec<f64> = pool
            .iter()
            .filter(|other| **other != of)
            .map(|other| self.squared[of * self.count + other])
            .collect();
        others.sort_unstable_by(f64::total_cmp);
        let neighbours = pool.len().saturating_sub(liars + 2).max(1);
        others.iter().take(neighbours).sum()
    }

    /// The pool, best first.
    fn ranked(&self, pool: &[usize], liars: usize) -> Vec<usize> {
        let mut scores: Vec<(f64, usize)> = pool
            .iter()
            .map(|of| (self.score(*of, pool, liars), *of))
            .collect();
        scores.sort_by(|a, b| match a.0.total_cmp(&b.0) {
            Ordering::Equal => a.1.cmp(&b.1),
            order => order,
        });
        scores.into_iter().map(|(_, of)| of).collect()
    }

    /// Krum's choice.
    pub(super) fn best(&self, liars: usize) -> usize {
        self.ranked(&self.all(), liars)[0]
    }

    /// MultiKrum's.
    pub(super) fn best_many(&self, liars: usize) -> Vec<usize> {
        let mut ranked = self.ranked(&self.all(), liars);
        ranked.truncate(self.count - liars - 2);
        ranked.sort_unstable();
        ranked
    }

    /// Bulyan's: n − 2f, each the best of those that the ones before it left.
    pub(super) fn one_by_one(&self, liars: usize) -> Vec<usize> {
        let mut pool = self.all();
        let mut chosen: Vec<usize> = (0..self.count - 2 * liars)
            .map(|_| {
                let best = self.ranked(&pool, liars)[0];
                pool.retain(|of| *of != best);
                best
            })
            .collect();
        chosen.sort_unstable();
        chosen
    }

    fn all(&self) -> Vec<usize> {
        (0..self.count).collect()
    }
}
