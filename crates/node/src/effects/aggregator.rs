//! The aggregator's deeds: acts, requests to train, models to everyone.

use super::fetch_model;
use crate::models::Models;
use cluster::Cluster;
use federation::{Aggregator, Input, Output, ParticipantInput};
use ractor::ActorProcessingErr;
use replica::Ledger;
use runtime::mailbox::Address;
use runtime::shell::{Effects, ShellContext};
use std::sync::Arc;
use wire::{Act, Digest, EncodedFrame, Frame, NodeId, Round};

/// Performs for [`Aggregator`].
pub struct AggregatorEffects {
    /// This node.
    pub me: NodeId,
    /// For acts.
    pub ledger: Ledger,
    /// For peers.
    pub cluster: Cluster,
    /// For models.
    pub models: Arc<Models>,
    /// The participant on this node.
    pub participant: Address<ParticipantInput>,
    /// What peers were asked last: it goes to each of them, and again to who does not answer.
    pub asked: Option<Asked>,
}

/// A request to train, encoded once for all.
pub struct Asked {
    round: Round,
    model: Digest,
    frame: EncodedFrame,
}

impl AggregatorEffects {
    fn propose(&self, to: Address<Input>, act: Act) {
        let ledger = self.ledger.clone();
        let round = act.round().unwrap_or_default();
        tokio::spawn(async move {
            if let Err(error) = ledger.propose(act).await {
                // An aggregator that is being restarted takes over from the ledger anyway.
                let _ = to
                    .post(Input::ProposalFailed {
                        round,
                        reason: error.to_string(),
                    })
                    .await;
            }
        });
    }

    /// From this node or any peer.
    fn find(&self, to: Address<Input>, digest: Digest) {
        let (cluster, models) = (self.cluster.clone(), self.models.clone());
        tokio::spawn(async move {
            let found = match models.find(digest) {
                Some(model) => Some(model.parameters),
                None => fetch_model(&cluster, digest).await,
            };
            let answer = match found {
                Some(parameters) => Input::ModelReady { digest, parameters },
                None => Input::ModelUnavailable { digest },
            };
            let _ = to.post(answer).await;
        });
    }

    /// Casts are at most once: a peer that misses the model asks for it by its digest.
    fn send_model(&self, round: Round, model: Digest, parameters: &Arc<Vec<f32>>) {
        let frame = EncodedFrame::of(&Frame::Model {
            round,
            model,
            parameters: Arc::clone(parameters),
        });
        for peer in self.cluster.links().into_keys() {
            if let Err(error) = self.cluster.cast_encoded(&peer, &frame) {
                tracing::debug!("model of round {round} not sent to {peer}: {error}");
            }
        }
    }
}

impl Effects<Aggregator> for AggregatorEffects {
    async fn perform(
        &mut self,
        ctx: &ShellContext<Aggregator>,
        output: Output,
    ) -> Result<(), ActorProcessingErr> {
        match output {
            Output::Propose(act) => self.propose(ctx.address().clone(), act),
            Output::SendTrain {
                to,
                round,
                model,
                parameters,
            } if to == self.me => {
                let train = ParticipantInput::Train {
                    from: to,
                    round,
                    model,
                    parameters,
                };
                if let Err(error) = self.participant.post(train).await {
                    tracing::warn!("round {round}: {error}");
                }
            }
            Output::SendTrain {
                to,
                round,
                model,
                parameters,
            } => {
                let asked = self
                    .asked
                    .take_if(|asked| (asked.round, asked.model) == (round, model));
                let asked = asked.unwrap_or_else(|| Asked {
                    round,
                    model,
                    frame: EncodedFrame::of(&Frame::Train {
                        round,
                        model,
                        parameters,
                    }),
                });
                let sent = self.cluster.cast_encoded(&to, &asked.frame);
                self.asked = Some(asked);
                if let Err(error) = sent {
                    tracing::debug!("round {round}: {to} was not asked: {error}");
                }
            }
            Output::SendSecure { to, message } if to == self.me => {
                let input = ParticipantInput::Secure { from: to, message };
                if let Err(error) = self.participant.post(input).await {
                    tracing::debug!("a step of a secure round was not taken: {error}");
                }
            }
            Output::SendSecure { to, message } => {
                if let Err(error) = self.cluster.cast(&to, Frame::Secure(Box::new(message))) {
                    tracing::debug!("a step of a secure round was not sent to {to}: {error}");
                }
            }
            Output::NeedModel(digest) => self.find(ctx.address().clone(), digest),
            Output::StageModel {
                round,
                digest,
                parameters,
            } => {
                self.models.stage(round, digest, parameters.clone());
                self.send_model(round, digest, &parameters);
            }
            Output::PublishModel {
                round,
                digest,
                parameters,
            } => {
                self.models.stage(round, digest, parameters.clone());
                self.send_model(round, digest, &parameters);
            }
            Output::Note(note) => tracing::info!("aggregator: {note}"),
        }
        Ok(())
    }
}
