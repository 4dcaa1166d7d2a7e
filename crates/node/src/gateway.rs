//! What peers' frames and calls mean here.

use crate::acts::{self, ActError};
use crate::effects::Served;
use crate::models::Models;
use crate::steward;
use async_trait::async_trait;
use cluster::{Applicant, Cluster, GatewayHandler, Members};
use federation::{Input, ParticipantInput};
use replica::Ledger;
use runtime::mailbox::Address;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;
use wire::{Act, Application, Call, Frame, Invitation, Level, MemberEntry, NodeId, Reply, Welcome};

/// The node's side of the gateway. The ledger comes last, since it needs the cluster to exist.
pub struct Gateway {
    /// Set once the ledger is open; calls before that are refused and repeated by the caller.
    pub ledger: OnceLock<Ledger>,
    /// Set once the links exist.
    pub cluster: OnceLock<Cluster>,
    /// Who is a member, and who is leaving.
    pub members: Members,
    /// Models.
    pub models: Arc<Models>,
    /// The aggregator on this node.
    pub aggregator: Address<Input>,
    /// The participant on this node.
    pub participant: Address<ParticipantInput>,
    /// What `Call::GroupInfo` is answered with.
    pub served: Served,
    /// Where the configuration says the founders are.
    pub configured: BTreeMap<NodeId, MemberEntry>,
}

const STARTING: &str = "this node is still starting; ask again";

