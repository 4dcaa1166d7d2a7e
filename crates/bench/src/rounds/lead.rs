//! The aggregator's process.

use super::counted::Bytes;
use super::follow::{EXAMPLES, secure};
use super::peer::{self, House};
use super::{Algorithm, Committed, LIMIT, aggregator, participant};
use crate::samples::micros;
use crate::{Failure, lines};
use async_trait::async_trait;
use cluster::{Applicant, Cluster, GatewayHandler};
use federation::{Aggregator, Config, Input, Output, model_digest};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use ractor::ActorProcessingErr;
use runtime::mailbox::Address;
use runtime::shell::{Effects, ShellContext};
use runtime::supervisor::ChildSpec;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use wire::{Act, Application, Call, EncodedFrame, Frame, NodeId, Reply, Round, Welcome};

/// Letters that may wait: more than all participants have to say at once.
const ROOM: usize = 256;

/// Proposals that may wait: the aggregator has one at a time, and repeats it.
const PROPOSALS: usize = 16;

pub(super) async fn lead(
    parameters: usize,
    addresses: &[SocketAddr],
    bytes: Arc<Bytes>,
) -> Result<(), Failure> {
    let me = aggregator();
    let cohort = addresses.len() - 1;
    let machine = Address::of::<Aggregator>("aggregator", ROOM);
    let (proposed, proposals) = mpsc::channel(PROPOSALS);
    let gateway = Arc::new(Gateway(machine.clone()));
    let letters = machine.clone();
    let house = House::start((&me, addresses), Arc::clone(&bytes), gateway, |cluster| {
        let (cluster, me) = (cluster.clone(), me.clone());
        let config = Config {
            // A round with two dropouts goes on.
            min_cohort: cohort.saturating_sub(2).max(1),
            pause: Duration::ZERO,
            // As in `peer.rs`: a busy machine must not make anybody late.
            deadline: LIMIT,
            resend: LIMIT,
            ..Config::default()
        };
        ChildSpec::machine(machine, move || {
            let effects = Deeds {
                cluster: cluster.clone(),
                proposed: proposed.clone(),
                asked: None,
            };
            let aggregator = Aggregator::new(me.clone(), config.clone());
            async move { Ok((aggregator, effects)) }
        })
    })
    .await?;
    let model = Arc::new(vec![0.0_f32; parameters]);
    let digest = model_digest(&model);
    letters
        .send(Input::ModelReady {
            digest,
            parameters: model,
        })
        .await?;
    let up = (1..=cohort).map(participant).collect();
    letters.send(Input::Members(up)).await?;
    letters
        .send(Input::Leading {
            next: Round(1),
            open: None,
            model: Some(digest),
        })
        .await?;
    let ledger = Arc::new(tokio::sync::Mutex::new(Ledger {
        cluster: house.cluster.clone(),
        aggregator: letters,
        proposals,
        cohort,
    }));
    lines::obey(|order| obey(Arc::clone(&ledger), Arc::clone(&bytes), order)).await
}

async fn obey(
    ledger: Arc<tokio::sync::Mutex<Ledger>>,
    bytes: Arc<Bytes>,
    order: String,
) -> Result<String, Failure> {
    match order.split(' ').collect::<Vec<_>>()[..] {
        ["used"] => Ok(peer::used(&bytes)?.line()),
        ["round", algorithm, dropped] => {
            let mut ledger = ledger.lock().await;
            let round = ledger.round(algorithm.parse()?, dropped.parse()?);
            let took = tokio::time::timeout(LIMIT, round).await;
            let took = took.map_err(|_| format!("a round takes more than {LIMIT:?}"))??;
            Ok(micros(took).to_string())
        }
        _ => Err(format!("unknown order {order:?}").into()),
    }
}

/// In the place of the ledger: acts take effect in the order proposed, when a majority has them.
struct Ledger {
    cluster: Cluster,
    aggregator: Address<Input>,
    proposals: mpsc::Receiver<Act>,
    cohort: usize,
}

