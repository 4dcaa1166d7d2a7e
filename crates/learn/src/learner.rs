//! The one thread that runs libtorch.
//!
//! libtorch keeps per-thread and per-process state and its operations block; so all jobs of a
//! process go through one thread, in order. The queue is bounded and refuses when full: the
//! caller knows whether to retry (a round) or to drop (a score that the next row replaces).
//!
//! In a simulation nothing may happen beside the one thread of the node: there a job is done while
//! it is handed over ([`Learner::inline`]), and takes no time on the node's clock.

use crate::{Error, Model, SLOTS, Series, Shape, TrainConfig, Trained};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Jobs that may wait. Scores of a room's devices arrive in one burst per interval, at most a
/// few dozen; more waiting jobs than this are stale before they run.
pub const QUEUE: usize = 64;

/// Takes a job's result, on the learner's thread: hand it on and return at once. Called exactly
/// once for every job that was accepted, maybe before the call that handed the job over has returned:
/// hold no lock there that the reply takes.
pub type Reply<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;

/// What a model must do before it replaces another.
#[derive(Clone, PartialEq, Debug)]
pub struct Trial {
    /// Normal rows of the devices at hand; none: it passes.
    pub rows: Vec<Series>,
    /// Its mean squared error on them may be so many times that of the model in use.
    pub worst_ratio: f64,
}

/// How a node makes the shared model its own: some passes over its own rows. It stays the shared model's
/// starting point for nobody: rounds train what is shared.
#[derive(Clone, PartialEq, Debug)]
pub struct Tuning {
    /// Rows to learn from.
    pub rows: Vec<Series>,
    /// How.
    pub config: TrainConfig,
    /// Normal rows it was not fitted to: if it does not explain them better than the shared model does, or cannot
    /// be trained at all, the shared one is used as it is.
    pub judged_by: Vec<Series>,
}

/// What came of a model.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Verdict {
    /// It is in use.
    InUse,
    /// It is in use, made this node's own.
    Tuned {
        /// Mean squared error of the shared model on the rows that judged.
        shared: f64,
        /// Mean squared error of the tuned one.
        tuned: f64,
    },
    /// The former one stays: the new one explains the trial's rows too badly.
    Worse {
        /// Mean squared error of the model in use.
        former: f64,
        /// Mean squared error of the one that was tried.
        tried: f64,
    },
}

/// Errors below this are noise: values are in deviations, so a tenth of one.
const NEGLIGIBLE: f64 = 0.01;

enum Job {
    SetModel {
        parameters: Vec<f32>,
        trial: Option<Trial>,
        tuning: Option<Tuning>,
        reply: Reply<Verdict>,
    },
    Train {
        base: Vec<f32>,
        rows: Vec<Series>,
        config: TrainConfig,
        correction: Option<Arc<Vec<f32>>>,
        reply: Reply<Trained>,
    },
    Residuals {
        rows: Vec<Series>,
        reply: Reply<Vec<[f32; SLOTS]>>,
    },
}

/// Handle to the thread; dropping it stops the thread after the step it is in.
pub struct Learner {
    place: Place,
    stop: Arc<AtomicBool>,
}

/// Where the jobs are done.
enum Place {
    Thread {
        jobs: Option<SyncSender<Job>>, // None only while dropping
        thread: Option<JoinHandle<()>>,
    },
    /// On the caller's.
    Here(Mutex<Worker>),
}

impl Learner {
    /// Starts the thread; all models must have this shape.
    pub fn start(shape: Shape) -> Result<Self, Error> {
        shape.check()?;
        let (jobs, queue) = sync_channel(QUEUE);
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            shape,
            shared: None,
            scoring: None,
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("learner".to_owned())
            .spawn(move || worker.run(&queue))
            .map_err(|error| Error::Thread(error.to_string()))?;
        let place = Place::Thread {
            jobs: Some(jobs),
            thread: Some(thread),
        };
        Ok(Self { place, stop })
    }

