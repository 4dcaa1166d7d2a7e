//! What a participant checks before each of its answers.

use super::{Held, Neighbours, State};
use crate::secagg::context::Context;
use crate::secagg::error::Refusal;
use crate::secagg::keys::{Agreement, Shared, is_signed, self_mask};
use crate::secagg::mask::{self, Sign};
use crate::secagg::shares::{self, Pair, commitment, committed};
use crate::secagg::terms::Charge;
use crate::secagg::{Value, fixed};
use ed25519_dalek::SigningKey;
use machine::mistakes::{self, Mistake};
use rand_core::Rng as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use wire::secure::{
    AdvertisedKeys, Deal, DealtShare, Inbox, KeyList, Places, RevealedShare, Secret, SecureStep,
    UnmaskRequest,
};
use zeroize::Zeroizing;

const KEYS: &str = "the list of keys";
const INBOX: &str = "the inbox of shares";
const SURVIVORS: &str = "the set of survivors";
const UNMASK: &str = "the request to unmask";

impl State {
    /// Who takes part, and with which keys: deals shares to them.
    pub(super) fn keys(
        &mut self,
        context: &Context,
        me: u16,
        list: KeyList,
    ) -> Result<SecureStep, Refusal> {
        if let Some(known) = &self.neighbours {
            return if known.advertised == list.advertised && known.keys == by_place(&list) {
                Ok(SecureStep::Shares(known.deal.clone()))
            } else {
                Err(again(KEYS))
            };
        }
        sound(context, &list.advertised, KEYS)?;
        enough(&list.advertised, context.parameters().quorum(), KEYS)?;
        let keys = by_place(&list);
        if keys.get(&me) != Some(&self.advertised) || !list.advertised.contains(me) {
            return Err(Refusal::LeftOut { step: KEYS });
        }
        let holders = holders_in(context, me, &list.advertised);
        listed(context, &holders, keys.keys(), list.keys.len(), KEYS)?;
        let threshold = context.parameters().threshold;
        if holders.len() < threshold {
            return Err(too_few(KEYS, holders.len(), threshold));
        }
        check_keys(context, me, &keys)?;
        let neighbours = keys.iter().filter(|(place, _)| **place != me);
        let agreed = neighbours.map(|(place, theirs)| {
            let shared = self.keys.agree(context, *place, &theirs.sealing)?;
            Ok((*place, shared))
        });
        let agreed = agreed.collect::<Result<BTreeMap<_, _>, Refusal>>()?;
        let (deal, own) = self.deal(context, me, &list.advertised, &agreed)?;
        let answer = SecureStep::Shares(deal.clone());
        self.neighbours = Some(Neighbours {
            advertised: list.advertised,
            keys,
            agreed,
            deal,
            own,
        });
        Ok(answer)
    }

    fn deal(
        &mut self,
        context: &Context,
        me: u16,
        advertised: &Places,
        agreed: &BTreeMap<u16, Shared>,
    ) -> Result<(Deal, Pair), Refusal> {
        let all = context.holders(me);
        let threshold = context.parameters().threshold;
        let masking = self.keys.masking_bytes();
        let seeds = shares::split(&self.seed, threshold, all.len(), &mut self.rng);
        let masks = shares::split(&masking, threshold, all.len(), &mut self.rng);
        let mut deal = Deal {
            seed: shares::seed_commitment(context, me, &self.seed),
            shares: Vec::with_capacity(agreed.len() + 1),
        };
        let mut own = None;
        for ((holder, seed), key) in all.into_iter().zip(seeds).zip(masks) {
            if !advertised.contains(holder) {
                continue;
            }
            let pair = Pair { seed, key };
            let commit = |secret| commitment(context, me, holder, secret, pair.of(secret));
            let (seed, key) = (commit(Secret::Seed), commit(Secret::Key));
            let sealed = match agreed.get(&holder) {
                Some(shared) => {
                    let sealing = shared.sealing_key(context, me, holder);
                    shares::seal(&sealing, advertised, &pair, seed, key)
                }
                None => Vec::new(),
            };
            if holder == me {
                own = Some(pair);
            }
            deal.shares.push(DealtShare {
                place: holder,
                seed,
                key,
                sealed,
            });
        }
        let own = own.ok_or(Refusal::LeftOut { step: KEYS })?;
        Ok((deal, own))
    }

