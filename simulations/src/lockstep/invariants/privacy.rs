//! Rules about accounts of privacy: what the ledger says that private rounds have told, worked out once more from
//! who took part in which.
//!
//! What a tenant's nodes have told is kept here round by round, and not added up as the ledger does: with its m nodes in a
//! round it has told m² times as much as one node.

use super::{ACCOUNTS_AGREE, Broken, PAID_FIRST, WITHIN_BUDGET};
use federation::privacy::budget::epsilon;
use std::collections::{BTreeMap, BTreeSet};

/// What tenants have told, by name and noise multiplier in thousandths.
pub type Told = BTreeMap<(String, u32), u64>;

/// Most accounts of nodes that wait for leaves that only they have shown: one for each node and act of a minute.
const MAX_WAITING: usize = 10_000;

/// What a node said of its data.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Budget {
    /// Whose they are.
    pub(super) tenant: Option<String>,
    /// What may be told of them.
    pub(super) epsilon: f64,
    /// What goes with it.
    pub(super) delta: f64,
}

/// Who was in a private round, under how much noise.
#[derive(Debug)]
struct Spent {
    noise_milli: u32,
    participants: BTreeSet<String>,
    /// Those of them whose data were a tenant's, then or later.
    of: BTreeMap<String, BTreeSet<String>>,
}

/// What was seen of private rounds.
#[derive(Debug, Default)]
pub(super) struct Privacy {
    /// All rounds are to be.
    all: bool,
    declared: BTreeMap<String, Budget>,
    /// Whose data the asked ones had when the round was opened.
    opened: BTreeMap<String, String>,
    rounds: BTreeMap<u64, Spent>,
    /// Tenants to whom a node came that had told something before: they may hold more than they may.
    late: BTreeSet<String>,
    /// What tenants have told, at least, by size of the ledger.
    told: BTreeMap<u64, Told>,
    /// What the first node says, by size of the ledger.
    said: BTreeMap<u64, Told>,
    /// Shown by nodes before the leaves were seen that they follow from.
    waiting: Vec<(String, u64, Told)>,
}

impl Privacy {
    pub(super) fn all_rounds(&mut self) {
        self.all = true;
    }

    pub(super) fn is_private(&self, round: u64) -> bool {
        self.rounds.contains_key(&round)
    }

    pub(super) fn opened(&mut self, cohort: &[String]) {
        let tenant = |node: &String| Some((node.clone(), self.tenant(node)?.clone()));
        self.opened = cohort.iter().filter_map(tenant).collect();
    }

    fn tenant(&self, node: &str) -> Option<&String> {
        self.declared.get(node)?.tenant.as_ref()
    }

    pub(super) fn declared(&mut self, index: u64, node: &str, budget: Budget) {
        let before = self.tenant(node).cloned();
        if let Some(tenant) = budget.tenant.clone()
            && before.as_ref() != Some(&tenant)
        {
            // What the node has told is its tenant's, from now on.
            let theirs = |spent: &&mut Spent| spent.participants.contains(node);
            for spent in self.rounds.values_mut().filter(theirs) {
                self.late.insert(tenant.clone());
                let of = spent.of.entry(tenant.clone()).or_default();
                of.insert(node.to_owned());
            }
        }
        self.declared.insert(node.to_owned(), budget);
        self.add_up(index);
    }

    pub(super) fn charged(
        &mut self,
        index: u64,
        round: u64,
        participants: &[String],
        noise_milli: u32,
    ) -> Result<(), Broken> {
        let mut of: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for node in participants {
            let tenants = [self.opened.get(node), self.tenant(node)];
            for tenant in tenants.into_iter().flatten() {
                of.entry(tenant.clone()).or_default().insert(node.clone());
            }
        }
        let spent = Spent {
            noise_milli,
            participants: participants.iter().cloned().collect(),
            of,
        };
        let first = self.rounds.insert(round, spent).is_none();
        PAID_FIRST.check(first, || {
            format!("leaf {index} charges round {round} again")
        })?;
        self.add_up(index);
        self.within(round)
    }

