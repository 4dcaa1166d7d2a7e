//! Finding failures, and looking at them.

use super::{Failed, What, runner};
use clap::Args;
use simulations::outcome::Outcome;
use simulations::story::plans::Outline;
use simulations::story::{self, Failure, Runner as _, fuzz, replay, shrink};
use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// Runs that making one failure small may take from the command line.
pub(super) const SHRINK_RUNS: u32 = 500;

/// `90s`, `10m`, `2h`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time; write for example 90s, 10m or 2h");
    let (digits, unit) = text.split_at(text.len().saturating_sub(1));
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(wrong()),
    };
    Ok(Duration::from_secs(number.saturating_mul(seconds)))
}

#[derive(Args)]
pub(super) struct Fuzz {
    /// For how long: 90s, 10m, 2h.
    #[arg(long = "for", value_parser = time)]
    time: Duration,
    /// Runs at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Where corpus and failures are kept.
    #[arg(long, default_value = "target/fuzz")]
    dir: PathBuf,
    /// Of the search.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    what: What,
}

impl Fuzz {
    pub(super) fn run(self) -> Result<bool, Failed> {
        let options = fuzz::Options {
            time: self.time,
            runs: None,
            jobs: self.jobs,
            dir: self.dir,
            outline: Outline {
                bugs: self.what.bugs(),
                scenario: self.what.scenario,
                nodes: self.what.nodes,
                minutes: self.what.minutes,
            },
            seed: self.seed,
        };
        let stop = AtomicBool::new(false);
        let mut tell = |news: &fuzz::News| println!("{news}");
        let progress = story::fuzz(&runner()?, &options, &stop, &mut tell)?;
        Ok(progress.invariants.is_empty())
    }
}

/// Runs the plan of a failure's file again, with its story.
fn again(file: &std::path::Path) -> Result<Outcome, Failed> {
    let failure = Failure::read(file)?;
    let outcome = runner()?.run(&failure.plan, true)?;
    eprintln!("{}", failure.compare(&outcome));
    Ok(outcome)
}

#[derive(Args)]
pub(super) struct Replay {
    /// The failure's file.
    file: PathBuf,
    /// Nothing after this, virtual seconds.
    #[arg(long)]
    until: Option<f64>,
    /// Waits after each moment.
    #[arg(long)]
    step: bool,
}

impl Replay {
    pub(super) fn run(self) -> Result<bool, Failed> {
        let outcome = again(&self.file)?;
        let view = replay::View {
            until_ms: self.until.map(|seconds| (seconds * 1e3) as u64),
            last: None,
            step: self.step,
            width: replay::width(),
            colour: io::stdout().is_terminal(),
        };
        let mut out = io::stdout().lock();
        match story::replay(&outcome, &view, &mut out, &mut replay::Stdin) {
            // Whoever pages through it has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            result => result?,
        }
        Ok(outcome.violations.is_empty())
    }
}

/// Says where shrinking stands: what has become smaller, and a sign of life every few seconds.
pub(super) fn progress() -> impl FnMut(&Failure, u32) {
    const SILENCE: Duration = Duration::from_secs(5);
    let (mut said, mut before) = (Instant::now(), None);
    move |best, runs| {
        let (plan, at) = (&best.plan, best.violation.at_ms as f64 / 1e3);
        let now = (plan.faults.len(), plan.nodes, plan.faults_ms);
        if before != Some(now) || said.elapsed() >= SILENCE {
            (said, before) = (Instant::now(), Some(now));
            eprintln!(
                "{runs:>5} runs: {} faults, {} nodes, {} ms of faults; broken at {at:.3} s",
                now.0, now.1, now.2
            );
        }
    }
}

#[derive(Args)]
pub(super) struct Shrink {
    /// The failure's file.
    file: PathBuf,
    /// Where the small one goes; beside the file if not said.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Runs that it may take.
    #[arg(long, default_value_t = SHRINK_RUNS)]
    runs: u32,
}

impl Shrink {
    pub(super) fn run(self) -> Result<bool, Failed> {
        let failure = Failure::read(&self.file)?;
        let stop = AtomicBool::new(false);
        let budget = shrink::Budget {
            runs: self.runs,
            until: None,
            stop: &stop,
        };
        let out = self
            .out
            .unwrap_or_else(|| self.file.with_extension("small.json"));
        let (mut say, mut smallest, mut unwritten) = (progress(), failure.clone(), None);
        let mut tell = |best: &Failure, runs: u32| {
            say(best, runs);
            // Whoever stops it now has the smallest so far.
            if *best != smallest {
                smallest = best.clone();
                unwritten = best.write(&out).err();
            }
        };
        let small = story::shrink(&runner()?, &failure, &budget, &mut tell)?;
        if let Some(error) = unwritten {
            return Err(error.into());
        }
        small.failure.write(&out)?;
        print!("{small}");
        println!("written: {}", out.display());
        Ok(true)
    }
}

#[derive(Args)]
pub(super) struct Draw {
    /// The failure's file.
    file: PathBuf,
    /// The HTML file.
    #[arg(long)]
    html: PathBuf,
}

impl Draw {
    pub(super) fn run(self) -> Result<bool, Failed> {
        let outcome = again(&self.file)?;
        fs::write(&self.html, story::draw(&outcome))?;
        println!("written: {}", self.html.display());
        Ok(true)
    }
}