    /// The shares that the others dealt: each is opened and held against its commitment.
    pub(super) fn inbox(
        &mut self,
        context: &Context,
        me: u16,
        inbox: Inbox,
    ) -> Result<(), Refusal> {
        let known = self.neighbours.as_ref().ok_or_else(|| early(INBOX))?;
        if let Some(held) = &self.held {
            return if held.dealt == inbox.dealt {
                Ok(())
            } else {
                Err(again(INBOX))
            };
        }
        sound(context, &inbox.dealt, INBOX)?;
        within(context, &inbox.dealt, &known.advertised, INBOX)?;
        enough(&inbox.dealt, context.parameters().quorum(), INBOX)?;
        if !inbox.dealt.contains(me) {
            return Err(Refusal::LeftOut { step: INBOX });
        }
        let mut holders = holders_in(context, me, &inbox.dealt);
        let threshold = context.parameters().threshold;
        if holders.len() < threshold {
            return Err(too_few(INBOX, holders.len(), threshold));
        }
        holders.remove(&me);
        let from: BTreeSet<u16> = inbox.shares.iter().map(|dealt| dealt.place).collect();
        listed(context, &holders, from.iter(), inbox.shares.len(), INBOX)?;
        let mut held = BTreeMap::from([(me, known.own.clone())]);
        for dealt in &inbox.shares {
            let dealer = dealt.place;
            let node = || context.name(dealer);
            let Some(shared) = known.agreed.get(&dealer) else {
                return Err(Refusal::Listed {
                    step: INBOX,
                    node: node(),
                });
            };
            let sealing = shared.sealing_key(context, dealer, me);
            let pair = shares::open(&sealing, &known.advertised, dealt)
                .ok_or_else(|| Refusal::Unopened { node: node() })?;
            let right = [Secret::Seed, Secret::Key].into_iter().all(|secret| {
                commitment(context, dealer, me, secret, pair.of(secret)) == committed(dealt, secret)
            });
            if !right {
                return Err(Refusal::WrongShare { node: node() });
            }
            held.insert(dealer, pair);
        }
        self.held = Some(Held {
            dealt: inbox.dealt,
            shares: held,
        });
        Ok(())
    }

    pub(super) fn mask(
        &mut self,
        context: &Context,
        me: u16,
        value: &Value<'_>,
    ) -> Result<Arc<Vec<u8>>, Refusal> {
        const UPDATE: &str = "the update";
        if let Some(masked) = &self.masked {
            return Ok(Arc::clone(masked));
        }
        let known = self.neighbours.as_ref().ok_or_else(|| early(UPDATE))?;
        let held = self.held.as_ref().ok_or_else(|| early(UPDATE))?;
        let mut noise = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(noise.as_mut());
        let mut words = fixed::treat(
            value,
            context.words(),
            context.treatment(),
            (context.parameters().honest(), *noise),
        )?;
        let mut seeds = vec![(self_mask(context, me, &self.seed), Sign::Plus)];
        for other in held.shares.keys().copied().filter(|other| *other != me) {
            let Some(keys) = known.keys.get(&other) else {
                continue;
            };
            let ends = (me, other);
            let seed = self
                .keys
                .mask_seed(context, &held.dealt, &keys.masking, ends)?;
            seeds.push((seed, Sign::between(me, other)));
        }
        let masked = Arc::new(mask::apply_to_bytes(&mut words, &seeds));
        self.masked = Some(Arc::clone(&masked));
        Ok(masked)
    }

