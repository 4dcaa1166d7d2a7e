//! What must have been reached at the end of a run.

use super::place::State;
use super::world::World;
use crate::lockstep::invariants::{
    CONVERGED, GOES_ON, LEVEL_RISES, Life, ONE_VIEW, PROVABLE, ROUNDS_GO_ON,
};
use crate::lockstep::protocol::Program;
use replica::VerifyOptions;
use std::fmt::Display;
use wire::Level;

/// Acts that must be committed between the end of the faults and the end of the load. Every node
/// proposes more than one a second, and elections after the worst fault take some seconds.
const ACTS_IN_CALM: u64 = 3;
/// Rounds need so many participants.
const COHORT: usize = 2;
/// Acknowledged acts proved by inclusion on each node; each proof reads the whole log.
const PROOFS: usize = 4;

impl World<'_> {
    pub(super) fn verdict(&mut self) {
        // A run that was broken off by a broken rule owes nothing.
        if !self.record.violations.is_empty() {
            return;
        }
        if self.places[0].program == Program::Space {
            return self.verdict_on_space();
        }
        let nodes = usize::from(self.plan.nodes);
        let size = self.checks.size();
        let members: Vec<_> = (0..nodes)
            .filter(|at| !self.checks.former(&self.places[*at].name))
            .collect();
        for at in members.iter().copied() {
            let place = &self.places[at];
            let (name, shown) = (&place.name, &place.shown);
            let up = CONVERGED.check(matches!(place.state, State::Running(_)), || {
                format!("{name} does not run")
            });
            let (has, settled) = (shown.size, self.settled);
            let whole = CONVERGED.check(has >= settled, || {
                format!("{name} has {has} of the {settled} leaves that had time to reach it")
            });
            let (first, leader) = (&self.places[members[0]], shown.leader.clone());
            let same = leader.is_some() && leader == first.shown.leader;
            let one = ONE_VIEW.check(same, || {
                format!(
                    "{name} names {leader:?}, {} names {:?}",
                    first.name, first.shown.leader
                )
            });
            for holds in [up, whole, one] {
                self.record.check(holds);
            }
        }
        let grown = size - self.size_at_calm;
        let goes_on = GOES_ON.check(grown >= ACTS_IN_CALM, || {
            format!("{grown} leaves since the faults ended, {size} in all")
        });
        self.record.check(goes_on);
        let (before, closed) = (self.rounds_at_calm, self.checks.rounds());
        let learns =
            matches!(self.places[0].program, Program::Node { .. }) && members.len() >= COHORT;
        self.record
            .check(ROUNDS_GO_ON.check(!learns || closed > before, || {
                format!("{closed} rounds have closed, as many as when the faults ended")
            }));
        let newest = Level::NEWEST;
        let level = self.level;
        self.record.check(LEVEL_RISES.check(level == newest, || {
            format!("the ledger has level {level}, the programs speak level {newest}")
        }));
        self.models();
        self.record.check(self.checks.all_there(size));
        self.record.check(self.checks.mail_kept());
        // From here on the files alone count.
        for place in &mut self.places {
            place.state = State::Down;
        }
        for at in members {
            self.prove(at);
        }
    }

    /// Where nothing runs but the data space.
    fn verdict_on_space(&mut self) {
        let mut living: Vec<Life> = Vec::new();
        for place in &self.places {
            let runs = matches!(place.state, State::Running(_));
            let up = CONVERGED.check(runs, || format!("{} does not run", place.name));
            self.record.check(up);
            living.push((place.name.clone(), place.life.into()));
        }
        let retained = dds::Qos::TELEMETRY.retained.into();
        self.record.check(self.checks.retained(&living, retained));
    }

    /// The directory of a node, proved from the outside.
    fn prove(&mut self, at: usize) {
        let place = &self.places[at];
        let name = &place.name;
        let dir = place.dir.join("ledger");
        let options = VerifyOptions::default();
        // Where the run's files lie is another place in each run.
        let root = format!("{}/", self.root.path().display());
        let told = |error: &dyn Display| error.to_string().replace(&root, "");
        let holds = match replica::verify(&dir, &options) {
            Err(error) => Err(PROVABLE.broken(format!("{name}: {}", told(&error)))),
            Ok(report) => {
                let within = self
                    .checks
                    .acknowledgements()
                    .filter(|leaf| *leaf < report.size);
                let leaves: Vec<u64> = within.collect();
                let step = (leaves.len() / PROOFS).max(1);
                let mut proofs = leaves.iter().step_by(step).map(|leaf| {
                    replica::inclusion(&dir, *leaf, &options)
                        .map(drop)
                        .map_err(|error| {
                            PROVABLE.broken(format!("{name}, leaf {leaf}: {}", told(&error)))
                        })
                });
                proofs.find(Result::is_err).unwrap_or(Ok(()))
            }
        };
        self.record.check(holds);
    }
}
