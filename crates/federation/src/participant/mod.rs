//! The participant: trains when asked by the aggregator and the ledger agrees.

#[cfg(test)]
mod tests;

use crate::model_digest;
use machine::{Instant, Machine, Overload};
use std::sync::Arc;
use wire::{Digest, Frame, NodeId, Round};

/// What can happen to a participant.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantInput {
    /// `Act::RoundOpened` took effect, by the ledger's fold.
    Opened {
        /// The round.
        round: Round,
        /// The model it starts from.
        model: Digest,
        /// Who is asked.
        cohort: Vec<NodeId>,
    },
    /// A round was closed or abandoned, by the ledger's fold.
    Ended {
        /// The round.
        round: Round,
    },
    /// `Act::ModelRolledBack` took effect: a round that was open is over.
    RolledBack,
    /// `wire::Frame::Train` came in.
    Train {
        /// From whom; gets the answer.
        from: NodeId,
        /// The round.
        round: Round,
        /// Digest of the parameters, by the sender.
        model: Digest,
        /// The model.
        parameters: Arc<Vec<f32>>,
    },
    /// The learner finished.
    Trained {
        /// The round it trained for.
        round: Round,
        /// Trained parameters minus base parameters.
        delta: Vec<f32>,
        /// Examples used.
        examples: u64,
        /// Mean loss of the base model on them.
        loss: f64,
    },
    /// The learner gave up.
    TrainingFailed {
        /// The round it trained for.
        round: Round,
        /// A sentence: too few examples, for one.
        reason: String,
    },
}

/// What a participant asks of its node. To be done in order.
#[derive(Clone, Debug, PartialEq)]
pub enum ParticipantOutput {
    /// Train from this model; answer with `Trained` or `TrainingFailed`.
    StartTraining {
        /// The round.
        round: Round,
        /// Digest of the parameters; checked.
        model: Digest,
        /// The model.
        parameters: Arc<Vec<f32>>,
    },
    /// The result for this round is not wanted any more; stop if it is not done.
    CancelTraining {
        /// The round.
        round: Round,
    },
    /// Send this frame (`Update` or `Decline`).
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        frame: Frame,
    },
    /// For the node's log.
    Note(String),
}

/// A request to train.
struct Request {
    from: NodeId,
    round: Round,
    model: Digest,
    parameters: Arc<Vec<f32>>,
}

/// The one round this node works on or has worked on last.
struct Job {
    round: Round,
    model: Digest,
    from: NodeId,
    /// The answer, once there is one; kept to answer a repeated request.
    answer: Option<Frame>,
}

/// Answers rounds; at most one training at a time, never two for one round.
pub struct Participant {
    node: NodeId,
    /// The open round by the ledger: number, model, whether this node is asked.
    open: Option<(Round, Digest, bool)>,
    /// The last round known to have ended.
    ended: Round,
    /// A request that is ahead of what this node has seen of the ledger.
    early: Option<Request>,
    job: Option<Job>,
}

impl Participant {
    /// A participant that knows of no round.
    pub fn new(node: NodeId) -> Self {
        Self {
            node,
            open: None,
            ended: Round(0),
            early: None,
            job: None,
        }
    }

    /// Whether the learner is at work for this participant.
    pub fn training(&self) -> Option<Round> {
        self.job
            .as_ref()
            .filter(|job| job.answer.is_none())
            .map(|job| job.round)
    }

    fn train(&mut self, request: Request, out: &mut Vec<ParticipantOutput>) {
        if let Some(job) = self.job.as_mut().filter(|job| job.round == request.round) {
            job.from = request.from;
            if let Some(frame) = &job.answer {
                out.push(ParticipantOutput::Send {
                    to: job.from.clone(),
                    frame: frame.clone(),
                });
            }
            return;
        }
        match self.open {
            _ if request.round <= self.ended => {}
            Some((round, model, asked)) if round == request.round => {
                match self.objection(&request, model, asked) {
                    Some(reason) => self.decline(&request, reason, out),
                    None => self.start(request, out),
                }
            }
            Some((round, ..)) if request.round < round => {}
            // The ledger is a step behind the link; its word decides.
            Some(_) | None => {
                if self
                    .early
                    .as_ref()
                    .is_none_or(|early| early.round <= request.round)
                {
                    self.early = Some(request);
                }
            }
        }
    }