    /// Who is in the sum: signed once.
    pub(super) fn survivors(
        &mut self,
        context: &Context,
        me: u16,
        identity: &SigningKey,
        survivors: Places,
    ) -> Result<SecureStep, Refusal> {
        let known = self.neighbours.as_ref().ok_or_else(|| early(SURVIVORS))?;
        let held = self.held.as_ref().ok_or_else(|| early(SURVIVORS))?;
        if self.masked.is_none() {
            return Err(early(SURVIVORS));
        }
        if let Some((signed, signature)) = &self.consented {
            return if *signed == survivors {
                Ok(SecureStep::Consent(signature.clone()))
            } else {
                Err(Refusal::SecondSurvivors {
                    first: signed.len(),
                    second: survivors.len(),
                })
            };
        }
        sound(context, &survivors, SURVIVORS)?;
        within(context, &survivors, &held.dealt, SURVIVORS)?;
        enough(&survivors, context.parameters().quorum(), SURVIVORS)?;
        if !survivors.contains(me) {
            return Err(Refusal::LeftOut { step: SURVIVORS });
        }
        let agreement = Agreement {
            advertised: &known.advertised,
            dealt: &held.dealt,
            survivors: &survivors,
        };
        let signature = agreement.sign(context, identity);
        self.consented = Some((survivors, signature.clone()));
        Ok(SecureStep::Consent(signature))
    }

    /// The ledger has the cost of the round.
    pub(super) fn charge(
        &mut self,
        context: &Context,
        me: u16,
        charge: &Charge,
    ) -> Result<Option<SecureStep>, Refusal> {
        if !charge.is_for(context.treatment()) {
            return Err(Refusal::WrongCost {
                noise_milli: charge.noise_milli,
                bound: charge.bound,
            });
        }
        if context.treatment().is_private()
            && let Some(why) = &charge.overdraws
        {
            return Err(Refusal::Overdrawn { why: why.clone() });
        }
        let mut charged = Places::default();
        let places = charge.participants.iter();
        let places = places.filter_map(|node| context.place(node));
        places.for_each(|place| charged.insert(place));
        self.charged = Some(charged);
        match self.uncharged.take() {
            Some(request) => self.paid_unmask(context, me, request),
            None => Ok(None),
        }
    }

    /// Shares in clear, once the ledger has what a private round costs; until then the request waits.
    pub(super) fn paid_unmask(
        &mut self,
        context: &Context,
        me: u16,
        request: UnmaskRequest,
    ) -> Result<Option<SecureStep>, Refusal> {
        if context.treatment().is_private() && !mistakes::on(Mistake::UnchargedUnmask) {
            let (Some(charged), Some((survivors, _))) = (&self.charged, &self.consented) else {
                self.uncharged = Some(request);
                return Ok(None);
            };
            if charged != survivors {
                return Err(Refusal::OthersCharged {
                    charged: charged.len(),
                    survivors: survivors.len(),
                });
            }
        }
        self.unmask(context, me, request).map(Some)
    }

    /// Shares of survivors' seeds and of the others' masking keys, never both of one participant.
    fn unmask(
        &mut self,
        context: &Context,
        me: u16,
        request: UnmaskRequest,
    ) -> Result<SecureStep, Refusal> {
        let (Some(known), Some(held), Some((survivors, _))) =
            (&self.neighbours, &self.held, &self.consented)
        else {
            return Err(early(UNMASK));
        };
        if let Some(both) = request
            .seeds
            .iter()
            .find(|owner| request.keys.contains(*owner))
        {
            let node = context.name(both);
            return Err(Refusal::BothShares { node });
        }
        // What was answered once is answered again, and nothing besides: the consents may be
        // others, the shares not.
        if let Some((before, shares)) = &self.revealed {
            let same = before.seeds == request.seeds && before.keys == request.keys;
            return if same {
                Ok(SecureStep::Reveal(shares.clone()))
            } else {
                Err(Refusal::OtherShares)
            };
        }
        let dropped: Places = held
            .dealt
            .iter()
            .filter(|place| !survivors.contains(*place))
            .collect();
        if request.seeds != *survivors || request.keys != dropped {
            return Err(Refusal::OtherShares);
        }
        let agreement = Agreement {
            advertised: &known.advertised,
            dealt: &held.dealt,
            survivors,
        };
        check_consents(context, me, &agreement, &request)?;
        let mut revealed = Vec::with_capacity(held.shares.len());
        for (owner, pair) in &held.shares {
            let secret = match survivors.contains(*owner) {
                true => Secret::Seed,
                false => Secret::Key,
            };
            let share = |secret| RevealedShare {
                owner: *owner,
                secret,
                share: **pair.of(secret),
            };
            if mistakes::on(Mistake::BothSharesRevealed) {
                revealed.extend([Secret::Seed, Secret::Key].map(share));
            } else {
                revealed.push(share(secret));
            }
        }
        self.revealed = Some((request, revealed.clone()));
        Ok(SecureStep::Reveal(revealed))
    }
}

