//! The harness itself under test: it must notice what is wrong.

use super::{Failed, runner};
use clap::Args;
use simulations::lockstep::Lockstep;
use simulations::outcome::Outcome;
use simulations::plan::Plan;
use simulations::story::{RunError, Runner as _};

/// Shows that the harness finds what is wrong.
#[derive(Args)]
pub(super) struct Prove {
    /// A few mistakes that show at once, for every change; without it all of them.
    #[arg(long)]
    quick: bool,
    /// Only these mistakes, by name.
    #[arg(long)]
    only: Vec<String>,
}

/// Groups of overrides, and what shows that one matters: without entropy or clocks two runs of a
/// seed differ; without the disk a power loss loses nothing, which is another run than with it.
const OVERRIDES: [&str; 3] = ["entropy", "clock", "disk"];

impl Prove {
    pub(super) fn run(self) -> Result<bool, Failed> {
        let whole = runner()?;
        let overrides = self.only.is_empty().then(|| ablations(&whole));
        let overrides = overrides.transpose()?.unwrap_or(true);
        let mistakes = mistakes(&whole, &self)?;
        println!(
            "not provable: shares of secret values that are released twice; the product does not aggregate securely"
        );
        Ok(overrides && mistakes)
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

/// What a mistake came to.
#[cfg(feature = "mistakes")]
enum Search {
    /// The rule, the seed; its control broke no rule.
    Found(String, u64),
    /// The last seed's findings, if there were any that do not count.
    Missed(Option<String>),
    /// Without the mistake this seed breaks this rule, too.
    Control(String, u64),
}

/// Enough for every change: found at the first seeds, without Kafka or training.
#[cfg(feature = "mistakes")]
const QUICK: [machine::mistakes::Mistake; 3] = {
    use machine::mistakes::Mistake;
    [
        Mistake::DoubleVote,
        Mistake::LostFsync,
        Mistake::StaleEpochAccepted,
    ]
};

/// Known mistakes, one after the other, until an invariant finds each.
#[cfg(feature = "mistakes")]
fn mistakes(whole: &Lockstep, asked: &Prove) -> Result<bool, RunError> {
    use simulations::lockstep::prove::stage;
    println!("known mistakes; each seed also runs without the mistake, as its control");
    println!(
        "  {:<24} {:<10} {:<6} {:<6} {:<16} scenario",
        "mistake", "found by", "seeds", "budget", "control"
    );
    let mut all = true;
    for mistake in machine::mistakes::ALL {
        let named = asked.only.iter().any(|name| name == mistake.name());
        let wanted = if asked.only.is_empty() {
            !asked.quick || QUICK.contains(&mistake)
        } else {
            named
        };
        if !wanted {
            continue;
        }
        let name = mistake.name();
        let Some(stage) = stage(mistake) else {
            println!(
                "  {name:<24} NOT FOUND  -      -      -                no load of a minute brings it out"
            );
            all = false;
            continue;
        };
        let search = search(whole, name, &stage)?;
        let (found, seeds, control) = match &search {
            Search::Found(rule, seed) => (rule.clone(), *seed, "free".to_owned()),
            Search::Missed(other) => {
                let other = other.as_ref().map(|other| format!(" (only {other})"));
                let found = format!("NOT FOUND{}", other.unwrap_or_default());
                (found, stage.budget, "free".to_owned())
            }
            Search::Control(rule, seed) => ("NOTHING".to_owned(), *seed, format!("BREAKS {rule}")),
        };
        all &= matches!(search, Search::Found(..));
        println!(
            "  {name:<24} {found:<10} {seeds:<6} {:<6} {control:<16} {}: {}",
            stage.budget, stage.scenario, stage.reason
        );
    }
    Ok(all)
}

/// Seed after seed, each with and without the mistake.
#[cfg(feature = "mistakes")]
fn search(
    whole: &Lockstep,
    mistake: &str,
    stage: &simulations::lockstep::prove::Stage,
) -> Result<Search, RunError> {
    let mut other = None;
    for seed in 1..=stage.budget {
        let control = stage.plan(seed);
        let mut wrong = control.clone();
        wrong.bugs = vec![mistake.to_owned()];
        let (with, without) = both((whole, &wrong), (whole, &control))?;
        if let Some(broken) = without.violations.first() {
            return Ok(Search::Control(broken.id.clone(), seed));
        }
        let ids = || with.violations.iter().map(|violation| &violation.id);
        if let Some(id) = ids().find(|id| stage.rules.iter().any(|rule| rule.id == **id)) {
            return Ok(Search::Found(id.clone(), seed));
        }
        other = ids().next().cloned().or(other);
    }
    Ok(Search::Missed(other))
}

/// Known mistakes, one after the other, until an invariant finds each.
#[cfg(not(feature = "mistakes"))]
#[expect(clippy::unnecessary_wraps, reason = "with the feature it can fail")]
fn mistakes(_: &Lockstep, asked: &Prove) -> Result<bool, RunError> {
    println!("known mistakes: not in this build; `--features mistakes` has them");
    Ok(!asked.quick && asked.only.is_empty())
}
