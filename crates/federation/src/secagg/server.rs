//! The aggregator's side of one round.

mod unmask;

use super::context::Context;
use super::error::{Fault, Shortfall, SumError};
use super::fixed;
use super::keys::{self, Agreement};
use super::mask::WORD;
use super::terms::{NoiseBy, Treatment};
use crate::fedavg::Mean;
use crate::privacy::noise::Noise;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::NodeId;
use wire::secure::{
    AdvertisedKeys, Deal, DealtShare, Inbox, KeyList, Places, SecureMessage, SecureStep, Signature,
    UnmaskRequest,
};

/// Collects each step of the participants, and ends it when told to: when to wait no longer is for
/// whoever has a clock.
///
/// It holds no secret until the end, and then those of masks alone. Of masked updates it keeps the sum.
pub struct Server {
    context: Arc<Context>,
    stage: Stage,
    keys: BTreeMap<u16, AdvertisedKeys>,
    deals: BTreeMap<u16, Deal>,
    advertised: Places,
    dealt: Places,
    survivors: Places,
    sum: Vec<u64>,
    consents: BTreeMap<u16, Signature>,
    unmask: unmask::Unmask,
}

/// What is being collected.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Stage {
    /// Keys.
    Advertise,
    /// Shares.
    Share,
    /// Masked updates.
    Mask,
    /// Consents to the survivors.
    Consent,
    /// Shares in clear.
    Reveal,
}

impl Stage {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Advertise => "advertising keys",
            Self::Share => "dealing shares",
            Self::Mask => "sending updates",
            Self::Consent => "consenting to the survivors",
            Self::Reveal => "revealing shares",
        }
    }
}

/// How far a step is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Missing {
    /// Who has not been heard of in it.
    pub silent: Vec<NodeId>,
    /// Why it cannot end with those who have; `None`: it can.
    pub shortfall: Option<Shortfall>,
}

/// Messages to participants.
pub type Letters = Vec<(NodeId, SecureMessage)>;

impl Server {
    /// Before anybody was heard.
    pub fn new(context: Arc<Context>) -> Self {
        Self {
            sum: vec![0; context.words()],
            stage: Stage::Advertise,
            keys: BTreeMap::new(),
            deals: BTreeMap::new(),
            advertised: Places::default(),
            dealt: Places::default(),
            survivors: Places::default(),
            consents: BTreeMap::new(),
            unmask: unmask::Unmask::default(),
            context,
        }
    }

    /// The round.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Whose updates are in the sum so far.
    pub fn survivors(&self) -> Vec<NodeId> {
        self.names(&self.survivors)
    }

    /// Takes a participant's message. The same one again is no fault; late ones are.
    ///
    /// # Errors
    /// It does not count, and whose fault that is. The round goes on without it.
    pub fn hear(&mut self, from: &NodeId, message: SecureMessage) -> Result<(), Fault> {
        let context = Arc::clone(&self.context);
        let place = context.place(from).ok_or_else(|| Fault::NotInCohort {
            node: from.clone(),
            round: context.round(),
        })?;
        let (expected, found) = (context.digest(), message.context);
        if found != expected {
            return Err(Fault::OtherContext {
                node: from.clone(),
                expected,
                found,
            });
        }
        match message.step {
            SecureStep::Advertise(keys) => self.advertise(from, place, keys),
            SecureStep::Shares(deal) => self.share(from, place, deal),
            SecureStep::Masked(bytes) => self.masked(from, place, &bytes),
            SecureStep::Consent(signature) => self.consent(from, place, signature),
            SecureStep::Reveal(shares) => {
                self.turn(from, Stage::Reveal, "shares in clear")?;
                let wanted = (&self.survivors, &self.dealt);
                self.unmask
                    .reveal(&context, &self.deals, wanted, (from, place), shares)
            }
            SecureStep::Keys(_)
            | SecureStep::Inbox(_)
            | SecureStep::Survivors(_)
            | SecureStep::Unmask(_) => Err(Fault::OutOfTurn {
                node: from.clone(),
                step: "an aggregator's message",
            }),
        }
    }

    /// What is being collected.
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Who is still to be heard in this step.
    pub fn missing(&self) -> Missing {
        let (asked, heard) = match self.stage {
            Stage::Advertise => (self.context.everybody(), places(self.keys.keys())),
            Stage::Share => (self.advertised.clone(), places(self.deals.keys())),
            Stage::Mask => (self.dealt.clone(), self.survivors.clone()),
            Stage::Consent => (self.survivors.clone(), places(self.consents.keys())),
            Stage::Reveal => (self.survivors.clone(), places(self.unmask.heard())),
        };
        let silent = asked.iter().filter(|place| !heard.contains(*place));
        Missing {
            silent: silent.map(|place| self.context.name(place)).collect(),
            shortfall: self.check(&heard).err(),
        }
    }