/// At least t holders around this participant, all in the sum, signed what it has signed.
fn check_consents(
    context: &Context,
    me: u16,
    agreement: &Agreement<'_>,
    request: &UnmaskRequest,
) -> Result<(), Refusal> {
    let holders = holders_in(context, me, agreement.survivors);
    let mut matching = BTreeSet::new();
    let mut other = me;
    let needed = context.parameters().threshold;
    for (place, signature) in &request.consents {
        if matching.len() >= needed {
            break;
        }
        if holders.contains(place) && agreement.is_signed(context, *place, signature) {
            matching.insert(*place);
        } else if other == me {
            other = *place;
        }
    }
    if matching.len() < needed {
        return Err(Refusal::NoAgreement {
            matching: matching.len(),
            needed,
            other: context.name(other),
        });
    }
    Ok(())
}

fn check_keys(
    context: &Context,
    me: u16,
    keys: &BTreeMap<u16, AdvertisedKeys>,
) -> Result<(), Refusal> {
    let mut owners: BTreeMap<&[u8; 32], u16> = BTreeMap::new();
    for (place, advertised) in keys {
        if *place != me && !is_signed(context, *place, advertised) {
            let node = context.name(*place);
            return Err(Refusal::ForgedKeys { node });
        }
        for key in [&advertised.sealing, &advertised.masking] {
            if let Some(other) = owners.insert(key, *place) {
                return Err(Refusal::SameKey {
                    a: context.name(other),
                    b: context.name(*place),
                });
            }
        }
    }
    Ok(())
}

fn by_place(list: &KeyList) -> BTreeMap<u16, AdvertisedKeys> {
    list.keys.iter().cloned().collect()
}

/// The holders of a participant's shares who are in `set`.
fn holders_in(context: &Context, me: u16, set: &Places) -> BTreeSet<u16> {
    let holders = context.holders(me).into_iter();
    holders.filter(|place| set.contains(*place)).collect()
}

/// Exactly those who are to be there, each once.
fn listed<'a>(
    context: &Context,
    expected: &BTreeSet<u16>,
    found: impl Iterator<Item = &'a u16>,
    count: usize,
    step: &'static str,
) -> Result<(), Refusal> {
    let found: BTreeSet<u16> = found.copied().collect();
    match found.symmetric_difference(expected).next() {
        Some(place) => Err(Refusal::Listed {
            step,
            node: context.name(*place),
        }),
        None if count != expected.len() => Err(Refusal::Unsound { step }),
        None => Ok(()),
    }
}

fn sound(context: &Context, set: &Places, step: &'static str) -> Result<(), Refusal> {
    context
        .is_sound(set)
        .then_some(())
        .ok_or(Refusal::Unsound { step })
}

fn within(
    context: &Context,
    set: &Places,
    before: &Places,
    step: &'static str,
) -> Result<(), Refusal> {
    match set.iter().find(|place| !before.contains(*place)) {
        Some(place) => Err(Refusal::NotBefore {
            step,
            node: context.name(place),
        }),
        None => Ok(()),
    }
}

fn enough(set: &Places, needed: usize, step: &'static str) -> Result<(), Refusal> {
    let found = set.len();
    if found < needed {
        return Err(too_few(step, found, needed));
    }
    Ok(())
}

fn too_few(step: &'static str, found: usize, needed: usize) -> Refusal {
    Refusal::TooFew {
        step,
        found,
        needed,
    }
}

fn early(step: &'static str) -> Refusal {
    Refusal::OutOfTurn {
        step,
        when: "before its turn",
    }
}

fn again(step: &'static str) -> Refusal {
    Refusal::OutOfTurn {
        step,
        when: "again, with other content",
    }
}
