//! The custodian's deeds: proposals, questions to peers, keys into use.

use super::ask_all;
use crate::space::SealedSpace;
use cluster::Cluster;
use cluster::noise::EpochTable;
use custody::{Custodian, Input, Output};
use machine::Machine;
use ractor::ActorProcessingErr;
use replica::Ledger;
use runtime::mailbox::Address;
use runtime::shell::{Effects, ShellContext};
use std::sync::{Arc, Mutex, PoisonError};
use wire::{Act, Call, Reply};

/// What this node answers to `Call::GroupInfo` right now.
pub type Served = Arc<Mutex<Option<Vec<u8>>>>;

/// Performs for [`Custodian`].
pub struct CustodianEffects {
    /// For proposals.
    pub ledger: Ledger,
    /// For questions.
    pub cluster: Cluster,
    /// Link secrets.
    pub epochs: EpochTable,
    /// Data keys.
    pub space: Arc<SealedSpace>,
    /// GroupInfo for joiners.
    pub served: Served,
}

impl CustodianEffects {
    fn propose(&self, to: Address<<Custodian as Machine>::Input>, act: Act) {
        let ledger = self.ledger.clone();
        let epoch = act.key_epoch().unwrap_or_default();
        tokio::spawn(async move {
            if let Err(error) = ledger.propose(act).await {
                let failed = Input::ProposalFailed {
                    epoch,
                    reason: error.to_string(),
                };
                // A custodian that is being restarted has forgotten the proposal anyway.
                let _ = to.post(failed).await;
            }
        });
    }

    fn ask(&self, to: Address<<Custodian as Machine>::Input>) {
        let cluster = self.cluster.clone();
        tokio::spawn(async move {
            for (from, reply) in ask_all(&cluster, &Call::GroupInfo).await {
                if let Reply::GroupInfo(answer) = reply
                    && to.post(Input::GroupInfo { from, answer }).await.is_err()
                {
                    return;
                }
            }
            let _ = to.post(Input::AnswersDone).await;
        });
    }
}

impl Effects<Custodian> for CustodianEffects {
    async fn perform(
        &mut self,
        ctx: &ShellContext<Custodian>,
        output: Output,
    ) -> Result<(), ActorProcessingErr> {
        match output {
            Output::Propose(act) => self.propose(ctx.address().clone(), act),
            Output::AskGroupInfo => self.ask(ctx.address().clone()),
            Output::Serve(answer) => {
                *self.served.lock().unwrap_or_else(PoisonError::into_inner) = answer
            }
            Output::EpochStarted(secrets) => {
                tracing::info!("key epoch {} starts", secrets.epoch);
                self.epochs.insert(secrets.epoch, secrets.link);
                self.space.start_epoch(secrets);
            }
            // The keyring and the links' table drop it when its grace is over.
            Output::EpochRetired(epoch) => tracing::debug!("key epoch {epoch} is retired"),
            Output::Removed => {
                tracing::warn!("this node is no member of the cluster any more; its keys are gone")
            }
            Output::Note(note) => tracing::info!("custodian: {note}"),
        }
        Ok(())
    }
}