    fn add_up(&mut self, index: u64) {
        let mut told = Told::new();
        for spent in self.rounds.values() {
            for (tenant, nodes) in &spent.of {
                let nodes = nodes.len() as u64;
                *told.entry((tenant.clone(), spent.noise_milli)).or_default() += nodes * nodes;
            }
        }
        self.told.insert(index + 1, told);
    }

    /// Nobody whom this round is charged to is over its budget now.
    fn within(&self, round: u64) -> Result<(), Broken> {
        let Some(spent) = self.rounds.get(&round) else {
            return Ok(());
        };
        for tenant in spent
            .of
            .keys()
            .filter(|tenant| !self.late.contains(*tenant))
        {
            let ours = |of: &&Budget| of.tenant.as_ref() == Some(tenant);
            let of = self.declared.values().filter(ours);
            let budget = of.map(|of| (of.epsilon, of.delta));
            let least = budget.reduce(|a, b| (a.0.min(b.0), a.1.min(b.1)));
            let mut rounds = BTreeMap::new();
            for spent in self.rounds.values() {
                let nodes = spent.of.get(tenant).map_or(0, |nodes| nodes.len() as u64);
                *rounds.entry(spent.noise_milli).or_default() += nodes * nodes;
            }
            check(&format!("tenant {tenant}"), &rounds, least)?;
        }
        let alone = |node: &&String| self.tenant(node).is_none();
        for node in spent.participants.iter().filter(alone) {
            let budget = self.declared.get(node).map(|of| (of.epsilon, of.delta));
            let mut rounds = BTreeMap::new();
            let theirs = |spent: &&Spent| spent.participants.contains(node);
            for spent in self.rounds.values().filter(theirs) {
                *rounds.entry(spent.noise_milli).or_default() += 1;
            }
            check(node, &rounds, budget)?;
        }
        Ok(())
    }

    pub(super) fn closed(&self, round: u64, participants: &[String]) -> Result<(), Broken> {
        let charged = self.rounds.get(&round).map(|spent| &spent.participants);
        let once: BTreeSet<String> = participants.iter().cloned().collect();
        PAID_FIRST.check(
            charged == Some(&once) || (charged.is_none() && !self.all),
            || format!("round {round} closes with {once:?}, and {charged:?} were charged"),
        )
    }

    /// `node` says what tenants have told, at this size of its ledger; `seen`: leaves that were seen so far.
    pub(super) fn accounts(
        &mut self,
        node: &str,
        size: u64,
        told: Told,
        seen: u64,
    ) -> Result<(), Broken> {
        if size > seen {
            if self.waiting.len() < MAX_WAITING {
                self.waiting.push((node.to_owned(), size, told));
            }
            return Ok(());
        }
        let first = self.said.entry(size).or_insert_with(|| told.clone());
        ACCOUNTS_AGREE.check(*first == told, || {
            format!("with {size} leaves {node} has {told:?}, another node {first:?}")
        })?;
        let known = self.told.range(..=size).next_back();
        let short = known.and_then(|(_, known)| {
            let has = |account: &(String, u32)| told.get(account).copied().unwrap_or(0);
            known.iter().find(|(account, least)| has(account) < **least)
        });
        ACCOUNTS_AGREE.check(short.is_none(), || {
            format!("with {size} leaves {node} has {told:?}, and {short:?} at least was told")
        })
    }

    /// More leaves were seen.
    pub(super) fn grown(&mut self, seen: u64) -> Result<(), Broken> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        for (node, size, told) in waiting {
            self.accounts(&node, size, told, seen)?;
        }
        Ok(())
    }
}

