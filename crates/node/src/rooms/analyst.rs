//! From taken reports to judgements: features, model, scores. One analyst per node; libtorch
//! works on the learner's thread, results come back by channel.

use super::Rooms;
use super::series::{sample, training};
use crate::board::Board;
use crate::herald::RoomScore;
use crate::models::InUse;
use learn::{Learner, SLOTS, Series, TrainConfig, Trial, Tuning, Verdict};
use runtime::mailbox::Address;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use telemetry::features::{Assembled, Assembler, Example};
use telemetry::monitor;
use telemetry::score::{Scored, Scorer};
use telemetry::sequence::Sequence;
use telemetry::windows::{Purpose, Windows};
use tokio::sync::mpsc;
use wire::{DeviceId, Report, RoomId, Round};

/// Rows that wait for the learner. Beyond it the oldest goes unscored: a newer row says more.
const MAX_WAITING: usize = 4_096;
/// Rows scored in one job: some milliseconds of work, so that training is not held up long.
const BATCH: usize = 256;
/// A device is judged once this many calibration rows are there: more than the scorer's own minimum,
/// since a threshold from sixty neighbouring rows is one from a single hour's mood.
const CALIBRATION_ROWS: usize = telemetry::score::MIN_CALIBRATION * 5 / 2;
/// A model may explain this node's normal rows so many times worse than the one in use. Means of unlike rooms
/// swing by a tenth or two from round to round; what a poisoned update or a step too long makes is far beyond.
const WORST_RATIO: f64 = 2.0;
/// Normal rows a model is tried on: some milliseconds of work.
const TRIAL_ROWS: usize = 1_024;

type Residuals = Vec<[f32; SLOTS]>;

/// What the learner answers.
pub(super) enum Answer {
    /// Residuals of rows to be judged.
    Scored(Vec<Example>, Result<Residuals, learn::Error>),
    /// Residuals of calibration rows, by device in order.
    Calibrated(
        Vec<(DeviceId, Vec<Example>)>,
        Result<Residuals, learn::Error>,
    ),
    /// The scoring model was replaced.
    ModelSet(Round, Result<Verdict, learn::Error>),
}

/// How it judges, as configured.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Judging {
    /// False alarms per row that thresholds are set for.
    pub false_alarm_rate: f64,
    /// How the node makes a shared model its own, if it does.
    pub tuning: Option<TrainConfig>,
}

/// The node's analyst.
pub(super) struct Analyst {
    board: Arc<Board>,
    learner: Arc<Learner>,
    monitor: Address<monitor::Input>,
    windows: Arc<Mutex<Windows>>,
    assembler: Assembler,
    scorer: Scorer,
    tuning: Option<TrainConfig>,
    has_model: bool,
    waiting: VecDeque<Example>,
    scoring: bool,
    calibrating: bool,
    /// Calibration rows each device had at its last calibration.
    calibrated_with: BTreeMap<DeviceId, usize>,
    answers: mpsc::UnboundedSender<Answer>,
    scores: Option<mpsc::Sender<Scored>>,
    announced: mpsc::Sender<RoomScore>,
    /// Where each device stands; those that are judged are as few as the assembler takes.
    rooms: BTreeMap<DeviceId, RoomId>,
}

impl Analyst {
    /// `answers` is unbounded because at most three jobs are out at a time, each answered once.
    pub(super) fn new(rooms: &Rooms, answers: mpsc::UnboundedSender<Answer>) -> Self {
        Self {
            board: rooms.board.clone(),
            learner: rooms.learner.clone(),
            monitor: rooms.monitor.clone(),
            windows: rooms.windows.clone(),
            assembler: Assembler::new(),
            scorer: Scorer::new(rooms.judging.false_alarm_rate),
            tuning: rooms.judging.tuning,
            has_model: false,
            waiting: VecDeque::new(),
            scoring: false,
            calibrating: false,
            calibrated_with: BTreeMap::new(),
            answers,
            scores: rooms.scores.clone(),
            announced: rooms.announced.clone(),
            rooms: BTreeMap::new(),
        }
    }

    /// A report of a room this node holds.
    pub(super) async fn report(&mut self, report: Report) {
        self.tell(monitor::Input::Seen {
            device: report.device.clone(),
            room: report.room.clone(),
            at: report.arrival,
        })
        .await;
        let assembled = self.assembler.accept(&report);
        let fresh = !matches!(assembled, Assembled::Duplicate);
        for drifted in self.assembler.drifted() {
            self.board.count.drifts.fetch_add(1, Relaxed);
            tracing::info!(
                "{} of {} has a new normal: {:.4} over the last {} values, {:.4} before",
                drifted.metric,
                drifted.device,
                drifted.change.to,
                drifted.change.rows,
                drifted.change.from
            );
        }
        if let Assembled::Example(example) = assembled {
            self.rooms
                .insert(report.device.clone(), report.room.clone());
            self.waiting.push_back(example);
            if self.waiting.len() > MAX_WAITING {
                self.waiting.pop_front();
            }
            self.submit();
        }
        if fresh && let Some(sequence) = Sequence::of(&report) {
            self.tell(monitor::Input::Numbered {
                device: report.device.clone(),
                sequence,
                at: report.arrival,
            })
            .await;
        }
        if fresh && report.event.is_some() {
            self.tell(monitor::Input::Event(Box::new(report))).await;
        }
    }

