//! The end of a round: shares in clear, secrets from them, masks off the sum.

use crate::secagg::context::Context;
use crate::secagg::error::{Fault, SumError};
use crate::secagg::keys::{mask_seed, self_mask};
use crate::secagg::mask::{self, Seed, Sign};
use crate::secagg::shares::{self, Share, combine, commitment, committed};
use std::collections::{BTreeMap, BTreeSet};
use wire::NodeId;
use wire::secure::{AdvertisedKeys, Deal, Places, RevealedShare, Secret};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Shares in clear that match their commitments.
#[derive(Default)]
pub(super) struct Unmask {
    /// By owner: its holders' indices and shares.
    shares: BTreeMap<u16, Vec<(usize, Share)>>,
    heard: BTreeSet<u16>,
}

impl Unmask {
    pub(super) fn heard(&self) -> impl Iterator<Item = &u16> {
        self.heard.iter()
    }

    /// One holder's shares: all of them count, or none.
    pub(super) fn reveal(
        &mut self,
        context: &Context,
        deals: &BTreeMap<u16, Deal>,
        (survivors, dealt): (&Places, &Places),
        (from, holder): (&NodeId, u16),
        revealed: Vec<RevealedShare>,
    ) -> Result<(), Fault> {
        if self.heard.contains(&holder) {
            return Ok(());
        }
        if !survivors.contains(holder) {
            return Err(Fault::OutOfTurn {
                node: from.clone(),
                step: "shares without an update",
            });
        }
        let mut expected: BTreeSet<u16> = context.holders(holder).into_iter().collect();
        expected.retain(|owner| dealt.contains(*owner));
        let mut taken = Vec::with_capacity(revealed.len());
        for RevealedShare {
            owner,
            secret,
            share,
        } in revealed
        {
            let wanted = match survivors.contains(owner) {
                true => Secret::Seed,
                false => Secret::Key,
            };
            let fault = |wrong: bool| {
                let (node, owner) = (from.clone(), context.name(owner));
                match wrong {
                    true => Fault::WrongShare { node, owner },
                    false => Fault::Unasked { node, owner },
                }
            };
            if secret != wanted || !expected.remove(&owner) {
                return Err(fault(false));
            }
            let share = Zeroizing::new(share);
            let right = deals.get(&owner).is_some_and(|deal| {
                let dealt = deal.shares.iter().find(|dealt| dealt.place == holder);
                dealt.is_some_and(|dealt| {
                    commitment(context, owner, holder, secret, &share) == committed(dealt, secret)
                })
            });
            if !right {
                return Err(fault(true));
            }
            let index = context.holders(owner).binary_search(&holder);
            taken.push((owner, index.map_err(|_| fault(false))?, share));
        }
        // Who holds a share back may as well not have answered.
        if let Some(owner) = expected.first() {
            return Err(Fault::WrongShare {
                node: from.clone(),
                owner: context.name(*owner),
            });
        }
        for (owner, index, share) in taken {
            self.shares.entry(owner).or_default().push((index, share));
        }
        self.heard.insert(holder);
        Ok(())
    }

    /// Recovers what is needed and takes it off.
    pub(super) fn take_off(
        &self,
        context: &Context,
        (keys, deals): (&BTreeMap<u16, AdvertisedKeys>, &BTreeMap<u16, Deal>),
        (survivors, dealt): (&Places, &Places),
        sum: &mut [u64],
    ) -> Result<(), SumError> {
        let mut seeds: Vec<(Seed, Sign)> = Vec::new();
        for owner in dealt.iter() {
            let wrong = || SumError::WrongDeal {
                owner: context.name(owner),
            };
            let shares = self.shares.get(&owner).map_or(&[][..], Vec::as_slice);
            let enough = &shares[..shares.len().min(context.parameters().threshold)];
            let secret = combine(enough).ok_or_else(wrong)?;
            if survivors.contains(owner) {
                let committed = deals.get(&owner).map(|deal| deal.seed);
                if committed != Some(shares::seed_commitment(context, owner, &secret)) {
                    return Err(wrong());
                }
                seeds.push((self_mask(context, owner, &secret), Sign::Minus));
                continue;
            }
            let secret = StaticSecret::from(*secret);
            let public = PublicKey::from(&secret).to_bytes();
            if keys.get(&owner).map(|keys| keys.masking) != Some(public) {
                return Err(wrong());
            }
            // The survivors' masks with those who dropped out have nothing to cancel them.
            for other in context.neighbours(owner) {
                let Some(keys) = keys.get(other).filter(|_| survivors.contains(*other)) else {
                    continue;
                };
                let ends = (*other, owner);
                let seed = mask_seed(context, dealt, &secret, &keys.masking, ends);
                let sign = Sign::between(*other, owner).inverse();
                seeds.push((seed.ok_or_else(wrong)?, sign));
            }
        }
        mask::apply(sum, &seeds);
        Ok(())
    }
}
