//! Search for plans that break an invariant, led by what runs reach.
//!
//! As coverage-guided fuzzers do it: a plan whose run reaches something new is kept, and kept plans
//! are changed a little and run again. Plans that fail are not kept (their neighbours fail the same
//! way); the first failure of each invariant is written, made small and written again.

mod corpus;
mod search;
#[cfg(test)]
mod tests;
mod worker;

use super::plans::Outline;
use super::{RunError, Runner};
use search::Search;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use worker::Worker;

/// How often progress is told.
const TELL_EVERY: Duration = Duration::from_secs(5);
/// Runs that fail outside of the simulated world before the search gives up: one may be bad luck
/// (memory, a full process table), so many in a row are a broken set-up.
const MISFORTUNES_MOST: u32 = 5;
/// Runs for making one failure small; more would hold up the search for others.
const SHRINK_RUNS: u32 = 2_000;

/// What to search, how long and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Ends after this time.
    pub time: Duration,
    /// Ends after so many runs too; shrinking not counted.
    pub runs: Option<u64>,
    /// Runs at the same time. With one, the same seed makes the same search.
    pub jobs: usize,
    /// Where `corpus/` and `failures/` are.
    pub dir: PathBuf,
    /// What fresh plans look like.
    pub outline: Outline,
    /// Of the search, and of the first fresh plan.
    pub seed: u64,
}

/// What the search has to say.
#[derive(Clone, Debug)]
pub enum News {
    /// Every few seconds, and at the end.
    Progress(Progress),
    /// An invariant broke for the first time.
    Found {
        /// Its id.
        id: String,
        /// Where the failure was written.
        file: PathBuf,
    },
    /// A failure was made small.
    Small {
        /// The invariant's id.
        id: String,
        /// Where the small one was written.
        file: PathBuf,
        /// Faults before and after.
        faults: (usize, usize),
        /// Runs that it took.
        runs: u32,
    },
    /// Something that a person should know.
    Note(String),
}

/// Figures of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Since when.
    pub elapsed: Duration,
    /// Runs, without those of shrinking.
    pub runs: u64,
    /// Different things reached.
    pub coverage: usize,
    /// Plans kept.
    pub corpus: usize,
    /// Runs that broke an invariant.
    pub failed: u64,
    /// Different invariants broken, these and earlier searches in the same folder together.
    pub invariants: Vec<String>,
    /// Runs that failed outside of the simulated world.
    pub misfortunes: u64,
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let rate = self.runs as f64 / seconds.max(1e-3);
        write!(
            f,
            "{seconds:>7.1} s  runs={} ({rate:.1}/s) coverage={} corpus={} failures={}",
            self.runs, self.coverage, self.corpus, self.failed
        )?;
        if !self.invariants.is_empty() {
            write!(f, " [{}]", self.invariants.join(" "))?;
        }
        if self.misfortunes > 0 {
            write!(f, " not run={}", self.misfortunes)?;
        }
        Ok(())
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Progress(progress) => progress.fmt(f),
            Self::Found { id, file } => write!(f, "{id} broken: {}", file.display()),
            Self::Small {
                id,
                file,
                faults: (before, after),
                runs,
            } => write!(
                f,
                "{id} made small: {before} faults became {after} in {runs} runs: {}",
                file.display()
            ),
            Self::Note(text) => f.write_str(text),
        }
    }
}

/// Why a search ended early.
#[derive(Debug, thiserror::Error)]
pub enum FuzzError {
    /// Its folder.
    #[error("{path}: {error}", path = .0.display(), error = .1)]
    Folder(PathBuf, io::Error),
    /// Its runner.
    #[error("{MISFORTUNES_MOST} runs in a row could not be run; the last one: {0}")]
    Runner(RunError),
}

/// Searches until the time is up, `stop` is set or nothing can be run; the figures at the end.
///
/// # Errors
/// [`FuzzError`]; failures found before were written.
pub fn fuzz(
    runner: &dyn Runner,
    options: &Options,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(&News),
) -> Result<Progress, FuzzError> {
    let started = Instant::now();
    let (search, notes) = Search::open(options)?;
    for note in notes {
        tell(&News::Note(note));
    }
    let search = Mutex::new(search);
    let ended = std::thread::scope(|scope| {
        let (news, heard) = channel();
        let workers: Vec<_> = (0..options.jobs.max(1))
            .map(|_| {
                let worker = Worker {
                    runner,
                    options,
                    search: &search,
                    stop,
                    until: started + options.time,
                    news: news.clone(),
                };
                scope.spawn(move || worker.work())
            })
            .collect();
        drop(news);
        let mut told = Instant::now();
        // Ends when the last worker has dropped its sender, however it ended.
        loop {
            match heard.recv_timeout(TELL_EVERY.saturating_sub(told.elapsed())) {
                Ok(item) => tell(&item),
                Err(RecvTimeoutError::Timeout) => {
                    told = Instant::now();
                    tell(&News::Progress(lock(&search).progress(started.elapsed())));
                }
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let mut ended = Ok(());
        for worker in workers {
            match worker.join() {
                Ok(result) => ended = ended.and(result),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        ended
    });
    let progress = lock(&search).progress(started.elapsed());
    tell(&News::Progress(progress.clone()));
    ended.map(|()| progress)
}

/// A worker that panicked ends the search by itself; what the others hold stays usable for that long.
fn lock<'a>(search: &'a Mutex<Search>) -> std::sync::MutexGuard<'a, Search> {
    search.lock().unwrap_or_else(PoisonError::into_inner)
}
