//! The participant's deeds: training on the learner's thread, answers to the aggregator.

use crate::remembered::Shelf;
use crate::rooms::series::training;
use cluster::Cluster;
use federation::{Aggregator, Participant, ParticipantInput, ParticipantOutput};
use learn::{Learner, TrainConfig};
use machine::Machine;
use ractor::ActorProcessingErr;
use replica::Ledger;
use runtime::mailbox::Address;
use runtime::shell::{Effects, ShellContext};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use telemetry::windows::Windows;
use tokio::sync::broadcast;
use wire::secure::{Secret, SecureStep};
use wire::{Frame, NodeId, Round};

/// Performs for [`Participant`].
pub struct ParticipantEffects {
    /// This node.
    pub me: NodeId,
    /// To the aggregator on another node.
    pub cluster: Cluster,
    /// For accusations.
    pub ledger: Ledger,
    /// To the one on this node.
    pub aggregator: Address<<Aggregator as Machine>::Input>,
    /// What is sent, for whoever looks in.
    pub sent: broadcast::Sender<Contribution>,
    /// What training made last, while somebody looks in: in a secure round it leaves this node masked.
    pub made: Arc<Mutex<Option<Made>>>,
    /// libtorch.
    pub learner: Arc<Learner>,
    /// The rows.
    pub windows: Arc<Mutex<Windows>>,
    /// How to train.
    pub config: TrainConfig,
    /// How to train with gradients that are corrected.
    pub corrected: TrainConfig,
    /// How long the learner's result is held back.
    pub takes: Duration,
    /// For the process after this one.
    pub shelf: Shelf,
    /// Fewest rows to take part with.
    pub min_examples: usize,
}

/// What a participant hands over in a round.
#[derive(Clone, Debug)]
pub enum Contribution {
    /// Its update, be it masked or not.
    Update {
        /// For which round.
        round: Round,
        /// Examples behind it.
        examples: u64,
        /// The update: as it is sent where that is whole, with what stands behind its weights; else as training made it.
        delta: Arc<Vec<f32>>,
        /// How it left.
        sent: Sent,
    },
    /// Shares of others.
    Shares {
        /// The round is secure, and known by this.
        context: wire::Digest,
        /// Members of whom it revealed both shares.
        both: usize,
    },
}

/// How an update left its node.
#[derive(Clone, Debug)]
pub enum Sent {
    /// As it is.
    Whole,
    /// Smaller, with what former ones left out.
    Packed(Arc<Vec<u8>>),
    /// Under the masks of the round that is known by this.
    Masked(wire::Digest),
}

/// What training made: examples and the update.
pub type Made = (Round, u64, Arc<Vec<f32>>);

impl ParticipantEffects {
    fn start(
        &self,
        to: Address<ParticipantInput>,
        round: Round,
        parameters: &[f32],
        correction: Option<Arc<Vec<f32>>>,
    ) {
        let failed = |reason: String| ParticipantInput::TrainingFailed { round, reason };
        let (examples, rows) = {
            let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
            (windows.examples(), training(&windows))
        };
        let post = |to: Address<ParticipantInput>, input| {
            tokio::spawn(async move {
                // A participant that is being restarted is asked again by the aggregator.
                let _ = to.post(input).await;
            });
        };
        if examples < self.min_examples {
            let reason = format!("{examples} examples here, {} are needed", self.min_examples);
            post(to, failed(reason));
            return;
        }
        let (runtime, takes) = (tokio::runtime::Handle::current(), self.takes);
        let answer = to.clone();
        let made = (self.sent.receiver_count() > 0).then(|| self.made.clone());
        let config = TrainConfig {
            seed: round.0,
            ..match correction {
                Some(_) => self.corrected,
                None => self.config,
            }
        };
        let started = self.learner.train(
            parameters.to_vec(),
            rows,
            config,
            correction,
            Box::new(move |result| {
                if let (Some(made), Ok(trained)) = (&made, &result) {
                    *made.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some((round, trained.examples, Arc::new(trained.delta.clone())));
                }
                let input = match result {
                    Ok(trained) => ParticipantInput::Trained {
                        round,
                        taken: trained.taken(&config),
                        delta: trained.delta,
                        examples: trained.examples,
                        loss: trained.loss_before,
                    },
                    Err(error) => ParticipantInput::TrainingFailed {
                        round,
                        reason: error.to_string(),
                    },
                };
                runtime.spawn(async move {
                    if !takes.is_zero() {
                        tokio::time::sleep(takes).await;
                    }
                    let _ = answer.post(input).await;
                });
            }),
        );
        if let Err(error) = started {
            post(to, failed(error.to_string()));
        }
    }

