//! A participant's part in a secure round, beside its training.

use super::{Participant, ParticipantOutput, Request};
use crate::robust;
use crate::secagg::{Charge, Client, Context, Refusal, SecureRound, Treatment, Value};
use chacha20::ChaCha20Rng;
use ed25519_dalek::SigningKey;
use rand_core::{Rng as _, SeedableRng as _};
use std::sync::Arc;
use wire::{Act, Frame, NodeId, Round, SecureMessage};
use zeroize::Zeroizing;

/// Δ, examples, loss.
type Update = (Vec<f32>, u64, f64);

pub(super) struct Secure {
    identity: Arc<SigningKey>,
    rng: ChaCha20Rng,
    max_norm: f64,
    /// The last round that it took part in.
    last: Round,
    /// Dropped, and with it all secrets, when the round ends.
    client: Option<Client>,
    /// In clear, until it can be masked.
    update: Option<Update>,
}

impl Secure {
    pub(super) fn new(identity: Arc<SigningKey>, seed: [u8; 32], max_norm: f64) -> Self {
        Self {
            identity,
            rng: ChaCha20Rng::from_seed(seed),
            max_norm,
            last: Round(0),
            client: None,
            update: None,
        }
    }

    /// The first message, to be sent again when the aggregator asks again.
    pub(super) fn advertised(&self) -> Option<Frame> {
        let message = self.client.as_ref()?.advertise().ok()?;
        Some(Frame::Secure(Box::new(message)))
    }

    pub(super) fn forget(&mut self, ended: Round) {
        let over = |client: &mut Client| client.context().round() <= ended;
        if self.client.take_if(over).is_some() {
            self.update = None;
        }
    }

    fn join(
        &mut self,
        me: &NodeId,
        request: &Request,
        length: usize,
        secure: &SecureRound,
    ) -> Result<Frame, String> {
        if secure.missed {
            return Err(format!(
                "{me} started after the round was opened, and has lost whatever it said in it"
            ));
        }
        if let Some(objection) = &secure.objection {
            return Err(objection.clone());
        }
        let contexts = secure
            .contexts(request.round, request.model, length)
            .map_err(|error| error.to_string())?;
        let mine = |context: &Context| context.place(me).is_some();
        let context = contexts.into_iter().find(mine);
        let context = context.ok_or_else(|| format!("{me} is in no group of the round"))?;
        let mut seed = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(seed.as_mut());
        let identity = Arc::clone(&self.identity);
        let client = Client::join(Arc::new(context), me, identity, self.last, &seed)
            .map_err(|refusal| refusal.to_string())?;
        let message = client.advertise().map_err(|refusal| refusal.to_string())?;
        self.last = request.round;
        self.client = Some(client);
        self.update = None;
        Ok(Frame::Secure(Box::new(message)))
    }

    /// Whether an update of this length is to be hidden: what is clipped may be as long as it likes.
    fn takes(&self, norm: f64) -> bool {
        let treatment = self
            .client
            .as_ref()
            .map(|client| *client.context().treatment());
        match treatment.unwrap_or_default() {
            Treatment::Weighted => norm <= self.max_norm,
            // A NaN has no length.
            Treatment::Clipped { .. } | Treatment::Private { .. } => norm.is_finite(),
        }
    }

    fn charged(&mut self, round: Round, charge: &Charge) -> Option<Result<SecureMessage, Refusal>> {
        let client = self.client.as_mut();
        let client = client.filter(|client| client.context().round() == round)?;
        client.charged(charge).transpose()
    }

    /// The masked update, if both are there.
    fn mask(&mut self) -> Option<Result<SecureMessage, Refusal>> {
        let client = self.client.as_mut().filter(|client| client.ready())?;
        let (delta, examples, loss) = self.update.take()?;
        Some(client.mask(&Value {
            delta: &delta,
            examples,
            loss,
        }))
    }