    fn objection(&self, request: &Request, model: Digest, asked: bool) -> Option<String> {
        if !asked {
            return Some(format!("{} is not in the cohort on the ledger", self.node));
        }
        if request.model != model {
            return Some(format!(
                "asked to train from model {:?}, but the ledger opened the round with {model:?}",
                request.model
            ));
        }
        let found = model_digest(&request.parameters);
        (found != model)
            .then(|| format!("the parameters sent have digest {found:?} instead of {model:?}"))
    }

    fn start(&mut self, request: Request, out: &mut Vec<ParticipantOutput>) {
        self.cancel(out);
        let Request {
            from,
            round,
            model,
            parameters,
        } = request;
        self.job = Some(Job {
            round,
            model,
            from,
            answer: None,
        });
        out.push(ParticipantOutput::StartTraining {
            round,
            model,
            parameters,
        });
    }

    fn cancel(&mut self, out: &mut Vec<ParticipantOutput>) {
        if let Some(job) = self.job.take_if(|job| job.answer.is_none()) {
            out.push(ParticipantOutput::CancelTraining { round: job.round });
        }
    }

    /// Not remembered: the same question may come again with the right model.
    fn decline(&self, request: &Request, reason: String, out: &mut Vec<ParticipantOutput>) {
        out.push(ParticipantOutput::Note(format!(
            "round {} declined: {reason}",
            request.round
        )));
        let frame = Frame::Decline {
            round: request.round,
            node: self.node.clone(),
            reason,
        };
        out.push(ParticipantOutput::Send {
            to: request.from.clone(),
            frame,
        });
    }

    fn finish(
        &mut self,
        round: Round,
        answer: impl FnOnce(NodeId, Digest) -> Frame,
        out: &mut Vec<ParticipantOutput>,
    ) {
        let Some(job) = self
            .job
            .as_mut()
            .filter(|job| job.round == round && job.answer.is_none())
        else {
            return;
        };
        let frame = answer(self.node.clone(), job.model);
        job.answer = Some(frame.clone());
        out.push(ParticipantOutput::Send {
            to: job.from.clone(),
            frame,
        });
    }

    fn end(&mut self, round: Round, out: &mut Vec<ParticipantOutput>) {
        self.ended = self.ended.max(round);
        self.open.take_if(|(open, ..)| *open <= round);
        self.early.take_if(|early| early.round <= round);
        if self.job.as_ref().is_some_and(|job| job.round <= round) {
            self.cancel(out);
            self.job = None;
        }
    }
}

impl Machine for Participant {
    type Input = ParticipantInput;
    type Output = ParticipantOutput;

    /// What the ledger says and what the learner has done is said once. A request to train may
    /// be lost: the round's deadline copes, and a waiting aggregator would hold up its round.
    fn overload(input: &ParticipantInput) -> Overload {
        match input {
            ParticipantInput::Opened { .. }
            | ParticipantInput::Ended { .. }
            | ParticipantInput::RolledBack
            | ParticipantInput::Trained { .. }
            | ParticipantInput::TrainingFailed { .. } => Overload::Delay,
            ParticipantInput::Train { .. } => Overload::Refuse,
        }
    }

    fn handle(&mut self, _now: Instant, input: ParticipantInput, out: &mut Vec<ParticipantOutput>) {
        match input {
            ParticipantInput::Opened {
                round,
                model,
                cohort,
            } => {
                self.open = Some((round, model, cohort.contains(&self.node)));
                if self.job.as_ref().is_some_and(|job| job.round < round) {
                    self.cancel(out);
                }
                if let Some(request) = self.early.take_if(|early| early.round <= round) {
                    self.train(request, out);
                }
            }
            ParticipantInput::Ended { round } => self.end(round, out),
            ParticipantInput::RolledBack => {
                if let Some((round, ..)) = self.open {
                    self.end(round, out);
                }
            }
            ParticipantInput::Train {
                from,
                round,
                model,
                parameters,
            } => {
                self.train(
                    Request {
                        from,
                        round,
                        model,
                        parameters,
                    },
                    out,
                );
            }
            ParticipantInput::Trained {
                round,
                delta,
                examples,
                loss,
            } => {
                let update = |node, base| Frame::Update {
                    round,
                    node,
                    base,
                    delta,
                    examples,
                    loss,
                };
                self.finish(round, update, out);
            }
            ParticipantInput::TrainingFailed { round, reason } => {
                let decline = |node, _| Frame::Decline {
                    round,
                    node,
                    reason,
                };
                self.finish(round, decline, out);
            }
        }
    }
}
