//! Rules of the fold, one table per subject: `(proposer's act, what it does)`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use ledger::invariants::{Step, check};
use ledger::{Applied, RoundOutcome, SEEN_WINDOW, State};
use wire::{
    Act, Alert, AlertKind, Digest, GroupCommitKind, KeyEpoch, Level, NodeId, ProposalId, Record,
    Role, RoomId, Round, Severity, Source, UnixMillis,
};

/// Expected outcome; the text is part of the reason.
#[derive(Debug)]
enum Is {
    Done,
    Lost(u64),
    Not(&'static str),
}
use Is::{Done, Lost, Not};

fn record(number: u64, act: Act) -> Record {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    Record {
        id: ProposalId(id),
        proposer: "a".into(),
        time: UnixMillis(number),
        act,
    }
}

/// Applies with every invariant checked.
fn apply(state: &mut State, record: &Record) -> Applied {
    let before = state.clone();
    let applied = state.apply(before.size, record);
    check(Step {
        before: &before,
        after: state,
        applied: &applied,
    })
    .unwrap();
    applied
}

fn founded() -> State {
    let mut state = State::new();
    let roster = ["a", "b", "c"]
        .iter()
        .zip(1..)
        .map(|(n, k)| ((*n).into(), [k; 32]))
        .collect();
    let act = Act::Genesis {
        cluster: "demo".into(),
        roster,
    };
    assert_eq!(
        apply(&mut state, &record(u64::MAX, act)),
        Applied::Effective
    );
    state
}

fn run(mut state: State, acts: Vec<(Act, Is)>) -> State {
    for (act, is) in acts {
        let number = state.size;
        let applied = apply(&mut state, &record(number, act.clone()));
        let fits = match (&is, &applied) {
            (Done, Applied::Effective) => true,
            (Lost(epoch), Applied::Lost { current }) => current.0 == *epoch,
            (Not(part), Applied::Ignored { reason }) => reason.contains(part),
            _ => false,
        };
        assert!(
            fits,
            "leaf {number}: {act:?} should be {is:?}, was {applied:?}"
        );
    }
    state
}

fn nodes(names: &str) -> Vec<NodeId> {
    names.split_whitespace().map(NodeId::from).collect()
}

fn up(node: &str, incarnation: u64) -> Act {
    Act::NodeUp {
        node: node.into(),
        incarnation,
    }
}

fn down(node: &str) -> Act {
    Act::NodeDown {
        node: node.into(),
        reason: "no pong".into(),
    }
}

fn room(name: &str, node: &str) -> Act {
    Act::RoleAssigned {
        role: Role::Room(RoomId::new(name)),
        node: node.into(),
    }
}

fn open(round: u64, cohort: &str) -> Act {
    Act::RoundOpened {
        round: Round(round),
        model: Digest([0; 32]),
        cohort: nodes(cohort),
    }
}

fn close(round: u64, participants: &str, loss: f64) -> Act {
    let (round, model) = (Round(round), Digest([round as u8; 32]));
    Act::RoundClosed {
        round,
        model,
        participants: nodes(participants),
        examples: 10,
        loss,
    }
}

fn abandon(round: u64) -> Act {
    Act::RoundAbandoned {
        round: Round(round),
        reason: "nobody answered".into(),
    }
}

fn spend(round: u64, participants: &str, noise_milli: u32) -> Act {
    Act::PrivacySpent {
        round: Round(round),
        participants: nodes(participants),
        noise_milli,
        bound: 1.0,
        delta: 1e-5,
        epsilon: 2.5,
    }
}

fn commit(epoch: u64, node: &str, kind: GroupCommitKind) -> Act {
    Act::GroupCommit {
        epoch: KeyEpoch(epoch),
        committer: node.into(),
        kind,
        commit: vec![1],
    }
}

fn created() -> GroupCommitKind {
    GroupCommitKind::Created {
        group: b"g".to_vec(),
    }
}

fn alert(id: &str) -> Act {
    Act::AlertRaised(Alert {
        id: id.into(),
        device: "d".into(),
        room: "r".into(),
        kind: AlertKind::Silent { for_ms: 1 },
        severity: Severity::Warning,
        at: UnixMillis(1),
        summary: "silent".into(),
    })
}

fn clear(id: &str) -> Act {
    Act::AlertCleared {
        id: id.into(),
        at: UnixMillis(2),
    }
}

fn ingested(node: &str, first: u64, last: u64, count: u64) -> Act {
    let (node, source, digest) = (node.into(), Source::Mail, Digest([9; 32]));
    Act::Ingested {
        node,
        source,
        first,
        last,
        count,
        digest,
    }
}

#[test]
fn genesis() {
    let genesis = |names: &str| Act::Genesis {
        cluster: "demo".into(),
        roster: nodes(names)
            .into_iter()
            .map(|node| (node, [1; 32]))
            .collect(),
    };
    let state = run(
        State::new(),
        vec![
            (up("a", 1), Not("the first leaf must be the genesis")),
            (genesis(""), Not("at least one member")),
            (genesis("a a"), Not("twice")),
            (genesis("a b"), Done),
            (genesis("a b c"), Not("has its genesis already")),
        ],
    );
    assert_eq!(state.cluster.as_deref(), Some("demo"));
    assert_eq!(state.members.len(), 2);
    assert_eq!(state.up().count(), 0);
}

#[test]
fn strangers_have_no_say() {
    let mut state = founded();
    let mut act = record(1, up("a", 1));
    act.proposer = "z".into();
    let Applied::Ignored { reason } = apply(&mut state, &act) else {
        panic!("a stranger's act took effect")
    };
    assert_eq!(reason, "z is not a member of the cluster");
}

#[test]
fn members_come_and_go() {
    let state = run(
        founded(),
        vec![
            (up("z", 1), Not("not a member")),
            (down("a"), Not("down already")),
            (up("a", 5), Done),
            (up("a", 5), Not("up already")),
            (up("a", 4), Not("older")),
            (down("a"), Done),
            // Held for down by mistake: the same process comes back.
            (up("a", 5), Done),
            // A restart may overtake the notice of the crash.
            (up("a", 6), Done),
            (up("b", 1), Done),
            (down("b"), Done),
        ],
    );
    assert_eq!(state.up().collect::<Vec<_>>(), [&NodeId::from("a")]);
    assert_eq!(
        state.members[&"b".into()].down_reason.as_deref(),
        Some("no pong")
    );
    assert_eq!(state.members[&"a".into()].incarnation, 6);
}

#[test]
fn roles_go_to_nodes_that_are_up() {
    let state = run(
        founded(),
        vec![
            (room("r1", "a"), Not("a is down")),
            (up("a", 1), Done),
            (up("b", 1), Done),
            (room("r1", "a"), Done),
            (room("r1", "a"), Not("already")),
            (room("r1", "b"), Done),
            (room("r2", "b"), Done),
            (room("r2", "z"), Not("not a member")),
            (down("b"), Done),
        ],
    );
    // Until the steward assigns anew, the log says who held it.
    assert_eq!(state.roles_of(&"b".into()).count(), 2);
    assert_eq!(state.roles_of(&"a".into()).count(), 0);
}

#[test]
fn rounds_run_one_at_a_time() {
    let state = run(
        founded(),
        vec![
            (close(1, "a", 1.0), Not("no round is open")),
            (open(2, "a"), Not("the next round is 1")),
            (open(0, "a"), Not("the next round is 1")),
            (open(1, ""), Not("asks nobody")),
            (open(1, "a a"), Not("twice")),
            (open(1, "a z"), Not("not a member")),
            (open(1, "a b"), Done),
            (open(1, "a b"), Not("still open")),
            (open(2, "a b"), Not("still open")),
            (close(2, "a", 1.0), Not("round 1 is open")),
            (close(1, "", 1.0), Not("no participants")),
            (close(1, "a a", 1.0), Not("twice")),
            (close(1, "c", 1.0), Not("not in the cohort")),
            (close(1, "a", f64::NAN), Not("not a number")),
            (close(1, "a b", 0.5), Done),
            (close(1, "a b", 0.5), Not("no round is open")),
            (abandon(1), Not("no round is open")),
            (open(1, "a"), Not("the next round is 2")),
            (open(2, "a b c"), Done),
            (abandon(3), Not("round 2 is open")),
            (abandon(2), Done),
            (open(3, "a"), Done),
            (close(3, "a", 0.25), Done),
        ],
    );
    let rounds = &state.rounds;
    assert_eq!(
        (rounds.closed, rounds.abandoned, rounds.last),
        (2, 1, Round(3))
    );
    assert_eq!(rounds.model, Some(Digest([3; 32])));
    let losses: Vec<_> = rounds.losses().collect();
    assert_eq!(losses, [(Round(1), 0.5), (Round(3), 0.25)]);
    assert_eq!(rounds.open, None);
    let told: Vec<_> = rounds.history.iter().map(|ended| &ended.outcome).collect();
    assert!(
        matches!(
            told[0],
            RoundOutcome::Closed {
                participants: 2,
                examples: 10,
                ..
            }
        ),
        "{told:?}"
    );
    assert_eq!(*told[1], RoundOutcome::Abandoned("nobody answered".into()));
}

fn pin(model: u8, reason: &str) -> Act {
    let (model, reason) = (Digest([model; 32]), reason.to_owned());
    Act::ModelPinned { model, reason }
}

fn roll_back(model: u8, reason: &str) -> Act {
    let (model, reason) = (Digest([model; 32]), reason.to_owned());
    Act::ModelRolledBack { model, reason }
}

fn unpin() -> Act {
    let reason = "the fault is mended".to_owned();
    Act::ModelUnpinned { reason }
}

fn open_from(round: u64, model: u8) -> Act {
    Act::RoundOpened {
        round: Round(round),
        model: Digest([model; 32]),
        cohort: nodes("a b"),
    }
}

fn newest() -> State {
    let raised = (1..=Level::NEWEST.0).map(|level| {
        let level = Level(level);
        (Act::LevelRaised { level }, Done)
    });
    run(founded(), raised.collect())
}

#[test]
fn a_pinned_model_scores_while_rounds_go_on() {
    let state = run(
        newest(),
        vec![
            (pin(1, "too early"), Not("none of the last 200 rounds")),
            (unpin(), Not("no model is pinned")),
            (open_from(1, 0), Done),
            (close(1, "a b", 0.5), Done),
            (pin(1, ""), Not("needs a reason of 1 to 500 bytes")),
            (pin(1, &"x".repeat(501)), Not("needs a reason")),
            (pin(1, "known to be good"), Done),
            (open_from(2, 1), Done),
            (close(2, "a b", 0.4), Done),
        ],
    );
    let scoring = state.rounds.scoring.unwrap();
    assert_eq!((scoring.round, scoring.model), (Round(1), Digest([1; 32])));
    assert_eq!(state.rounds.model, Some(Digest([2; 32])));
    let state = run(state, vec![(unpin(), Done)]);
    let scoring = state.rounds.scoring.unwrap();
    assert_eq!((scoring.round, scoring.model), (Round(2), Digest([2; 32])));
    assert_eq!(scoring.leaf, state.size - 1);
}

#[test]
fn learning_goes_on_from_the_model_rolled_back_to_and_from_no_other() {
    let state = run(
        newest(),
        vec![
            (open_from(1, 0), Done),
            (close(1, "a b", 0.5), Done),
            (open_from(2, 1), Done),
            (close(2, "a b", 0.4), Done),
            (open_from(3, 2), Done),
            (roll_back(7, "poisoned"), Not("none of the last 200 rounds")),
            (roll_back(1, "poisoned"), Done),
            (close(3, "a b", 0.3), Not("no round is open")),
            (open_from(4, 2), Not("must start from model 0101")),
        ],
    );
    assert_eq!(state.rounds.abandoned, 1);
    assert_eq!(state.rounds.scoring.unwrap().round, Round(1));
    let last = &state.rounds.history.back().unwrap().outcome;
    let RoundOutcome::Abandoned(why) = last else {
        panic!("{last:?}");
    };
    assert!(why.contains("round 1") && why.contains("poisoned"), "{why}");
    let state = run(
        state,
        vec![(open_from(4, 1), Done), (close(4, "a", 0.45), Done)],
    );
    assert_eq!(state.rounds.scoring.unwrap().round, Round(4));
    // Back to before all learning.
    let state = run(state, vec![(roll_back(0, "start anew"), Done)]);
    assert_eq!(state.rounds.scoring.unwrap().round, Round(0));
}

#[test]
fn a_buffered_round_says_how_old_each_update_is() {
    let close = |round, of: &str, ages: &[u32]| Act::BufferedRoundClosed {
        round: Round(round),
        model: Digest([round as u8; 32]),
        participants: nodes(of),
        ages: ages.to_vec(),
        examples: 10,
        loss: 0.5,
    };
    let mut state = founded();
    assert_eq!(
        apply(&mut state, &record(900, open(1, "a b c"))),
        Applied::Effective
    );
    let too_low = apply(&mut state, &record(901, close(1, "a b", &[0, 3])));
    assert!(
        matches!(too_low, Applied::Ignored { .. }),
        "below its level"
    );
    state.level = Level::VARIATES_AND_TENANTS;
    let state = run(
        state,
        vec![
            (
                close(1, "a b", &[0]),
                Not("the ages of 1 updates and counts 2"),
            ),
            (close(1, "a b", &[0, 1, 2]), Not("the ages of 3 updates")),
            (
                close(1, "a b", &[0, 101]),
                Not("from 101 models ago; at most 100"),
            ),
            // All else is as where they are not said.
            (close(1, "a a", &[0, 1]), Not("twice")),
            (close(1, "", &[]), Not("no participants")),
            (close(1, "a c", &[0, 100]), Done),
            (close(1, "a c", &[0, 100]), Not("no round is open")),
        ],
    );
    let outcome = &state.rounds.history[0].outcome;
    let RoundOutcome::Closed { ages, .. } = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(*ages, [("a".into(), 0), ("c".into(), 100)].into());
    assert_eq!(state.rounds.model, Some(Digest([1; 32])));
}

#[test]
fn a_lost_variate_is_of_a_round_that_there_was() {
    let lost = |round, reason: &str| Act::VariatesReset {
        round: Round(round),
        reason: reason.to_owned(),
    };
    let mut state = founded();
    let too_low = apply(&mut state, &record(900, lost(1, "a torn file")));
    assert!(
        matches!(too_low, Applied::Ignored { .. }),
        "below its level"
    );
    state.level = Level::VARIATES_AND_TENANTS;
    let long = "x".repeat(501);
    run(
        state,
        vec![
            (lost(1, "a torn file"), Not("the newest one is 0")),
            (open(1, "a b"), Done),
            (lost(2, "a torn file"), Not("the newest one is 1")),
            (
                lost(0, "a torn file"),
                Not("no variate can be lost in round 0"),
            ),
            (lost(1, " "), Not("needs a reason")),
            (lost(1, &long), Not("needs a reason")),
            (lost(1, "a torn file"), Done),
            (close(1, "a", 1.0), Done),
            // It turned out in the round, and came to the ledger after its end.
            (lost(1, "a torn file"), Done),
        ],
    );
}

#[test]
fn private_rounds_are_paid_for_before_they_close() {
    let mut state = founded();
    let too_low = apply(&mut state, &record(900, spend(1, "a", 1)));
    assert!(
        matches!(too_low, Applied::Ignored { .. }),
        "below its level"
    );
    state.level = Level::LEARNING;
    let figure = |bound, delta, epsilon| Act::PrivacySpent {
        round: Round(1),
        participants: nodes("a"),
        noise_milli: 1_000,
        bound,
        delta,
        epsilon,
    };
    let state = run(
        state,
        vec![
            (spend(1, "a", 1_000), Not("no round is open")),
            (open(1, "a b"), Done),
            (spend(2, "a", 1_000), Not("round 1 is open, not 2")),
            (spend(1, "", 1_000), Not("to nobody")),
            (spend(1, "a a", 1_000), Not("twice")),
            (spend(1, "a c", 1_000), Not("c is not in the cohort")),
            (spend(1, "a", 0), Not("no number above 0")),
            (figure(f64::NAN, 1e-5, 1.0), Not("no number above 0")),
            (figure(1.0, 0.0, 1.0), Not("no number above 0")),
            (figure(1.0, 1e-5, f64::INFINITY), Not("no number above 0")),
            (figure(1.0, 1e-5, -0.5), Not("no number above 0")),
            (spend(1, "a b", 1_000), Done),
            (spend(1, "a b", 1_000), Not("charged for already")),
            (close(1, "a", 1.0), Not("with others than those")),
            (close(1, "b a", 1.0), Done),
            // Charged, and abandoned: it counts.
            (open(2, "a b c"), Done),
            (spend(2, "c a", 1_000), Done),
            (abandon(2), Done),
            // Without privacy, as before.
            (open(3, "a b"), Done),
            (close(3, "a", 1.0), Done),
            (open(4, "a"), Done),
            (spend(4, "a", 2_000), Done),
            (close(4, "a", 1.0), Done),
        ],
    );
    let of = |node: &str| -> Vec<(u32, u64)> {
        let rounds = &state.rounds.spent[&node.into()];
        rounds
            .iter()
            .map(|(noise, count)| (*noise, *count))
            .collect()
    };
    assert_eq!(of("a"), [(1_000, 2), (2_000, 1)]);
    // A model's lineage says what it cost.
    let costs = state
        .rounds
        .history
        .iter()
        .map(|ended| match ended.outcome {
            RoundOutcome::Closed { privacy, .. } => privacy.map(|cost| cost.noise_milli),
            RoundOutcome::Abandoned(_) => None,
        });
    assert!(costs.eq([Some(1_000), None, None, Some(2_000)]));
    assert_eq!(of("b"), [(1_000, 1)]);
    assert_eq!(of("c"), [(1_000, 1)]);
}

#[test]
fn the_first_group_commit_of_an_epoch_wins() {
    let rotated = || GroupCommitKind::Rotated { round: Round(1) };
    let state = run(
        founded(),
        vec![
            (
                commit(1, "b", GroupCommitKind::Joined),
                Not("no key group yet"),
            ),
            (commit(2, "a", created()), Lost(0)),
            (commit(1, "z", created()), Not("not a member")),
            (commit(1, "a", created()), Done),
            (commit(1, "b", created()), Lost(1)),
            (commit(2, "b", GroupCommitKind::Joined), Done),
            (commit(2, "c", GroupCommitKind::Joined), Lost(2)),
            (commit(3, "c", GroupCommitKind::Joined), Done),
            (commit(4, "a", rotated()), Done),
            (commit(4, "b", rotated()), Lost(4)),
            (commit(6, "b", rotated()), Lost(4)),
        ],
    );
    assert_eq!(state.keys.epoch, KeyEpoch(4));
    assert_eq!(state.keys.group.as_deref(), Some(b"g".as_slice()));
    assert_eq!(state.keys.last_commit, Some((9, "a".into())));
    assert_eq!(state.tally.lost, 5);
}

#[test]
fn alerts_open_once_and_close_once() {
    let state = run(
        founded(),
        vec![
            (alert("x"), Done),
            (alert("x"), Not("open already")),
            (clear("y"), Not("not open")),
            (clear("x"), Done),
            (clear("x"), Not("not open")),
            (alert("x"), Done),
        ],
    );
    assert_eq!(
        (
            state.alerts_raised,
            state.alerts_cleared,
            state.alerts.len()
        ),
        (2, 1, 1)
    );
}

#[test]
fn open_alerts_are_bounded() {
    let mut state = founded();
    for n in 0..ledger::MAX_OPEN_ALERTS {
        state = run(state, vec![(alert(&n.to_string()), Done)]);
    }
    run(
        state,
        vec![
            (alert("one more"), Not("the limit")),
            (clear("0"), Done),
            (alert("one more"), Done),
        ],
    );
}

#[test]
fn ingest_adds_up() {
    let state = run(
        founded(),
        vec![
            (ingested("a", 0, 9, 10), Done),
            (ingested("a", 10, 10, 1), Done),
            (ingested("a", 5, 4, 1), Not("backwards")),
            (ingested("a", 5, 5, 0), Not("at least one")),
            (ingested("z", 0, 0, 1), Not("not a member")),
        ],
    );
    let total = &state.ingest[&("a".into(), Source::Mail)];
    assert_eq!((total.batches, total.count, total.last), (2, 11, 10));
}

#[test]
fn a_repeated_proposal_counts_once() {
    let mut state = founded();
    let first = record(7, ingested("a", 0, 0, 1));
    assert_eq!(apply(&mut state, &first), Applied::Effective);
    assert_eq!(apply(&mut state, &first), Applied::Duplicate { first: 1 });
    assert_eq!(state.leaf_of(&first.id), Some(1));
    // Still known a whole window later …
    for n in 0..SEEN_WINDOW as u64 - 1 {
        apply(&mut state, &record(1000 + n, ingested("b", n, n, 1)));
    }
    assert_eq!(apply(&mut state, &first), Applied::Duplicate { first: 1 });
    assert_eq!(state.ingest[&("a".into(), Source::Mail)].count, 1);
    // … and forgotten after two, so that memory stays bounded.
    for n in 0..2 * SEEN_WINDOW as u64 {
        apply(&mut state, &record(100_000 + n, ingested("b", n, n, 1)));
    }
    assert_eq!(state.leaf_of(&first.id), None);
}

#[test]
#[should_panic(expected = "in log order without gaps")]
fn a_gap_is_a_bug() {
    founded().apply(5, &record(1, up("a", 1)));
}