fn check(
    holder: &str,
    rounds: &BTreeMap<u32, u64>,
    budget: Option<(f64, f64)>,
) -> Result<(), Broken> {
    let Some((most, delta)) = budget else {
        return Ok(());
    };
    let spent = epsilon(rounds, delta);
    WITHIN_BUDGET.check(spent <= most, || {
        format!("{holder} has spent ε = {spent:.3} of {most} at δ = {delta}")
    })
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::Told;

    fn names(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn declared(node: &str, tenant: Option<&str>, epsilon: f64) -> Fact {
        Fact::Declared {
            node: node.to_owned(),
            tenant: tenant.map(str::to_owned),
            epsilon: epsilon.to_bits(),
            delta: 1e-5_f64.to_bits(),
        }
    }

    fn charged(round: u64, participants: &str) -> Fact {
        Fact::Charged {
            round,
            participants: names(participants),
            noise_milli: 2_000,
        }
    }

    fn closed(round: u64, participants: &str) -> Fact {
        let participants = names(participants);
        Fact::Closed {
            round,
            model: [round as u8; 32],
            examples: participants.len() as u64,
            ages: None,
            participants,
        }
    }

    /// Everybody has sent an update of 50 examples for each of three rounds.
    fn house() -> Checks {
        let mut checks = Checks::default();
        checks.rounds_go(crate::lockstep::protocol::Rounds::Private, 0, 3);
        for round in 1..=3 {
            for node in ["a", "b", "c"] {
                checks
                    .update(node, round, (50, Some(7_000_000)), None)
                    .unwrap();
            }
        }
        checks
    }

    fn tell(checks: &mut Checks, facts: &[Fact]) -> Result<(), Broken> {
        for fact in facts {
            let index = checks.size();
            let leaf = [index as u8; 32];
            checks.leaf("a", index, leaf, leaf, fact)?;
        }
        Ok(())
    }

    #[test]
    fn a_private_round_closes_with_those_who_paid() {
        let run = |facts: &[Fact]| tell(&mut house(), facts).err().map(|broken| broken.rule);
        assert_eq!(run(&[charged(1, "a b c"), closed(1, "a b c")]), None);
        assert_eq!(run(&[closed(1, "a b c")]), Some(PAID_FIRST));
        let others = [charged(1, "a b"), closed(1, "a b c")];
        assert_eq!(run(&others), Some(PAID_FIRST));
        let again = [charged(1, "a b"), charged(1, "a b")];
        assert_eq!(run(&again), Some(PAID_FIRST));
    }

    #[test]
    fn an_account_is_within_its_budget() {
        // ε = 2.17 for one node of a round at z = 2, 4.73 for two.
        let run = |most: f64| {
            let facts = [
                declared("a", Some("x"), most),
                declared("b", Some("x"), 100.0),
                declared("c", None, 2.2),
                charged(1, "a b c"),
            ];
            tell(&mut house(), &facts).err().map(|broken| broken.rule)
        };
        assert_eq!(run(4.8), None);
        assert_eq!(run(4.7), Some(WITHIN_BUDGET));
        let facts = [declared("c", None, 2.2), charged(1, "c"), charged(2, "c")];
        let broken = tell(&mut house(), &facts).unwrap_err();
        assert_eq!(broken.rule, WITHIN_BUDGET);
    }

    #[test]
    fn accounts_hold_what_was_told_and_are_the_same_everywhere() {
        let mut checks = house();
        let told = |count: u64| Told::from([(("x".to_owned(), 2_000), count)]);
        // Shown before the leaves it follows from.
        checks.accounts("b", 3, told(4)).unwrap();
        let facts = [
            declared("a", Some("x"), 50.0),
            declared("b", Some("x"), 50.0),
            charged(1, "a b c"),
        ];
        tell(&mut checks, &facts).unwrap();
        checks.accounts("a", 3, told(4)).unwrap();
        let other = checks.accounts("c", 3, told(5)).unwrap_err();
        assert_eq!(other.rule, ACCOUNTS_AGREE);
        let mut short = house();
        tell(&mut short, &facts).unwrap();
        let less = short.accounts("a", 3, told(2)).unwrap_err();
        assert_eq!(less.rule, ACCOUNTS_AGREE);
        // Who comes later brings what it has told: two nodes in the round are three now.
        let late = [declared("c", Some("x"), 50.0)];
        tell(&mut checks, &late).unwrap();
        assert!(checks.accounts("a", 4, told(5)).is_err());
        checks.accounts("b", 4, told(9)).unwrap_err();
    }

    #[test]
    fn shares_of_a_round_that_is_not_paid_for_are_found() {
        assert_eq!(Checks::revealed("a", None), Ok(()));
        let broken = Checks::revealed("a", Some(3)).unwrap_err();
        assert_eq!(broken.rule, PAID_FIRST);
    }
}
