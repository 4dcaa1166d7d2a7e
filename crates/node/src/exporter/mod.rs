//! The exporter: alerts, rounds and scores to Kafka topics, as CloudEvents, for whoever else wants them.
//!
//! Every node exports what it put on the ledger itself, and the scores of the rooms that it holds. What the
//! brokers have acknowledged is remembered; through an outage alerts and rounds wait on the ledger, scores
//! in a journal. So an event may be delivered twice, with the same id, and an alert is never left out.

mod acts;
mod pusher;
mod scores;

use crate::at_rest::JournalKeys;
use crate::board::Board;
use edge::kafka::ClientConfig;
use replica::Ledger;
use runtime::service::{ServiceError, StopSignal};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use telemetry::cloudevents::{Events, Stream};
use telemetry::score::Scored;
use tokio::sync::{Mutex, mpsc};
use wire::NodeId;

/// Scores that wait to be written to the journal; a second's work of a large node. What comes beyond while
/// the disk is busy is left out and counted.
pub const SCORES: usize = 4_096;

/// Where things go.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    /// The brokers.
    pub client: ClientConfig,
    /// Topic of alerts.
    pub alerts: Option<String>,
    /// Topic of rounds.
    pub rounds: Option<String>,
    /// Topic of scores.
    pub scores: Option<String>,
}

impl ExportConfig {
    fn topic(&self, stream: Stream) -> Option<&str> {
        match stream {
            Stream::Alerts => self.alerts.as_deref(),
            Stream::Rounds => self.rounds.as_deref(),
            Stream::Scores => self.scores.as_deref(),
        }
    }
}

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Exporter {
    /// This node.
    pub me: NodeId,
    /// Grows with each start of the process.
    pub incarnation: u64,
    /// Where things go.
    pub config: ExportConfig,
    /// Makes events.
    pub events: Events,
    /// The ledger.
    pub ledger: Ledger,
    /// Judged reports.
    pub scored: Arc<Mutex<mpsc::Receiver<Scored>>>,
    /// Scores exported in this start of the process.
    pub numbered: Arc<AtomicU64>,
    /// Holds what is remembered.
    pub dir: PathBuf,
    /// What scores that wait are sealed under.
    pub keys: Arc<JournalKeys>,
    /// Counters.
    pub board: Arc<Board>,
}

/// Where scores wait, within an exporter's folder.
pub fn scores_dir(dir: &Path) -> PathBuf {
    dir.join("scores")
}

impl Exporter {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        tokio::select! {
            () = stop.stopped() => Ok(()),
            ended = acts::export(&self) => ended,
            ended = scores::export(&self) => ended,
        }
    }
}
