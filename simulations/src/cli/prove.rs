//! The harness itself under test: it must notice what is wrong.

use super::{Failed, runner};
use clap::Args;
use simulations::lockstep::Lockstep;
use simulations::plan::Plan;
use simulations::story::{RunError, Runner as _};

/// Shows that the harness finds what is wrong.
#[derive(Args)]
pub(super) struct Prove {
    /// Seeds tried for each known mistake.
    #[arg(long, default_value_t = 40)]
    budget: u64,
}

/// Groups of overrides, and what shows that one matters: without entropy or clocks two runs of a
/// seed differ; without the disk a power loss loses nothing, which is another run than with it.
const OVERRIDES: [&str; 3] = ["entropy", "clock", "disk"];

impl Prove {
    pub(super) fn run(self) -> Result<bool, Failed> {
        let whole = runner()?;
        let mut proved = true;
        println!("overrides left out");
        for group in OVERRIDES {
            let without = Lockstep {
                without: Some(group.to_owned()),
                ..whole.clone()
            };
            let (shows, found) = ablation(&whole, &without, group)?;
            proved &= found;
            println!("  {group:<8} {shows}");
        }
        let mistakes = mistakes(&whole, self.budget)?;
        Ok(proved && mistakes)
    }
}

fn ablation(whole: &Lockstep, without: &Lockstep, group: &str) -> Result<(String, bool), RunError> {
    let plan = Plan::draw(7, "ledger", 3, 1)
        .ok_or_else(|| RunError("the scenario `ledger` is gone".to_owned()))?;
    let complete = whole.run(&plan, false)?;
    let again = whole.run(&plan, false)?;
    if complete != again {
        return Ok((
            "the complete harness does not repeat either".to_owned(),
            false,
        ));
    }
    let first = without.run(&plan, false)?;
    let second = without.run(&plan, false)?;
    let (differs, from) = if group == "disk" {
        (first.trace != complete.trace, "from a run with it")
    } else {
        (first.trace != second.trace, "from each other")
    };
    let word = if differs { "differ" } else { "DO NOT differ" };
    Ok((format!("runs {word} {from}"), differs))
}

/// Where a mistake shows: a scenario in which the event happens that it needs.
#[cfg(feature = "mistakes")]
fn stage(mistake: machine::mistakes::Mistake) -> (&'static str, u8, u64) {
    use machine::mistakes::Mistake;
    match mistake {
        Mistake::DoubleVote | Mistake::LostFsync | Mistake::DuplicateProposal => ("ledger", 3, 2),
        Mistake::CommitBeforePersist | Mistake::WatermarkEarly => ("crashes", 3, 2),
        Mistake::EvictedKeepsKeys => ("members", 4, 2),
        Mistake::StaleEpochAccepted => ("calm", 3, 2),
        Mistake::DoubleCountedUpdate => ("splits", 3, 2),
        Mistake::OffsetCommittedEarly | Mistake::UnboundedQueue => ("storm", 3, 2),
        Mistake::NoFailoverAbandon => ("crashes", 3, 2),
    }
}

/// Known mistakes, one after the other, until an invariant finds each.
#[cfg(feature = "mistakes")]
fn mistakes(whole: &Lockstep, budget: u64) -> Result<bool, RunError> {
    println!("known mistakes, at most {budget} seeds each");
    let mut all = true;
    for mistake in machine::mistakes::ALL {
        let (scenario, nodes, minutes) = stage(mistake);
        let mut found = None;
        for seed in 1..=budget {
            let plan = Plan::draw(seed, scenario, nodes, minutes);
            let Some(mut plan) = plan else {
                return Err(RunError(format!("the scenario `{scenario}` is gone")));
            };
            plan.bugs = vec![mistake.name().to_owned()];
            let outcome = whole.run(&plan, false)?;
            if let Some(violation) = outcome.violations.first() {
                found = Some((violation.id.clone(), seed));
                break;
            }
        }
        all &= found.is_some();
        let (id, seeds) = match &found {
            Some((id, seeds)) => (id.as_str(), format!("after {seeds} seeds")),
            None => ("NOT FOUND", format!("in {budget} seeds")),
        };
        println!(
            "  {:<24} {id:<10} {seeds:<16} {scenario}: {}",
            mistake.name(),
            mistake.sentence()
        );
    }
    Ok(all)
}

/// Known mistakes, one after the other, until an invariant finds each.
#[cfg(not(feature = "mistakes"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
fn mistakes(_: &Lockstep, _: u64) -> Result<bool, RunError> {
    println!("known mistakes: not in this build; `--features mistakes` has them");
    Ok(true)
}