    /// Without a thread: a job is done by the call that hands it over, and its reply called before
    /// that returns. For simulations, where training must be as deterministic as all the rest.
    pub fn inline(shape: Shape) -> Result<Self, Error> {
        shape.check()?;
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            shape,
            shared: None,
            scoring: None,
            stop: Arc::clone(&stop),
        };
        let place = Place::Here(Mutex::new(worker));
        Ok(Self { place, stop })
    }

    /// Sets the model that [`residuals`](Self::residuals) scores by, with or without a variate behind its weights
    /// ([`Shape::weights`]); refused parameters, or a trial that
    /// it does not stand, leave the former model in place. Without a former one there is nothing to
    /// compare with, and any is better than none. A trial compares shared models, whatever they were tuned to.
    pub fn set_model(
        &self,
        parameters: Vec<f32>,
        trial: Option<Trial>,
        tuning: Option<Tuning>,
        reply: Reply<Verdict>,
    ) -> Result<(), Error> {
        self.submit(Job::SetModel {
            parameters,
            trial,
            tuning,
            reply,
        })
    }

    /// Trains from `base`, with gradients corrected as in [`Model::train_corrected`] if that is wanted. The
    /// scoring model is not touched: only a closed round replaces it.
    pub fn train(
        &self,
        base: Vec<f32>,
        rows: Vec<Series>,
        config: TrainConfig,
        correction: Option<Arc<Vec<f32>>>,
        reply: Reply<Trained>,
    ) -> Result<(), Error> {
        self.submit(Job::Train {
            base,
            rows,
            config,
            correction,
            reply,
        })
    }

    /// Residuals of `rows` by the scoring model, see [`Model::residuals`].
    pub fn residuals(
        &self,
        rows: Vec<Series>,
        reply: Reply<Vec<[f32; SLOTS]>>,
    ) -> Result<(), Error> {
        self.submit(Job::Residuals { rows, reply })
    }

    /// [`Error::Busy`] or [`Error::Stopped`]: the job was not accepted and its reply was dropped
    /// uncalled.
    fn submit(&self, job: Job) -> Result<(), Error> {
        match &self.place {
            Place::Thread { jobs, thread: _ } => {
                let jobs = jobs.as_ref().ok_or(Error::Stopped)?;
                jobs.try_send(job).map_err(|error| match error {
                    TrySendError::Full(_) => Error::Busy { queued: QUEUE },
                    TrySendError::Disconnected(_) => Error::Stopped,
                })
            }
            Place::Here(worker) => {
                // A job's panic is caught within it, and leaves the worker as it was.
                let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
                let answer = worker.perform(job);
                // The reply may well hand over the next job.
                drop(worker);
                answer();
                Ok(())
            }
        }
    }
}

