//! What private rounds tell of whom: accounts of nodes and of tenants, and what they may hold.
//!
//! An account counts rounds by their noise multiplier; ε follows from that outside of the fold, which computes
//! with integers only. A tenant's nodes are hid together: with m of them in a round the sum moves by m times as much,
//! the noise hides them as noise of z/m would, and the Rényi divergence of that goes by (m/z)². So the round
//! counts m² for the tenant.

use crate::rounds::{OpenRound, Rounds};
use crate::state::{Outcome, State, refuse};
use machine::mistakes::{self, Mistake};
use std::collections::{BTreeMap, BTreeSet};
use wire::{MAX_TENANT_NAME, NodeId, Round, is_tenant_name};

/// Most different noise multipliers that one account's rounds may have: each is a line of it for ever, and a
/// house that changes its mind more often can round.
pub const MAX_NOISES: usize = 64;

/// Most tenants that there ever were: accounts stay, for what was told stays told. Four for each member there may be.
pub const MAX_TENANTS: usize = 4 * crate::MAX_MEMBERS;

/// Rounds by noise multiplier in thousandths.
pub type Told = BTreeMap<u32, u64>;

/// What a private round tells of its participants, as its act of the ledger has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PrivacyCost {
    /// Standard deviation of the noise over `bound`, in thousandths.
    pub noise_milli: u32,
    /// Norm that updates were clipped to.
    pub bound: f64,
    /// δ.
    pub delta: f64,
    /// The largest ε that one of its participants, or a tenant of one, has spent with this round.
    pub epsilon: f64,
}

/// What a node says of its data.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Whose they are; `None`: the node's own.
    pub tenant: Option<String>,
    /// ε that may be spent.
    pub epsilon: f64,
    /// δ that it goes with.
    pub delta: f64,
}

impl Rounds {
    /// Whose data a node has now.
    pub fn tenant(&self, node: &NodeId) -> Option<&String> {
        self.declared.get(node)?.tenant.as_ref()
    }

    /// How many of them each tenant has. Who changes hands while a round is open is in it for both: by the data that it
    /// was asked for, and by those that it answers with.
    fn shares(&self, open: &OpenRound, participants: &[NodeId]) -> BTreeMap<String, u64> {
        let mut shares = BTreeMap::new();
        for node in participants {
            let of = [open.tenants.get(node), self.tenant(node)];
            for tenant in of.into_iter().flatten().collect::<BTreeSet<_>>() {
                *shares.entry(tenant.clone()).or_default() += 1;
            }
        }
        shares
    }
}

/// No account may gain a line more than it can have.
fn has_room(told: Option<&Told>, noise_milli: u32) -> bool {
    told.is_none_or(|told| told.len() < MAX_NOISES || told.contains_key(&noise_milli))
}

/// What two accounts hold together at most: the norm of a sum of vectors (m/z of each round) is not above the sum
/// of their norms, whatever rounds they have in common.
fn together(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    let square = product.saturating_mul(4);
    let root = square.isqrt();
    let up = u128::from(root.saturating_mul(root) < square);
    let twice = u64::try_from(root + up).unwrap_or(u64::MAX);
    one.saturating_add(other).saturating_add(twice)
}

impl State {
    /// The budget that a tenant's nodes have declared: the smallest of those that are members now. `None`: none is.
    pub fn tenant_budget(&self, tenant: &str) -> Option<(f64, f64)> {
        let members = self.rounds.declared.iter();
        members
            .filter(|(node, of)| {
                of.tenant.as_deref() == Some(tenant) && self.members.contains_key(*node)
            })
            .map(|(_, of)| (of.epsilon, of.delta))
            .reduce(|(e, d), (epsilon, delta)| (e.min(epsilon), d.min(delta)))
    }

