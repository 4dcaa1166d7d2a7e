//! Accounts of tenants: nodes whose data belong to one owner tell of it together.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ledger::invariants::{Step, check};
use ledger::{Applied, MAX_NOISES, MAX_TENANTS, State};
use wire::{Act, Digest, Level, NodeId, ProposalId, Record, Removal, UnixMillis};

const Z: u32 = 2_000;

fn at(level: Level) -> State {
    let mut state = State::new();
    let names = ["a", "b", "c", "d"].into_iter().zip(1..);
    let roster = names.map(|(name, key)| (name.into(), [key; 32])).collect();
    let cluster = "demo".into();
    apply(&mut state, "a", Act::Genesis { cluster, roster });
    for level in 1..=level.0 {
        let level = Level(level);
        apply(&mut state, "a", Act::LevelRaised { level });
    }
    state
}

/// With every invariant checked.
fn apply(state: &mut State, proposer: &str, act: Act) -> Applied {
    let before = state.clone();
    let mut id = [0; 16];
    id[..8].copy_from_slice(&before.size.to_be_bytes());
    let record = Record {
        id: ProposalId(id),
        proposer: proposer.into(),
        time: UnixMillis(before.size),
        act,
    };
    let applied = state.apply(before.size, &record);
    let step = Step {
        before: &before,
        after: state,
        applied: &applied,
    };
    check(step).unwrap();
    applied
}

fn done(state: &mut State, proposer: &str, act: Act) {
    assert_eq!(apply(state, proposer, act), Applied::Effective);
}

fn refused(state: &mut State, proposer: &str, act: Act, part: &str) {
    match apply(state, proposer, act) {
        Applied::Ignored { reason } => assert!(reason.contains(part), "{reason}"),
        other => panic!("{other:?} instead of {part}"),
    }
}

fn declares(node: &str, tenant: Option<&str>, epsilon: f64) -> Act {
    Act::BudgetDeclared {
        node: node.into(),
        tenant: tenant.map(str::to_owned),
        epsilon,
        delta: 1e-5,
    }
}

fn nodes(names: &str) -> Vec<NodeId> {
    names.split_whitespace().map(NodeId::from).collect()
}

fn open(state: &mut State, cohort: &str) {
    let act = Act::RoundOpened {
        round: state.rounds.last.next(),
        model: Digest([0; 32]),
        cohort: nodes(cohort),
    };
    done(state, "a", act);
}

fn spends(state: &State, participants: &str, noise_milli: u32) -> Act {
    Act::PrivacySpent {
        round: state.rounds.last.next(),
        participants: nodes(participants),
        noise_milli,
        bound: 1.0,
        delta: 1e-5,
        epsilon: 1.0,
    }
}

fn end(state: &mut State) {
    let (round, reason) = (state.rounds.last.next(), "a test".to_owned());
    done(state, "a", Act::RoundAbandoned { round, reason });
}

/// A private round of those.
fn round(state: &mut State, participants: &str) {
    open(state, participants);
    let act = spends(state, participants, Z);
    done(state, "a", act);
    end(state);
}

fn told(state: &State, tenant: &str) -> u64 {
    let told = state.rounds.tenants.get(tenant);
    told.map_or(0, |told| told.values().sum())
}

#[test]
fn a_round_counts_the_square_of_a_tenants_nodes_in_it() {
    let mut state = at(Level::VARIATES_AND_TENANTS);
    for (node, tenant) in [("a", "x"), ("b", "x"), ("c", "x"), ("d", "y")] {
        done(&mut state, node, declares(node, Some(tenant), 4.0));
    }
    round(&mut state, "a b c d");
    assert_eq!((told(&state, "x"), told(&state, "y")), (9, 1));
    round(&mut state, "b d");
    assert_eq!((told(&state, "x"), told(&state, "y")), (10, 2));
    round(&mut state, "a c");
    assert_eq!(told(&state, "x"), 14);
    // Of each node is still known what it has told itself.
    assert_eq!(state.rounds.spent[&"a".into()][&Z], 2);
}

