//! One custodian, one situation, the exact outputs.

use super::super::*;
use super::world::{key, name, roster};
use std::collections::BTreeSet;
use wire::Act;

const T: Instant = Instant::from_millis(500);

fn custodian() -> Custodian {
    Custodian::new(name(0), key(0), roster(3), [1; 32])
}

fn feed(custodian: &mut Custodian, inputs: impl IntoIterator<Item = Input>) -> Vec<&'static str> {
    let mut out = Vec::new();
    for input in inputs {
        custodian.handle(T, input, &mut out);
    }
    out.iter().map(kind).collect()
}

fn kind(output: &Output) -> &'static str {
    match output {
        Output::Propose(_) => "propose",
        Output::AskGroupInfo => "ask",
        Output::Serve(Some(_)) => "serve",
        Output::Serve(None) => "serve nothing",
        Output::EpochStarted(_) => "started",
        Output::EpochRetired(_) => "retired",
        Output::Removed => "removed",
        Output::Note(_) => "note",
    }
}

fn caught_up(epoch: u64) -> Input {
    Input::CaughtUp {
        epoch: KeyEpoch(epoch),
    }
}

fn negative(from: usize) -> Input {
    Input::GroupInfo {
        from: name(from),
        answer: None,
    }
}

fn rotated_by_other(epoch: u64) -> Input {
    Input::Committed {
        epoch: KeyEpoch(epoch),
        committer: name(1),
        kind: GroupCommitKind::Rotated { round: Round(1) },
        commit: b"not for us".to_vec(),
    }
}

/// In a group of its own at key epoch 1, leading.
fn member() -> Custodian {
    let mut custodian = custodian();
    let mut out = Vec::new();
    for input in [Input::Leader(true), caught_up(0), Input::AnswersDone] {
        custodian.handle(T, input, &mut out);
    }
    let Some(Output::Propose(Act::GroupCommit {
        epoch,
        committer,
        kind,
        commit,
    })) = out.pop()
    else {
        panic!("a leader without a group creates one")
    };
    out.clear();
    custodian.handle(
        T,
        Input::Committed {
            epoch,
            committer,
            kind,
            commit,
        },
        &mut out,
    );
    assert!(custodian.in_group());
    custodian
}

#[test]
fn nothing_happens_before_the_replay_is_done() {
    let mut custodian = custodian();
    let replay = [
        Input::Leader(true),
        rotated_by_other(1),
        Input::RoundClosed { round: Round(1) },
    ];
    assert_eq!(feed(&mut custodian, replay), [""; 0]);
    assert_eq!(custodian.deadline(), None);
    assert_eq!(feed(&mut custodian, [caught_up(1)]), ["ask"]);
}