    /// Counts a private round for each of its participants and their tenants. `figures`: its bound, δ and ε; only
    /// ε may be 0.
    pub(crate) fn privacy_spent(
        &mut self,
        round: Round,
        participants: &[NodeId],
        noise_milli: u32,
        figures: [f64; 3],
    ) -> Outcome {
        let open = self.open_round(round)?;
        if open.charged.is_some() {
            return refuse(format!("round {round} is charged for already"));
        }
        let charged: BTreeSet<NodeId> = participants.iter().cloned().collect();
        if charged.is_empty() || charged.len() != participants.len() {
            return refuse(format!(
                "round {round} is charged to nobody, or to somebody twice"
            ));
        }
        if let Some(outsider) = participants.iter().find(|node| !open.cohort.contains(node)) {
            return refuse(format!("{outsider} is not in the cohort of round {round}"));
        }
        let [bound, delta, epsilon] = figures;
        let proper = figures.iter().all(|figure| figure.is_finite());
        if noise_milli == 0 || !proper || bound <= 0.0 || delta <= 0.0 || epsilon < 0.0 {
            return refuse(format!(
                "round {round} is charged with a figure that is no number above 0"
            ));
        }
        let rounds = &self.rounds;
        let shares = rounds.shares(open, participants);
        let node = |node: &&NodeId| !has_room(rounds.spent.get(*node), noise_milli);
        let tenant = |tenant: &&String| !has_room(rounds.tenants.get(*tenant), noise_milli);
        let full = participants.iter().find(node).map(NodeId::as_str);
        if let Some(full) = full.or(shares.keys().find(tenant).map(String::as_str)) {
            return refuse(format!(
                "{full} has taken part with {MAX_NOISES} different noise multipliers, and no more are kept apart"
            ));
        }
        for node in &charged {
            let told = self.rounds.spent.entry(node.clone()).or_default();
            *told.entry(noise_milli).or_default() += 1;
        }
        for (tenant, nodes) in shares {
            let told = self.rounds.tenants.entry(tenant).or_default();
            *told.entry(noise_milli).or_default() +=
                match mistakes::on(Mistake::TenantCountedSingly) {
                    true => nodes,
                    false => nodes * nodes,
                };
        }
        if let Some(open) = &mut self.rounds.open {
            let cost = PrivacyCost {
                noise_milli,
                bound,
                delta,
                epsilon,
            };
            open.charged = Some((charged, cost));
        }
        Ok(())
    }

    /// What a node that comes to a tenant has told before is on the tenant's account from now on as well.
    pub(crate) fn budget_declared(
        &mut self,
        proposer: &NodeId,
        node: &NodeId,
        declared: Declared,
    ) -> Outcome {
        if proposer != node {
            return refuse(format!("only {node} itself can say whose data it has"));
        }
        self.member(node)?;
        let Declared {
            tenant,
            epsilon,
            delta,
        } = &declared;
        if !(*epsilon > 0.0 && epsilon.is_finite() && *delta > 0.0 && *delta < 1.0) {
            return refuse(format!(
                "{node} declares a budget of ε = {epsilon} at δ = {delta}; ε has to be a finite number above 0, δ between 0 and 1"
            ));
        }
        if tenant.as_ref().is_some_and(|name| !is_tenant_name(name)) {
            return refuse(format!(
                "the name of a tenant is 1 to {MAX_TENANT_NAME} letters, digits, dots, dashes and underscores"
            ));
        }
        let rounds = &self.rounds;
        if rounds.declared.get(node) == Some(&declared) {
            return refuse(format!("{node} has said so already"));
        }
        if let Some(name) = tenant
            .as_ref()
            .filter(|_| rounds.tenant(node) != tenant.as_ref())
        {
            let known = rounds.tenants.get(name);
            if known.is_none() && rounds.tenants.len() == MAX_TENANTS {
                return refuse(format!(
                    "there are or were {MAX_TENANTS} tenants, which is the limit: their accounts are kept"
                ));
            }
            let mut told = known.cloned().unwrap_or_default();
            for (noise, count) in rounds.spent.get(node).into_iter().flatten() {
                let before = told.entry(*noise).or_default();
                *before = together(*before, *count);
            }
            if told.len() > MAX_NOISES {
                return refuse(format!(
                    "with the rounds of {node}, {name} has taken part with more than {MAX_NOISES} different noise multipliers, and no more are kept apart"
                ));
            }
            self.rounds.tenants.insert(name.clone(), told);
        }
        self.rounds.declared.insert(node.clone(), declared);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_accounts_hold_no_more_than_together() {
        let check = |one, other, expected| assert_eq!(together(one, other), expected);
        check(0, 7, 7);
        check(7, 0, 7);
        // One node's four rounds and another's nine, if as many as can be are the same.
        check(4, 9, 25);
        // The root is rounded up.
        check(2, 3, 10);
        check(1, 1, 4);
        check(u64::MAX, u64::MAX, u64::MAX);
        // Four common rounds of two nodes are 4·2² on a tenant's account.
        check(4, 4, 16);
    }
}
