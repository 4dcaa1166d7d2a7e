//! The participant: trains when asked by the aggregator and the ledger agrees.

mod buffered;
mod io;
mod packed;
mod secure;
#[cfg(test)]
mod tests;
mod variate;

pub use io::{ParticipantInput, ParticipantOutput, Remembered};

use crate::compression::{Codec, Feedback};
use crate::fedbuff::{Bases, Buffer};
use crate::memory::Memory;
use crate::model_digest;
use crate::scaffold::Carried;
use crate::secagg::SecureRound;
use buffered::Offers;
use machine::{Instant, Machine, Overload};
use secure::Secure;
use std::sync::Arc;
use variate::Variate;
use wire::{Digest, Frame, NodeId, Round};

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
    /// The learner has finished, and a secure round goes on.
    trained: bool,
    /// It is one.
    secure: bool,
    /// How its update is made smaller.
    codec: Option<Codec>,
    /// In a round of SCAFFOLD.
    variate: Option<Variate>,
    /// Rounds that its answer was sent for, where these may be later ones.
    offers: Offers,
}

impl Job {
    fn is_training(&self) -> bool {
        self.answer.is_none() && !self.trained
    }
}

struct Open {
    round: Round,
    model: Digest,
    /// Whether this node is asked.
    asked: bool,
    secure: Option<Arc<SecureRound>>,
    codec: Option<Codec>,
    carried: Carried,
}

/// What a round is trained and answered by.
#[derive(Clone)]
struct Way {
    secure: Option<Arc<SecureRound>>,
    codec: Option<Codec>,
    carried: Carried,
}

