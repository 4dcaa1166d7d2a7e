//! The monitor's deeds: alerts become acts. What the ledger has committed, the postman mails.

use crate::board::Board;
use ractor::ActorProcessingErr;
use replica::Ledger;
use runtime::shell::{Effects, ShellContext};
use std::sync::Arc;
use std::time::Duration;
use telemetry::monitor::{Monitor, Output};
use wire::Act;

/// Tries to get an alert onto the ledger. With the ledger's own patience per try this outlasts
/// any election; a cluster without a majority for longer cannot agree on an alert.
const TRIES: u32 = 5;
/// Pause between tries.
const PAUSE: Duration = Duration::from_secs(2);

/// Performs for [`Monitor`].
pub struct MonitorEffects {
    /// For acts.
    pub ledger: Ledger,
    /// Counters.
    pub board: Arc<Board>,
}

impl MonitorEffects {
    /// In a task of its own: the monitor must go on watching while the cluster elects.
    fn record(&self, act: Act) {
        let ledger = self.ledger.clone();
        tokio::spawn(async move {
            for attempt in 1..=TRIES {
                match ledger.propose(act.clone()).await {
                    Ok(_) => return,
                    Err(error) => tracing::warn!(
                        "alert act not on the ledger (try {attempt} of {TRIES}): {error}"
                    ),
                }
                tokio::time::sleep(PAUSE).await;
            }
            tracing::error!("alert act given up: {act:?}");
        });
    }
}

impl Effects<Monitor> for MonitorEffects {
    async fn perform(
        &mut self,
        _: &ShellContext<Monitor>,
        output: Output,
    ) -> Result<(), ActorProcessingErr> {
        match output {
            Output::Raise(alert) => {
                tracing::warn!("alert: {}", alert.summary);
                self.board.raised(&alert);
                self.record(Act::AlertRaised(alert));
            }
            Output::Clear { id, at } => {
                tracing::info!("cleared: {id}");
                self.board.cleared();
                self.record(Act::AlertCleared { id, at });
            }
        }
        Ok(())
    }
}