impl Ledger {
    /// Opens the round that the aggregator wants to open, and sees it to its end.
    async fn round(&mut self, algorithm: Algorithm, dropped: usize) -> Result<Duration, Failure> {
        // Repeated while nobody asked for a round.
        let mut opening = self.proposal().await?;
        while let Ok(newer) = self.proposals.try_recv() {
            opening = newer;
        }
        let Act::RoundOpened {
            round,
            model,
            cohort,
        } = opening.clone()
        else {
            return Err(format!("not an opening: {opening:?}").into());
        };
        let begin = Instant::now();
        self.commit(opening, algorithm, dropped).await?;
        let opened = Input::Opened {
            round,
            model,
            cohort,
            by: aggregator(),
            secure: secure(round, algorithm, self.cohort),
            carried: Default::default(),
            ages: true,
        };
        self.aggregator.send(opened).await?;
        let closing = loop {
            match self.proposal().await? {
                // A repetition that crossed with the commit.
                Act::RoundOpened { round: again, .. } if again == round => {}
                other => break other,
            }
        };
        let Act::RoundClosed {
            model,
            ref participants,
            examples,
            ..
        } = closing
        else {
            return Err(format!("not a close: {closing:?}").into());
        };
        let stayed = self.cohort - dropped;
        if participants.len() != stayed || examples != EXAMPLES * stayed as u64 {
            return Err(format!("{stayed} were to be in the model: {closing:?}").into());
        }
        let participants = participants.clone();
        self.commit(closing, algorithm, 0).await?;
        let took = begin.elapsed();
        let closed = Input::Closed {
            round,
            model,
            participants,
        };
        self.aggregator.send(closed).await?;
        Ok(took)
    }

    async fn proposal(&mut self) -> Result<Act, Failure> {
        let proposal = self.proposals.recv().await;
        proposal.ok_or_else(|| "the aggregator has ended".into())
    }

    /// Hands an act to all, and waits for the answers of a majority.
    async fn commit(&self, act: Act, algorithm: Algorithm, dropped: usize) -> Result<(), Failure> {
        let mut answers = FuturesUnordered::new();
        for number in 1..=self.cohort {
            let committed = Committed {
                act: act.clone(),
                algorithm,
                drops: number <= dropped,
            };
            let call = Call::Consensus(wire::encode(&committed));
            let cluster = self.cluster.clone();
            answers.push(tokio::spawn(async move {
                cluster.call(&participant(number), call, LIMIT).await
            }));
        }
        for _ in 0..=self.cohort / 2 {
            match answers.next().await {
                Some(answer) => match answer?? {
                    Reply::Consensus(_) => {}
                    other => return Err(format!("an act was not taken: {other:?}").into()),
                },
                None => return Err("no majority".into()),
            }
        }
        Ok(())
    }
}

struct Deeds {
    cluster: Cluster,
    proposed: mpsc::Sender<Act>,
    /// As in a node: the request to train is encoded once for all.
    asked: Option<(Round, EncodedFrame)>,
}

impl Effects<Aggregator> for Deeds {
    async fn perform(
        &mut self,
        _: &ShellContext<Aggregator>,
        output: Output,
    ) -> Result<(), ActorProcessingErr> {
        match output {
            // One that finds no room is a repetition.
            Output::Propose(act) => {
                let _ = self.proposed.try_send(act);
            }
            Output::SendTrain {
                to,
                round,
                model,
                parameters,
            } => {
                let asked = self.asked.take_if(|(of, _)| *of == round);
                let (_, frame) = self.asked.insert(asked.unwrap_or_else(|| {
                    let frame = Frame::Train {
                        round,
                        model,
                        parameters,
                    };
                    (round, EncodedFrame::of(&frame))
                }));
                self.cluster.cast_encoded(&to, frame)?;
            }
            Output::SendSecure { to, message } => {
                self.cluster.cast(&to, Frame::Secure(Box::new(message)))?;
            }
            // It comes with the next round, on either side.
            Output::StageModel { .. } | Output::PublishModel { .. } => {}
            Output::NeedModel(model) => eprintln!("model {model:?} is missing"),
            Output::Note(note) => tracing::debug!("{note}"),
        }
        Ok(())
    }
}

struct Gateway(Address<Input>);

#[async_trait]
impl GatewayHandler for Gateway {
    async fn frame(&self, from: NodeId, frame: Frame) {
        let Some(input) = Input::from_frame(&from, frame) else {
            return eprintln!("a frame that no aggregator gets");
        };
        if let Err(error) = self.0.post(input).await {
            eprintln!("{error}");
        }
    }

    async fn call(&self, _: NodeId, _: Call) -> Reply {
        Reply::Refused("nobody calls the aggregator".to_owned())
    }

    async fn apply(&self, _: Applicant, _: Application) -> Welcome {
        Welcome::Refused("a benchmark admits nobody".to_owned())
    }
}
