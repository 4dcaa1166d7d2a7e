//! Whatever is proposed, in whatever order: every invariant holds, and every replica agrees.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use ledger::invariants::{ALL, Step, check};
use ledger::{Applied, State};
use proptest::prelude::*;
use wire::{
    Act, Alert, AlertKind, Digest, FeedAdvance, FeedShare, GroupCommitKind, KeyEpoch, Level,
    NodeId, ProposalId, Record, Removal, Role, Round, Severity, Source, StoreId, UnixMillis,
};

/// Three members and a stranger.
fn node() -> impl Strategy<Value = NodeId> {
    prop::sample::select(vec!["a", "b", "c", "z"]).prop_map(NodeId::from)
}

fn some_nodes() -> impl Strategy<Value = Vec<NodeId>> {
    prop::collection::vec(node(), 0..4)
}

fn advance() -> impl Strategy<Value = FeedAdvance> {
    (0u32..3, 0u64..6, 0u64..6, any::<bool>(), 0u64..6, 0u64..4).prop_map(
        |(partition, from, to, moved, resume, count)| FeedAdvance {
            partition,
            from,
            to,
            moved,
            resume,
            watermark: UnixMillis(0),
            count,
            digest: Digest([0; 32]),
        },
    )
}

fn act() -> impl Strategy<Value = Act> {
    let small = 0u64..6;
    // Few, so that they meet.
    let digest = (0u8..4).prop_map(|byte| Digest([byte; 32]));
    let id = prop::sample::select(vec!["x", "y"]).prop_map(String::from);
    let roster = some_nodes().prop_map(|names| names.into_iter().map(|n| (n, [1; 32])).collect());
    let kind = prop_oneof![
        Just(GroupCommitKind::Created { group: vec![1] }),
        Just(GroupCommitKind::Joined),
        small
            .clone()
            .prop_map(|n| GroupCommitKind::Rotated { round: Round(n) }),
        node().prop_map(|node| GroupCommitKind::Removed { nodes: vec![node] }),
    ];
    let name = id.clone();
    let membership = prop_oneof![
        1 => (0u16..3).prop_map(|n| Act::LevelRaised { level: Level(n) }),
        2 => (digest.clone(), prop::option::of(node()), 0u64..9).prop_map(
            |(invitation, node, expires)| Act::Invited {
                invitation, node, expires: UnixMillis(expires)
            }
        ),
        3 => (node(), any::<u8>(), digest.clone()).prop_map(|(node, key, invitation)| Act::Admitted {
            node, identity: [key; 32], address: "localhost:1".into(), invitation
        }),
        2 => (node(), any::<bool>()).prop_map(|(node, left)| Act::Removed {
            node,
            cause: if left { Removal::Left } else { Removal::Evicted { reason: "stolen".into() } },
        }),
        1 => (node(), any::<u64>()).prop_map(|(node, store)| Act::Introduced {
            node, address: "localhost:2".into(), store: StoreId(store)
        }),
        1 => (name, 0u64..4, digest.clone()).prop_map(|(name, version, module)| {
            Act::FunctionDeployed { name, version, module }
        }),
        3 => (node(), 1u16..3, 0u16..3).prop_map(|(node, of, share)| Act::RoleAssigned {
            role: Role::FeedShare(FeedShare { topic: "t".into(), of, share }),
            node,
        }),
        4 => (node(), prop::collection::vec(advance(), 0..3)).prop_map(|(node, advances)| {
            Act::FeedAdvanced { node, topic: "t".into(), advances }
        }),
        1 => (node(), 0u64..9).prop_map(|(node, until)| Act::ReaderKeyGranted {
            node, reader: "r".into(), topic: "t".into(), partition: "p".into(), until: UnixMillis(until)
        }),
        2 => (0u64..6, prop::collection::vec(node(), 0..3), 0u32..3, -1.0..3.0).prop_map(
            |(n, participants, noise_milli, epsilon)| Act::PrivacySpent {
                round: Round(n), participants, noise_milli, bound: 1.0, delta: 1e-5, epsilon
            }
        ),
        2 => (0u64..6, 0u8..3, prop::collection::vec((node(), 0u32..102), 0..3)).prop_map(
            |(n, model, updates)| {
                let (participants, ages) = updates.into_iter().unzip();
                Act::BufferedRoundClosed {
                    round: Round(n), model: Digest([model; 32]), participants, ages, examples: 1, loss: 0.5
                }
            }
        ),
        1 => (0u64..6).prop_map(|n| Act::VariatesReset { round: Round(n), reason: "lost".into() }),
        2 => (node(), prop::option::of(prop::sample::select(vec!["x", "y", ""])), 0.0..3.0).prop_map(
            |(node, tenant, epsilon)| Act::BudgetDeclared {
                node, tenant: tenant.map(str::to_owned), epsilon, delta: 1e-5
            }
        ),
    ];
    let alert = |id: String| Alert {
        id,
        device: "d".into(),
        room: "r".into(),
        kind: AlertKind::Reported {
            condition: "on battery".into(),
        },
        severity: Severity::Critical,
        at: UnixMillis(0),
        summary: String::new(),
    };
    prop_oneof![
        1 => roster.prop_map(|roster| Act::Genesis { cluster: "demo".into(), roster }),
        3 => (node(), small.clone()).prop_map(|(node, incarnation)| Act::NodeUp { node, incarnation }),
        2 => node().prop_map(|node| Act::NodeDown { node, reason: String::new() }),
        3 => (id.clone(), node()).prop_map(|(feed, node)| Act::RoleAssigned { role: Role::Feed(feed), node }),
        4 => (small.clone(), digest.clone(), some_nodes())
            .prop_map(|(n, model, cohort)| Act::RoundOpened { round: Round(n), model, cohort }),
        4 => (small.clone(), digest.clone(), some_nodes(), prop::num::f64::ANY).prop_map(
            |(n, model, participants, loss)| Act::RoundClosed {
                round: Round(n), model, participants, examples: 1, loss
            }
        ),
        2 => small.clone().prop_map(|n| Act::RoundAbandoned { round: Round(n), reason: String::new() }),
        2 => (digest.clone(), 0..3).prop_map(|(model, choice)| {
            let reason = "a reason".to_owned();
            match choice {
                0 => Act::ModelPinned { model, reason },
                1 => Act::ModelUnpinned { reason },
                _ => Act::ModelRolledBack { model, reason },
            }
        }),
        6 => (small.clone(), node(), kind).prop_map(|(n, committer, kind)| Act::GroupCommit {
            epoch: KeyEpoch(n), committer, kind, commit: Vec::new()
        }),
        2 => (node(), small.clone(), small, digest).prop_map(|(node, first, count, digest)| Act::Ingested {
            node, source: Source::Kafka, first, last: 3, count, digest
        }),
        2 => id.clone().prop_map(move |id| Act::AlertRaised(alert(id))),
        2 => id.prop_map(|id| Act::AlertCleared { id, at: UnixMillis(0) }),
        12 => membership,
    ]
}