#[test]
fn who_may_create_a_group_and_when() {
    type Case = (&'static str, bool, u64, Vec<Input>, bool);
    let held = |epoch: u64| Input::GroupInfo {
        from: name(1),
        answer: Some(
            JoinInfo {
                epoch: KeyEpoch(epoch),
                group_info: b"junk".to_vec(),
            }
            .to_bytes(),
        ),
    };
    let cases: [Case; 6] = [
        (
            "leader, never a group, nobody has one",
            true,
            0,
            vec![negative(1), negative(2)],
            true,
        ),
        (
            "leader, never a group, nobody to ask",
            true,
            0,
            vec![],
            true,
        ),
        (
            "not the leader",
            false,
            0,
            vec![negative(1), negative(2)],
            false,
        ),
        (
            "leader, but there was a group",
            true,
            4,
            vec![negative(1), negative(2)],
            false,
        ),
        (
            "leader, but a peer holds one",
            true,
            0,
            vec![held(3)],
            false,
        ),
        ("leader, a peer is behind", true, 4, vec![held(3)], false),
    ];
    for (case, leads, epoch, answers, creates) in cases {
        let mut custodian = custodian();
        feed(&mut custodian, [Input::Leader(leads), caught_up(epoch)]);
        let out = feed(
            &mut custodian,
            answers.into_iter().chain([Input::AnswersDone]),
        );
        assert_eq!(out.contains(&"propose"), creates, "{case}: {out:?}");
        assert!(custodian.deadline().is_some(), "{case}: it goes on trying");
    }
}

#[test]
fn a_leader_of_a_group_that_vanished_creates_after_some_polls() {
    let mut custodian = custodian();
    let mut out = Vec::new();
    let mut now = T;
    custodian.handle(now, Input::Leader(true), &mut out);
    custodian.handle(now, caught_up(4), &mut out);
    let mut polls = 0;
    while !out.iter().any(|output| kind(output) == "propose") {
        custodian.handle(now, Input::AnswersDone, &mut out);
        polls += 1;
        now = now.max(custodian.deadline().expect("it never gives up"));
        custodian.tick(now, &mut out);
    }
    assert_eq!(polls, POLLS_BEFORE_CREATING);
}

#[test]
fn a_silent_shell_does_not_stop_it() {
    let mut custodian = custodian();
    feed(&mut custodian, [Input::Leader(true), caught_up(0)]);
    let mut out = Vec::new();
    let due = custodian.deadline().expect("waits for answers");
    assert_eq!(due, T + ANSWER_LIMIT);
    custodian.tick(due, &mut out);
    assert_eq!(out.iter().map(kind).collect::<Vec<_>>(), ["propose"]);
}

#[test]
fn only_the_leader_rotates_and_once_a_round() {
    let mut leader = member();
    assert_eq!(
        feed(&mut leader, [Input::RoundClosed { round: Round(1) }]),
        ["propose"]
    );
    assert_eq!(
        feed(&mut leader, [Input::RoundClosed { round: Round(2) }]),
        [""; 0],
        "one at a time"
    );
    let mut other = member();
    feed(&mut other, [Input::Leader(false)]);
    assert_eq!(
        feed(&mut other, [Input::RoundClosed { round: Round(1) }]),
        [""; 0]
    );
    assert_eq!(
        feed(&mut other, [Input::Leader(true)]),
        ["propose"],
        "owed by the former leader"
    );
}

#[test]
fn a_commit_it_cannot_follow_makes_it_leave_and_ask() {
    let garbage = feed(&mut member(), [rotated_by_other(2)]);
    assert_eq!(garbage, ["note", "retired", "serve nothing"]);
    let gap = feed(&mut member(), [rotated_by_other(3)]);
    assert_eq!(gap, ["note", "retired", "serve nothing"]);
    let mut left = member();
    feed(&mut left, [rotated_by_other(2)]);
    let mut out = Vec::new();
    left.tick(left.deadline().expect("asks soon"), &mut out);
    assert_eq!(out.iter().map(kind).collect::<Vec<_>>(), ["ask"]);
}

#[test]
fn epochs_never_go_back() {
    let mut custodian = member();
    for epoch in [0, 1] {
        assert_eq!(feed(&mut custodian, [rotated_by_other(epoch)]), ["note"]);
        assert_eq!(custodian.epoch(), KeyEpoch(1));
        assert!(custodian.in_group());
    }
}

#[test]
fn a_snapshot_ahead_of_the_group_makes_it_join_again() {
    let mut custodian = member();
    assert_eq!(
        feed(&mut custodian, [caught_up(9)]),
        ["note", "retired", "serve nothing", "ask"]
    );
    assert_eq!(feed(&mut custodian, [caught_up(9)]), [""; 0]);
}

#[test]
fn answers_it_cannot_use_are_noted_and_survived() {
    let mut custodian = custodian();
    feed(&mut custodian, [caught_up(3)]);
    let answer = |bytes: &[u8]| Input::GroupInfo {
        from: name(2),
        answer: Some(bytes.to_vec()),
    };
    let junk = JoinInfo {
        epoch: KeyEpoch(u64::MAX),
        group_info: b"junk".to_vec(),
    }
    .to_bytes();
    assert_eq!(
        feed(&mut custodian, [answer(b"short"), answer(&junk)]),
        ["note"]
    );
    assert_eq!(feed(&mut custodian, [Input::AnswersDone]), ["note"]);
}

fn standing(members: usize, to_remove: &[usize]) -> Input {
    Input::Roster {
        roster: roster(members),
        to_remove: to_remove.iter().map(|n| name(*n)).collect(),
    }
}

#[test]
fn an_empty_roster_is_no_word_yet_and_nothing_happens_until_one_comes() {
    let mut custodian = Custodian::new(name(0), key(0), Roster::default(), [1; 32]);
    let start = [Input::Leader(true), caught_up(0), Input::AnswersDone];
    assert_eq!(feed(&mut custodian, start), [""; 0]);
    assert_eq!(custodian.deadline(), None);
    assert_eq!(feed(&mut custodian, [standing(3, &[])]), ["ask"]);
}

#[test]
fn a_member_that_goes_drops_everything_and_says_so_once() {
    let others = || Input::Roster {
        roster: Roster::new([(name(1), key(1).verifying_key().to_bytes())]),
        to_remove: [name(0)].into(),
    };
    let under_another_key = || Input::Roster {
        roster: Roster::new([(name(0), key(7).verifying_key().to_bytes())]),
        to_remove: BTreeSet::new(),
    };
    for gone in [others(), under_another_key(), standing(3, &[0])] {
        let mut custodian = member();
        // With a commit of its own under way.
        assert_eq!(
            feed(&mut custodian, [Input::RoundClosed { round: Round(1) }]),
            ["propose"]
        );
        assert_eq!(
            feed(&mut custodian, [gone.clone()]),
            ["retired", "serve nothing", "removed"]
        );
        assert!(!custodian.in_group());
        assert_eq!(custodian.deadline(), None);
        let afterwards = [
            gone,
            rotated_by_other(2),
            Input::Leader(false),
            Input::Leader(true),
            Input::RoundClosed { round: Round(2) },
            Input::AnswersDone,
        ];
        assert_eq!(feed(&mut custodian, afterwards), [""; 0]);
        // It may come back, and go once more.
        assert_eq!(feed(&mut custodian, [standing(3, &[])]), ["ask"]);
        assert_eq!(feed(&mut custodian, [others()]), ["removed"]);
    }
}

#[test]
fn the_replay_passes_former_lives_by_in_silence() {
    let mut custodian = Custodian::new(name(0), key(0), Roster::default(), [1; 32]);
    let gone = Input::Roster {
        roster: Roster::new([(name(1), key(1).verifying_key().to_bytes())]),
        to_remove: [name(0)].into(),
    };
    let replay = [standing(3, &[]), gone, standing(3, &[]), caught_up(4)];
    assert_eq!(feed(&mut custodian, replay), ["ask"]);
}

#[test]
fn who_removes_and_when() {
    let mut leader = member();
    assert_eq!(feed(&mut leader, [standing(2, &[2])]), ["propose"]);
    assert_eq!(
        feed(&mut leader, [standing(2, &[2])]),
        [""; 0],
        "the same once more is nothing new"
    );

    let mut other = member();
    feed(&mut other, [Input::Leader(false)]);
    assert_eq!(feed(&mut other, [standing(2, &[2])]), [""; 0]);
    let due = other.deadline().expect("it is ready to step in");
    assert!(T + PROPOSAL_LIMIT <= due && due <= T + PROPOSAL_LIMIT * 2);
    assert_eq!(feed(&mut other, [Input::Leader(true)]), ["propose"]);

    let mut patient = member();
    feed(&mut patient, [Input::Leader(false), standing(2, &[2])]);
    let mut out = Vec::new();
    patient.tick(patient.deadline().expect("steps in"), &mut out);
    assert_eq!(out.iter().map(kind).collect::<Vec<_>>(), ["propose"]);
}

/// Between the removal's commit and the roster that follows it there is nothing left to do.
#[test]
fn the_removal_s_win_ends_the_removal() {
    let mut custodian = member();
    let mut out = Vec::new();
    custodian.handle(T, standing(2, &[2]), &mut out);
    let Some(Output::Propose(Act::GroupCommit {
        epoch,
        committer,
        kind,
        commit,
    })) = out.pop()
    else {
        panic!("the leader removes at once")
    };
    let won = Input::Committed {
        epoch,
        committer,
        kind,
        commit,
    };
    assert_eq!(
        feed(&mut custodian, [won, standing(2, &[])]),
        ["started", "retired", "serve"]
    );
}

/// Whatever the reason: one attempt and a pause, not a stream of leaves.
#[test]
fn a_loss_that_it_cannot_explain_is_not_answered_at_once() {
    let due = [Input::RoundClosed { round: Round(1) }, standing(2, &[2])];
    for due in due {
        let mut custodian = member();
        let mut out = Vec::new();
        custodian.handle(T, due, &mut out);
        let Some(Output::Propose(Act::GroupCommit {
            epoch,
            committer,
            kind,
            commit,
        })) = out.pop()
        else {
            panic!("the leader proposes")
        };
        let lost = Input::Lost {
            epoch,
            committer,
            kind,
            commit,
        };
        assert_eq!(feed(&mut custodian, [lost]), ["note"]);
        assert_eq!(custodian.deadline(), Some(T + MAX_PAUSE));
        assert!(custodian.in_group());
        custodian.tick(T + MAX_PAUSE, &mut out);
        assert!(matches!(out[..], [Output::Propose(_)]), "{out:?}");
    }
}
