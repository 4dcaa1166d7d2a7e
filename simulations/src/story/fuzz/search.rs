//! What the workers share: the dice, the corpus, the failures.

use super::corpus::{Corpus, Kept};
use super::{FuzzError, MISFORTUNES_MOST, Options, Progress};
use crate::machines::rng::Dice;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::story::plans::mutate;
use crate::story::{Failure, RunError, Runner};
use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::time::Duration;

/// So many plans of a hundred are fresh ones: the corpus knows only what it has seen.
const FRESH_PERCENT: u64 = 20;
/// Tries for a lawful plan before one without faults is run: a law that refuses nearly everything
/// must not stop the search.
const TRIES: usize = 50;
/// Invariants whose failures are written; ids that grow without end must not fill the disk.
const INVARIANTS_MOST: usize = 64;

pub(super) struct Search {
    dice: Dice,
    corpus: Corpus,
    /// Plans of earlier searches, to be run first: what they reach may have changed.
    earlier: VecDeque<Plan>,
    invariants: BTreeSet<String>,
    fresh: u64,
    started: u64,
    runs: u64,
    failed: u64,
    misfortunes: u64,
    in_a_row: u32,
    closed: bool,
}

pub(super) enum Absorbed {
    Nothing,
    /// The first of its invariant.
    NewFailure(Box<Failure>),
}

impl Search {
    /// With what earlier searches left in the folder, and what there is to say about it.
    pub(super) fn open(options: &Options) -> Result<(Self, Vec<String>), FuzzError> {
        let mut notes = Vec::new();
        let (corpus, earlier) = Corpus::open(options, &mut notes)?;
        let search = Self {
            dice: Dice::new(options.seed),
            corpus,
            earlier: earlier.into(),
            invariants: known(options, &mut notes)?,
            fresh: 0,
            started: 0,
            runs: 0,
            failed: 0,
            misfortunes: 0,
            in_a_row: 0,
            closed: false,
        };
        Ok((search, notes))
    }

    /// Nobody gets another plan.
    pub(super) fn close(&mut self) {
        self.closed = true;
    }

    /// The next plan to run; `None` when enough were run.
    pub(super) fn next(&mut self, runner: &dyn Runner, options: &Options) -> Option<Plan> {
        if self.closed || options.runs.is_some_and(|most| self.started >= most) {
            return None;
        }
        self.started += 1;
        while let Some(plan) = self.earlier.pop_front() {
            if runner.lawful(&plan) {
                return Some(plan);
            }
            self.corpus.forget(&plan);
        }
        for _ in 0..TRIES {
            let plan = self.draw(runner, options);
            if runner.lawful(&plan) {
                return Some(plan);
            }
        }
        let mut plan = runner.fresh(&options.outline, self.dice.below(1 << 32));
        plan.faults.clear();
        Some(plan)
    }

    fn draw(&mut self, runner: &dyn Runner, options: &Options) -> Plan {
        if !self.dice.percent(FRESH_PERCENT)
            && let Some((plan, other)) = self.corpus.choose(&mut self.dice)
        {
            return mutate(&mut self.dice, plan, other);
        }
        let seed = options.seed.wrapping_add(self.fresh);
        self.fresh += 1;
        runner.fresh(&options.outline, seed)
    }

    /// What came of a plan.
    pub(super) fn absorb(
        &mut self,
        plan: &Plan,
        result: Result<Outcome, RunError>,
    ) -> Result<Absorbed, FuzzError> {
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => {
                self.misfortunes += 1;
                self.in_a_row += 1;
                if self.in_a_row == MISFORTUNES_MOST {
                    return Err(FuzzError::Runner(error));
                }
                return Ok(Absorbed::Nothing);
            }
        };
        self.in_a_row = 0;
        self.runs += 1;
        let Some(failure) = Failure::of(&outcome) else {
            if let Kept::No = self.corpus.offer(outcome)? {
                self.corpus.forget(plan);
            }
            return Ok(Absorbed::Nothing);
        };
        self.failed += 1;
        self.corpus.forget(plan);
        let first = self.invariants.len() < INVARIANTS_MOST
            && self.invariants.insert(failure.violation.id.clone());
        Ok(if first {
            Absorbed::NewFailure(Box::new(failure))
        } else {
            Absorbed::Nothing
        })
    }

    pub(super) fn progress(&self, elapsed: Duration) -> Progress {
        Progress {
            elapsed,
            runs: self.runs,
            coverage: self.corpus.coverage(),
            corpus: self.corpus.len(),
            failed: self.failed,
            invariants: self.invariants.iter().cloned().collect(),
            misfortunes: self.misfortunes,
        }
    }
}

/// Invariants of which a failure lies in the folder already: a search after the first one looks for
/// others, until somebody removes the files.
fn known(options: &Options, notes: &mut Vec<String>) -> Result<BTreeSet<String>, FuzzError> {
    let folder = options.dir.join("failures");
    let bad = |error| FuzzError::Folder(folder.clone(), error);
    fs::create_dir_all(&folder).map_err(bad)?;
    let mut ids = BTreeSet::new();
    for entry in fs::read_dir(&folder).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        if path.extension().is_some_and(|e| e == "json") {
            match Failure::read(&path) {
                Ok(failure) => drop(ids.insert(failure.violation.id)),
                Err(error) => notes.push(format!("not counted as known: {error}")),
            }
        }
    }
    if !ids.is_empty() {
        let ids: Vec<_> = ids.iter().map(String::as_str).collect();
        notes.push(format!(
            "{} known from earlier and not written again; remove their files in {} to find them anew",
            ids.join(", "),
            folder.display()
        ));
    }
    Ok(ids)
}
