//! What must have been reached at the end of a run.

use super::invariants as rule;
use super::world::{Checked, World};
use ledger::{Applied, State};
use wire::{Act, GroupCommitKind};

/// Rounds that must close in the calm.
const ROUNDS_IN_CALM: u64 = 3;
/// Leaves a replica may be behind at the end: those committed within the last links' delay.
const LEAVES_UNDER_WAY: u64 = 20;

impl World {
    pub(crate) fn verdict(&mut self) -> Checked {
        let state = self.furthest();
        for n in 0..self.nodes.len() {
            let node = &self.nodes[n];
            let (size, of) = (node.replica.size, self.log.len() as u64);
            rule::CAUGHT_UP.check(size + LEAVES_UNDER_WAY >= of, n, || {
                format!("{size} of {of} leaves")
            })?;
            let (held, epoch) = (
                node.keyring.current().map(|s| s.epoch),
                node.replica.keys.epoch,
            );
            rule::IN_GROUP.check(held == Some(epoch), n, || {
                format!("holds {held:?} at {epoch}")
            })?;
        }
        let closed = state.rounds.closed - self.calm_since_round;
        if self.nodes.len() >= federation::Config::default().min_cohort {
            rule::ROUNDS_GO_ON.check(closed >= ROUNDS_IN_CALM, 0, || format!("{closed} closed"))?;
        }
        // Each round's end is told some time before its rotation is; the last may be under way.
        let owed = self.unrotated();
        rule::KEYS_FOLLOW.check(owed <= 1, 0, || format!("{owed} rounds without a rotation"))
    }

    /// Rounds that closed after the last winning rotation.
    fn unrotated(&self) -> usize {
        let mut state = State::new();
        let mut owed = 0;
        for (index, record) in self.log.iter().enumerate() {
            let applied = state.apply(index as u64, record);
            match (&applied, &record.act) {
                (Applied::Effective, Act::RoundClosed { .. } | Act::BufferedRoundClosed { .. }) => {
                    owed += 1
                }
                (
                    Applied::Effective,
                    Act::GroupCommit {
                        kind: GroupCommitKind::Rotated { .. },
                        ..
                    },
                ) => owed = 0,
                _ => {}
            }
        }
        owed
    }
}