    /// The cluster has a new model. What a round made is tried on this node's normal rows first; what somebody
    /// chose is put to use.
    pub(super) fn model(&mut self, used: &InUse) {
        let (trial, tuning) = {
            let windows = self.lock_windows();
            let normal = || sample(&windows, TRIAL_ROWS);
            let trial = (!used.chosen).then(|| Trial {
                rows: normal(),
                worst_ratio: WORST_RATIO,
            });
            let tuning = self.tuning.map(|config| Tuning {
                rows: training(&windows),
                config: TrainConfig {
                    seed: used.model.round.0,
                    ..config
                },
                judged_by: normal(),
            });
            (trial, tuning)
        };
        let (answers, round) = (self.answers.clone(), used.model.round);
        let reply = Box::new(move |result| drop(answers.send(Answer::ModelSet(round, result))));
        let parameters = used.model.parameters.to_vec();
        if let Err(error) = self.learner.set_model(parameters, trial, tuning, reply) {
            tracing::warn!("the model of round {round} is not used for scoring: {error}");
        }
    }

    /// Only these devices are this node's to judge.
    pub(super) fn keep_only(&mut self, devices: &BTreeSet<DeviceId>) {
        self.lock_windows().retain(devices);
        self.rooms.retain(|device, _| devices.contains(device));
        self.calibrated_with
            .retain(|device, _| devices.contains(device));
        self.waiting
            .retain(|example| devices.contains(&example.device));
    }