#[test]
fn a_node_speaks_for_itself_and_from_its_level_on() {
    let mut state = at(Level::LEARNING);
    let level = "the act is of level 6";
    refused(&mut state, "a", declares("a", Some("x"), 1.0), level);
    done(
        &mut state,
        "a",
        Act::LevelRaised {
            level: Level::VARIATES_AND_TENANTS,
        },
    );
    let itself = "only b itself";
    refused(&mut state, "a", declares("b", Some("x"), 1.0), itself);
    for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let figure = "a finite number above 0";
        refused(&mut state, "a", declares("a", None, wrong), figure);
    }
    for wrong in ["", "two words", &"x".repeat(65)] {
        let name = "the name of a tenant";
        refused(&mut state, "a", declares("a", Some(wrong), 1.0), name);
    }
    done(&mut state, "a", declares("a", Some("x"), 1.0));
    refused(&mut state, "a", declares("a", Some("x"), 1.0), "already");
    done(&mut state, "a", declares("a", Some("x"), 2.0));
    done(&mut state, "a", declares("a", None, 2.0));
    assert_eq!(state.rounds.tenant(&"a".into()), None);
}

/// The smallest that one of its members declares: nobody else can raise it.
#[test]
fn the_budget_of_a_tenant_is_the_smallest_of_its_members() {
    let mut state = at(Level::VARIATES_AND_TENANTS);
    assert_eq!(state.tenant_budget("x"), None);
    done(&mut state, "a", declares("a", Some("x"), 4.0));
    done(&mut state, "b", declares("b", Some("x"), 2.0));
    done(&mut state, "c", declares("c", Some("y"), 1.0));
    assert_eq!(state.tenant_budget("x"), Some((2.0, 1e-5)));
    let gone = Act::Removed {
        node: "b".into(),
        cause: Removal::Left,
    };
    done(&mut state, "b", gone);
    assert_eq!(state.tenant_budget("x"), Some((4.0, 1e-5)));
}

#[test]
fn who_comes_brings_what_it_has_told_and_leaves_it_there() {
    let mut state = at(Level::VARIATES_AND_TENANTS);
    done(&mut state, "a", declares("a", Some("x"), 4.0));
    for _ in 0..4 {
        round(&mut state, "a b");
    }
    assert_eq!(told(&state, "x"), 4);
    // The same four rounds with two nodes are 4·2².
    done(&mut state, "b", declares("b", Some("x"), 4.0));
    assert_eq!(told(&state, "x"), 16);
    round(&mut state, "a b");
    assert_eq!(told(&state, "x"), 20);
    // Elsewhere it has all its own rounds with it; here nothing is forgotten.
    done(&mut state, "b", declares("b", Some("y"), 4.0));
    assert_eq!((told(&state, "x"), told(&state, "y")), (20, 5));
    done(&mut state, "b", declares("b", None, 4.0));
    round(&mut state, "b");
    assert_eq!((told(&state, "x"), told(&state, "y")), (20, 5));
    assert_eq!(state.rounds.spent[&"b".into()][&Z], 6);
}

/// A round that was opened with a tenant's data is charged to it, wherever its node has gone meanwhile.
#[test]
fn who_changes_hands_in_a_round_is_in_it_for_both() {
    let mut state = at(Level::VARIATES_AND_TENANTS);
    done(&mut state, "a", declares("a", Some("x"), 4.0));
    open(&mut state, "a b");
    done(&mut state, "a", declares("a", Some("y"), 4.0));
    done(&mut state, "b", declares("b", Some("y"), 4.0));
    let act = spends(&state, "a b", Z);
    done(&mut state, "a", act);
    assert_eq!((told(&state, "x"), told(&state, "y")), (1, 4));
}

#[test]
fn accounts_are_bounded() {
    let mut state = at(Level::VARIATES_AND_TENANTS);
    for n in 0..MAX_TENANTS {
        done(&mut state, "a", declares("a", Some(&format!("t{n}")), 1.0));
    }
    let limit = "which is the limit";
    refused(&mut state, "a", declares("a", Some("more"), 1.0), limit);
    done(&mut state, "a", declares("a", Some("t0"), 1.0));
    open(&mut state, "a b");
    end(&mut state);
    // Half of a tenant's noises come of one node, half of another: one line more is one too many.
    let mut state = at(Level::VARIATES_AND_TENANTS);
    done(&mut state, "a", declares("a", Some("x"), 1.0));
    for noise in 1..=MAX_NOISES as u32 {
        open(&mut state, "a b");
        let act = spends(&state, if noise % 2 == 0 { "a" } else { "b" }, noise);
        done(&mut state, "a", act);
        end(&mut state);
    }
    done(&mut state, "b", declares("b", Some("x"), 1.0));
    open(&mut state, "a b c");
    let act = spends(&state, "c a", 9_999);
    refused(&mut state, "a", act, "x has taken part with 64 different");
    end(&mut state);
    open(&mut state, "c");
    let act = spends(&state, "c", 9_999);
    done(&mut state, "a", act);
    end(&mut state);
    let many = "more than 64 different";
    refused(&mut state, "c", declares("c", Some("x"), 1.0), many);
}