    /// Ends the step with those who were heard, and says what to send to whom. After the shares in clear
    /// nothing is to be sent: see [`sum`](Self::sum).
    ///
    /// # Errors
    /// Too few were heard. The step goes on.
    pub fn advance(&mut self) -> Result<Letters, Shortfall> {
        match self.stage {
            Stage::Advertise => {
                let heard = places(self.keys.keys());
                self.check(&heard)?;
                self.advertised = heard;
                self.stage = Stage::Share;
            }
            Stage::Share => {
                let heard = places(self.deals.keys());
                self.check(&heard)?;
                self.dealt = heard;
                self.stage = Stage::Mask;
            }
            Stage::Mask => {
                self.check(&self.survivors)?;
                self.stage = Stage::Consent;
            }
            Stage::Consent => {
                self.check(&places(self.consents.keys()))?;
                self.stage = Stage::Reveal;
            }
            Stage::Reveal => self.check(&places(self.unmask.heard()))?,
        }
        Ok(self.asked())
    }

    /// What was asked last, for those who have not answered: messages may be lost.
    pub fn ask_again(&self) -> Letters {
        let silent: BTreeSet<NodeId> = self.missing().silent.into_iter().collect();
        let mut letters = self.asked();
        letters.retain(|(to, _)| silent.contains(to));
        letters
    }

    fn asked(&self) -> Letters {
        let to = |set: &Places, step: &dyn Fn(u16) -> SecureStep| {
            let letters = set.iter().map(|place| {
                let message = SecureMessage {
                    context: self.context.digest(),
                    step: step(place),
                };
                (self.context.name(place), message)
            });
            letters.collect()
        };
        match self.stage {
            // A participant begins by itself, when the ledger has opened the round.
            Stage::Advertise => Letters::new(),
            Stage::Share => to(&self.advertised, &|place| self.keys_for(place)),
            Stage::Mask => to(&self.dealt, &|place| self.inbox_for(place)),
            Stage::Consent => to(&self.survivors, &|_| {
                SecureStep::Survivors(self.survivors.clone())
            }),
            Stage::Reveal => to(&self.survivors, &|place| self.request_for(place)),
        }
    }

    /// Takes the masks off: the mean of the survivors' updates. `noise`: for the aggregator's part in a private
    /// round.
    ///
    /// # Errors
    /// Shares are missing, or some participant has lied about its own; or there is no noise to add.
    pub fn sum(&mut self, noise: Option<&mut Noise>) -> Result<Mean, SumError> {
        self.check(&places(self.unmask.heard()))?;
        let context = Arc::clone(&self.context);
        let noise = match context.treatment() {
            Treatment::Private {
                noise: NoiseBy::Aggregator,
                ..
            } => Some(noise.ok_or(SumError::NoNoise)?),
            Treatment::Weighted | Treatment::Clipped { .. } | Treatment::Private { .. } => None,
        };
        let mut sum = std::mem::take(&mut self.sum);
        self.unmask.take_off(
            &self.context,
            (&self.keys, &self.deals),
            (&self.survivors, &self.dealt),
            &mut sum,
        )?;
        let participants = self.survivors.len();
        let mean = match context.treatment() {
            Treatment::Weighted | Treatment::Clipped { .. } => fixed::decode(&sum, participants),
            Treatment::Private {
                mechanism,
                noise: _,
            } => fixed::decode_private(&sum, participants, mechanism, noise),
        };
        mean.ok_or(SumError::Garbage { participants })
    }

    /// Whether the step can end with these.
    fn check(&self, heard: &Places) -> Result<(), Shortfall> {
        let parameters = self.context.parameters();
        let step = self.stage.name();
        let (around, quorum) = match self.stage {
            Stage::Advertise | Stage::Share | Stage::Mask => (heard, parameters.quorum()),
            Stage::Consent => (&self.survivors, parameters.threshold),
            Stage::Reveal => (&self.dealt, parameters.threshold),
        };
        let (found, needed) = (heard.len(), quorum);
        if found < needed {
            return Err(Shortfall::TooFew {
                step,
                found,
                needed,
            });
        }
        for owner in around.iter() {
            let holders = self.context.holders(owner).into_iter();
            let found = holders.filter(|place| heard.contains(*place)).count();
            let needed = parameters.threshold;
            if found < needed {
                return Err(Shortfall::Holders {
                    step,
                    owner: self.context.name(owner),
                    found,
                    needed,
                });
            }
        }
        Ok(())
    }

    fn turn(&self, node: &NodeId, stage: Stage, step: &'static str) -> Result<(), Fault> {
        if self.stage == stage {
            return Ok(());
        }
        let node = node.clone();
        Err(Fault::OutOfTurn { node, step })
    }

