//! What peers' frames and calls mean here.

use crate::effects::{Served, aggregator_input};
use crate::models::Models;
use async_trait::async_trait;
use cluster::{Applicant, GatewayHandler};
use federation::{Input, ParticipantInput};
use replica::Ledger;
use runtime::mailbox::Address;
use std::sync::{Arc, OnceLock, PoisonError};
use wire::{Application, Call, Frame, NodeId, Reply, Welcome};

/// The node's side of the gateway. The ledger comes last, since it needs the cluster to exist.
pub struct Gateway {
    /// Set once the ledger is open; calls before that are refused and repeated by the caller.
    pub ledger: OnceLock<Ledger>,
    /// Models.
    pub models: Arc<Models>,
    /// The aggregator on this node.
    pub aggregator: Address<Input>,
    /// The participant on this node.
    pub participant: Address<ParticipantInput>,
    /// What `Call::GroupInfo` is answered with.
    pub served: Served,
}

const STARTING: &str = "this node is still starting; ask again";

#[async_trait]
impl GatewayHandler for Gateway {
    async fn frame(&self, from: NodeId, frame: Frame) {
        let taken = match frame {
            Frame::Train {
                round,
                model,
                parameters,
            } => {
                let parameters = Arc::new(parameters);
                self.participant.try_send(ParticipantInput::Train {
                    from,
                    round,
                    model,
                    parameters,
                })
            }
            Frame::Model {
                round,
                model,
                parameters,
            } => {
                self.models.stage(round, model, Arc::new(parameters));
                // It may be the very model the ledger has named already.
                self.publish_if_named();
                Ok(())
            }
            Frame::Checkpoint { note } => {
                if let Some(ledger) = self.ledger.get().cloned() {
                    // It may have to wait until this replica has the leaves; frames must not.
                    tokio::spawn(async move { ledger.checkpoint(&from, note).await });
                }
                Ok(())
            }
            frame @ (Frame::Update { .. } | Frame::Decline { .. }) => {
                match aggregator_input(&from, frame) {
                    Some(input) => self.aggregator.try_send(input),
                    None => {
                        tracing::warn!("{from} sent an answer in another node's name; dropped");
                        Ok(())
                    }
                }
            }
        };
        if let Err(error) = taken {
            tracing::warn!("frame dropped: {error}");
        }
    }

    async fn call(&self, from: NodeId, call: Call) -> Reply {
        match call {
            call @ (Call::Consensus(_)
            | Call::Propose(_)
            | Call::Cosign { .. }
            | Call::ReadIndex
            | Call::Holdings) => {
                let answer = match self.ledger.get() {
                    Some(ledger) => ledger.serve(&from, call).await,
                    None => None,
                };
                answer.unwrap_or_else(|| Reply::Refused(STARTING.into()))
            }
            Call::Opinion(_) => Reply::Refused(STARTING.into()),
            Call::GroupInfo => Reply::GroupInfo(
                self.served
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .clone(),
            ),
            Call::Model(digest) => Reply::Model(
                self.models
                    .find(digest)
                    .map(|model| (model.round, model.parameters.to_vec())),
            ),
        }
    }

    async fn apply(&self, applicant: Applicant, _: Application) -> Welcome {
        Welcome::Refused(format!(
            "this node cannot admit {} yet; ask again",
            applicant.node
        ))
    }
}

impl Gateway {
    /// Puts the model that the ledger names to use, if it is here.
    pub fn publish_if_named(&self) {
        if let Some(ledger) = self.ledger.get() {
            let state = ledger.state();
            if let Some(digest) = state.rounds.model {
                self.models.publish(state.rounds.last_closed, digest);
            }
        }
    }
}
