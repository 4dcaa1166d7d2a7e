//! Rounds under privacy: cost before model, and an end when it is spent.

use super::super::*;
use super::learning::{House, name};
use crate::privacy::budget::{self, Budget, Holder};
use crate::privacy::clipping::Quantile;
use wire::Act;

fn config(epsilon: f64) -> Config {
    Config {
        privacy: Some(Privacy {
            noise_milli: 2_000,
            bound: 1.0,
            adaptive: None,
            noise: crate::secagg::NoiseBy::Aggregator,
            budget: Budget {
                epsilon,
                delta: 1e-5,
            },
        }),
        ..Config::default()
    }
}

fn kinds(acts: &[Act]) -> Vec<&'static str> {
    acts.iter()
        .map(|act| match act {
            Act::RoundOpened { .. } => "opened",
            Act::PrivacySpent { .. } => "spent",
            Act::RoundClosed { .. } => "closed",
            Act::RoundAbandoned { .. } => "abandoned",
            _ => "other",
        })
        .collect()
}

#[test]
fn the_cost_is_on_the_ledger_before_the_model() {
    let mut house = House::new(3, config(100.0));
    house.lead();
    house.run(2);
    assert_eq!(
        kinds(&house.acts),
        ["opened", "spent", "closed", "opened", "spent", "closed"]
    );
    let costs: Vec<f64> = house
        .acts
        .iter()
        .filter_map(|act| match act {
            Act::PrivacySpent { epsilon, .. } => Some(*epsilon),
            _ => None,
        })
        .collect();
    let expected = |rounds| budget::epsilon(&[(2_000, rounds)].into(), 1e-5);
    assert_eq!(costs, [expected(1), expected(2)]);
    // Neither examples nor losses of private rounds are told.
    let told = house.acts.iter().find_map(|act| match act {
        Act::RoundClosed { examples, loss, .. } => Some((*examples, *loss)),
        _ => None,
    });
    assert_eq!(told, Some((3, 0.0)));
}

/// Before the charge is seen nothing of the model leaves the machine, and a leader that is replaced then
/// takes it with it.
#[test]
fn an_uncharged_model_goes_nowhere() {
    let mut aggregator = Aggregator::new(name(0), config(100.0)).with_noise([1; 32]);
    let mut out = Vec::new();
    let mut feed = |input| {
        out.clear();
        aggregator.handle(Instant::ZERO, input, &mut out);
        std::mem::take(&mut out)
    };
    let parameters = Arc::new(vec![0.0, 0.0]);
    let model = crate::model_digest(&parameters);
    let cohort: Vec<NodeId> = (0..2).map(name).collect();
    let spent = Default::default();
    feed(Input::Members(cohort.iter().cloned().collect()));
    feed(Input::ModelReady {
        digest: model,
        parameters,
    });
    feed(Input::Spent { round: None, spent });
    feed(Input::Leading {
        next: Round(1),
        open: None,
        model: None,
    });
    feed(Input::Opened {
        round: Round(1),
        model,
        cohort: cohort.clone(),
        by: name(0),
        secure: None,
        carried: Default::default(),
        ages: true,
    });
    let mut last = Vec::new();
    for node in cohort {
        last = feed(Input::Update(Update {
            round: Round(1),
            node,
            base: model,
            delta: vec![1.0, 1.0],
            examples: 1,
            loss: 1.0,
        }));
    }
    assert!(
        matches!(&last[..], [Output::Propose(Act::PrivacySpent { .. })]),
        "{last:?}"
    );
    // Repeated, not forgotten.
    let reason = "no leader".to_owned();
    let failed = feed(Input::ProposalFailed {
        round: Round(1),
        reason,
    });
    assert!(matches!(&failed[..], [Output::Note(_)]), "{failed:?}");
    // Another round's charge is not this one's.
    let other = feed(Input::Spent {
        round: Some(Round(9)),
        spent: Default::default(),
    });
    assert_eq!(other, []);
    feed(Input::NotLeading);
    let late = feed(Input::Spent {
        round: Some(Round(1)),
        spent: Default::default(),
    });
    assert_eq!(late, []);
}

