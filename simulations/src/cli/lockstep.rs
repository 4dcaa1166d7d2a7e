//! Lockstep runs.

use super::{Failed, What, failures, runner};
use clap::Args;
use simulations::lockstep::Lockstep;
use simulations::outcome::{Kind, Outcome};
use simulations::plan::Plan;
use simulations::story::{self, Failure, RunError, Runner as _, replay, shrink};
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Where failures go if nobody says.
const FAILURES: &str = "target/failures";
/// So many lines of the story before a violation are told at once: a screen or two.
const LAST: usize = 40;

/// One run.
#[derive(Args)]
pub(super) struct Run {
    /// The seed: of the plan of faults and of everything else.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(flatten)]
    what: What,
    /// Writes the whole story here, a line each.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// Leaves the nodes' directories here.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Writes the failure here, if there is one; `target/failures/INVARIANT-seedN.json` if not said.
    #[arg(long)]
    failure: Option<PathBuf>,
    /// A failure is made small for so long at most; 0s: not at all.
    #[arg(long, default_value = "60s", value_parser = failures::time)]
    shrink: Duration,
}

fn plan(what: &What, seed: u64) -> Result<Plan, RunError> {
    let plan = Plan::draw(seed, &what.scenario, what.nodes, what.minutes)
        .ok_or_else(|| RunError(format!("there is no scenario {}", what.scenario)))?;
    Ok(Plan {
        bugs: what.bugs(),
        ..plan
    })
}

impl Run {
    /// Did everything hold?
    pub(super) fn run(self) -> Result<bool, Failed> {
        let plan = plan(&self.what, self.seed)?;
        let runner = Lockstep {
            keep: self.keep.clone(),
            ..runner()?
        };
        let start = Instant::now();
        let outcome = runner.run(&plan, self.trace.is_some())?;
        let wall = start.elapsed().as_secs_f64();
        if let Some(path) = &self.trace {
            write_story(path, &outcome)?;
        }
        eprintln!(
            "{} nodes, {} faults, {} events; {:.1} virtual s in {wall:.2} s: {:.0} to 1",
            plan.nodes,
            plan.faults.len(),
            outcome.events,
            outcome.virtual_ms as f64 / 1e3,
            outcome.virtual_ms as f64 / 1e3 / wall
        );
        if let Some(failure) = Failure::of(&outcome) {
            let path = match &self.failure {
                Some(path) => path.clone(),
                None => Path::new(FAILURES).join(failure.file_name()),
            };
            failure.write(&path)?;
            eprintln!("failure: {}", path.display());
            explain(&failure, &path, self.shrink)?;
        }
        println!("{outcome}");
        Ok(outcome.violations.is_empty())
    }
}

/// What broke, as a person wants it: the least that breaks it, and what happened just before.
fn explain(failure: &Failure, path: &Path, time: Duration) -> Result<(), Failed> {
    let mut smallest = (failure.clone(), path.to_owned());
    if !time.is_zero() {
        eprintln!(
            "making it small, for {} s at most (--shrink sets the limit)",
            time.as_secs()
        );
        let stop = AtomicBool::new(false);
        let budget = shrink::Budget {
            runs: failures::SHRINK_RUNS,
            until: Some(Instant::now() + time),
            stop: &stop,
        };
        match story::shrink(&runner()?, failure, &budget, &mut failures::progress()) {
            Ok(small) => {
                let path = path.with_extension("small.json");
                small.failure.write(&path)?;
                eprint!("{small}");
                smallest = (small.failure, path);
            }
            // Said, and the failure as it was found is told all the same.
            Err(error) => eprintln!("not made small: {error}"),
        }
    }
    let (failure, path) = smallest;
    let outcome = runner()?.run(&failure.plan, true)?;
    let broken = outcome.violations.first().unwrap_or(&failure.violation);
    let view = replay::View {
        until_ms: Some(broken.at_ms),
        last: Some(LAST),
        step: false,
        width: replay::width(),
        colour: io::stderr().is_terminal(),
    };
    let path = path.display();
    story::replay(
        &outcome,
        &view,
        &mut io::stderr().lock(),
        &mut replay::Stdin,
    )?;
    eprintln!("the whole story: simulations replay {path}");
    eprintln!("drawn:           simulations draw {path} --html story.html");
    Ok(())
}

