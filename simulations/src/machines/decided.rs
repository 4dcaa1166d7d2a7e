//! The ledger as a whole: each leaf that takes effect, once for all replicas.

use super::invariants as rule;
use super::rounds::Rounds;
use super::world::{Checked, World};
use wire::{Act, Level};

impl World {
    /// What a leaf says that takes effect, once for all replicas: against what was worked out beside them.
    pub(super) fn decided(&mut self, n: usize, act: &Act) -> Checked {
        let rounds = self.scenario.rounds;
        match act {
            Act::RoundOpened { round, model, .. } => {
                let state = self.nodes[n].replica.clone();
                self.begins(&state, *round, *model);
                let told = state.level >= Level::VARIATES_AND_TENANTS;
                self.starts_from(*round, *model, told);
            }
            Act::RoundClosed {
                round,
                model,
                participants,
                ..
            } => {
                let silent = rounds == Rounds::Buffered && self.tells_ages(*round);
                rule::COUNTS_BY_AGE.check(!silent, n, || format!("{act:?} says no ages"))?;
                self.averages(*round, *model, participants)?;
                if rounds == Rounds::Buffered {
                    self.discounts((*round, *model), participants, None)?;
                }
            }
            Act::BufferedRoundClosed {
                round,
                model,
                participants,
                ages,
                ..
            } => self.discounts((*round, *model), participants, Some(ages))?,
            Act::RoundAbandoned { round, .. } => self.comes_to_nothing(*round),
            Act::VariatesReset { .. } => self.disturbed(),
            _ => {}
        }
        Ok(())
    }
}
