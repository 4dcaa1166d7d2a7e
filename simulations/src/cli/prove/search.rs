//! Known mistakes, one after the other, until an invariant finds each.

use super::{Prove, both};
use machine::mistakes::{ALL, Mistake, UnknownMistake};
use simulations::lockstep::Lockstep;
use simulations::lockstep::prove::{Stage, stage};
use simulations::outcome::Outcome;
use simulations::story::{Failure, RunError};
use std::path::Path;

/// Enough for every change: found at the first seeds, without Kafka.
const QUICK: [Mistake; 3] = [
    Mistake::DoubleVote,
    Mistake::LostFsync,
    Mistake::StaleEpochAccepted,
];

/// What a mistake came to.
enum Search {
    /// The rule, the seed; its control broke no rule.
    Found(String, u64),
    /// What was found instead, if anything; it does not count.
    Missed(Option<String>),
    /// Without the mistake this seed breaks this rule, too.
    Control(String, u64),
}

impl Prove {
    /// Was each found, with a control that is free?
    pub(super) fn mistakes(&self, whole: &Lockstep) -> Result<bool, RunError> {
        let known = |name: &&String| ALL.iter().any(|mistake| mistake.name() == **name);
        if let Some(name) = self.only.iter().find(|name| !known(name)) {
            return Err(RunError(UnknownMistake(name.clone()).to_string()));
        }
        println!("known mistakes; each seed also runs without the mistake, as its control");
        println!(
            "  {:<24} {:<10} {:<6} {:<6} {:<16} scenario",
            "mistake", "found by", "seeds", "budget", "control"
        );
        let mut all = true;
        for mistake in ALL.into_iter().filter(|mistake| self.wants(*mistake)) {
            let (name, stage) = (mistake.name(), stage(mistake));
            let search = search(whole, name, &stage, self.failures.as_deref())?;
            let (found, seeds, control) = match &search {
                Search::Found(rule, seed) => (rule.clone(), *seed, "free".to_owned()),
                Search::Missed(other) => {
                    let other = other.as_ref().map(|other| format!(" (only {other})"));
                    let found = format!("NOT FOUND{}", other.unwrap_or_default());
                    (found, stage.budget, "free".to_owned())
                }
                Search::Control(rule, seed) => {
                    ("NOTHING".to_owned(), *seed, format!("BREAKS {rule}"))
                }
            };
            all &= matches!(search, Search::Found(..));
            println!(
                "  {name:<24} {found:<10} {seeds:<6} {:<6} {control:<16} {}: {}",
                stage.budget, stage.scenario, stage.reason
            );
        }
        Ok(all)
    }

    fn wants(&self, mistake: Mistake) -> bool {
        if self.only.is_empty() {
            !self.quick || QUICK.contains(&mistake)
        } else {
            self.only.iter().any(|name| name == mistake.name())
        }
    }
}

/// Seed after seed, each with and without the mistake.
fn search(
    whole: &Lockstep,
    mistake: &str,
    stage: &Stage,
    failures: Option<&Path>,
) -> Result<Search, RunError> {
    let mut other = None;
    for seed in 1..=stage.budget {
        let control = stage.plan(seed);
        let mut wrong = control.clone();
        wrong.bugs = vec![mistake.to_owned()];
        let (with, without) = both((whole, &wrong), (whole, &control))?;
        if let Some(broken) = without.violations.first() {
            keep(failures, &format!("{mistake}-control"), &without)?;
            return Ok(Search::Control(broken.id.clone(), seed));
        }
        let ids = || with.violations.iter().map(|violation| &violation.id);
        if let Some(id) = ids().find(|id| stage.rules.iter().any(|rule| rule.id == **id)) {
            keep(failures, mistake, &with)?;
            return Ok(Search::Found(id.clone(), seed));
        }
        other = ids().next().cloned().or(other);
    }
    Ok(Search::Missed(other))
}

/// Writes a failure's file, if that was asked for.
fn keep(failures: Option<&Path>, name: &str, outcome: &Outcome) -> Result<(), RunError> {
    let (Some(dir), Some(failure)) = (failures, Failure::of(outcome)) else {
        return Ok(());
    };
    let path = dir.join(name).with_extension("json");
    let cannot = |error| RunError(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(dir).map_err(cannot)?;
    failure.write(&path).map_err(cannot)
}
