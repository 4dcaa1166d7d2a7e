//! A participant's side of one round.

mod steps;

use super::context::Context;
use super::error::Refusal;
use super::keys::{RoundKeys, Shared};
use super::mask::Seed;
use super::shares::Pair;
use super::terms::Charge;
use chacha20::ChaCha20Rng;
use ed25519_dalek::SigningKey;
use rand_core::{Rng as _, SeedableRng as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::secure::{
    AdvertisedKeys, Deal, Places, RevealedShare, SecureMessage, SecureStep, Signature,
    UnmaskRequest,
};
use wire::{NodeId, Round};
use zeroize::Zeroizing;

/// One participant in one round.
///
/// Its secrets live as long as it does: they are wiped when it is dropped, and when it
/// leaves the round. Nothing of it is to be stored, so that a process that starts again has
/// lost the round, and with it whatever it could be made to say a second time.
pub struct Client {
    context: Arc<Context>,
    me: u16,
    identity: Arc<SigningKey>,
    state: Result<State, String>,
}

struct State {
    rng: ChaCha20Rng,
    keys: RoundKeys,
    advertised: AdvertisedKeys,
    /// What the self-mask comes of.
    seed: Seed,
    /// After `Keys`.
    neighbours: Option<Neighbours>,
    /// After `Inbox`.
    held: Option<Held>,
    masked: Option<Arc<Vec<u8>>>,
    /// In a private round: whose cost the ledger has, and the request that came before it did.
    charged: Option<Places>,
    uncharged: Option<UnmaskRequest>,
    consented: Option<(Places, Signature)>,
    revealed: Option<(UnmaskRequest, Vec<RevealedShare>)>,
}

struct Neighbours {
    advertised: Places,
    keys: BTreeMap<u16, AdvertisedKeys>,
    /// By neighbour.
    agreed: BTreeMap<u16, Shared>,
    deal: Deal,
    own: Pair,
}

struct Held {
    dealt: Places,
    /// By dealer; this participant's own among them.
    shares: BTreeMap<u16, Pair>,
}

impl Client {
    /// Takes part in the round. `last` is the last round that this node took part in; all
    /// randomness comes of `seed`, which is for this round only.
    ///
    /// # Errors
    /// The node is not in the cohort, or has taken part in the round before.
    pub fn join(
        context: Arc<Context>,
        me: &NodeId,
        identity: Arc<SigningKey>,
        last: Round,
        seed: &Zeroizing<[u8; 32]>,
    ) -> Result<Self, Refusal> {
        let round = context.round();
        if round <= last {
            return Err(Refusal::Replayed { round, last });
        }
        let place = context.place(me).ok_or_else(|| Refusal::NotInCohort {
            node: me.clone(),
            round,
        })?;
        let mut rng = ChaCha20Rng::from_seed(**seed);
        let mut draw = || {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill_bytes(bytes.as_mut());
            bytes
        };
        let keys = RoundKeys::new(*draw(), *draw());
        let seed = draw();
        let advertised = keys.advertise(&context, &identity);
        Ok(Self {
            me: place,
            identity,
            state: Ok(State {
                rng,
                keys,
                advertised,
                seed,
                neighbours: None,
                held: None,
                masked: None,
                charged: None,
                uncharged: None,
                consented: None,
                revealed: None,
            }),
            context,
        })
    }

    /// The round.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The first message.
    ///
    /// # Errors
    /// It has left the round.
    pub fn advertise(&self) -> Result<SecureMessage, Refusal> {
        let keys = self.state()?.advertised.clone();
        Ok(self.say(SecureStep::Advertise(keys)))
    }

    /// Answers a message of the aggregator. The same message again gets the same answer, since
    /// messages may be lost; `None`: nothing to say to it. After [`Inbox`](SecureStep::Inbox)
    /// the masked update is due: see [`ready`](Self::ready).
    ///
    /// # Errors
    /// The message is not what the protocol allows. If that is an
    /// [accusation](Refusal::is_accusation), the client has left the round and knows no secret any
    /// more.
    pub fn hear(&mut self, message: SecureMessage) -> Result<Option<SecureMessage>, Refusal> {
        let (expected, found) = (self.context.digest(), message.context);
        if found != expected {
            return Err(Refusal::OtherContext { expected, found });
        }
        let answer = self.answer(message.step);
        if let Err(refusal) = &answer
            && refusal.is_accusation()
        {
            self.leave(refusal.to_string());
        }
        Ok(answer?.map(|step| self.say(step)))
    }

    fn answer(&mut self, step: SecureStep) -> Result<Option<SecureStep>, Refusal> {
        let (context, me, identity) = (Arc::clone(&self.context), self.me, &self.identity);
        let state = match &mut self.state {
            Ok(state) => state,
            Err(reason) => {
                let reason = reason.clone();
                return Err(Refusal::Left { reason });
            }
        };
        match step {
            SecureStep::Keys(list) => state.keys(&context, me, list).map(Some),
            SecureStep::Inbox(inbox) => state.inbox(&context, me, inbox).map(|()| None),
            SecureStep::Survivors(set) => state.survivors(&context, me, identity, set).map(Some),
            SecureStep::Unmask(request) => state.paid_unmask(&context, me, request),
            SecureStep::Advertise(_)
            | SecureStep::Shares(_)
            | SecureStep::Masked(_)
            | SecureStep::Consent(_)
            | SecureStep::Reveal(_) => Err(Refusal::OutOfTurn {
                step: "a participant's message",
                when: "to a participant",
            }),
        }
    }

    /// The ledger has the cost of this private round. Nothing is revealed before, so that no sum is seen
    /// that nobody has accounted for; a request that came early is answered now.
    ///
    /// # Errors
    /// Others are charged than those who are in the sum, for other noise, or more than may be: as [`hear`](Self::hear).
    pub fn charged(&mut self, charge: &Charge) -> Result<Option<SecureMessage>, Refusal> {
        let (context, me) = (Arc::clone(&self.context), self.me);
        let Ok(state) = &mut self.state else {
            return Ok(None);
        };
        let answer = state.charge(&context, me, charge);
        if let Err(refusal) = &answer
            && refusal.is_accusation()
        {
            self.leave(refusal.to_string());
        }
        Ok(answer?.map(|step| self.say(step)))
    }

    /// Whether an update can be masked.
    pub fn ready(&self) -> bool {
        self.state
            .as_ref()
            .is_ok_and(|state| state.held.is_some() && state.masked.is_none())
    }

    /// The update under its masks. Again, whatever `value` is: the same as the first time, since two
    /// updates under the same masks would show their difference.
    ///
    /// # Errors
    /// It is too early, the update does not fit, or the client has left the round.
    pub fn mask(&mut self, value: &super::Value<'_>) -> Result<SecureMessage, Refusal> {
        let (context, me) = (Arc::clone(&self.context), self.me);
        self.state()?;
        let masked = match &mut self.state {
            Ok(state) => state.mask(&context, me, value)?,
            Err(reason) => {
                let reason = reason.clone();
                return Err(Refusal::Left { reason });
            }
        };
        Ok(self.say(SecureStep::Masked(masked)))
    }

    /// The masked update, if there is one: for an aggregator that asks again.
    pub fn masked(&self) -> Option<SecureMessage> {
        let masked = self.state.as_ref().ok()?.masked.clone()?;
        Some(self.say(SecureStep::Masked(masked)))
    }

    /// Ends its part: all secrets are wiped, and nothing is answered but the reason.
    pub fn leave(&mut self, reason: String) {
        if self.state.is_ok() {
            self.state = Err(reason);
        }
    }

    fn state(&self) -> Result<&State, Refusal> {
        self.state.as_ref().map_err(|reason| Refusal::Left {
            reason: reason.clone(),
        })
    }

    fn say(&self, step: SecureStep) -> SecureMessage {
        SecureMessage {
            context: self.context.digest(),
            step,
        }
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({}, round {})", self.me, self.context.round())
    }
}
