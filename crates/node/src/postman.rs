//! The postman: mails the alerts that this node raised, once the ledger has them.
//!
//! A file remembers up to which leaf he has been through. It moves only after the relay took the
//! mail, so an alert may be mailed twice after a crash (with the same Message-ID) and never not.

use crate::board::Board;
use edge::mailer::Outbox;
use ledger::Applied;
use replica::{Committed, Ledger};
use runtime::durable::number::{self, Kept};
use runtime::service::{ServiceError, StopSignal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use wire::{Act, Alert, AlertKind, NodeId, Severity};

/// First pause after a relay that did not take a mail; doubles up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longest pause between tries. There is no last try: the alerts are on the ledger, and a relay
/// that comes back after a day still gets them.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// Everything the service needs; cloned for each start.
#[derive(Clone)]
pub struct Postman {
    /// This node.
    pub me: NodeId,
    /// Name of the cluster, for Message-IDs.
    pub cluster: String,
    /// The ledger.
    pub ledger: Ledger,
    /// The relay.
    pub mailer: Arc<dyn Outbox>,
    /// Remembers how far he is.
    pub watermark: PathBuf,
    /// Counters.
    pub board: Arc<Board>,
}

/// One mail.
struct Letter {
    subject: String,
    body: String,
    id: String,
}

impl Postman {
    /// Runs until stopped.
    pub async fn run(self, mut stop: StopSignal) -> Result<(), ServiceError> {
        let mut log = self.ledger.subscribe(self.remembered());
        loop {
            let committed = tokio::select! {
                () = stop.stopped() => return Ok(()),
                committed = log.next() => committed?,
            };
            if let Some(letter) = self.letter(&committed) {
                self.board.count.waiting.fetch_add(1, Relaxed);
                let delivered = tokio::select! {
                    () = stop.stopped() => false,
                    delivered = self.deliver(&letter) => delivered,
                };
                self.board.count.waiting.fetch_sub(1, Relaxed);
                if stop.is_stopped() {
                    return Ok(());
                }
                if delivered {
                    self.board.count.mailed.fetch_add(1, Relaxed);
                }
                self.remember(committed.index + 1)?;
            }
        }
    }

    fn letter(&self, committed: &Committed) -> Option<Letter> {
        if committed.applied != Applied::Effective || committed.record.proposer != self.me {
            return None;
        }
        match &committed.record.act {
            Act::AlertRaised(alert) => Some(Letter {
                subject: format!(
                    "[{}] {} {}",
                    severity(alert.severity),
                    alert.room,
                    alert.device
                ),
                body: body(alert, committed.index),
                id: format!("raised.{}@{}.glasshouse", committed.index, self.cluster),
            }),
            Act::AlertCleared { id, at: _ } => Some(Letter {
                subject: format!("[CLEARED] {id}"),
                body: format!(
                    "The alert {id} is over.\n\nLedger leaf {}.\n",
                    committed.index
                ),
                id: format!("cleared.{}@{}.glasshouse", committed.index, self.cluster),
            }),
            Act::LevelRaised { .. }
            | Act::Invited { .. }
            | Act::Admitted { .. }
            | Act::Removed { .. }
            | Act::Introduced { .. }
            | Act::FunctionDeployed { .. }
            | Act::Genesis { .. }
            | Act::NodeUp { .. }
            | Act::NodeDown { .. }
            | Act::RoleAssigned { .. }
            | Act::RoundOpened { .. }
            | Act::RoundClosed { .. }
            | Act::RoundAbandoned { .. }
            | Act::GroupCommit { .. }
            | Act::Ingested { .. } => None,
        }
    }

    /// Until the relay takes it; false if it refuses for good.
    async fn deliver(&self, letter: &Letter) -> bool {
        let mut pause = FIRST_PAUSE;
        loop {
            match self
                .mailer
                .post(&letter.subject, &letter.body, &letter.id)
                .await
            {
                Ok(()) => return true,
                Err(error) if error.is_transient() => {
                    tracing::warn!("alert mail waits {pause:?}: {error}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                Err(error) => {
                    tracing::error!("alert mail {} is not delivered: {error}", letter.id);
                    return false;
                }
            }
        }
    }

    /// From where on nothing is mailed yet. An alert that is mailed twice is better than one that is not.
    fn remembered(&self) -> u64 {
        match number::read(&self.watermark) {
            Ok(kept) => kept.map_or(0, Kept::number),
            Err(error) => {
                tracing::warn!("{error}; alerts of this node may be mailed again");
                0
            }
        }
    }

    fn remember(&self, next: u64) -> std::io::Result<()> {
        number::write(&self.watermark, next)
    }
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    }
}

/// Plain text that a phone can read: the sentence first, the reasons under it.
fn body(alert: &Alert, leaf: u64) -> String {
    let mut text = format!(
        "{}\n\nDevice {} in {}.\n",
        alert.summary, alert.device, alert.room
    );
    match &alert.kind {
        AlertKind::Anomaly { score, because } => {
            text += &format!("Score {score:.2} (1 is the device's threshold).\n");
            for (metric, share) in because {
                text += &format!("  {metric}: {:.0}%\n", share * 100.0);
            }
        }
        AlertKind::Reported { condition } => text += &format!("Reported condition: {condition}.\n"),
        AlertKind::Silent { for_ms } => {
            text += &format!("Silent for {:.1} s.\n", *for_ms as f64 / 1_000.0)
        }
    }
    text + &format!("\nAlert {}\nLedger leaf {leaf}\n", alert.id)
}
