//! The herald says on the data space what crosses rooms: scores, alerts, models, and how this node is. Alerts
//! and models follow the ledger, so nothing is announced that the cluster has not decided.
//!
//! Who announces is who stays: an alert is told by the holder of its room, the model by the leader. Samples
//! that late readers get live in their writer, so a new holder or leader tells again what is in force; a
//! reader that had it already gets the same key once more.

mod known;
mod listen;

use crate::board::Board;
use crate::space::SealedSpace;
use dds::Topic;
use known::{Known, Saying};
use listen::Listeners;
use replica::Ledger;
use runtime::clock;
use runtime::service::{ServiceError, StopSignal};
use std::sync::Arc;
use std::time::Duration;
use telemetry::score::Scored;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use wire::payload::{Contribution, NodeStatus, Score};
use wire::{NodeId, Role, RoomId};

/// How often a node says how it is: often enough to see it gone within seconds, seldom enough to
/// cost nothing beside readings.
const STATUS_PERIOD: Duration = Duration::from_secs(2);
/// Scores that wait to be announced; beyond it a score is left out, since the device's next one replaces it.
pub const SCORES: usize = 256;

/// A judged report and the room of its device.
pub type RoomScore = (RoomId, Scored);

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Herald {
    /// This node.
    pub me: NodeId,
    /// Name of the cluster.
    pub cluster: String,
    /// Sealed data space.
    pub space: Arc<SealedSpace>,
    /// What is announced.
    pub ledger: Ledger,
    /// For how this node is.
    pub board: Arc<Board>,
    /// Judged reports.
    pub scored: Arc<tokio::sync::Mutex<mpsc::Receiver<RoomScore>>>,
}

impl Herald {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let _listeners = Listeners::enter(&self.space)?;
        let mut scored = self.scored.lock().await;
        let mut log = self.ledger.subscribe(0);
        let replay_to = self.ledger.state().size;
        let mut known = Known::new(self.me.clone(), self.cluster.clone());
        let mut leadership = self.ledger.leader();
        let mut epochs = self.space.epochs();
        let mut beat = tokio::time::interval(STATUS_PERIOD);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut told_after = Vec::new();
            tokio::select! {
                () = stop.stopped() => return Ok(()),
                committed = log.next() => told_after = known.follow(&committed?),
                changed = leadership.changed() => changed?,
                // The first key: what is in force can be told now.
                changed = epochs.changed() => changed?,
                Some((room, scored)) = scored.recv() => self.score(room, scored).await,
                _ = beat.tick() => self.status().await,
            }
            if known.size() < replay_to || !self.space.ready() {
                continue;
            }
            let leads = leadership.borrow().leader.as_ref() == Some(&self.me);
            for saying in known.due(leads).into_iter().chain(told_after) {
                self.say(&mut known, saying).await;
            }
        }
    }

    async fn say(&self, known: &mut Known, saying: Saying) {
        let said = match &saying {
            Saying::Raised(alert) => {
                self.space
                    .announce(&Topic::ALERTS, &alert.id, &**alert)
                    .await
            }
            Saying::Cleared(alert) => {
                let said = self
                    .space
                    .announce(&Topic::ALERTS, &alert.id, &**alert)
                    .await;
                let alerts = &Topic::ALERTS;
                let over = |()| {
                    self.space
                        .space()
                        .dispose(alerts, crate::space::HOUSE, &alert.id)
                };
                said.and_then(|()| Ok(over(())?))
            }
            Saying::Model(model) => {
                self.space
                    .announce(&Topic::MODELS, &model.cluster, &**model)
                    .await
            }
        };
        match said {
            Ok(()) => known.said(&saying),
            Err(error) => tracing::debug!("not announced: {error}"),
        }
    }

    async fn score(&self, room: RoomId, scored: Scored) {
        if !self.space.ready() {
            return;
        }
        let score = Score {
            device: scored.device.to_string(),
            room: room.to_string(),
            at_ms: scored.at.0,
            score: scored.score,
            because: Contribution::all(&scored.because),
        };
        let said = self
            .space
            .announce(&Topic::SCORES, &score.device, &score)
            .await;
        if let Err(error) = said {
            tracing::debug!("score of {} is not announced: {error}", score.device);
        }
    }

    async fn status(&self) {
        if !self.space.ready() {
            return;
        }
        let status = self.board.status();
        let rooms = status.roles.iter().filter_map(|role| match role {
            Role::Room(room) => Some(room.to_string()),
            Role::Feed(_) | Role::FeedShare(_) => None,
        });
        let view = NodeStatus {
            node: self.me.to_string(),
            at_ms: clock::unix_now().0,
            rooms: rooms.collect(),
            version: status.version,
            uptime_ms: Duration::from_secs_f64(status.uptime_s).as_millis() as u64,
            leader: status.leader.map_or_else(String::new, |leader| leader.0),
            round: status.learning.round.0,
            key_epoch: status.key_epoch.0,
            ledger_size: status.ledger.size,
            published: status.dds.published,
            received: status.dds.received,
            refused: status.dds.refused,
            open_alerts: self.ledger.state().alerts.len() as u64,
        };
        if let Err(error) = self.space.announce(&Topic::STATUS, &view.node, &view).await {
            tracing::debug!("this node's view is not announced: {error}");
        }
    }
}