/// The fold may refuse the charge for good: the round must not hang on it.
#[test]
fn a_round_that_cannot_be_charged_is_abandoned() {
    let mut house = House::new(3, config(100.0));
    house.refuses_charges = true;
    house.lead();
    house.run(1);
    let kinds = kinds(&house.acts);
    assert_eq!(kinds[0], "opened");
    let end = kinds
        .iter()
        .position(|kind| *kind == "abandoned")
        .expect("an end");
    assert!(
        end > 2 && kinds[1..end].iter().all(|kind| *kind == "spent"),
        "{kinds:?}"
    );
    assert!(house.losses.is_empty());
}

#[test]
fn training_stops_when_the_budget_is_spent() {
    let mut house = House::new(3, config(5.0));
    house.lead();
    house.run(1_000);
    let rounds = house.losses.len();
    assert!((2..100).contains(&rounds), "{rounds}");
    let spent = budget::epsilon(&house.spent.spent[&Holder::Node(name(0))], 1e-5);
    assert!(spent <= 5.0 && spent > 4.5, "{spent}");
    assert_eq!(house.aggregator.deadline(), None);
    let each = |n| format!("{} (ε = {spent:.3} of 5 at δ = 0.00001)", name(n));
    let all: Vec<String> = (0..3).map(each).collect();
    assert_eq!(
        house.notes,
        [format!(
            "training stops: one more round would take over the privacy budget {}; that leaves 0 of 3 nodes, and 2 are needed; the model stays as it is until `learning.privacy.epsilon` is raised on nodes of theirs",
            all.join(", ")
        )]
    );
}

/// Two of four nodes are one tenant's: it has spent in a quarter of the rounds what the others have in all.
#[test]
fn a_tenant_pays_for_its_nodes_together_and_stops_before_others() {
    let mut house = House::new(4, config(5.0));
    for n in [2, 3] {
        house.spent.tenants.insert(name(n), "x".to_owned());
    }
    house.lead();
    house.run(1_000);
    let asked = |act: &Act| match act {
        Act::RoundOpened { cohort, .. } => Some(cohort.clone()),
        _ => None,
    };
    let cohorts: Vec<_> = house.acts.iter().filter_map(asked).collect();
    let together = cohorts
        .iter()
        .take_while(|cohort| cohort.len() == 4)
        .count();
    let alone = [0, 1].map(name);
    assert!(cohorts[together..].iter().all(|cohort| *cohort == alone));
    assert!((4 * together..4 * together + 4).contains(&cohorts.len()));
    let spent = |holder: Holder| budget::epsilon(&house.spent.spent[&holder], 1e-5);
    for holder in [Holder::Tenant("x".to_owned()), Holder::Node(name(0))] {
        let spent = spent(holder.clone());
        assert!(spent <= 5.0 && spent > 4.0, "{holder}: {spent}");
    }
    // What the ledger is told is the largest of all accounts, and those of tenants are among them.
    let told = house.acts.iter().find_map(|act| match act {
        Act::PrivacySpent { epsilon, .. } => Some(*epsilon),
        _ => None,
    });
    assert_eq!(told, Some(budget::epsilon(&[(2_000, 4)].into(), 1e-5)));
    let [note] = &house.notes[..] else {
        panic!("{:?}", house.notes);
    };
    assert!(
        note.contains("tenant x (ε = ") && note.contains("leaves 0 of 4 nodes"),
        "{note}"
    );
}

