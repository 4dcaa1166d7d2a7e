//! Accounts of what private rounds have told, as the ledger has them, and what they may hold.
//!
//! An account is a node's own or a tenant's: the owner of the data of several nodes, which are hid together. With m of them
//! in a round its sum moves by m·C at most, the noise of z·C hides that as noise of z/m would, and the Rényi
//! divergence of the Gaussian mechanism goes by (m/z)². So the round is as dear as m² rounds of one node, and an account
//! of rounds by noise multiplier is enough for both. That holds at sampling rate 1, the only one accounted for.

use super::accountant::{Accountant, SampledGaussian};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use wire::NodeId;

/// How much an account may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// ε: training without its holder stops before it has spent more.
    pub epsilon: f64,
    /// δ.
    pub delta: f64,
}

/// Rounds of one node's update, by noise multiplier in thousandths.
pub type Rounds = BTreeMap<u32, u64>;

/// Who has an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A node, for itself.
    Node(NodeId),
    /// The owner of the data of its nodes.
    Tenant(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(node) => write!(f, "{node}"),
            Self::Tenant(name) => write!(f, "tenant {name}"),
        }
    }
}

/// All accounts, as the ledger has them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accounts {
    /// Whose data nodes have; who is not here has its own.
    pub tenants: BTreeMap<NodeId, String>,
    /// What was spent, also by those who are there no more.
    pub spent: BTreeMap<Holder, Rounds>,
    /// Declared ones; others have the one of the configuration.
    pub budgets: BTreeMap<Holder, Budget>,
}

/// One account in figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// Whose.
    pub holder: Holder,
    /// ε spent.
    pub spent: f64,
    /// What may be.
    pub budget: Budget,
}

/// What `rounds` cost.
pub fn epsilon(rounds: &Rounds, delta: f64) -> f64 {
    accountant(rounds).epsilon(delta)
}

fn accountant(rounds: &Rounds) -> Accountant {
    let mut accountant = Accountant::default();
    for (noise, count) in rounds {
        accountant.add(mechanism(*noise), *count);
    }
    accountant
}

fn mechanism(noise_milli: u32) -> SampledGaussian {
    SampledGaussian {
        sampling_rate: 1.0,
        noise_multiplier: f64::from(noise_milli) / 1_000.0,
    }
}

impl Budget {
    /// Whether one more round with this noise, and with so many of the holder's nodes, is within the budget.
    pub fn allows(&self, rounds: Option<&Rounds>, noise_milli: u32, nodes: u64) -> bool {
        let mut accountant = rounds.map(accountant).unwrap_or_default();
        accountant.add(mechanism(noise_milli), nodes * nodes);
        accountant.epsilon(self.delta) <= self.epsilon
    }
}

impl Accounts {
    /// Whose account a node's updates are on.
    pub fn holder(&self, node: &NodeId) -> Holder {
        match self.tenants.get(node) {
            Some(tenant) => Holder::Tenant(tenant.clone()),
            None => Holder::Node(node.clone()),
        }
    }