    /// The learner answered.
    pub(super) async fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::ModelSet(_, Ok(Verdict::InUse)) => {
                self.has_model = true;
                self.calibrate();
            }
            Answer::ModelSet(round, Ok(Verdict::Tuned { shared, tuned })) => {
                tracing::debug!(
                    "the model of round {round} is tuned to this node: error {tuned:.4}, {shared:.4} as it came"
                );
                self.has_model = true;
                self.calibrate();
            }
            Answer::ModelSet(round, Ok(Verdict::Worse { former, tried })) => {
                self.board.count.models_refused.fetch_add(1, Relaxed);
                tracing::warn!(
                    "the model of round {round} is not used for scoring here: its error on this node's normal rows is \
                     {tried:.4} where the model in use has {former:.4}; `glasshouse models pin` puts it to use all the same"
                );
            }
            Answer::ModelSet(round, Err(error)) => {
                tracing::warn!("the model of round {round} was refused: {error}")
            }
            Answer::Calibrated(examples, result) => {
                self.calibrating = false;
                match result {
                    Ok(residuals) => self.set_thresholds(&examples, &residuals),
                    Err(error) => tracing::warn!("calibration failed: {error}"),
                }
            }
            Answer::Scored(examples, result) => {
                self.scoring = false;
                match result {
                    Ok(residuals) => self.judge(examples, Some(&residuals)).await,
                    Err(error) => {
                        tracing::warn!(
                            "scoring by the shared model failed, the local one judges alone: {error}"
                        );
                        self.judge(examples, None).await;
                    }
                }
                self.submit();
            }
        }
    }

    /// Sends waiting rows to the learner, one batch at a time.
    fn submit(&mut self) {
        if self.scoring || self.waiting.is_empty() {
            return;
        }
        let count = self.waiting.len().min(BATCH);
        let mut batch: Vec<Example> = self.waiting.drain(..count).collect();
        if !self.has_model {
            // No model yet: rows only fill the window. Judged they are from the first model on.
            self.keep(batch.into_iter().map(|example| (example, true)).collect());
            return;
        }
        // Answers come device by device; each device's rows stay in their order.
        batch.sort_by(|one, other| one.device.cmp(&other.device));
        let rows = self.with_those_before(&batch);
        let (answers, examples) = (self.answers.clone(), batch.clone());
        let reply = Box::new(move |result| drop(answers.send(Answer::Scored(examples, result))));
        match self.learner.residuals(rows, reply) {
            Ok(()) => self.scoring = true,
            // Busy: they wait in front of the queue for the next report.
            Err(_) => batch
                .into_iter()
                .rev()
                .for_each(|example| self.waiting.push_front(example)),
        }
    }

    /// Rows to judge, sorted by device, each device's behind the last ones that it had.
    fn with_those_before(&self, batch: &[Example]) -> Vec<Series> {
        let windows = self.lock_windows();
        let devices = batch.chunk_by(|one, other| one.device == other.device);
        let of_device = |rows: &[Example]| {
            let before = windows
                .before(&rows[0].device)
                .map(|example| (example, false));
            before
                .chain(rows.iter().map(|example| (example, true)))
                .collect()
        };
        devices.map(of_device).collect()
    }

    /// Each with whether nothing speaks against it.
    fn keep(&mut self, examples: Vec<(Example, bool)>) {
        let mut windows = self.lock_windows();
        examples
            .into_iter()
            .for_each(|(example, normal)| windows.keep(example, normal));
        let count = &self.board.count;
        count.examples.store(windows.examples() as u64, Relaxed);
        count.devices.store(windows.devices() as u64, Relaxed);
    }

    async fn judge(&mut self, examples: Vec<Example>, residuals: Option<&Residuals>) {
        let mut judged_rows = Vec::with_capacity(examples.len());
        let mut grown = false;
        for (index, example) in examples.into_iter().enumerate() {
            let reconstruction = residuals
                .and_then(|all| all.get(index))
                .map(|residual| rebuilt(&example, residual));
            let judged = self.assembler.layout(&example.device).and_then(|layout| {
                self.calibrated_with.get(&example.device)?;
                self.scorer.score(&example, reconstruction.as_ref(), layout)
            });
            let Some(scored) = judged else {
                grown = true;
                judged_rows.push((example, true));
                continue;
            };
            self.board.count.scored.fetch_add(1, Relaxed);
            judged_rows.push((example, scored.normal));
            if let Some(scores) = &self.scores
                && scores.try_send(scored.clone()).is_err()
            {
                self.board.count.export_shed.fetch_add(1, Relaxed);
            }
            if let Some(room) = self.rooms.get(&scored.device) {
                // The device's next score replaces it.
                let _ = self.announced.try_send((room.clone(), scored.clone()));
            }
            self.tell(monitor::Input::Scored(scored)).await;
        }
        self.keep(judged_rows);
        if grown {
            self.calibrate();
        }
    }

    /// Asks for residuals of every device's calibration rows.
    fn calibrate(&mut self) {
        if self.calibrating || !self.has_model {
            return;
        }
        let (examples, rows) = self.calibration();
        if examples.is_empty() {
            return;
        }
        let answers = self.answers.clone();
        let reply =
            Box::new(move |result| drop(answers.send(Answer::Calibrated(examples, result))));
        self.calibrating = self.learner.residuals(rows, reply).is_ok();
    }

    /// Calibration rows of the devices that have enough, alone and as a model takes them.
    fn calibration(&self) -> (Vec<(DeviceId, Vec<Example>)>, Vec<Series>) {
        let windows = self.lock_windows();
        let enough =
            |device: &DeviceId| windows.count(device, Purpose::Calibrate) >= CALIBRATION_ROWS;
        let devices = windows.series(Purpose::Calibrate).into_iter();
        devices
            .filter(|(device, _)| enough(device))
            .map(|(device, rows)| {
                let asked = rows.iter().filter(|(_, asked)| *asked);
                let examples = asked.map(|(example, _)| (*example).clone()).collect();
                (
                    (device.clone(), examples),
                    rows.into_iter().collect::<Series>(),
                )
            })
            .unzip()
    }

    fn set_thresholds(&mut self, examples: &[(DeviceId, Vec<Example>)], residuals: &Residuals) {
        let mut rest = residuals.as_slice();
        for (device, rows) in examples {
            let Some((own, others)) = rest.split_at_checked(rows.len()) else {
                return;
            };
            rest = others;
            let rebuilt: Vec<_> = rows
                .iter()
                .zip(own)
                .map(|(example, residual)| rebuilt(example, residual))
                .collect();
            match self.scorer.calibrate(device, rows, Some(&rebuilt)) {
                Ok(true) => {
                    self.calibrated_with.insert(device.clone(), rows.len());
                }
                Ok(false) => {
                    tracing::warn!("{device} is not judged: too many devices on this node")
                }
                Err(too_few) => tracing::debug!("{device}: {too_few}"),
            }
        }
    }

    async fn tell(&self, input: monitor::Input) {
        if let Err(error) = self.monitor.post(input).await {
            tracing::warn!("the monitor missed an observation: {error}");
        }
    }

    fn lock_windows(&self) -> std::sync::MutexGuard<'_, Windows> {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The learner answers residuals (value minus reconstruction); the scorer wants reconstructions.
fn rebuilt(example: &Example, residual: &[f32; SLOTS]) -> [f32; SLOTS] {
    std::array::from_fn(|slot| example.values[slot] - residual[slot])
}
