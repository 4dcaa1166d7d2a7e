use super::*;
use crate::fedbuff::Buffer;
use crate::model_digest;
use crate::participant::ParticipantInput;
use machine::{Instant, Machine as _};
use std::sync::Arc;
use wire::NodeId;

fn participant() -> Participant {
    Participant::new("me".into()).buffered(Buffer {
        size: 2,
        max_staleness: 2,
    })
}

/// Round n starts from model n.
fn opened(round: u64) -> ParticipantInput {
    ParticipantInput::Opened {
        round: Round(round),
        model: model_digest(&[round as f32]),
        cohort: vec!["me".into(), "other".into()],
        secure: None,
        codec: None,
        carried: Default::default(),
    }
}

fn train(round: u64, from: &str) -> ParticipantInput {
    ParticipantInput::Train {
        from: NodeId::from(from),
        round: Round(round),
        model: model_digest(&[round as f32]),
        parameters: Arc::new(vec![round as f32]),
    }
}

fn trained(round: u64) -> ParticipantInput {
    ParticipantInput::Trained {
        round: Round(round),
        delta: vec![0.5],
        examples: 7,
        loss: 0.25,
        taken: None,
    }
}

fn ended(round: u64, counted: bool) -> ParticipantInput {
    let round = Round(round);
    ParticipantInput::Ended { round, counted }
}

fn feed(me: &mut Participant, inputs: impl IntoIterator<Item = ParticipantInput>) -> Vec<String> {
    let mut out = Vec::new();
    for input in inputs {
        me.handle(Instant::ZERO, input, &mut out);
    }
    let named = out.into_iter().map(|output| match output {
        ParticipantOutput::StartTraining { round, .. } => format!("start {round}"),
        ParticipantOutput::CancelTraining { round } => format!("cancel {round}"),
        ParticipantOutput::Send {
            to,
            frame: Frame::Update { round, base, .. },
        } => {
            assert_eq!(base, model_digest(&[round.0 as f32]));
            format!("update {round} to {to}")
        }
        ParticipantOutput::Send {
            to,
            frame: Frame::Decline { round, .. },
        } => format!("decline {round} to {to}"),
        ParticipantOutput::Note(_) => "note".to_owned(),
        other => panic!("{other:?}"),
    });
    named.collect()
}

/// Its rounds end twice before it is ready.
#[test]
fn a_slow_one_is_not_interrupted_and_brings_its_update_to_the_round_that_is_open() {
    let mut me = participant();
    let begin = [opened(1), train(1, "a"), ended(1, false), opened(2)];
    assert_eq!(feed(&mut me, begin), ["start 1"]);
    // The leader has changed meanwhile.
    let asked = [train(2, "b"), train(2, "b"), ended(2, false), opened(3)];
    assert_eq!(feed(&mut me, asked), [""; 0]);
    assert_eq!(feed(&mut me, [train(3, "b")]), [""; 0]);
    assert_eq!(feed(&mut me, [trained(1)]), ["update 1 to b"]);
    // Asked again, for the frame was lost; and not for the next training before this one counts.
    assert_eq!(feed(&mut me, [train(3, "b")]), ["update 1 to b"]);
    let next = [ended(3, true), opened(4), train(4, "b")];
    assert_eq!(feed(&mut me, next), ["start 4"]);
}

#[test]
fn who_is_ready_between_rounds_waits_for_the_next_one() {
    let mut me = participant();
    feed(&mut me, [opened(1), train(1, "a"), ended(1, false)]);
    assert_eq!(feed(&mut me, [trained(1)]), [""; 0]);
    // The request may come before the ledger.
    let next = [train(2, "a"), opened(2)];
    assert_eq!(feed(&mut me, next), ["update 1 to a"]);
    // It came too late, or the leader died: it is as good in the next round.
    let next = [ended(2, false), opened(3), train(3, "b")];
    assert_eq!(feed(&mut me, next), ["update 1 to b"]);
}

#[test]
fn what_no_round_takes_is_given_up() {
    let mut me = participant();
    feed(&mut me, [opened(1), train(1, "a"), trained(1)]);
    // It breaks a rule, say; rounds are abandoned, so its model stays of use.
    for round in [1, 2] {
        let next = ParticipantInput::Opened {
            round: Round(round + 1),
            model: model_digest(&[1.0]),
            cohort: vec!["me".into()],
            secure: None,
            codec: None,
            carried: Default::default(),
        };
        let again = ParticipantInput::Train {
            from: "a".into(),
            round: Round(round + 1),
            model: model_digest(&[1.0]),
            parameters: Arc::new(vec![1.0]),
        };
        let out = feed(&mut me, [ended(round, false), next, again]);
        assert_eq!(out, ["update 1 to a"]);
    }
    let next = [ended(3, false), opened(4), train(4, "a")];
    assert_eq!(feed(&mut me, next), ["start 4"]);
}

#[test]
fn what_is_too_old_begins_anew() {
    let mut me = participant();
    feed(&mut me, [opened(1), train(1, "a")]);
    for round in 1..=2 {
        let next = [
            ended(round, false),
            opened(round + 1),
            train(round + 1, "a"),
        ];
        assert_eq!(feed(&mut me, next), [""; 0], "round {round}");
    }
    let next = [ended(3, false), opened(4), train(4, "a")];
    assert_eq!(feed(&mut me, next), ["cancel 1", "note", "start 4"]);
    // What the learner makes of the former one all the same is nobody's.
    assert_eq!(feed(&mut me, [trained(1)]), [""; 0]);
    // Neither is what was learned from a model that is dropped.
    assert_eq!(feed(&mut me, [ParticipantInput::RolledBack]), ["cancel 4"]);
    assert_eq!(feed(&mut me, [opened(5), train(5, "a")]), ["start 5"]);
}

#[test]
fn who_cannot_train_says_so_to_the_open_round() {
    let mut me = participant();
    feed(&mut me, [opened(1), train(1, "a"), ended(1, false)]);
    feed(&mut me, [opened(2), train(2, "a")]);
    let failed = ParticipantInput::TrainingFailed {
        round: Round(1),
        reason: "too few examples".to_owned(),
    };
    assert_eq!(feed(&mut me, [failed]), ["decline 2 to a"]);
    let next = [ended(2, false), opened(3), train(3, "a")];
    assert_eq!(feed(&mut me, next), ["start 3"]);
}

/// A former life's update is in that round, and what is in the making began before it.
#[test]
fn an_update_of_a_former_life_that_counts_ends_what_began_since() {
    let mut me = participant();
    assert_eq!(feed(&mut me, [opened(1), train(1, "a")]), ["start 1"]);
    let next = [ended(1, true), opened(2), train(2, "a")];
    assert_eq!(feed(&mut me, next), ["cancel 1", "start 2"]);
}