/// Answers rounds; at most one training at a time, never two for one round.
pub struct Participant {
    node: NodeId,
    /// The open round by the ledger.
    open: Option<Open>,
    /// The last round known to have ended.
    ended: Round,
    /// A request that is ahead of what this node has seen of the ledger.
    early: Option<Request>,
    job: Option<Job>,
    secure: Option<Secure>,
    /// What compressed updates have left out so far.
    feedback: Feedback,
    /// Its control variate.
    variate: Memory,
    /// Rounds take updates from earlier models, too.
    buffered: Option<Bases>,
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
            secure: None,
            feedback: Feedback::new(),
            variate: Memory::default(),
            buffered: None,
        }
    }

    /// One whose training goes on when its round ends, and whose update is for the round that is open then.
    #[must_use]
    pub fn buffered(mut self, buffer: Buffer) -> Self {
        self.buffered = Some(Bases::new(buffer));
        self
    }

    /// One that goes on where a former process ended.
    #[must_use]
    pub fn with(mut self, remembered: Remembered) -> Self {
        match remembered {
            Remembered::Variate(memory) => self.variate = memory,
            Remembered::LeftOut(memory) => self.feedback = Feedback::of(memory),
        }
        self
    }

    /// One that can also take part in secure rounds: it signs with its identity key, draws all
    /// randomness from `seed`, and hides no update whose L2 norm is over `max_norm`, which the
    /// aggregator could not see.
    #[must_use]
    pub fn with_identity(
        mut self,
        identity: Arc<ed25519_dalek::SigningKey>,
        seed: [u8; 32],
        max_norm: f64,
    ) -> Self {
        self.secure = Some(Secure::new(identity, seed, max_norm));
        self
    }

    /// Whether the learner is at work for this participant.
    pub fn training(&self) -> Option<Round> {
        self.job
            .as_ref()
            .filter(|job| job.is_training())
            .map(|job| job.round)
    }

    fn train(&mut self, request: Request, out: &mut Vec<ParticipantOutput>) {
        if self.is_busy_for(&request, out) {
            return;
        }
        if let Some(job) = self.job.as_mut().filter(|job| job.round == request.round) {
            if job.secure && job.from != request.from {
                return;
            }
            job.from = request.from;
            let frame = job.answer.clone();
            let advertised = self.secure.as_ref().and_then(Secure::advertised);
            if let Some(frame) = frame.or(advertised) {
                out.push(ParticipantOutput::Send {
                    to: job.from.clone(),
                    frame,
                });
            }
            return;
        }
        match &self.open {
            _ if request.round <= self.ended => {}
            Some(open) if open.round == request.round => match self.objection(&request, open) {
                Some(reason) => self.decline(&request, reason, out),
                None => {
                    let way = Way {
                        secure: open.secure.clone(),
                        codec: open.codec,
                        carried: open.carried,
                    };
                    self.start(request, way, out);
                }
            },
            Some(open) if request.round < open.round => {}
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

    fn objection(&self, request: &Request, open: &Open) -> Option<String> {
        let model = open.model;
        if !open.asked {
            return Some(format!("{} is not in the cohort on the ledger", self.node));
        }
        // What is on the disk for that round goes with that update, and training again would make another one.
        let memories = [&self.variate, self.feedback.memory()];
        if memories.iter().any(|memory| memory.is_pending(open.round)) {
            return Some(format!(
                "{} has started again since it answered this round",
                self.node
            ));
        }
        if request.model != model {
            return Some(format!(
                "asked to train from model {:?}, but the ledger opened the round with {model:?}",
                request.model
            ));
        }
        if let Some(secure) = open
            .secure
            .as_ref()
            .filter(|secure| secure.aggregator != request.from)
        {
            return Some(format!(
                "the ledger has {} aggregate this round, not {}",
                secure.aggregator, request.from
            ));
        }
        let found = model_digest(&request.parameters);
        (found != model)
            .then(|| format!("the parameters sent have digest {found:?} instead of {model:?}"))
    }

    fn start(&mut self, request: Request, way: Way, out: &mut Vec<ParticipantOutput>) {
        self.cancel(out);
        let Way {
            secure,
            codec,
            carried,
        } = way;
        let is_secure = secure.is_some();
        let start = carried.start(&request.parameters);
        // Keys are agreed on and shares are dealt while the learner is at work.
        let keys = match secure
            .map(|secure| self.join(&request, start.len(), &secure))
            .transpose()
        {
            Ok(keys) => keys,
            Err(reason) => return self.decline(&request, reason, out),
        };
        let Request {
            from,
            round,
            model,
            parameters: base,
        } = request;
        let (parameters, variate) = self.take_up(round, carried, (base.as_slice(), start), out);
        let correction = variate.as_ref().map(Variate::correction);
        out.push(ParticipantOutput::StartTraining {
            round,
            model,
            parameters,
            correction,
        });
        if let Some(frame) = keys {
            let to = from.clone();
            out.push(ParticipantOutput::Send { to, frame });
        }
        self.job = Some(Job {
            round,
            model,
            from,
            answer: None,
            trained: false,
            secure: is_secure,
            codec,
            variate,
            offers: Offers::default(),
        });
    }

    fn cancel(&mut self, out: &mut Vec<ParticipantOutput>) {
        if let Some(job) = self.job.take_if(|job| job.is_training()) {
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
        if self.buffered.is_some() {
            return self.offer(out);
        }
        out.push(ParticipantOutput::Send {
            to: job.from.clone(),
            frame,
        });
    }

    fn end(&mut self, round: Round, counted: bool, out: &mut Vec<ParticipantOutput>) {
        self.feedback.ended(round, counted);
        self.variate.ended(round, counted);
        self.ended = self.ended.max(round);
        self.open.take_if(|open| open.round <= round);
        if let Some(secure) = &mut self.secure {
            secure.forget(round);
        }
        self.early.take_if(|early| early.round <= round);
        if self.buffered.is_some() {
            self.round_over(round, counted, out);
        } else if self.job.as_ref().is_some_and(|job| job.round <= round) {
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
            | ParticipantInput::Charged { .. }
            | ParticipantInput::RolledBack
            | ParticipantInput::Trained { .. }
            | ParticipantInput::TrainingFailed { .. } => Overload::Delay,
            ParticipantInput::Train { .. } | ParticipantInput::Secure { .. } => Overload::Refuse,
        }
    }

    fn handle(&mut self, _now: Instant, input: ParticipantInput, out: &mut Vec<ParticipantOutput>) {
        match input {
            ParticipantInput::Opened {
                round,
                model,
                cohort,
                secure,
                codec,
                carried,
            } => {
                self.open = Some(Open {
                    round,
                    model,
                    asked: cohort.contains(&self.node),
                    secure,
                    codec,
                    carried,
                });
                match &mut self.buffered {
                    Some(bases) => bases.opened(model),
                    None if self.job.as_ref().is_some_and(|job| job.round < round) => {
                        self.cancel(out);
                    }
                    None => {}
                }
                if let Some(request) = self.early.take_if(|early| early.round <= round) {
                    self.train(request, out);
                }
            }
            ParticipantInput::Ended { round, counted } => self.end(round, counted, out),
            ParticipantInput::Charged { round, charge } => self.charged(round, &charge, out),
            ParticipantInput::RolledBack => {
                if let Some(bases) = &mut self.buffered {
                    bases.rolled_back();
                    self.drop_job(out);
                }
                if let Some(open) = &self.open {
                    self.end(open.round, false, out);
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
            ParticipantInput::Secure { from, message } => self.hear(&from, message, out),
            ParticipantInput::Trained {
                round,
                delta,
                examples,
                loss,
                taken,
            } => self.trained(round, (delta, examples, loss), taken, out),
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
