//! One of the threads that run plans.

use super::search::{Absorbed, Search};
use super::{FuzzError, News, Options, SHRINK_RUNS, lock};
use crate::story::failure::safe;
use crate::story::shrink::{Budget, shrink};
use crate::story::{Failure, Runner};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Instant;

pub(super) struct Worker<'a> {
    pub(super) runner: &'a dyn Runner,
    pub(super) options: &'a Options,
    pub(super) search: &'a Mutex<Search>,
    pub(super) stop: &'a AtomicBool,
    pub(super) until: Instant,
    pub(super) news: Sender<News>,
}

impl Worker<'_> {
    pub(super) fn work(self) -> Result<(), FuzzError> {
        while !self.stop.load(Ordering::Relaxed) && Instant::now() < self.until {
            let Some(plan) = lock(self.search).next(self.runner, self.options) else {
                break;
            };
            let result = self.runner.run(&plan, false);
            let absorbed = lock(self.search).absorb(&plan, result);
            match absorbed {
                Ok(Absorbed::Nothing) => {}
                Ok(Absorbed::NewFailure(failure)) => self.found(&failure)?,
                Err(error) => {
                    // The others need not try as well.
                    lock(self.search).close();
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Written as it is first: whoever stops the search now has at least that.
    fn found(&self, failure: &Failure) -> Result<(), FuzzError> {
        let folder = self.options.dir.join("failures");
        let file = folder.join(failure.file_name());
        self.write(failure, &file)?;
        let id = failure.violation.id.clone();
        self.say(News::Found {
            id: id.clone(),
            file,
        });
        let budget = Budget {
            runs: SHRINK_RUNS,
            until: Some(self.until),
            stop: self.stop,
        };
        match shrink(self.runner, failure, &budget, &mut |_, _| {}) {
            Ok(small) => {
                let seed = small.failure.plan.seed;
                let file = folder.join(format!("{}-seed{seed}.small.json", safe(&id)));
                self.write(&small.failure, &file)?;
                self.say(News::Small {
                    id,
                    file,
                    faults: (failure.plan.faults.len(), small.failure.plan.faults.len()),
                    runs: small.runs,
                });
            }
            Err(error) => self.say(News::Note(format!("{id} was not made small: {error}"))),
        }
        Ok(())
    }

    fn write(&self, failure: &Failure, file: &Path) -> Result<(), FuzzError> {
        failure
            .write(file)
            .map_err(|error| FuzzError::Folder(file.into(), error))
    }

    fn say(&self, news: News) {
        // The listener leaves last; if it panicked, nobody is there to care.
        let _ = self.news.send(news);
    }
}