fn write_story(path: &PathBuf, outcome: &Outcome) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for happening in &outcome.story {
        let (at, lane) = (happening.at_ms as f64 / 1e3, &happening.lane);
        match &happening.what {
            Kind::Sent {
                to,
                bytes,
                arrives_ms: Some(arrives),
            } => writeln!(
                file,
                "{at:>10.3} {lane:<8} → {to}: {bytes} bytes, there at {:.3}",
                *arrives as f64 / 1e3
            )?,
            Kind::Sent { to, bytes, .. } => {
                writeln!(
                    file,
                    "{at:>10.3} {lane:<8} → {to}: {bytes} bytes, held back"
                )?;
            }
            Kind::Fault(text)
            | Kind::Process(text)
            | Kind::Round(text)
            | Kind::Edge(text)
            | Kind::Log(text) => writeln!(file, "{at:>10.3} {lane:<8} {text}")?,
            Kind::Leader { leader, term } => {
                let leader = leader.as_deref().unwrap_or("nobody");
                writeln!(file, "{at:>10.3} {lane:<8} leader in term {term}: {leader}")?;
            }
            Kind::Ledger { size, root } => {
                writeln!(file, "{at:>10.3} {lane:<8} {size} leaves, root {root}")?;
            }
            Kind::KeyEpoch(epoch) => writeln!(file, "{at:>10.3} {lane:<8} key epoch {epoch}")?,
        }
    }
    file.flush()
}

/// Many runs.
#[derive(Args)]
pub(super) struct Batch {
    /// `first..last`, both included.
    #[arg(long, value_parser = super::seeds)]
    seeds: (u64, u64),
    #[command(flatten)]
    what: What,
    /// Runs at the same time.
    #[arg(long, default_value_t = 2)]
    jobs: u64,
    /// Each seed twice: both runs must be the same.
    #[arg(long)]
    twice: bool,
}

impl Batch {
    /// Did everything hold, and repeat?
    pub(super) fn run(self) -> Result<bool, Failed> {
        let (first, last) = self.seeds;
        let (next, start) = (AtomicU64::new(first), Instant::now());
        let (mut bad, mut runs, mut virtual_ms, mut events) = (0_u64, 0_u64, 0, 0);
        let runner = runner()?;
        std::thread::scope(|scope| {
            let (tell, told) = channel();
            for _ in 0..self.jobs.max(1) {
                let (tell, next, this, runner) = (tell.clone(), &next, &self, &runner);
                scope.spawn(move || {
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        // Nobody listens any more only when the main thread panicked.
                        if seed > last || tell.send((seed, this.one(runner, seed))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(tell);
            for (seed, result) in told {
                match result {
                    Ok((outcome, repeats)) => {
                        runs += 1 + u64::from(self.twice);
                        virtual_ms += outcome.virtual_ms * (1 + u64::from(self.twice));
                        events += outcome.events * (1 + u64::from(self.twice));
                        bad += u64::from(!repeats || !outcome.violations.is_empty());
                        let note = if repeats { "" } else { " DOES NOT REPEAT" };
                        println!("{outcome}{note}");
                        if !outcome.violations.is_empty() {
                            let What {
                                scenario,
                                nodes,
                                minutes,
                                ..
                            } = &self.what;
                            eprintln!(
                                "why: simulations run --seed {seed} --scenario {scenario} --nodes {nodes} --minutes {minutes}"
                            );
                        }
                    }
                    Err(error) => {
                        bad += 1;
                        println!("seed={seed} could not be run: {error}");
                    }
                }
            }
        });
        let wall = start.elapsed().as_secs_f64();
        println!(
            "seeds={first}..{last} runs={runs} bad={bad} in {wall:.1} s: {:.1} runs a minute, {:.0} virtual s a second, {:.0} events a second",
            runs as f64 / wall * 60.0,
            virtual_ms as f64 / 1e3 / wall,
            events as f64 / wall
        );
        Ok(bad == 0)
    }

    fn one(&self, runner: &Lockstep, seed: u64) -> Result<(Outcome, bool), RunError> {
        let plan = plan(&self.what, seed)?;
        let once = runner.run(&plan, false)?;
        let repeats = !self.twice || runner.run(&plan, false)? == once;
        Ok((once, repeats))
    }
}
