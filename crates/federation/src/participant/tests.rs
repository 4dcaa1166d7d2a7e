use super::*;
use wire::{Act, SecureMessage};

const T: Instant = Instant::ZERO;

fn me() -> NodeId {
    NodeId::from("me")
}

fn model() -> (Digest, Arc<Vec<f32>>) {
    let parameters = vec![1.0, 2.0];
    (model_digest(&parameters), Arc::new(parameters))
}

fn opened(round: u64) -> ParticipantInput {
    ParticipantInput::Opened {
        round: Round(round),
        model: model().0,
        cohort: vec![me()],
        secure: None,
        codec: None,
        carried: Default::default(),
    }
}

fn train(round: u64) -> ParticipantInput {
    let (model, parameters) = model();
    ParticipantInput::Train {
        from: "lead".into(),
        round: Round(round),
        model,
        parameters,
    }
}

fn trained(round: u64) -> ParticipantInput {
    ParticipantInput::Trained {
        round: Round(round),
        delta: vec![0.5, 0.0],
        examples: 7,
        loss: 0.25,
        taken: None,
    }
}

fn ended(round: u64) -> ParticipantInput {
    ParticipantInput::Ended {
        round: Round(round),
        counted: true,
    }
}

/// A short name for each output.
fn feed(
    participant: &mut Participant,
    inputs: impl IntoIterator<Item = ParticipantInput>,
) -> Vec<String> {
    let mut out = Vec::new();
    for input in inputs {
        participant.handle(T, input, &mut out);
    }
    out.iter()
        .map(|output| match output {
            ParticipantOutput::StartTraining { round, .. } => format!("start {round}"),
            ParticipantOutput::CancelTraining { round } => format!("cancel {round}"),
            ParticipantOutput::Send {
                to,
                frame: Frame::Update { round, .. },
            } => {
                format!("update {round} to {to}")
            }
            ParticipantOutput::Send {
                to,
                frame: Frame::Decline { round, .. },
            } => {
                format!("decline {round} to {to}")
            }
            ParticipantOutput::Send { frame, .. } => panic!("not an answer: {frame:?}"),
            ParticipantOutput::Propose(act) => panic!("not in a plain round: {act:?}"),
            ParticipantOutput::Keep(_) => "keep".to_owned(),
            ParticipantOutput::Note(_) => "note".to_owned(),
        })
        .collect()
}