#[async_trait]
impl GatewayHandler for Gateway {
    async fn frame(&self, from: NodeId, frame: Frame) {
        if self.is_leaving(&from) {
            return;
        }
        let taken = match frame {
            Frame::Train {
                round,
                model,
                parameters,
            } => {
                let train = ParticipantInput::Train {
                    from,
                    round,
                    model,
                    parameters,
                };
                self.participant.post(train).await
            }
            Frame::Model {
                round,
                model,
                parameters,
            } => {
                self.models.stage(round, model, parameters);
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
            Frame::Secure(message) if !message.step.is_participants() => {
                let message = *message;
                let input = ParticipantInput::Secure { from, message };
                self.participant.post(input).await
            }
            frame @ (Frame::Update { .. }
            | Frame::Packed { .. }
            | Frame::Decline { .. }
            | Frame::Secure(_)) => match federation::Input::from_frame(&from, frame) {
                Some(input) => self.aggregator.post(input).await,
                None => {
                    tracing::warn!("{from} sent an answer in another node's name; dropped");
                    Ok(())
                }
            },
        };
        if let Err(error) = taken {
            tracing::warn!("frame dropped: {error}");
        }
    }

    async fn call(&self, from: NodeId, call: Call) -> Reply {
        if self.is_leaving(&from) && !matches!(call, Call::Consensus(_)) {
            return Reply::Refused(format!(
                "{from} is no member any more; until its vote is gone it is heard in consensus only"
            ));
        }
        match call {
            call @ (Call::Consensus(_)
            | Call::Propose(_)
            | Call::Cosign { .. }
            | Call::ReadIndex
            | Call::Holdings) => match self.ledger.get() {
                Some(ledger) => ledger.serve(&from, call).await,
                None => None,
            }
            .unwrap_or_else(|| Reply::Refused(STARTING.into())),
            Call::Opinion(about) => match self.cluster.get() {
                Some(cluster) => steward::opinion(cluster, &about),
                None => Reply::Refused(STARTING.into()),
            },
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

    async fn apply(&self, applicant: Applicant, application: Application) -> Welcome {
        let Some(ledger) = self.ledger.get() else {
            return Welcome::Refused(STARTING.into());
        };
        match self.admit(ledger, &applicant, &application).await {
            Ok(welcome) => welcome,
            Err(why) => {
                tracing::warn!("{} is not admitted: {why}", applicant.node);
                Welcome::Refused(why)
            }
        }
    }
}

impl Gateway {
    /// Is it a former member whose link stands for its vote alone?
    fn is_leaving(&self, node: &NodeId) -> bool {
        self.members.current().leaving.contains(node)
    }
}

/// Until an admission is on the ledger and cosigned; the one who joins waits that long.
const ADMISSION_LIMIT: Duration = Duration::from_secs(10);

impl Gateway {
    /// Somebody with an invitation wants to join. Its certificate has been verified; whether the
    /// invitation is good is for the ledger to say.
    async fn admit(
        &self,
        ledger: &Ledger,
        applicant: &Applicant,
        application: &Application,
    ) -> Result<Welcome, String> {
        let node = applicant.node.clone();
        let known = ledger.state().members.get(&node).cloned();
        // The answer to an earlier attempt was lost: the same node with the same key, admitted already.
        let again = known.is_some_and(|member| {
            member.identity == applicant.identity && member.admitted.is_some()
        });
        if !again {
            if application.level < Level::MEMBERSHIP {
                return Err(format!(
                    "{node} speaks level {}, and members that join need {}; upgrade it first",
                    application.level,
                    Level::MEMBERSHIP
                ));
            }
            let act = Act::Admitted {
                node: node.clone(),
                identity: applicant.identity,
                address: application.address.clone(),
                invitation: Invitation::digest_of(&application.secret),
            };
            acts::commit(ledger, act)
                .await
                .map_err(|error: ActError| error.to_string())?;
        }
        let admission = ledger
            .admission(&node, ADMISSION_LIMIT)
            .await
            .map_err(|error| error.to_string())?;
        let voting = ledger.voting().borrow().clone();
        let members = crate::members::table(&ledger.state(), &voting, &self.configured);
        Ok(Welcome::Admitted {
            admission: Box::new(admission),
            members: members.members.into_values().collect(),
        })
    }

    /// Puts the model that the ledger names to use, if it is here.
    pub fn publish_if_named(&self) {
        if let Some(ledger) = self.ledger.get() {
            let state = ledger.state();
            if let Some(scoring) = state.rounds.scoring {
                self.models.publish(scoring, state.rounds.is_chosen());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::{Former, MemberTable};
    use federation::{Aggregator, Participant};
    use learn::Shape;

    #[tokio::test]
    async fn who_is_leaving_is_heard_in_consensus_only() {
        let dir = tempfile::tempdir().unwrap();
        let members = Members::new(MemberTable {
            removed: [(
                NodeId::from("d"),
                Former {
                    identity: [4; 32],
                    why: "sold".to_owned(),
                },
            )]
            .into(),
            leaving: [NodeId::from("d")].into(),
            leaves: 9,
            ..MemberTable::default()
        });
        let gateway = Gateway {
            ledger: OnceLock::new(),
            cluster: OnceLock::new(),
            members: members.clone(),
            models: Arc::new(Models::open(dir.path().join("models"), &Shape::default()).unwrap()),
            aggregator: Address::of::<Aggregator>("aggregator", 1),
            participant: Address::of::<Participant>("participant", 1),
            served: Served::default(),
            configured: BTreeMap::new(),
        };
        let refused = |reply: Reply| match reply {
            Reply::Refused(why) => why,
            other => panic!("{other:?}"),
        };
        let why = refused(gateway.call("d".into(), Call::GroupInfo).await);
        assert!(why.contains("d is no member any more"), "{why}");
        // Consensus gets as far as the ledger, which is not open here.
        let why = refused(gateway.call("d".into(), Call::Consensus(vec![1])).await);
        assert_eq!(why, STARTING);
        let reply = gateway.call("a".into(), Call::GroupInfo).await;
        assert!(matches!(reply, Reply::GroupInfo(_)), "{reply:?}");
        members.set(MemberTable::default());
        let reply = gateway.call("d".into(), Call::GroupInfo).await;
        assert!(
            matches!(reply, Reply::GroupInfo(_)),
            "links decide: {reply:?}"
        );
    }
}
