//! The rooms this node holds: subscriptions on the data space and the analyst behind them.

mod analyst;
pub mod series;
mod signs;

use crate::board::Board;
use crate::herald::RoomScore;
use crate::models::Models;
use crate::space::{RoomReader, SealedSpace, Taken};
use analyst::Analyst;
pub use analyst::Judging;
use dds::Topic;
use learn::Learner;
use runtime::clock;
use runtime::mailbox::Address;
use runtime::service::{ServiceError, StopSignal};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use telemetry::monitor;
use telemetry::score::Scored;
use telemetry::windows::Windows;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use wire::{Alert, DeviceId, Origin, RoomId};

/// Reports taken and not yet looked at, over all rooms. Behind it the subscriptions fill, and
/// behind those the writers slow down.
const TAKEN_MAX: usize = 256;
/// Devices whose room is remembered; as many as the assembler takes.
const MAX_DEVICES: usize = telemetry::features::MAX_DEVICES;

/// Devices with a heartbeat by configuration, by room.
pub type Heartbeats = BTreeMap<RoomId, Vec<(DeviceId, Duration)>>;

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Rooms {
    /// Sealed data space.
    pub space: Arc<SealedSpace>,
    /// Counters.
    pub board: Arc<Board>,
    /// libtorch.
    pub learner: Arc<Learner>,
    /// The cluster's models.
    pub models: Arc<Models>,
    /// Where judgements go.
    pub monitor: Address<monitor::Input>,
    /// Rows for training.
    pub windows: Arc<Mutex<Windows>>,
    /// Rooms held, by the ledger.
    pub held: watch::Receiver<BTreeSet<RoomId>>,
    /// Open alerts by the ledger, for rooms that come to this node.
    pub open_alerts: Arc<dyn Fn() -> Vec<Alert> + Send + Sync>,
    /// Where judged reports go besides, if somebody wants them.
    pub scores: Option<mpsc::Sender<Scored>>,
    /// Where they go to be announced.
    pub announced: mpsc::Sender<RoomScore>,
    /// How rows are judged.
    pub judging: Judging,
    /// Whom to miss.
    pub heartbeats: Arc<Heartbeats>,
}

impl Rooms {
    /// Runs until stopped.
    pub async fn run(mut self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let (answers, mut answered) = mpsc::unbounded_channel();
        let (taken, mut reports) = mpsc::channel::<Taken>(TAKEN_MAX);
        let mut analyst = Analyst::new(&self, answers);
        let mut readers = Readers {
            tasks: BTreeMap::new(),
        };
        let mut seen = BTreeMap::new();
        let mut models = self.models.follow();
        let mut events = self.space.space().events();
        self.held.mark_changed();
        loop {
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                changed = self.held.changed() => {
                    changed?;
                    let held = self.held.borrow_and_update().clone();
                    self.hold(&held, &mut readers, &mut seen, &taken, &mut analyst).await?;
                }
                changed = models.changed() => {
                    changed?;
                    let model = models.borrow_and_update().clone();
                    if let Some(used) = model {
                        analyst.model(&used);
                    }
                }
                event = signs::next(&mut events) => {
                    if let Some(sign) = signs::observed(&event, &readers.rooms(), clock::unix_now()) {
                        self.monitor.post(sign).await?;
                    }
                }
                Some(answer) = answered.recv() => analyst.answer(answer).await,
                Some(taken) = reports.recv() => {
                    if let Origin::Mail { .. } = taken.report.origin {
                        self.board.mail_to_dds(since(taken.source_time_ns));
                    }
                    let report = taken.report;
                    if seen.len() < MAX_DEVICES {
                        seen.insert(report.device.clone(), report.room.clone());
                    }
                    analyst.report(report).await;
                }
            }
        }
    }

    /// Subscribes to what is new, leaves what is gone.
    async fn hold(
        &self,
        held: &BTreeSet<RoomId>,
        readers: &mut Readers,
        seen: &mut BTreeMap<DeviceId, RoomId>,
        taken: &mpsc::Sender<Taken>,
        analyst: &mut Analyst,
    ) -> Result<(), ServiceError> {
        let left: BTreeSet<RoomId> = readers
            .tasks
            .keys()
            .filter(|room| !held.contains(room))
            .cloned()
            .collect();
        for room in &left {
            tracing::info!("room {room} has moved to another node");
            readers.leave(room);
        }
        let expected = left.iter().filter_map(|room| self.heartbeats.get(room));
        let expected = expected.flatten().map(|(device, _)| device);
        let of_left = seen.iter().filter(|(_, room)| left.contains(*room));
        let forgotten: BTreeSet<&DeviceId> =
            of_left.map(|(device, _)| device).chain(expected).collect();
        for device in forgotten {
            self.monitor
                .post(monitor::Input::Forget(device.clone()))
                .await?;
        }
        for room in &left {
            let writers = monitor::writers_of(room);
            self.monitor.post(monitor::Input::Forget(writers)).await?;
        }
        seen.retain(|_, room| held.contains(room));
        analyst.keep_only(&seen.keys().cloned().collect());
        for room in held {
            if readers.tasks.contains_key(room) {
                continue;
            }
            tracing::info!("this node holds room {room} now");
            for alert in (self.open_alerts)()
                .into_iter()
                .filter(|alert| alert.room == *room)
            {
                self.monitor.post(monitor::Input::Adopt(alert)).await?;
            }
            // Whoever shows no life then is told anew by this node's own reader.
            let writers = monitor::Input::Writers {
                room: room.clone(),
                alive: 0,
                silent: 0,
                at: clock::unix_now(),
            };
            self.monitor.post(writers).await?;
            for (device, every) in self.heartbeats.get(room).into_iter().flatten() {
                self.monitor
                    .post(monitor::Input::Expect {
                        device: device.clone(),
                        room: room.clone(),
                        every: *every,
                        at: runtime::clock::unix_now(),
                    })
                    .await?;
            }
            readers.enter(room.clone(), &self.space, taken.clone())?;
        }
        Ok(())
    }
}

/// One reading task per room.
struct Readers {
    tasks: BTreeMap<RoomId, JoinHandle<()>>,
}

impl Readers {
    fn enter(
        &mut self,
        room: RoomId,
        space: &Arc<SealedSpace>,
        taken: mpsc::Sender<Taken>,
    ) -> Result<(), ServiceError> {
        let mut subscription = space
            .space()
            .subscribe(&Topic::READINGS, &[room.as_str()])?;
        let mut reader = RoomReader::new(space.clone(), room.as_str());
        let mut epochs = space.epochs();
        let task = tokio::spawn(async move {
            loop {
                let opened = tokio::select! {
                    sample = subscription.sample() => match sample {
                        Some(sample) => reader.take(sample),
                        None => return,
                    },
                    changed = epochs.changed() => match changed {
                        Ok(()) => reader.retry(),
                        Err(_) => return,
                    },
                };
                for report in opened {
                    if taken.send(report).await.is_err() {
                        return;
                    }
                }
            }
        });
        self.tasks.insert(room, task);
        Ok(())
    }

    fn rooms(&self) -> BTreeSet<&RoomId> {
        self.tasks.keys().collect()
    }

    fn leave(&mut self, room: &RoomId) {
        if let Some(task) = self.tasks.remove(room) {
            task.abort();
        }
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

/// Time since a writer's stamp. Both clocks are wall clocks: on other hosts they may differ, and
/// then a negative span counts as none.
fn since(source_time_ns: i64) -> Duration {
    let now = clock::unix_now_ns();
    Duration::from_nanos(u64::try_from(now.saturating_sub(source_time_ns)).unwrap_or(0))
}