#[test]
fn courses_of_a_round() {
    type Case = (&'static str, Vec<ParticipantInput>, &'static [&'static str]);
    let failed = |round| ParticipantInput::TrainingFailed {
        round: Round(round),
        reason: "too few examples".to_owned(),
    };
    let outsider = ParticipantInput::Opened {
        round: Round(1),
        model: model().0,
        cohort: vec!["other".into()],
        secure: None,
        codec: None,
        carried: Default::default(),
    };
    let other_model = ParticipantInput::Opened {
        round: Round(1),
        model: model_digest(&[9.0]),
        cohort: vec![me()],
        secure: None,
        codec: None,
        carried: Default::default(),
    };
    let wrong_parameters = ParticipantInput::Train {
        from: "lead".into(),
        round: Round(1),
        model: model().0,
        parameters: Arc::new(vec![1.0, 2.5]),
    };
    let cases: [Case; 16] = [
        (
            "plain",
            vec![opened(1), train(1), trained(1)],
            &["start 1", "update 1 to lead"],
        ),
        (
            "asked before the ledger is heard",
            vec![train(1), opened(1)],
            &["start 1"],
        ),
        ("never opened", vec![train(1)], &[]),
        (
            "asked again after answering",
            vec![opened(1), train(1), trained(1), train(1)],
            &["start 1", "update 1 to lead", "update 1 to lead"],
        ),
        (
            "asked again meanwhile",
            vec![opened(1), train(1), train(1)],
            &["start 1"],
        ),
        (
            "trained twice",
            vec![opened(1), train(1), trained(1), trained(1)],
            &["start 1", "update 1 to lead"],
        ),
        (
            "training failed",
            vec![opened(1), train(1), failed(1)],
            &["start 1", "decline 1 to lead"],
        ),
        (
            "asked again after a failure",
            vec![opened(1), train(1), failed(1), train(1)],
            &["start 1", "decline 1 to lead", "decline 1 to lead"],
        ),
        (
            "not in the cohort",
            vec![outsider, train(1)],
            &["note", "decline 1 to lead"],
        ),
        (
            "another model by the ledger",
            vec![other_model, train(1)],
            &["note", "decline 1 to lead"],
        ),
        (
            "parameters that are not the model, then the right ones",
            vec![opened(1), wrong_parameters, train(1)],
            &["note", "decline 1 to lead", "start 1"],
        ),
        (
            "a newer round while training",
            vec![
                opened(1),
                train(1),
                ended(1),
                opened(2),
                train(2),
                trained(1),
                trained(2),
            ],
            &["start 1", "cancel 1", "start 2", "update 2 to lead"],
        ),
        (
            "a newer round, its predecessor's end unheard",
            vec![opened(1), train(1), opened(2)],
            &["start 1", "cancel 1"],
        ),
        (
            "rolled back while training",
            vec![
                opened(1),
                train(1),
                ParticipantInput::RolledBack,
                trained(1),
                train(1),
                opened(2),
                train(2),
            ],
            &["start 1", "cancel 1", "start 2"],
        ),
        (
            "a request for a round that ended",
            vec![opened(1), ended(1), train(1)],
            &[],
        ),
        (
            "an early request for a round that ended unseen",
            vec![train(1), ended(2), opened(3)],
            &[],
        ),
    ];
    for (case, inputs, expected) in cases {
        assert_eq!(
            feed(&mut Participant::new(me()), inputs),
            expected,
            "{case}"
        );
    }
}

#[test]
fn the_update_names_the_model_it_started_from() {
    let mut participant = Participant::new(me());
    let mut out = Vec::new();
    for input in [opened(4), train(4), trained(4)] {
        participant.handle(T, input, &mut out);
    }
    let frame = Frame::Update {
        round: Round(4),
        node: me(),
        base: model().0,
        delta: Arc::new(vec![0.5, 0.0]),
        examples: 7,
        loss: 0.25,
    };
    assert_eq!(
        out.pop(),
        Some(ParticipantOutput::Send {
            to: "lead".into(),
            frame
        })
    );
    assert_eq!(participant.training(), None);
}

/// Three members, of whom `me` is a participant under test and `lead` aggregates.
fn secure_round(missed: bool) -> crate::secagg::SecureRound {
    let member = |(node, byte): (&str, u8)| crate::secagg::Member {
        node: node.into(),
        identity: identity(byte).verifying_key().to_bytes(),
    };
    crate::secagg::SecureRound {
        cluster: "test".to_owned(),
        aggregator: "lead".into(),
        entry: Digest::of(b"entry"),
        members: [("lead", 1), ("me", 2), ("other", 3)].map(member).to_vec(),
        missed,
        terms: Default::default(),
        objection: None,
    }
}

fn identity(byte: u8) -> Arc<ed25519_dalek::SigningKey> {
    Arc::new(ed25519_dalek::SigningKey::from_bytes(&[byte; 32]))
}

fn opened_securely(missed: bool) -> ParticipantInput {
    ParticipantInput::Opened {
        round: Round(1),
        model: model().0,
        cohort: vec!["lead".into(), me(), "other".into()],
        secure: Some(Arc::new(secure_round(missed))),
        codec: None,
        carried: Default::default(),
    }
}

fn securely(inputs: impl IntoIterator<Item = ParticipantInput>) -> Vec<ParticipantOutput> {
    let mut participant = Participant::new(me()).with_identity(identity(2), [9; 32], 100.0);
    let mut out = Vec::new();
    for input in inputs {
        participant.handle(T, input, &mut out);
    }
    out
}

fn declined(out: &[ParticipantOutput]) -> Vec<String> {
    out.iter()
        .filter_map(|output| match output {
            ParticipantOutput::Send {
                frame: Frame::Decline { reason, .. },
                ..
            } => Some(reason.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn an_update_of_a_secure_round_never_leaves_in_clear() {
    let out = securely([opened_securely(false), train(1), trained(1)]);
    let [
        ParticipantOutput::StartTraining { .. },
        ParticipantOutput::Send {
            to,
            frame: Frame::Secure(message),
        },
    ] = &out[..]
    else {
        panic!("{out:?}")
    };
    assert_eq!(*to, NodeId::from("lead"));
    assert!(matches!(message.step, wire::SecureStep::Advertise(_)));
}

#[test]
fn who_has_missed_the_opening_or_is_asked_by_another_takes_no_part() {
    let out = securely([opened_securely(true), train(1)]);
    assert!(declined(&out)[0].contains("started after the round was opened"));
    let other = |input| match input {
        ParticipantInput::Train {
            round,
            model,
            parameters,
            ..
        } => ParticipantInput::Train {
            from: "other".into(),
            round,
            model,
            parameters,
        },
        input => input,
    };
    let out = securely([opened_securely(false), other(train(1))]);
    assert_eq!(
        declined(&out),
        ["the ledger has lead aggregate this round, not other"]
    );
    // Nor does another one become the aggregator by asking again.
    let out = securely([opened_securely(false), train(1), other(train(1))]);
    assert_eq!(out.len(), 2, "{out:?}");
}

#[test]
fn a_broken_protocol_is_told_to_the_ledger_and_the_round_is_over_for_this_node() {
    let context = secure_round(false)
        .contexts(Round(1), model().0, 2)
        .unwrap()
        .remove(0);
    let list = wire::SecureStep::Keys(wire::secure::KeyList {
        advertised: context.everybody(),
        keys: Vec::new(),
    });
    let keys = ParticipantInput::Secure {
        from: "lead".into(),
        message: SecureMessage {
            context: context.digest(),
            step: list,
        },
    };
    let out = securely([opened_securely(false), train(1), keys, trained(1)]);
    let reason = "the list of keys has left this node out, or changed what it sent";
    assert_eq!(declined(&out), [reason]);
    let proposed = out.iter().find_map(|output| match output {
        ParticipantOutput::Propose(Act::RoundAbandoned { round, reason }) => {
            Some((*round, reason.clone()))
        }
        _ => None,
    });
    assert_eq!(proposed, Some((Round(1), format!("me found: {reason}"))));
}

#[test]
fn an_update_beyond_the_bound_is_not_hidden_under_masks() {
    let far = ParticipantInput::Trained {
        round: Round(1),
        delta: vec![90.0, 90.0],
        examples: 7,
        loss: 0.25,
        taken: None,
    };
    let out = securely([opened_securely(false), train(1), far]);
    assert_eq!(
        declined(&out),
        ["the norm of its update is 127.279, over the bound 100.000"]
    );
}

#[test]
fn what_a_counted_update_left_out_is_in_the_next_one() {
    let opened = |round| ParticipantInput::Opened {
        round: Round(round),
        model: model().0,
        cohort: vec![me()],
        secure: None,
        codec: Some(crate::compression::Codec::TopK { keep: 1 }),
        carried: Default::default(),
    };
    let mut participant = Participant::new(me());
    let mut told = Vec::new();
    for (round, counted) in [(1, false), (2, true), (3, true)] {
        let mut out = Vec::new();
        let ended = ParticipantInput::Ended {
            round: Round(round),
            counted,
        };
        let trained = ParticipantInput::Trained {
            round: Round(round),
            delta: vec![0.5, 0.25],
            examples: 7,
            loss: 0.25,
            taken: None,
        };
        for input in [opened(round), train(round), trained, ended] {
            participant.handle(T, input, &mut out);
        }
        told.extend(out.into_iter().filter_map(|output| match output {
            ParticipantOutput::Send {
                frame: Frame::Packed { delta, .. },
                ..
            } => Some(crate::compression::decode(&delta, 2).unwrap()),
            _ => None,
        }));
    }
    // The first update is in no model, so it has left nothing out.
    assert_eq!(told, [[0.5, 0.0], [0.5, 0.0], [0.5, 0.0]]);
    let mut out = Vec::new();
    participant.handle(T, opened(4), &mut out);
}

/// Bytes that nodes of different builds exchange.
#[test]
fn a_smaller_update_is_pinned() {
    let frame = Frame::Packed {
        round: Round(5),
        node: "b".into(),
        base: Digest([1; 32]),
        delta: vec![7, 8],
        examples: 300,
        loss: 0.5,
    };
    let mut expected = vec![1, 6, 5, 1, b'b'];
    expected.extend([1; 32]);
    expected.extend([2, 7, 8, 0xac, 0x02]);
    expected.extend(0.5_f64.to_le_bytes());
    assert_eq!(wire::encode(&frame), expected);
}