    /// To whoever looks in.
    fn show(&self, frame: &Frame) {
        let shown = match frame {
            Frame::Update { delta, .. } => self.made(Sent::Whole, Some(delta)),
            Frame::Packed { delta, .. } if self.sent.receiver_count() > 0 => {
                self.made(Sent::Packed(Arc::new(delta.clone())), None)
            }
            Frame::Packed { .. } => None,
            Frame::Secure(message) => match &message.step {
                SecureStep::Masked(_) => self.made(Sent::Masked(message.context), None),
                SecureStep::Reveal(shares) => {
                    let of = |secret| {
                        let of = shares.iter().filter(move |share| share.secret == secret);
                        of.map(|share| share.owner).collect::<BTreeSet<_>>()
                    };
                    Some(Contribution::Shares {
                        context: message.context,
                        both: of(Secret::Seed).intersection(&of(Secret::Key)).count(),
                    })
                }
                SecureStep::Advertise(_)
                | SecureStep::Keys(_)
                | SecureStep::Shares(_)
                | SecureStep::Inbox(_)
                | SecureStep::Survivors(_)
                | SecureStep::Consent(_)
                | SecureStep::Unmask(_) => None,
            },
            Frame::Train { .. }
            | Frame::Decline { .. }
            | Frame::Model { .. }
            | Frame::Checkpoint { .. } => None,
        };
        if let Some(shown) = shown {
            // Nobody need look.
            let _ = self.sent.send(shown);
        }
    }

    fn made(&self, sent: Sent, whole: Option<&Arc<Vec<f32>>>) -> Option<Contribution> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let (round, examples, delta) = made.clone()?;
        let delta = whole.map_or(delta, Arc::clone);
        Some(Contribution::Update {
            round,
            examples,
            delta,
            sent,
        })
    }

    async fn send(&self, to: &NodeId, frame: Frame) {
        self.show(&frame);
        if *to != self.me {
            if let Err(error) = self.cluster.cast(to, frame) {
                tracing::debug!("answer not sent to {to}: {error}");
            }
            return;
        }
        if let Some(input) = federation::Input::from_frame(&self.me, frame)
            && let Err(error) = self.aggregator.post(input).await
        {
            tracing::debug!("answer not taken: {error}");
        }
    }
}

impl Effects<Participant> for ParticipantEffects {
    async fn perform(
        &mut self,
        ctx: &ShellContext<Participant>,
        output: ParticipantOutput,
    ) -> Result<(), ActorProcessingErr> {
        match output {
            ParticipantOutput::StartTraining {
                round,
                model: _,
                parameters,
                correction,
            } => {
                self.start(ctx.address().clone(), round, &parameters, correction);
            }
            ParticipantOutput::Keep(remembered) => {
                let kept = runtime::blocking::in_place(|| self.shelf.keep(&remembered));
                if let Err(error) = kept {
                    // Until this process ends nothing is lost.
                    tracing::warn!(
                        "what this node carries between rounds is not on its disk: {error}"
                    );
                }
            }
            // A round's training takes some hundred milliseconds: it runs out, its result is dropped.
            ParticipantOutput::CancelTraining { round } => {
                tracing::debug!("round {round} is not wanted any more")
            }
            ParticipantOutput::Send { to, frame } => self.send(&to, frame).await,
            // Once is enough: if it is lost, whoever else finds the same says so, or the deadline comes.
            ParticipantOutput::Propose(act) => {
                let ledger = self.ledger.clone();
                tokio::spawn(async move {
                    if let Err(error) = ledger.propose(act).await {
                        tracing::warn!("the ledger does not have the accusation: {error}");
                    }
                });
            }
            ParticipantOutput::Note(note) => tracing::info!("participant: {note}"),
        }
        Ok(())
    }
}