    /// How many of `nodes` each holder has.
    pub fn shares<'a>(&self, nodes: impl IntoIterator<Item = &'a NodeId>) -> BTreeMap<Holder, u64> {
        let mut shares = BTreeMap::new();
        for node in nodes {
            *shares.entry(self.holder(node)).or_default() += 1;
        }
        shares
    }

    /// What a holder may spend; `otherwise` where nothing was declared.
    pub fn budget(&self, holder: &Holder, otherwise: Budget) -> Budget {
        self.budgets.get(holder).copied().unwrap_or(otherwise)
    }

    /// Holders whom one more round with all of `nodes` in it would take over their budget.
    pub fn overdrawn<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a NodeId>,
        noise_milli: u32,
        otherwise: Budget,
    ) -> BTreeSet<Holder> {
        let shares = self.shares(nodes).into_iter();
        let over = |(holder, nodes): &(Holder, u64)| {
            let budget = self.budget(holder, otherwise);
            !budget.allows(self.spent.get(holder), noise_milli, *nodes)
        };
        shares.filter(over).map(|(holder, _)| holder).collect()
    }

    /// A private round of `participants`, as the ledger's fold counts it where nobody changes hands meanwhile.
    pub fn charge(&mut self, participants: &[NodeId], noise_milli: u32) {
        for (holder, nodes) in self.shares(participants) {
            let rounds = self.spent.entry(holder).or_default();
            *rounds.entry(noise_milli).or_default() += nodes * nodes;
        }
    }

    /// The account of a holder in figures.
    pub fn statement(&self, holder: Holder, otherwise: Budget) -> Statement {
        let budget = self.budget(&holder, otherwise);
        let spent = self.spent.get(&holder);
        let spent = spent.map_or(0.0, |rounds| epsilon(rounds, budget.delta));
        Statement {
            holder,
            spent,
            budget,
        }
    }

    /// Of all of `nodes` and of every tenant that has spent something, in order.
    pub fn statements<'a>(
        &self,
        nodes: impl IntoIterator<Item = &'a NodeId>,
        otherwise: Budget,
    ) -> Vec<Statement> {
        let mut holders: BTreeSet<_> = self.shares(nodes).into_keys().collect();
        let told = self.spent.keys();
        let tenants = told.filter(|holder| matches!(holder, Holder::Tenant(_)));
        holders.extend(tenants.cloned());
        let holders = holders.into_iter();
        holders
            .map(|holder| self.statement(holder, otherwise))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget {
        epsilon: 5.0,
        delta: 1e-5,
    };

    #[test]
    fn the_budget_is_never_overdrawn() {
        let mut rounds = Rounds::new();
        while BUDGET.allows(Some(&rounds), 4_000, 1) {
            *rounds.entry(4_000).or_default() += 1;
        }
        let spent = epsilon(&rounds, 1e-5);
        assert!(spent <= 5.0 && spent > 4.8, "{spent} after {rounds:?}");
        // More noise still goes, and less does not.
        assert!(BUDGET.allows(Some(&rounds), 40_000, 1));
        assert!(!BUDGET.allows(Some(&rounds), 40_000, 20));
        assert!(!BUDGET.allows(Some(&rounds), 500, 1));
        assert!(!BUDGET.allows(None, 0, 1));
    }

    /// Houses of three tenants over some rounds, of which each takes part with some of its nodes; by the noise
    /// multiplier z/m of each round, from Google's accountant.
    #[test]
    fn tenants_agree_with_dp_accounting_to_three_digits() {
        let vectors = include_str!("../../tests/dp_accounting/tenants.csv");
        let mut checked = 0;
        for line in vectors.lines().skip(1) {
            let [noise, rounds, delta, expected] = line.split(',').collect::<Vec<_>>()[..] else {
                panic!("{line}");
            };
            let noise_milli = (noise.parse::<f64>().unwrap() * 1_000.0) as u32;
            let delta = delta.parse().unwrap();
            let expected: f64 = expected.parse().unwrap();
            let mut accounts = Accounts::default();
            let names: Vec<NodeId> = (0..9).map(|n| NodeId::new(format!("n{n}"))).collect();
            for node in &names {
                accounts.tenants.insert(node.clone(), "t".to_owned());
            }
            // `m*k`: k rounds with m of its nodes, among others.
            for part in rounds.split(' ') {
                let (nodes, times) = part.split_once('*').unwrap();
                let mut participants = names[..nodes.parse().unwrap()].to_vec();
                participants.push("stranger".into());
                for _ in 0..times.parse().unwrap() {
                    accounts.charge(&participants, noise_milli);
                }
            }
            let tenant = Holder::Tenant("t".to_owned());
            let found = epsilon(&accounts.spent[&tenant], delta);
            assert!(
                (found - expected).abs() <= 5e-4 * expected,
                "{line}: here {found}"
            );
            checked += 1;
        }
        assert_eq!(checked, 48);
    }

    #[test]
    fn nodes_of_a_tenant_pay_together_and_others_for_themselves() {
        let [a, b, c] = ["a", "b", "c"].map(NodeId::from);
        let all = [a.clone(), b.clone(), c.clone()];
        let mut accounts = Accounts::default();
        for node in [&a, &b] {
            accounts.tenants.insert(node.clone(), "x".to_owned());
        }
        let tenant = Holder::Tenant("x".to_owned());
        // One node more pays for 31 rounds with z = 4, two for a quarter of them.
        let mut rounds = 0;
        while accounts.overdrawn(&all, 4_000, BUDGET).is_empty() {
            accounts.charge(&all, 4_000);
            rounds += 1;
        }
        assert_eq!(
            accounts.overdrawn(&all, 4_000, BUDGET),
            [tenant.clone()].into()
        );
        assert_eq!(accounts.spent[&tenant][&4_000], 4 * rounds);
        assert_eq!(accounts.spent[&Holder::Node(c.clone())][&4_000], rounds);
        // It has a budget of its own, and others that of the configuration.
        let more = Budget {
            epsilon: 6.0,
            ..BUDGET
        };
        accounts.budgets.insert(tenant.clone(), more);
        assert!(accounts.overdrawn(&all, 4_000, BUDGET).is_empty());
        let figures = accounts.statements(&[c], BUDGET);
        let holders: Vec<String> = figures.iter().map(|of| of.holder.to_string()).collect();
        assert_eq!(holders, ["c", "tenant x"]);
        assert!(figures[1].spent > figures[0].spent && figures[1].spent <= 5.0);
        assert_eq!(figures[1].budget, more);
    }
}
