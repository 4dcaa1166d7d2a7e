//! A participant's process.

use super::counted::Bytes;
use super::peer::{self, House};
use super::{Algorithm, Committed, aggregator, identity, participant};
use crate::Failure;
use async_trait::async_trait;
use cluster::{Applicant, Cluster, GatewayHandler};
use federation::secagg::{Member, SecureRound, Terms};
use federation::{Participant, ParticipantInput, ParticipantOutput};
use ractor::ActorProcessingErr;
use runtime::entropy;
use runtime::mailbox::Address;
use runtime::shell::{Effects, ShellContext};
use runtime::supervisor::ChildSpec;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use wire::secure::SecureStep;
use wire::{Act, Application, Call, Digest, Frame, NodeId, Reply, Round, Welcome};

/// Letters that may wait: more than a round has.
const ROOM: usize = 64;

/// Examples that every update claims.
pub(super) const EXAMPLES: u64 = 200;

pub(super) async fn follow(
    number: usize,
    parameters: usize,
    addresses: &[SocketAddr],
    bytes: Arc<Bytes>,
) -> Result<(), Failure> {
    let me = participant(number);
    let machine = Address::of::<Participant>("participant", ROOM);
    let drops = Arc::new(Mutex::new(None));
    let gateway = Arc::new(Gateway {
        machine: machine.clone(),
        cohort: addresses.len() - 1,
        drops: Arc::clone(&drops),
    });
    let update: Arc<[f32]> = (0..parameters)
        .map(|at| (at % 97) as f32 / 9700.0)
        .collect();
    let place = (&me, addresses);
    let _house = House::start(place, Arc::clone(&bytes), gateway, |cluster| {
        let (cluster, me) = (cluster.clone(), me.clone());
        ChildSpec::machine(machine, move || {
            let effects = Deeds {
                cluster: cluster.clone(),
                update: Arc::clone(&update),
                drops: Arc::clone(&drops),
            };
            let participant = Participant::new(me.clone()).with_identity(
                Arc::new(identity(&me)),
                entropy::bytes(),
                federation::Config::default().max_norm,
            );
            async move { Ok((participant, effects)) }
        })
    })
    .await?;
    peer::obey(bytes).await
}

/// The round that this process is to drop out of.
type Drops = Arc<Mutex<Option<(Round, Algorithm)>>>;

fn dropping(drops: &Drops) -> Option<(Round, Algorithm)> {
    *drops.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(round: Round) -> ParticipantInput {
    ParticipantInput::TrainingFailed {
        round,
        reason: "the benchmark wants it to drop out".to_owned(),
    }
}

struct Deeds {
    cluster: Cluster,
    update: Arc<[f32]>,
    drops: Drops,
}

impl Effects<Participant> for Deeds {
    async fn perform(
        &mut self,
        ctx: &ShellContext<Participant>,
        output: ParticipantOutput,
    ) -> Result<(), ActorProcessingErr> {
        match output {
            ParticipantOutput::StartTraining { round, .. } => {
                let input = match dropping(&self.drops).filter(|(of, _)| *of == round) {
                    Some((_, Algorithm::FedAvg)) => failed(round),
                    // When it has dealt its shares: see the gateway.
                    Some((_, Algorithm::Secure)) => return Ok(()),
                    None => ParticipantInput::Trained {
                        round,
                        delta: self.update.to_vec(),
                        examples: EXAMPLES,
                        loss: 0.5,
                        taken: None,
                    },
                };
                let to = ctx.address().clone();
                // Not from within: an actor that waits for its own mailbox waits for itself.
                tokio::spawn(async move {
                    if let Err(error) = to.post(input).await {
                        eprintln!("{error}");
                    }
                });
            }
            ParticipantOutput::Send { to, frame } => self.cluster.cast(&to, frame)?,
            ParticipantOutput::CancelTraining { .. } | ParticipantOutput::Keep(_) => {}
            ParticipantOutput::Propose(act) => eprintln!("an accusation: {act:?}"),
            ParticipantOutput::Note(note) => tracing::debug!("{note}"),
        }
        Ok(())
    }
}

struct Gateway {
    machine: Address<ParticipantInput>,
    cohort: usize,
    drops: Drops,
}

impl Gateway {
    async fn post(&self, input: ParticipantInput) {
        if let Err(error) = self.machine.post(input).await {
            eprintln!("{error}");
        }
    }

    async fn committed(&self, committed: Committed) {
        let Committed {
            act,
            algorithm,
            drops,
        } = committed;
        match act {
            Act::RoundOpened {
                round,
                model,
                cohort,
            } => {
                *self.drops.lock().unwrap_or_else(PoisonError::into_inner) =
                    drops.then_some((round, algorithm));
                let secure = secure(round, algorithm, self.cohort);
                self.post(ParticipantInput::Opened {
                    round,
                    model,
                    cohort,
                    secure,
                    codec: None,
                    carried: Default::default(),
                })
                .await;
            }
            Act::RoundClosed { round, .. } => {
                self.post(ParticipantInput::Ended {
                    round,
                    counted: true,
                })
                .await
            }
            other => eprintln!("an act that no round has: {other:?}"),
        }
    }
}

/// What both sides know of a secure round from the ledger.
pub(super) fn secure(
    round: Round,
    algorithm: Algorithm,
    cohort: usize,
) -> Option<Arc<SecureRound>> {
    let member = |number| {
        let node = participant(number);
        Member {
            identity: identity(&node).verifying_key().to_bytes(),
            node,
        }
    };
    match algorithm {
        Algorithm::FedAvg => None,
        Algorithm::Secure => Some(Arc::new(SecureRound {
            cluster: "bench".to_owned(),
            aggregator: aggregator(),
            entry: Digest::of(&round.0.to_le_bytes()),
            members: (1..=cohort).map(member).collect(),
            missed: false,
            terms: Terms::default(),
            objection: None,
        })),
    }
}

#[async_trait]
impl GatewayHandler for Gateway {
    async fn frame(&self, from: NodeId, frame: Frame) {
        match frame {
            Frame::Train {
                round,
                model,
                parameters,
            } => {
                self.post(ParticipantInput::Train {
                    from,
                    round,
                    model,
                    parameters,
                })
                .await;
            }
            Frame::Secure(message) => {
                let dealt = matches!(message.step, SecureStep::Inbox(_));
                let message = *message;
                self.post(ParticipantInput::Secure { from, message }).await;
                if let Some((round, _)) = dropping(&self.drops).filter(|_| dealt) {
                    self.post(failed(round)).await;
                }
            }
            Frame::Update { .. }
            | Frame::Packed { .. }
            | Frame::Decline { .. }
            | Frame::Model { .. }
            | Frame::Checkpoint { .. } => eprintln!("a frame that no participant gets"),
        }
    }

    async fn call(&self, _: NodeId, call: Call) -> Reply {
        let Call::Consensus(bytes) = call else {
            return Reply::Refused("a benchmark answers to acts only".to_owned());
        };
        match wire::decode(&bytes) {
            Ok(committed) => {
                self.committed(committed).await;
                Reply::Consensus(Vec::new())
            }
            Err(error) => Reply::Refused(error.to_string()),
        }
    }

    async fn apply(&self, _: Applicant, _: Application) -> Welcome {
        Welcome::Refused("a benchmark admits nobody".to_owned())
    }
}
