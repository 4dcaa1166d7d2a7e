//! What the participants have spent, as the ledger says, and what they may.

use super::accountant::{Accountant, SampledGaussian};
use std::collections::BTreeMap;
use wire::NodeId;

/// How much a participant's updates may tell in all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// ε: training without a participant stops before it has spent more.
    pub epsilon: f64,
    /// δ.
    pub delta: f64,
}

/// Rounds that one participant's updates are in, by noise multiplier in thousandths.
pub type Rounds = BTreeMap<u32, u64>;

/// Of everybody.
pub type Spent = BTreeMap<NodeId, Rounds>;

/// What `rounds` cost.
pub fn epsilon(rounds: &Rounds, delta: f64) -> f64 {
    accountant(rounds).epsilon(delta)
}

fn accountant(rounds: &Rounds) -> Accountant {
    let mut accountant = Accountant::default();
    for (noise, count) in rounds {
        accountant.add(mechanism(*noise), *count);
    }
    accountant
}

fn mechanism(noise_milli: u32) -> SampledGaussian {
    SampledGaussian {
        sampling_rate: 1.0,
        noise_multiplier: f64::from(noise_milli) / 1_000.0,
    }
}

impl Budget {
    /// Whether one more round with this noise is within the budget.
    pub fn allows(&self, rounds: Option<&Rounds>, noise_milli: u32) -> bool {
        let mut accountant = rounds.map(accountant).unwrap_or_default();
        accountant.add(mechanism(noise_milli), 1);
        accountant.epsilon(self.delta) <= self.epsilon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_never_overdrawn() {
        let budget = Budget {
            epsilon: 5.0,
            delta: 1e-5,
        };
        let mut rounds = Rounds::new();
        while budget.allows(Some(&rounds), 4_000) {
            *rounds.entry(4_000).or_default() += 1;
        }
        let spent = epsilon(&rounds, 1e-5);
        assert!(spent <= 5.0 && spent > 4.8, "{spent} after {rounds:?}");
        // More noise still goes, and less does not.
        assert!(budget.allows(Some(&rounds), 40_000));
        assert!(!budget.allows(Some(&rounds), 500));
        assert!(!budget.allows(None, 0));
    }
}