fn records() -> impl Strategy<Value = Vec<Record>> {
    // Few ids, so that proposals repeat.
    let record = (0u8..80, node(), act()).prop_map(|(id, proposer, act)| Record {
        id: ProposalId([id; 16]),
        proposer,
        time: UnixMillis(0),
        act,
    });
    let founding = Record {
        id: ProposalId([255; 16]),
        proposer: "a".into(),
        time: UnixMillis(0),
        act: Act::Genesis {
            cluster: "demo".into(),
            roster: ["a", "b", "c"].map(|name| (name.into(), [7; 32])).to_vec(),
        },
    };
    // Half of the logs are founded, most of those at the newest level.
    let raised = Record {
        id: ProposalId([254; 16]),
        act: Act::LevelRaised {
            level: Level::NEWEST,
        },
        ..founding.clone()
    };
    (any::<(bool, bool)>(), prop::collection::vec(record, 0..120)).prop_map(
        move |((founded, level), mut records)| {
            if level {
                records.insert(0, raised.clone());
            }
            if founded {
                records.insert(0, founding.clone());
            }
            records
        },
    )
}

proptest! {
    #[test]
    fn invariants_hold_and_replicas_agree(records in records()) {
        let (mut one, mut two) = (State::new(), State::new());
        for (index, record) in (0..).zip(&records) {
            let before = one.clone();
            let applied = one.apply(index, record);
            prop_assert_eq!(check(Step { before: &before, after: &one, applied: &applied }), Ok(()));
            // The other replica gets the record over the wire.
            let copy: Record = wire::decode(&wire::encode(record)).unwrap();
            prop_assert_eq!(two.apply(index, &copy), applied);
        }
        // Losses are finite by rule, so equality is meaningful.
        prop_assert_eq!(one, two);
    }
}

