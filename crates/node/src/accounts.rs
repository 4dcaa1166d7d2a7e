//! Accounts of privacy, as the ledger's fold has them.

use federation::Privacy;
use federation::privacy::budget::{Accounts, Budget, Holder};
use ledger::{Rounds, State};
use std::collections::BTreeSet;
use wire::NodeId;

/// Those of every node and tenant.
pub fn of(state: &State) -> Accounts {
    let Rounds {
        spent,
        tenants,
        declared,
        ..
    } = &state.rounds;
    let nodes = spent.iter();
    let nodes = nodes.map(|(node, told)| (Holder::Node(node.clone()), told.clone()));
    let owners = tenants.iter();
    let owners = owners.map(|(name, told)| (Holder::Tenant(name.clone()), told.clone()));
    let belongs = declared.iter().filter_map(|(node, of)| {
        let tenant = of.tenant.clone()?;
        Some((node.clone(), tenant))
    });
    let alone = declared.iter().filter(|(_, of)| of.tenant.is_none());
    let alone = alone.map(|(node, of)| (Holder::Node(node.clone()), (of.epsilon, of.delta)));
    let budgets = tenants.keys().filter_map(|name| {
        let budget = state.tenant_budget(name)?;
        Some((Holder::Tenant(name.clone()), budget))
    });
    let budgets = alone.chain(budgets);
    Accounts {
        tenants: belongs.collect(),
        spent: nodes.chain(owners).collect(),
        budgets: budgets
            .map(|(holder, (epsilon, delta))| (holder, Budget { epsilon, delta }))
            .collect(),
    }
}

/// What a node has against a private round with this cohort; a sentence. `tenant`: whose its data are, by its
/// configuration.
pub fn objection(
    state: &State,
    privacy: &Privacy,
    tenant: Option<&String>,
    me: &NodeId,
    cohort: &[NodeId],
) -> Option<String> {
    let known = state.rounds.tenant(me);
    if let Some(tenant) = tenant.filter(|tenant| known != Some(*tenant)) {
        return Some(format!(
            "the ledger does not have yet that the data of {me} are those of tenant {tenant}, whose account the round has to be on"
        ));
    }
    let accounts = of(state);
    let holder = accounts.holder(me);
    let over = accounts.overdrawn(cohort, privacy.noise_milli, privacy.budget);
    over.contains(&holder).then(|| {
        let of = accounts.statement(holder, privacy.budget);
        format!(
            "one more round would take {} over its privacy budget: ε = {:.3} of {} is spent",
            of.holder, of.spent, of.budget.epsilon
        )
    })
}

/// What a node finds wrong with the accounts after a private round of `participants` was charged; a sentence.
pub fn overdraft(
    state: &State,
    privacy: &Privacy,
    me: &NodeId,
    participants: &[NodeId],
) -> Option<String> {
    let accounts = of(state);
    let holder = accounts.holder(me);
    let charged: BTreeSet<_> = accounts.shares(participants).into_keys().collect();
    if !charged.contains(&holder) {
        return None;
    }
    let of = accounts.statement(holder, privacy.budget);
    (of.spent > of.budget.epsilon).then(|| {
        format!(
            "the round takes {} over its privacy budget, to ε = {:.3} of {}",
            of.holder, of.spent, of.budget.epsilon
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use federation::secagg::NoiseBy;
    use ledger::Declared;

    fn declared(tenant: Option<&str>, epsilon: f64) -> Declared {
        Declared {
            tenant: tenant.map(str::to_owned),
            epsilon,
            delta: 1e-5,
        }
    }

    fn state() -> State {
        let mut state = State::new();
        let member = ledger::Member {
            identity: [1; 32],
            up: true,
            incarnation: 1,
            down_reason: None,
            address: None,
            store: None,
            admitted: None,
        };
        for node in ["a", "b", "c", "d"] {
            state.members.insert(node.into(), member.clone());
        }
        let rounds = &mut state.rounds;
        rounds.declared.insert("a".into(), declared(Some("x"), 4.8));
        rounds.declared.insert("b".into(), declared(Some("x"), 9.0));
        rounds.declared.insert("c".into(), declared(None, 2.5));
        // ε = 4.73 at z = 2.
        rounds.tenants.insert("x".to_owned(), [(2_000, 4)].into());
        for (node, rounds_of) in [("a", 2), ("b", 1), ("c", 1)] {
            rounds
                .spent
                .insert(node.into(), [(2_000, rounds_of)].into());
        }
        state
    }

    fn privacy() -> Privacy {
        Privacy {
            noise_milli: 2_000,
            bound: 1.0,
            adaptive: None,
            noise: NoiseBy::Participants,
            budget: Budget {
                epsilon: 2.2,
                delta: 1e-5,
            },
        }
    }

    fn nodes(names: &[&str]) -> Vec<NodeId> {
        names.iter().map(|name| NodeId::from(*name)).collect()
    }

    #[test]
    fn a_tenant_has_the_smallest_budget_of_its_members() {
        let mut state = state();
        let tenant = Holder::Tenant("x".to_owned());
        assert_eq!(of(&state).budgets[&tenant].epsilon, 4.8);
        assert_eq!(of(&state).holder(&"b".into()), tenant);
        state.members.remove(&"a".into());
        assert_eq!(of(&state).budgets[&tenant].epsilon, 9.0);
    }

    #[test]
    fn a_node_objects_to_rounds_that_its_account_does_not_bear() {
        let state = state();
        let against = |tenant: Option<&str>, me: &str, cohort: &[&str]| {
            let tenant = tenant.map(str::to_owned);
            let cohort = nodes(cohort);
            objection(&state, &privacy(), tenant.as_ref(), &me.into(), &cohort)
        };
        let why = against(Some("x"), "b", &["a", "b", "c", "d"]).unwrap();
        assert!(
            why.contains("tenant x") && why.contains("4.729 of 4.8"),
            "{why}"
        );
        let why = against(None, "c", &["a", "c", "d"]).unwrap();
        assert!(why.contains("take c over"), "{why}");
        // Nobody has heard of its budget: the configured one holds.
        assert_eq!(against(None, "d", &["a", "c", "d"]), None);
        let why = against(Some("y"), "d", &["d"]).unwrap();
        assert!(why.contains("does not have yet"), "{why}");
    }

    #[test]
    fn what_was_charged_is_looked_at_again() {
        let mut state = state();
        let found = |state: &State, me: &str, participants: &[&str]| {
            overdraft(state, &privacy(), &me.into(), &nodes(participants))
        };
        assert_eq!(found(&state, "a", &["a", "c"]), None);
        // Two nodes more than the round was opened with.
        state
            .rounds
            .tenants
            .insert("x".to_owned(), [(2_000, 5)].into());
        let why = found(&state, "b", &["a", "c"]).unwrap();
        assert!(why.contains("takes tenant x over"), "{why}");
        assert_eq!(found(&state, "b", &["c"]), None, "it is not charged");
        assert_eq!(found(&state, "c", &["a", "c"]), None);
    }
}