    fn hear(&mut self, message: SecureMessage) -> Option<Result<SecureMessage, Refusal>> {
        match self.client.as_mut()?.hear(message) {
            Ok(Some(answer)) => Some(Ok(answer)),
            Ok(None) => self.mask().or_else(|| self.masked_again()),
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// The aggregator has asked for it again.
    fn masked_again(&mut self) -> Option<Result<SecureMessage, Refusal>> {
        self.client.as_mut()?.masked().map(Ok)
    }
}

impl Participant {
    /// In a round whose updates have this length.
    pub(super) fn join(
        &mut self,
        request: &Request,
        length: usize,
        round: &SecureRound,
    ) -> Result<Frame, String> {
        match &mut self.secure {
            Some(secure) => secure.join(&self.node, request, length, round),
            None => Err(format!(
                "{} has no identity key for secure rounds",
                self.node
            )),
        }
    }

    pub(super) fn is_secure(&self, round: Round) -> bool {
        let client = self
            .secure
            .as_ref()
            .and_then(|secure| secure.client.as_ref());
        client.is_some_and(|client| client.context().round() == round)
    }

    /// Only the one who asked to train is the aggregator.
    pub(super) fn hear(
        &mut self,
        from: &NodeId,
        message: SecureMessage,
        out: &mut Vec<ParticipantOutput>,
    ) {
        let (Some(job), Some(secure)) = (&self.job, &mut self.secure) else {
            return;
        };
        if job.from == *from
            && let Some(answer) = secure.hear(message)
        {
            self.say(answer, out);
        }
    }

    /// The ledger has the cost of a private round.
    pub(super) fn charged(
        &mut self,
        round: Round,
        charge: &Charge,
        out: &mut Vec<ParticipantOutput>,
    ) {
        let secure = self.secure.as_mut();
        if let Some(answer) = secure.and_then(|secure| secure.charged(round, charge)) {
            self.say(answer, out);
        }
    }

    pub(super) fn contribute(
        &mut self,
        round: Round,
        update: Update,
        out: &mut Vec<ParticipantOutput>,
    ) {
        let (Some(job), Some(secure)) = (&mut self.job, &mut self.secure) else {
            return;
        };
        if job.round != round || !job.is_training() {
            return;
        }
        job.trained = true;
        let norm = robust::norm(&update.0);
        if !secure.takes(norm) {
            let reason = format!(
                "the norm of its update is {norm:.3}, over the bound {:.3}",
                secure.max_norm
            );
            return self.finish(round, |node, _| decline(round, node, reason), out);
        }
        secure.update = Some(update);
        if let Some(answer) = secure.mask() {
            self.say(answer, out);
        }
    }

    fn say(&mut self, answer: Result<SecureMessage, Refusal>, out: &mut Vec<ParticipantOutput>) {
        let Some(job) = &self.job else { return };
        let round = job.round;
        let refusal = match answer {
            Ok(message) => {
                out.push(ParticipantOutput::Send {
                    to: job.from.clone(),
                    frame: Frame::Secure(Box::new(message)),
                });
                return;
            }
            Err(refusal) => refusal,
        };
        out.push(ParticipantOutput::Note(format!("round {round}: {refusal}")));
        if refusal.is_accusation() {
            // The aggregator may be the one who is accused: so the ledger is told, not only it.
            out.push(ParticipantOutput::Propose(Act::RoundAbandoned {
                round,
                reason: format!("{} found: {refusal}", self.node),
            }));
        }
        let gives_up = match refusal {
            // It goes on: a message was late, repeated or of another round.
            Refusal::OutOfTurn { .. } | Refusal::OtherContext { .. } | Refusal::Left { .. } => {
                false
            }
            Refusal::NotInCohort { .. }
            | Refusal::Replayed { .. }
            | Refusal::Unsound { .. }
            | Refusal::TooFew { .. }
            | Refusal::LeftOut { .. }
            | Refusal::NotBefore { .. }
            | Refusal::Listed { .. }
            | Refusal::ForgedKeys { .. }
            | Refusal::SameKey { .. }
            | Refusal::WeakKey { .. }
            | Refusal::Unopened { .. }
            | Refusal::WrongShare { .. }
            | Refusal::Encode(_)
            | Refusal::SecondSurvivors { .. }
            | Refusal::NoAgreement { .. }
            | Refusal::BothShares { .. }
            | Refusal::OthersCharged { .. }
            | Refusal::WrongCost { .. }
            | Refusal::Overdrawn { .. }
            | Refusal::OtherShares => true,
        };
        if gives_up {
            let reason = refusal.to_string();
            self.finish(round, |node, _| decline(round, node, reason), out);
        }
    }
}

fn decline(round: Round, node: NodeId, reason: String) -> Frame {
    Frame::Decline {
        round,
        node,
        reason,
    }
}