impl Drop for Learner {
    /// Jobs still waiting are answered with [`Error::Stopped`].
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let Place::Thread { jobs, thread } = &mut self.place else {
            return;
        };
        *jobs = None;
        if let Some(thread) = thread.take() {
            // The thread catches every job's panic; were one to escape, there is nobody left to
            // tell. A reply that drops the handle runs on the thread itself and cannot join it.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

struct Worker {
    shape: Shape,
    /// The model of the cluster.
    shared: Option<Model>,
    /// What was made of it here; none: it is used as it is.
    scoring: Option<Model>,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn run(mut self, queue: &Receiver<Job>) {
        for job in queue {
            self.perform(job)();
        }
    }

    /// Does the job; what is returned tells its result to whoever wants it.
    fn perform(&mut self, job: Job) -> Box<dyn FnOnce() + Send> {
        match job {
            Job::SetModel {
                parameters,
                trial,
                tuning,
                reply,
            } => {
                let tried = self.guarded(|worker| worker.tried(&parameters, trial, tuning));
                let verdict = tried.map(|(models, verdict)| {
                    if let Some((shared, tuned)) = models {
                        (self.shared, self.scoring) = (Some(shared), tuned);
                    }
                    verdict
                });
                answer(reply, verdict)
            }
            Job::Train {
                base,
                rows,
                config,
                correction,
                reply,
            } => {
                let trained = self.guarded(|worker| {
                    let model = Model::with_parameters(worker.shape.clone(), &base)?;
                    let correction = correction.as_ref().map(|flat| flat.as_slice());
                    model.train_while(&rows, config, correction, &|| worker.goes_on())
                });
                answer(reply, trained)
            }
            Job::Residuals { rows, reply } => {
                let residuals = self.guarded(|worker| {
                    let scoring = worker.scoring.as_ref().or(worker.shared.as_ref());
                    scoring.ok_or(Error::NoModel)?.residuals(&rows)
                });
                answer(reply, residuals)
            }
        }
    }

    /// The model, and what was made of it here, if it is to be used.
    #[expect(clippy::type_complexity, reason = "taken apart by its one caller")]
    fn tried(
        &self,
        parameters: &[f32],
        trial: Option<Trial>,
        tuning: Option<Tuning>,
    ) -> Result<(Option<(Model, Option<Model>)>, Verdict), Error> {
        let weights = self.shape.weights(parameters);
        let model = Model::with_parameters(self.shape.clone(), weights)?;
        if let (Some(former), Some(trial)) = (&self.shared, &trial)
            && let worse @ Verdict::Worse { .. } = trial.judge(former, &model)?
        {
            return Ok((None, worse));
        }
        let tuned = tuning.and_then(|tuning| tuning.of(&model, &|| self.goes_on()).ok()?);
        Ok(match tuned {
            Some((own, verdict)) => (Some((model, Some(own))), verdict),
            None => (Some((model, None)), Verdict::InUse),
        })
    }

    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    /// Runs a job unless the learner was stopped, a panic becoming an error. A job only reads
    /// the worker, so a panic leaves nothing half-changed.
    fn guarded<T>(&self, job: impl FnOnce(&Self) -> Result<T, Error>) -> Result<T, Error> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        catch_unwind(AssertUnwindSafe(|| job(self)))
            .unwrap_or_else(|panic| Err(Error::Panicked(panic_text(&*panic))))
    }
}

impl Trial {
    fn judge(&self, former: &Model, model: &Model) -> Result<Verdict, Error> {
        let (former, tried) = (former.loss(&self.rows)?, model.loss(&self.rows)?);
        if tried <= self.worst_ratio * former.max(NEGLIGIBLE) {
            return Ok(Verdict::InUse);
        }
        Ok(Verdict::Worse { former, tried })
    }
}

impl Tuning {
    /// What is made of a shared model; `None`: that one is as good.
    pub fn tuned(&self, shared: &Model) -> Result<Option<Model>, Error> {
        let tuned = self.of(shared, &|| true)?;
        Ok(tuned.map(|(own, _)| own))
    }

    fn of(&self, shared: &Model, go: &dyn Fn() -> bool) -> Result<Option<(Model, Verdict)>, Error> {
        let trained = shared.train_while(&self.rows, self.config, None, go)?;
        let own = shared.moved(&trained)?;
        let (shared, tuned) = (shared.loss(&self.judged_by)?, own.loss(&self.judged_by)?);
        Ok((tuned < shared).then_some((own, Verdict::Tuned { shared, tuned })))
    }
}

/// A panic in a caller's reply must not end the thread for all others.
fn answer<T: Send + 'static>(
    reply: Reply<T>,
    result: Result<T, Error>,
) -> Box<dyn FnOnce() + Send> {
    Box::new(move || drop(catch_unwind(AssertUnwindSafe(|| reply(result)))))
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .map_or_else(
            || "no message".to_owned(),
            |text| text.lines().next().unwrap_or_default().to_owned(),
        )
}

#[cfg(test)]
#[path = "learner_tests.rs"]
mod tests;
