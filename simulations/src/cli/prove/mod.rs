//! The harness itself under test: it must notice what is wrong.

#[cfg(feature = "mistakes")]
mod search;

use super::{Failed, runner};
use clap::Args;
use simulations::lockstep::Lockstep;
use simulations::outcome::Outcome;
use simulations::plan::Plan;
use simulations::story::{RunError, Runner as _};
use std::path::PathBuf;

/// Shows that the harness finds what is wrong.
#[derive(Args)]
pub(super) struct Prove {
    /// A few mistakes that show at once, for every change; without it all of them.
    #[arg(long)]
    quick: bool,
    /// Only these mistakes, by name.
    #[arg(long)]
    only: Vec<String>,
    /// Writes here what was found, and every control that breaks a rule: files for `replay`.
    #[arg(long)]
    failures: Option<PathBuf>,
}

/// Groups of overrides, and what shows that one matters: without entropy or clocks two runs of a
/// seed differ; without the disk a power loss loses nothing, which is another run than with it.
const OVERRIDES: [&str; 3] = ["entropy", "clock", "disk"];

impl Prove {
    pub(super) fn run(self) -> Result<bool, Failed> {
        let whole = runner()?;
        let overrides = self.only.is_empty().then(|| ablations(&whole));
        let overrides = overrides.transpose()?.unwrap_or(true);
        let mistakes = self.mistakes(&whole)?;
        Ok(overrides && mistakes)
    }

    /// Known mistakes, one after the other, until an invariant finds each.
    #[cfg(not(feature = "mistakes"))]
    #[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
    fn mistakes(&self, _: &Lockstep) -> Result<bool, RunError> {
        println!("known mistakes: not in this build; `--features mistakes` has them");
        Ok(!self.quick && self.only.is_empty() && self.failures.is_none())
    }
}

/// Two runs at once.
fn both(
    first: (&Lockstep, &Plan),
    second: (&Lockstep, &Plan),
) -> Result<(Outcome, Outcome), RunError> {
    std::thread::scope(|scope| {
        let beside = scope.spawn(|| first.0.run(first.1, false));
        let here = second.0.run(second.1, false);
        let there = beside
            .join()
            .unwrap_or_else(|_| Err(RunError("a run has panicked".to_owned())));
        Ok((there?, here?))
    })
}

fn ablations(whole: &Lockstep) -> Result<bool, RunError> {
    println!("overrides left out");
    let plan = Plan::draw(7, "ledger", 3, 1)
        .ok_or_else(|| RunError("the scenario `ledger` is gone".to_owned()))?;
    let (complete, again) = both((whole, &plan), (whole, &plan))?;
    let repeats = complete == again;
    if !repeats {
        println!("  none     runs DIFFER from each other: nothing follows from the lines below");
    }
    let mut all = repeats;
    for group in OVERRIDES {
        let without = Lockstep {
            without: Some(group.to_owned()),
            ..whole.clone()
        };
        let (first, second) = both((&without, &plan), (&without, &plan))?;
        let (differs, from) = if group == "disk" {
            (first.trace != complete.trace, "from a run with it")
        } else {
            (first.trace != second.trace, "from each other")
        };
        let word = if differs { "differ" } else { "DO NOT differ" };
        println!("  {group:<8} runs {word} {from}");
        all &= differs;
    }
    Ok(all)
}