    fn advertise(&mut self, from: &NodeId, place: u16, keys: AdvertisedKeys) -> Result<(), Fault> {
        if let Some(known) = self.keys.get(&place) {
            return same(known == &keys, from, "its keys");
        }
        self.turn(from, Stage::Advertise, "its keys")?;
        let node = from.clone();
        if !keys::is_signed(&self.context, place, &keys) {
            return Err(Fault::ForgedKeys { node });
        }
        let mine = [keys.sealing, keys.masking];
        let taken =
            |known: &AdvertisedKeys| mine.contains(&known.sealing) || mine.contains(&known.masking);
        if let Some((other, _)) = self.keys.iter().find(|(_, known)| taken(known)) {
            let other = self.context.name(*other);
            return Err(Fault::SameKey { node, other });
        }
        if mine[0] == mine[1] {
            let other = node.clone();
            return Err(Fault::SameKey { node, other });
        }
        self.keys.insert(place, keys);
        Ok(())
    }

    fn share(&mut self, from: &NodeId, place: u16, deal: Deal) -> Result<(), Fault> {
        if let Some(known) = self.deals.get(&place) {
            return same(known == &deal, from, "its shares");
        }
        self.turn(from, Stage::Share, "its shares")?;
        let holders = self.context.holders(place);
        let expected = holders.iter().filter(|to| self.advertised.contains(**to));
        let dealt = deal.shares.iter().map(|share| &share.place);
        if !self.advertised.contains(place) || !expected.eq(dealt) {
            return Err(Fault::Holders { node: from.clone() });
        }
        self.deals.insert(place, deal);
        Ok(())
    }

    fn masked(&mut self, from: &NodeId, place: u16, bytes: &[u8]) -> Result<(), Fault> {
        // Only the sum is kept, so a second one is not compared.
        if self.survivors.contains(place) {
            return Ok(());
        }
        self.turn(from, Stage::Mask, "its update")?;
        if !self.dealt.contains(place) {
            return Err(Fault::OutOfTurn {
                node: from.clone(),
                step: "an update without shares",
            });
        }
        let (expected, found) = (self.context.words() * WORD, bytes.len());
        if found != expected {
            return Err(Fault::Length {
                node: from.clone(),
                expected,
                found,
            });
        }
        fixed::add_bytes(&mut self.sum, bytes);
        self.survivors.insert(place);
        Ok(())
    }

    fn consent(&mut self, from: &NodeId, place: u16, by: Signature) -> Result<(), Fault> {
        if self.stage > Stage::Consent {
            // Enough have consented.
            return Ok(());
        }
        self.turn(from, Stage::Consent, "its consent")?;
        let agreement = Agreement {
            advertised: &self.advertised,
            dealt: &self.dealt,
            survivors: &self.survivors,
        };
        if !self.survivors.contains(place) || !agreement.is_signed(&self.context, place, &by) {
            return Err(Fault::Consent { node: from.clone() });
        }
        self.consents.insert(place, by);
        Ok(())
    }

    fn keys_for(&self, place: u16) -> SecureStep {
        let holders = self.context.holders(place).into_iter();
        let keys = holders.filter_map(|holder| Some((holder, self.keys.get(&holder)?.clone())));
        SecureStep::Keys(KeyList {
            advertised: self.advertised.clone(),
            keys: keys.collect(),
        })
    }

    fn inbox_for(&self, place: u16) -> SecureStep {
        let neighbours = self.context.neighbours(place).iter();
        let shares = neighbours.filter_map(|dealer| {
            let deal = &self.deals.get(dealer)?.shares;
            let at = deal
                .binary_search_by_key(&place, |dealt| dealt.place)
                .ok()?;
            let dealt = &deal[at];
            Some(DealtShare {
                place: *dealer,
                ..dealt.clone()
            })
        });
        SecureStep::Inbox(Inbox {
            dealt: self.dealt.clone(),
            shares: shares.collect(),
        })
    }

    fn request_for(&self, place: u16) -> SecureStep {
        let holders = self.context.holders(place).into_iter();
        let consents = holders.filter_map(|by| Some((by, self.consents.get(&by)?.clone())));
        let dropped = self.dealt.iter();
        SecureStep::Unmask(UnmaskRequest {
            seeds: self.survivors.clone(),
            keys: dropped.filter(|of| !self.survivors.contains(*of)).collect(),
            // More than t prove no more.
            consents: consents.take(self.context.parameters().threshold).collect(),
        })
    }

    fn names(&self, set: &Places) -> Vec<NodeId> {
        set.iter().map(|place| self.context.name(place)).collect()
    }
}

fn places<'a>(of: impl Iterator<Item = &'a u16>) -> Places {
    of.copied().collect()
}

fn same(same: bool, from: &NodeId, step: &'static str) -> Result<(), Fault> {
    if same {
        return Ok(());
    }
    let node = from.clone();
    Err(Fault::Again { node, step })
}