/// A checker that cannot fail proves nothing: each invariant refuses a state made to break it.
#[test]
fn each_invariant_can_fail() {
    let founding = Act::Genesis {
        cluster: "demo".into(),
        roster: vec![("a".into(), [7; 32])],
    };
    let founding = Record {
        id: ProposalId([0; 16]),
        proposer: "a".into(),
        time: UnixMillis(0),
        act: founding,
    };
    let mut before = State::new();
    before.apply(0, &founding);
    let mut good = before.clone();
    let next = Record {
        id: ProposalId([1; 16]),
        act: Act::NodeUp {
            node: "a".into(),
            incarnation: 3,
        },
        ..founding
    };
    let applied = good.apply(1, &next);
    assert_eq!(
        check(Step {
            before: &before,
            after: &good,
            applied: &applied
        }),
        Ok(())
    );

    let ignored = Applied::Ignored {
        reason: String::new(),
    };
    type Break = (&'static str, fn(&mut State));
    let broken: Vec<Break> = vec![
        ("LEAVES_COUNTED", |state| state.size += 1),
        ("ROSTER_BY_ONE", |state| {
            state.members.get_mut(&"a".into()).unwrap().identity = [8; 32]
        }),
        ("ADMITTED_BY_INVITATION", |state| {
            let member = state.members[&"a".into()].clone();
            state.members.insert("z".into(), member);
        }),
        ("LEVEL_MONOTONIC", |state| state.level = Level(2)),
        ("ROLE_HELD_BY_MEMBER", |state| {
            state.roles.insert(Role::Feed("f".into()), "z".into());
        }),
        ("ONE_OPEN_ROUND_NEXT_IN_LINE", |state| {
            state.rounds.open = Some(ledger::OpenRound {
                round: Round(2),
                model: Digest([0; 32]),
                cohort: vec![],
                tenants: Default::default(),
                since: 0,
                at: UnixMillis(0),
                charged: None,
            });
        }),
        ("ROUND_ENDS_ONCE", |state| state.rounds.abandoned += 1),
        ("ONE_MODEL_PER_ROUND", |state| {
            state.rounds.model = Some(Digest([1; 32]))
        }),
        ("PRIVACY_COUNTED_ONCE", |state| {
            let rounds = std::collections::BTreeMap::from([(1_000, 1)]);
            state.rounds.spent.insert("a".into(), rounds);
        }),
        ("TENANTS_NEVER_FORGET", |state| {
            let told = std::collections::BTreeMap::from([(1_000, 1)]);
            state.rounds.tenants.insert("t".into(), told);
        }),
        ("KEY_EPOCH_MONOTONIC", |state| {
            state.keys.epoch = KeyEpoch(2)
        }),
        ("ALERTS_BALANCE", |state| state.alerts_raised += 1),
        ("FEED_BY_ITS_HOLDER", |state| {
            let position = ledger::FeedPosition {
                to: 1,
                resume: 1,
                watermark: UnixMillis(0),
                records: 1,
                by: "a".into(),
                digest: Digest([0; 32]),
            };
            state.feeds.insert(("f".into(), 0), position);
        }),
        ("SCORING_FOLLOWS", |state| {
            state.rounds.scoring = Some(ledger::ScoringModel {
                leaf: 0,
                round: Round(1),
                model: Digest([1; 32]),
            })
        }),
        ("BOUNDED", |state| {
            let ended = ledger::EndedRound {
                round: Round(1),
                base: Digest([0; 32]),
                cohort: 1,
                opened: 0,
                ended: 0,
                took_ms: 0,
                at: UnixMillis(0),
                outcome: ledger::RoundOutcome::Abandoned(String::new()),
            };
            let many = std::iter::repeat_n(ended, ledger::MAX_HISTORY + 1);
            state.rounds.history.extend(many)
        }),
    ];
    for (id, break_it) in broken {
        let mut after = good.clone();
        break_it(&mut after);
        let found = check(Step {
            before: &before,
            after: &after,
            applied: &applied,
        })
        .unwrap_err();
        assert_eq!(found.id, id);
    }
    let found = check(Step {
        before: &before,
        after: &good,
        applied: &ignored,
    })
    .unwrap_err();
    assert_eq!(found.id, "NO_EFFECT_NO_CHANGE");
    let mut back = good.clone();
    back.members.get_mut(&"a".into()).unwrap().incarnation = 2;
    back.size += 1;
    back.tally.effective += 1;
    let found = check(Step {
        before: &good,
        after: &back,
        applied: &applied,
    })
    .unwrap_err();
    assert_eq!(found.id, "INCARNATION_MONOTONIC");
    assert_eq!(
        ALL.len(),
        17,
        "a new invariant needs a state that breaks it here"
    );
}