#[test]
fn a_declared_budget_goes_before_the_configured_one() {
    let mut house = House::new(3, config(1e9));
    let little = Budget {
        epsilon: 5.0,
        delta: 1e-5,
    };
    house.spent.budgets.insert(Holder::Node(name(1)), little);
    house.lead();
    house.run(40);
    let asked = |act: &Act| match act {
        Act::RoundOpened { cohort, .. } => Some(cohort.contains(&name(1))),
        _ => None,
    };
    let asked: Vec<bool> = house.acts.iter().filter_map(asked).collect();
    let rounds = asked.iter().take_while(|asked| **asked).count();
    assert!((2..10).contains(&rounds), "{rounds}");
    assert!(asked[rounds..].iter().all(|asked| !asked));
}

/// The next leader has the accounts from the ledger, and goes on where they stand.
#[test]
fn another_leader_finds_a_tenants_account_as_it_is() {
    let mut first = House::new(4, config(9.5));
    for n in [2, 3] {
        first.spent.tenants.insert(name(n), "x".to_owned());
    }
    first.lead();
    first.run(3);
    let mut next = House::with(Aggregator::new(name(0), config(9.5)).with_noise([6; 32]), 4);
    next.spent = first.spent.clone();
    next.lead();
    let [Act::RoundOpened { cohort, .. }, ..] = &next.acts[..] else {
        panic!("{:?}", next.acts);
    };
    let tenant = &next.spent.spent[&Holder::Tenant("x".to_owned())];
    // ε = 9.01; a fourth round would make it 10.7.
    assert_eq!(tenant[&2_000], 12);
    assert_eq!(*cohort, [0, 1].map(name));
}

#[test]
fn who_has_nothing_left_is_not_asked() {
    let mut house = House::new(4, config(9.5));
    let holder = Holder::Node(name(1));
    house.spent.spent.insert(holder, [(2_000, 10_000)].into());
    house.lead();
    house.run(1);
    let Some(Act::RoundOpened { cohort, .. }) = house.acts.first() else {
        panic!("{:?}", house.acts);
    };
    assert_eq!(*cohort, [0, 2, 3].map(name));
}

#[test]
fn without_the_ledgers_word_or_a_secret_there_is_no_private_round() {
    let mut house = House::new(3, config(9.5));
    let mut out = Vec::new();
    let leading = Input::Leading {
        next: Round(1),
        open: None,
        model: None,
    };
    house.aggregator.handle(house.now, leading, &mut out);
    let [Output::Note(note)] = &out[..] else {
        panic!("{out:?}");
    };
    assert!(note.contains("level 5"), "{note}");
    assert_eq!(
        house.aggregator.deadline(),
        None,
        "it is not known what was spent"
    );

    let mut house = House::with(Aggregator::new(name(0), config(9.5)), 3);
    house.lead();
    house.run(1);
    assert_eq!(kinds(&house.acts)[..2], ["opened", "abandoned"]);
    assert!(house.spent.spent.is_empty());
}

#[test]
fn long_updates_are_clipped_and_not_refused() {
    let mut private = config(1e6);
    private.max_norm = 1e-3;
    let mut house = House::new(3, private);
    house.lead();
    house.run(1);
    assert_eq!(kinds(&house.acts), ["opened", "spent", "closed"]);
    assert_eq!(house.aggregator.counters().refused, 0);
}

#[test]
fn the_bound_follows_and_is_on_the_ledger() {
    let mut adaptive = config(1e6);
    if let Some(privacy) = &mut adaptive.privacy {
        privacy.noise_milli = 500;
        privacy.bound = 100.0;
        privacy.adaptive = Some(Quantile::for_cohort(20));
    }
    let mut house = House::new(20, adaptive);
    house.lead();
    house.run(30);
    let bounds: Vec<f64> = house
        .acts
        .iter()
        .filter_map(|act| match act {
            Act::PrivacySpent { bound, .. } => Some(*bound),
            _ => None,
        })
        .collect();
    assert_eq!(bounds[0], 100.0);
    assert!(bounds[29] < 30.0 && bounds[29] > 0.1, "{bounds:?}");
}
